"""Speaks JSON over HTTP and decides nothing. What it serves is written in paths.toml."""

import functools
import importlib
import inspect
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, g, request
from ulid import ULID
from werkzeug.exceptions import NotFound

from compliance.api import caller, problems
from compliance.audit import document
from compliance.deployment import deployment
from compliance.errors import LogUnavailable
from compliance.intake import refused

OURS, PROBES = ("/api/", "/.well-known/"), ("/api", "/healthz", "/readyz", "/metrics")
PLACE = re.compile(r"<(?:int\(max=(\d+)\):|(path):)?(\w+)>")  # of a path's parameter
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
KEYED, LOGGED = (401, 403, 422, 429, 503), {400, 403, 413, 415, 422}


def register(app: Flask) -> None:
    """Add the API: its paths, its description, its errors, its headers."""
    running, pages = app.extensions["compliance"], app.handle_user_exception
    app.extensions["compliance-rate"] = caller.Rate(running.settings.rate_limit, running.clock)
    app.register_blueprint(Blueprint("api", __name__, template_folder="templates"))
    for name, path in problems.PATHS.items():
        tag, function = name.split(".")
        view = getattr(importlib.import_module(f"compliance.api.{path.get('in', tag)}"), function)
        method, rule = path["call"].split()
        app.add_url_rule(rule, name, _served(view, path), methods=[method])
    app.extensions["compliance-spec"] = _described(app)

    def begin() -> None:
        stated = request.headers.get("X-Request-ID", "")
        g.request_id = stated if SANE_ID.fullmatch(stated) else str(ULID())
        if "\0" in request.path:  # no id holds one, and PostgreSQL takes none
            raise NotFound
        if request.path.startswith(OURS) and "scopes" not in problems.path():
            caller.count_address()

    def by_path(error: Exception) -> Any:
        return _failed(error) if _ours(request.path) else pages(error)

    app.before_request(begin)
    app.after_request(_end)
    setattr(app, "handle_user_exception", by_path)  # noqa: B010  (before any page's handler sees it)


def _served(view: Callable[..., Any], path: dict[str, Any]) -> Callable[..., Response]:
    """A view behind its lock. It gets the values of path and query by name; what it tells, a document, text or bytes,
    or that with status and headers, becomes an answer."""

    @functools.wraps(view)
    def answer(**named: Any) -> Response:
        if "scopes" in path:
            caller.enter(caller.by_token() if path.get("token") else caller.by_key(), *path["scopes"])
            named |= caller.read_query(path.get("query"))
        told = view(**named)
        body, status, headers = told if isinstance(told, tuple) else (told, 200, {})
        body = document.text(body) if isinstance(body, dict) else body
        response = Response(body, status, headers, mimetype=path.get("kind", "application/json"))
        response.headers.setdefault("Cache-Control", path.get("cache", "no-store"))
        return response

    return answer


def _described(app: Flask) -> dict[str, Any]:
    """The OpenAPI document: the paths with their documents, each in the words of its view."""
    paths: dict[str, dict[str, Any]] = {}
    failed = {HTTPStatus(int(status)).name: HTTPStatus(int(status)).phrase for status in problems.CODES}
    for name, path in problems.PATHS.items():
        method, rule = path["call"].split()
        summary, _, more = (inspect.getdoc(app.view_functions[name]) or "").partition("\n\n")
        parameters = [problems.TABLE["idempotency"]] if "once" in path else []
        for most, several, field in PLACE.findall(rule):
            text = {"type": "string"} | ({} if several else {"minLength": 1})
            schema = {"type": "integer", "minimum": 0, "maximum": int(most)} if most else text
            parameters.append({"in": "path", "name": field, "required": True, "schema": schema})
        query: dict[str, Any] = problems.SCHEMAS[path["query"]]["properties"] if "query" in path else {}
        parameters += [{"in": "query", "name": field, "schema": kind} for field, kind in query.items()]
        statuses = sorted({*path.get("fails", ()), *(KEYED if "scopes" in path else ())})
        answers: dict[str, Any] = {str(one): _named("responses", HTTPStatus(one).name) for one in statuses}
        answers["default"] = _named("responses", "DEFAULT_ERROR")
        for status, (given, what) in path["gives"].items():
            content = {path.get("kind", "application/json"): {"schema": problems.schema(given)}}
            answers[status] = {"description": what, "content": content}
        answers[next(iter(path["gives"]))] |= {"links": path["links"]} if "links" in path else {}
        said = {"summary": " ".join(summary.split()), "tags": [name.partition(".")[0]]}
        operation = said | {"parameters": parameters, "responses": answers}
        operation |= {"description": " ".join(more.split())} if more else {}
        operation |= {"operationId": path["id"]} if "id" in path else {}
        if "takes" in path:
            content = {kind: {"schema": problems.schema(taken)} for kind, taken in path["takes"].items()}
            operation["requestBody"] = {"required": True, "content": content}
        if "scopes" in path:
            operation["security"] = [{"key": []}, *([{"ossToken": []}] if "token" in path else [])]
        paths.setdefault(PLACE.sub(r"{\3}", rule), {})[method.lower()] = operation
    problem = {"content": {"application/problem+json": {"schema": problems.schema("Problem")}}}
    named = failed | {"DEFAULT_ERROR": "Default error response"}
    responses = {name: problem | {"description": phrase} for name, phrase in named.items()}
    head: dict[str, Any] = problems.TABLE["description"]
    parts = head["components"] | {"schemas": problems.SCHEMAS, "responses": responses}
    return head | {"paths": paths, "components": parts}


def _named(part: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{part}/{name}"}


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
    if request.method == "POST" and "client" in g and problem.status in LOGGED:
        body, running = caller.seen(), deployment()
        told = {"request_id": g.request_id, "path": request.url_rule.rule if request.url_rule else ""}
        told |= {"status": problem.status, "body_sha256": body.sha256, "body_length": body.length}
        pointers = [wrong.pointer for wrong in problem.wrong]
        try:
            refused(running.log, g.client.asker, running.clock(), pointers=pointers, **told)
        except LogUnavailable as unavailable:
            problem = problems.as_problem(unavailable)
    return problems.write(problem)
