"""Speaks JSON over HTTP and decides nothing."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from flask import Flask, Response, g, request
from flask_smorest import Api
from ulid import ULID

from compliance.api import caller, problems
from compliance.api.body import seen
from compliance.api.schemas import ANSWER
from compliance.deployment import deployment
from compliance.errors import LogUnavailable
from compliance.intake import refused

RESOURCES = ("checks", "oss", "log", "service")  # each module has a `blueprint`
OURS, OUR_PAGES = ("/api/", "/.well-known/"), ("/api", "/healthz", "/readyz", "/metrics")
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
    api = GateApi(app, spec_kwargs={"info": info, "components": {"securitySchemes": SECURITY}})
    for name in RESOURCES:
        api.register_blueprint(importlib.import_module(f"compliance.api.{name}").blueprint)
    running = app.extensions["compliance"]
    app.extensions["compliance-spec"] = api.spec
    app.extensions["compliance-rate"] = caller.Rate(running.settings.rate_limit, running.clock)
    app.before_request(_begin)
    app.after_request(_end)
    pages = app.handle_user_exception

    def by_path(error: Exception) -> Any:
        return _failed(error) if _ours(request.path) else pages(error)

    setattr(app, "handle_user_exception", by_path)  # noqa: B010  (before any page's handler sees it)


def _ours(path: str) -> bool:
    return path.startswith(OURS) or path in OUR_PAGES


def _begin() -> None:
    stated = request.headers.get("X-Request-ID", "")
    g.request_id = stated if caller.SANE_ID.fullmatch(stated) else str(ULID())


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    if _ours(request.path):
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(g.get("rate_headers", {}))
    return response


def _failed(error: Exception) -> Response:
    problem = problems.as_problem(error)
    if request.method == "POST" and "caller" in g and problem.status in LOGGED:
        try:
            _log_refusal(problem)
        except LogUnavailable as unavailable:
            problem = problems.as_problem(unavailable)
    return problems.write(problem)


def _log_refusal(problem: problems.Problem) -> None:
    """Contract §3: an authenticated POST that is refused for what it says leaves an entry."""
    body = seen()
    refused(
        deployment().log,
        g.caller.asker,
        deployment().clock(),
        request_id=g.request_id,
        path=request.url_rule.rule if request.url_rule else "",
        status=problem.status,
        pointers=[wrong.pointer for wrong in problem.wrong],
        body_sha256=body.sha256,
        body_length=body.length,
    )
