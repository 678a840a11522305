"""Speaks JSON over HTTP and decides nothing. What it serves is written in paths.toml; what everybody may ask (is the
service ready, its keys, its description, heads, tiles and proofs of its log: public hashes) is answered here."""

import functools
import hmac
import importlib
import inspect
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID
from werkzeug.exceptions import NotFound
from werkzeug.routing import RoutingException

from compliance import work
from compliance.access.clients import Scope
from compliance.api import caller
from compliance.audit import document, witnesses
from compliance.deployment import deployment
from compliance.errors import GateError, LogUnavailable
from compliance.intake import refused
from compliance.intake.documents import DOCUMENTS, KINDS, read_documents
from compliance.proof import export, note
from compliance.registry import sources, watchers

HERE = Path(__file__).parent
ANSWERS = read_documents(HERE / "answers.toml", KINDS)
OURS = re.compile(r"/(api|\.well-known)/|/(api|healthz|readyz|metrics)\Z")
PLACE = re.compile(r"<(?:[^:>]+:)?(\w+)>")  # of a path's parameter
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
KEYED, LOGGED = (401, 403, 422, 429, 503), {400, 403, 413, 415, 422}


# What is no more than a look; paths.toml says what each is.
LOOKS: dict[str, Callable[..., Any]] = {
    "service.healthz": lambda: "ok\n",
    "service.jwks": lambda: deployment().log.keyring.jwks(),
    "service.openapi": lambda: current_app.extensions["compliance-spec"],
    "service.docs_css": lambda: (HERE / "static" / "docs.css").read_text("utf-8"),
    "log.receipt_page": lambda: (HERE.parent / "proof" / "receipt.html").read_text("utf-8"),
    "log.checkpoint": lambda: deployment().log.checkpoint(),
    "log.witnessed": lambda: witnesses.published(deployment().log),
    "log.keys": lambda: "".join(f"{key}\n" for key in deployment().log.keyring.keys + deployment().log.keyring.retired),
    "log.consistency": lambda old, new: {"proof": [*map(note.b64, deployment().log.consistency(old, new))]},
    "log.inclusion": lambda index, size: {"proof": [*map(note.b64, deployment().log.inclusion(index, size))]},
}


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
        if request.path.startswith(("/api/", "/.well-known/")) and "scopes" not in caller.path():
            caller.count_address()

    def end(response: Response) -> Response:
        told = {"X-Request-ID": g.request_id}
        if OURS.match(request.path):
            told |= {} if "Cache-Control" in response.headers else {"Cache-Control": "no-store"}
            told |= g.get("rate_headers", {})
        response.headers.extend(told)  # looks for none of them, as setting each would
        return response

    def failed(error: Exception) -> Any:
        """Contract §3: an authenticated POST that is refused for what it says leaves an entry."""
        if not OURS.match(request.path) or isinstance(error, RoutingException):  # that one leads to the right address
            return pages(error)
        problem = caller.as_problem(error)
        if request.method == "POST" and "client" in g and problem.status in LOGGED:
            rule, (_, length, digest) = request.url_rule, caller.seen()
            told = {"request_id": g.request_id, "path": rule.rule if rule else "", "status": problem.status}
            told |= {"pointers": [wrong.pointer for wrong in problem.wrong]}
            try:
                refused(running.log, g.client.asker, running.clock(), **told, body_length=length, body_sha256=digest)
            except LogUnavailable as unavailable:
                problem = caller.as_problem(unavailable)
        return caller.write(problem)

    app.before_request(begin)
    app.after_request(end)
    setattr(app, "handle_user_exception", failed)  # noqa: B010  (before any page's handler sees it)


def _served(name: str, path: dict[str, Any]) -> Callable[..., Response]:
    """A view behind its lock. It gets the values of path and query by name; what it tells, a document, text or bytes,
    or that with status and headers, becomes an answer."""
    module = importlib.import_module(f"compliance.api{path.get('in', '')}")
    view = LOOKS.get(name) or getattr(module, name.partition(".")[2])

    @functools.wraps(view)
    def answer(**named: Any) -> Response:
        if "scopes" in path:
            caller.enter(*path["scopes"])
            named |= caller.read_query(path.get("query"))
        if (told := view(**named)) is None:
            raise caller.Problem(404, "there is nothing here yet")
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


def readyz() -> Any:
    """Ready to check. Holders of METRICS_TOKEN are told why not, and how agency (its silence never makes the gate
    unready), work and brakes fare."""
    here, given = deployment(), request.headers.get("Authorization", "")
    expected = f"Bearer {here.settings.metrics_token}"
    operator = bool(here.settings.metrics_token) and hmac.compare_digest(given.encode(), expected.encode())
    try:
        here.log.check_ready()
    except (GateError, SQLAlchemyError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}\n" if operator else "not ready\n", 503, {}
    if not operator:
        return "ok\n"
    with here.log.engine.connect() as connection:
        told: dict[str, Any] = {"late": work.late_by(connection, here.clock()) // timedelta(minutes=1)}
    told |= {"brakes": watchers.brake_states(here.log.engine).values()}
    told |= {"state": sources.breaker_state(here.gate.source)}
    return render_template("api/ready.txt", **told)


def docs() -> Any:
    """The description as a page that loads nothing from elsewhere."""
    told = {"spec": current_app.extensions["compliance-spec"], "codes": caller.CODES}
    return render_template("api/docs.html", resolve=lambda ref: ref.rsplit("/", 1)[-1], **told)


def tile(name: str) -> Any:
    """A tile `<L>/<N>[.p/<W>]` of hashes; `entries/<N>[.p/<W>]`, the entries themselves, needs scope `audit`."""
    log = deployment().log
    level, index, width = export.read_path(f"tile/{name}")
    if isinstance(level, int):
        return log.tile(level, index, width)
    caller.enter(Scope.AUDIT)
    data = log.bundle(index, width)
    look = {"what": f"tile/{name}", "client": g.client.id}
    log.append("access.entries_read", look)
    return data, 200, {"Cache-Control": "private, no-store"}
