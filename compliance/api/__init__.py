"""Speaks JSON over HTTP and decides nothing. What it serves is written in paths.toml."""

import functools
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, g, request
from ulid import ULID
from werkzeug.exceptions import NotFound

from compliance.api import caller
from compliance.audit import document
from compliance.deployment import deployment
from compliance.errors import LogUnavailable
from compliance.intake import refused
from compliance.intake.documents import DOCUMENTS, KINDS, read_documents

HERE = Path(__file__).parent
ANSWERS = read_documents(HERE / "answers.toml", KINDS)
OURS, PROBES = ("/api/", "/.well-known/"), ("/api", "/healthz", "/readyz", "/metrics")
PLACE = re.compile(r"<(?:[^:>]+:)?(\w+)>")  # of a path's parameter
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
KEYED, LOGGED = (401, 403, 422, 429, 503), {400, 403, 413, 415, 422}


def register(app: Flask) -> None:
    """Add the API: its paths, its description, its errors, its headers."""
    running, pages = app.extensions["compliance"], app.handle_user_exception
    app.extensions["compliance-rate"] = caller.Rate(running.settings.rate_limit, running.clock)
    app.register_blueprint(Blueprint("api", __name__, template_folder="templates"))
    for name, path in caller.PATHS.items():
        method, rule = path["call"].split()
        app.add_url_rule(rule, name, _served(name, path), methods=[method])
    app.extensions["compliance-spec"] = _described(app)

    def begin() -> None:
        stated = request.headers.get("X-Request-ID", "")
        g.request_id = stated if SANE_ID.fullmatch(stated) else str(ULID())
        if "\0" in request.path:  # no id holds one, and PostgreSQL takes none
            raise NotFound
        if request.path.startswith(OURS) and "scopes" not in caller.path():
            caller.count_address()

    def end(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        if _ours(request.path):
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers.update(g.get("rate_headers", {}))
        return response

    def by_path(error: Exception) -> Any:
        return _failed(error) if _ours(request.path) else pages(error)

    app.before_request(begin)
    app.after_request(end)
    setattr(app, "handle_user_exception", by_path)  # noqa: B010  (before any page's handler sees it)


def _served(name: str, path: dict[str, Any]) -> Callable[..., Response]:
    """A view behind its lock. It gets the values of path and query by name; what it tells, a document, text or bytes,
    or that with status and headers, becomes an answer."""
    tag, function = name.split(".")
    if fixed := path.get("text") or ("file" in path and (HERE.parent / path["file"]).read_text("utf-8")):
        view: Callable[..., Any] = lambda: fixed  # noqa: E731
    else:
        view = getattr(importlib.import_module(f"compliance.api.{path.get('in', tag)}"), function)

    @functools.wraps(view)
    def answer(**named: Any) -> Response:
        if "scopes" in path:
            caller.enter(caller.by_token() if "token" in path else caller.by_key(), *path["scopes"])
            named |= caller.read_query(path.get("query"))
        told = view(**named)
        body, status, headers = told if isinstance(told, tuple) else (told, 200, {})
        body = document.text(body) if isinstance(body, dict) else body
        return Response(body, status, path.get("headers", {}) | headers, path.get("kind", "application/json"))

    return answer


def _described(app: Flask) -> dict[str, Any]:
    """The OpenAPI document: the paths with their documents, each in the words of its view."""
    paths: dict[str, dict[str, Any]] = {}
    given: dict[str, Any] = caller.TABLE["parameters"]
    for name, path in caller.PATHS.items():
        method, rule = path["call"].split()
        summary, _, more = (path.get("summary") or inspect.getdoc(app.view_functions[name]) or "").partition("\n\n")
        parameters = [given[one] for one in ["once"] * ("once" in path) + PLACE.findall(rule)]
        query = DOCUMENTS[path["query"]].fields if "query" in path else {}
        parameters += [{"in": "query", "name": field, "schema": kind.shown} for field, kind in query.items()]
        failed = sorted({*path.get("fails", ()), *(KEYED if "scopes" in path else ())})
        answers: dict[str, Any] = {f"{one}": {"$ref": f"#/components/responses/{one}"} for one in [*failed, "default"]}
        for status, (document_, what) in path["gives"].items():
            answers[status] = {"description": what, "content": _content({path.get("kind"): document_})}
        answers[next(iter(path["gives"]))] |= {"links": path["links"]} if "links" in path else {}
        operation = {"summary": " ".join(summary.split()), "description": more, "tags": [name.partition(".")[0]]}
        operation |= {"parameters": parameters, "responses": answers}
        operation |= {"operationId": path["id"]} if "id" in path else {}
        if "takes" in path:
            operation["requestBody"] = {"required": True, "content": _content(path["takes"])}
        if "scopes" in path:
            operation["security"] = [{"key": []}] + [{"ossToken": []}] * ("token" in path)
        paths.setdefault(PLACE.sub(r"{\1}", rule), {})[method.lower()] = operation
    problem = {"content": _content({"application/problem+json": "Problem"})}
    codes = [*caller.CODES.items(), ("default", ("error", "An error"))]
    head: dict[str, Any] = caller.TABLE["description"]
    parts = head["components"] | {"responses": {status: problem | {"description": said} for status, (_, said) in codes}}
    parts["schemas"] = {name: document.described for name, document in (DOCUMENTS | ANSWERS).items()}
    return head | {"paths": paths, "components": parts}


def _content(kinds: dict[str | None, Any]) -> dict[str, Any]:
    """What a body may be: by media type a kind of value or document, or what OpenAPI itself says."""
    shown = {kind: KINDS[one].shown if isinstance(one, str) else one for kind, one in kinds.items()}
    return {kind or "application/json": {"schema": schema} for kind, schema in shown.items()}


def _ours(path: str) -> bool:
    return path.startswith(OURS) or path in PROBES


def _failed(error: Exception) -> Response:
    """Contract §3: an authenticated POST that is refused for what it says leaves an entry."""
    problem = caller.as_problem(error)
    if request.method == "POST" and "client" in g and problem.status in LOGGED:
        body, running = caller.seen(), deployment()
        told = {"request_id": g.request_id, "path": request.url_rule.rule if request.url_rule else ""}
        told |= {"status": problem.status, "body_sha256": body.sha256, "body_length": body.length}
        pointers = [wrong.pointer for wrong in problem.wrong]
        try:
            refused(running.log, g.client.asker, running.clock(), pointers=pointers, **told)
        except LogUnavailable as unavailable:
            problem = caller.as_problem(unavailable)
    return caller.write(problem)
