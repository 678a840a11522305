"""The blueprint of the pages: static files, what every answer says to the browser, and errors in words."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

from flask import Blueprint, Response, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException

from compliance.deployment import deployment
from compliance.errors import LogBroken, LogUnavailable

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_: Callable[..., str] = gettext  # the Indonesian original is a text's name in the catalogue
pages = Blueprint("web", __name__, template_folder="templates", static_folder="static", static_url_path="/static")


@cache
def _version(name: str) -> str:
    return hashlib.sha256((Path(__file__).with_name("static") / name).read_bytes()).hexdigest()[:12]


@pages.app_template_global()
def static(name: str) -> str:
    """Where a static file is; another content is another address, so that browsers may keep it for a year."""
    return url_for("web.static", filename=name, v=_version(name))


@pages.after_app_request
def complete(response: Response) -> Response:
    """Load nothing from elsewhere, run no script, keep nothing personal."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if deployment().settings.public_url.startswith("https://"):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if request.endpoint == "web.static" and response.status_code < 400:
        response.headers["Cache-Control"] = "public, max-age=31536000"
    elif request.blueprint == "web":
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Robots-Tag"] = "noindex"
    return response


@pages.app_errorhandler(HTTPException)
@pages.app_errorhandler(LogUnavailable)
@pages.app_errorhandler(LogBroken)
@pages.app_errorhandler(OperationalError)
def failed(error: Exception) -> ResponseReturnValue:
    """What happened, and what to do; the API answers for its own paths before this is asked."""
    if isinstance(error, HTTPException) and (error.code or 0) < 400:
        return cast(ResponseReturnValue, error)
    code = error.code if isinstance(error, HTTPException) else 500 if isinstance(error, LogBroken) else 503
    if not isinstance(error, HTTPException):
        current_app.logger.error("%s on %s: %s", type(error).__name__, request.path, str(error).splitlines()[0])
    whys = {CSRFError: "form", LogBroken: "tampered", OperationalError: "storage"}
    told = {"why": whys.get(type(error), code), "code": code, "position": getattr(error, "position", None)}
    return render_template("pages/error.html", **told), code or 500
