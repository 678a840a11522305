"""Speaks JSON over HTTP and decides nothing."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from flask import Flask, Response, g, request
from flask_smorest import Api, Blueprint

from compliance.api import caller, problems
from compliance.api.schemas import ANSWER

RESOURCES = ("checks", "reasons", "oss", "log", "service")  # each module has a `blueprint`
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
        """Errors are answered by path, in problems.py."""


def register(app: Flask) -> None:
    """Add the API: its paths, its description, its errors, its headers."""
    app.config.update(GateApi.CONFIG)
    info = {"description": "May a permit proceed, by what the social-security agency knows of the applicant?"}
    api = GateApi(app, spec_kwargs={"info": info, "components": {"securitySchemes": SECURITY}})
    for name in RESOURCES:
        blueprint: Blueprint = importlib.import_module(f"compliance.api.{name}").blueprint
        api.register_blueprint(blueprint)
    app.extensions["compliance-spec"] = api.spec
    running = app.extensions["compliance"]
    app.extensions["compliance-rate"] = caller.Rate(running.settings.rate_limit, running.clock)
    problems.answer_errors(app)
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.request_id = caller.request_id(request.headers.get("X-Request-ID"))


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    if problems.ours(request.path):
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.update(g.get("rate_headers", {}))
    return response
