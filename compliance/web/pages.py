"""The blueprint of the pages: static files, what every answer says to the browser, and errors in words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import cast

from flask import Blueprint, Response, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from compliance.deployment import deployment
from compliance.errors import LogUnavailable

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
def failed(error: HTTPException | LogUnavailable) -> ResponseReturnValue:
    """What happened, and what to do; the API answers for its own paths before this is asked."""
    if isinstance(error, LogUnavailable):
        current_app.logger.error("log unavailable on %s: %s", request.path, error)
    code = 503 if isinstance(error, LogUnavailable) else error.code
    if code is None or code < 400:
        return cast(ResponseReturnValue, error)
    return render_template("pages/error.html", why="form" if isinstance(error, CSRFError) else code, code=code), code
