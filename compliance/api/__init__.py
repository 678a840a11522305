"""Speaks JSON over HTTP and decides nothing."""

import importlib
import re
from typing import Any, ClassVar

from flask import Flask, Response, g, request
from flask_smorest import Api
from ulid import ULID
from werkzeug.exceptions import NotFound

from compliance.api import caller, problems
from compliance.api.body import seen
from compliance.api.schemas import ANSWER, SCHEMAS
from compliance.deployment import deployment
from compliance.errors import LogUnavailable
from compliance.intake import refused

RESOURCES = ("checks", "batches", "oss", "log", "service")  # each module has a `blueprint`
OURS, PROBES = ("/api/", "/.well-known/"), ("/api", "/healthz", "/readyz", "/metrics")
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
LOGGED = {400, 403, 413, 415, 422}
SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "A client key"},
    "ossToken": {"type": "apiKey", "in": "header", "name": "Token", "description": "SHA1(user + password + NIB + day)"},
}


class GateApi(Api):
    """flask-smorest as it describes; errors and pages are ours."""

    ERROR_SCHEMA = ANSWER["Problem"]
    CONFIG: ClassVar[dict[str, Any]] = {"API_TITLE": "Compliance gate", "API_VERSION": "v1", "OPENAPI_VERSION": "3.1.0"}

    def _register_responses(self) -> None:
        self.DEFAULT_RESPONSE_CONTENT_TYPE = "application/problem+json"
        super()._register_responses()
        del self.DEFAULT_RESPONSE_CONTENT_TYPE

    def _register_error_handlers(self) -> None:
        """Errors are answered by path, below."""


def register(app: Flask) -> None:
    """Add the API: its paths, its description, its errors, its headers."""
    app.config.update(GateApi.CONFIG)
    info = {"description": "May a permit proceed, by what the social-security agency knows of the applicant?"}
    components = {"securitySchemes": SECURITY, "schemas": SCHEMAS}
    api = GateApi(app, spec_kwargs={"info": info, "components": components})
    for name in RESOURCES:
        api.register_blueprint(importlib.import_module(f"compliance.api.{name}").blueprint)
    running, pages = app.extensions["compliance"], app.handle_user_exception
    app.extensions["compliance-spec"] = api.spec
    app.extensions["compliance-rate"] = caller.Rate(running.settings.rate_limit, running.clock)
    locked = {name for name, view in app.view_functions.items() if getattr(view, "locked", False)}

    def begin() -> None:
        stated = request.headers.get("X-Request-ID", "")
        g.request_id = stated if SANE_ID.fullmatch(stated) else str(ULID())
        if "\0" in request.path:  # no id holds one, and PostgreSQL takes none
            raise NotFound
        if request.path.startswith(OURS) and request.endpoint not in locked:
            caller.count_address()

    def by_path(error: Exception) -> Any:
        return _failed(error) if _ours(request.path) else pages(error)

    app.before_request(begin)
    app.after_request(_end)
    setattr(app, "handle_user_exception", by_path)  # noqa: B010  (before any page's handler sees it)


def _ours(path: str) -> bool:
    return path.startswith(OURS) or path in PROBES


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    if _ours(request.path):
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(g.get("rate_headers", {}))
    return response


def _failed(error: Exception) -> Response:
    """Contract §3: an authenticated POST that is refused for what it says leaves an entry."""
    problem = problems.as_problem(error)
    if request.method == "POST" and "caller" in g and problem.status in LOGGED:
        body, running = seen(), deployment()
        try:
            refused(
                running.log,
                g.caller.asker,
                running.clock(),
                request_id=g.request_id,
                path=request.url_rule.rule if request.url_rule else "",
                status=problem.status,
                pointers=[wrong.pointer for wrong in problem.wrong],
                body_sha256=body.sha256,
                body_length=body.length,
            )
        except LogUnavailable as unavailable:
            problem = problems.as_problem(unavailable)
    return problems.write(problem)
