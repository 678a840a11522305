"""Errors as problem details (RFC 9457). The API's own paths only; the pages answer for theirs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException

from compliance import errors
from compliance.deployment import deployment
from compliance.errors import FieldError, LogUnavailable
from compliance.intake import refused

OURS = ("/api/", "/.well-known/")
OUR_PAGES = ("/api", "/healthz", "/readyz", "/metrics")
LOGGED = {400, 403, 413, 415, 422}
CODES: Mapping[int, tuple[str, str]] = {
    400: ("bad_body", "The body cannot be understood"),
    401: ("not_authenticated", "No valid key was given"),
    403: ("not_allowed", "The key does not open this"),
    404: ("not_found", "There is nothing here for this key"),
    405: ("method_not_allowed", "This path does not take this method"),
    409: ("in_progress", "The same idempotency key is being worked on"),
    413: ("too_large", "The body is too large"),
    415: ("not_json_type", "The body must be application/json"),
    422: ("invalid", "The request breaks a rule"),
    429: ("too_many_requests", "The key asks too often"),
    500: ("internal_error", "The gate failed; there is no verdict"),
    503: ("log_unavailable", "The log cannot be written; there is no verdict"),
}
OUT_OF_REACH = (OperationalError, InterfaceError, TimeoutError)
FORESEEN: Mapping[type[errors.GateError], int] = {
    errors.BadInput: 422,
    errors.ForeignRegion: 403,
    errors.AskedInProgress: 409,
    errors.AskedOtherwise: 422,
    errors.LogUnavailable: 503,
    errors.LogBroken: 503,
}


class Problem(Exception):
    """An error with its HTTP status, raised where the API itself finds it. `detail` is shown to the caller."""

    def __init__(self, status: int, detail: str, *wrong: FieldError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.wrong, self.headers = status, detail, wrong, dict(headers or {})


def failures(*statuses: int) -> dict[str, str]:
    """These problems, for the description of a path."""
    return {str(status): HTTPStatus(status).name for status in statuses}


def ours(path: str) -> bool:
    return path.startswith(OURS) or path in OUR_PAGES


def answer_errors(app: Flask) -> None:
    """Answer every error on the API's paths here, before any page's handler sees it."""
    pages = app.handle_user_exception

    def by_path(error: Exception) -> Any:
        return _answer(error) if ours(request.path) else pages(error)

    setattr(app, "handle_user_exception", by_path)  # noqa: B010  (mypy forbids to assign to a method)


def _answer(error: Exception) -> Response:
    problem = as_problem(error)
    try:
        _log_refusal(problem)
    except LogUnavailable as unavailable:
        problem = as_problem(unavailable)
    return write(problem)


def as_problem(error: Exception) -> Problem:
    """What went wrong, as a problem; an unforeseen error is noted for the operator and says nothing to the caller."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.GateError) and type(error) in FORESEEN:
        wrong: Iterable[FieldError] = error.errors if isinstance(error, errors.BadInput) else ()
        if isinstance(error, errors.ForeignRegion):
            wrong = (FieldError("/region", str(error)),)
        return Problem(FORESEEN[type(error)], _detail(error), *wrong)
    if isinstance(error, HTTPException) and error.code and error.code >= 400:
        headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
        return Problem(error.code, error.description or "", headers=headers)
    if isinstance(error, OUT_OF_REACH):
        return Problem(503, "the database cannot be reached")
    current_app.logger.error("request %s failed: %s", g.get("request_id"), type(error).__name__, exc_info=error)
    return Problem(500, "an unforeseen error stopped the request; tell the operator the request_id")


def _detail(error: errors.GateError) -> str:
    if isinstance(error, errors.BadInput):
        return f"{len(error.errors)} field(s) are wrong; errors names each one"
    return str(error)


def write(problem: Problem, extra: Mapping[str, Any] | None = None) -> Response:
    """The problem document; `extra` are members of its own kind (RFC 9457 §3.2)."""
    phrase = HTTPStatus(problem.status).phrase
    code, title = CODES.get(problem.status, (phrase.lower().replace(" ", "_"), phrase))
    document = {
        "type": f"{deployment().settings.public_url}/api/docs#{code}",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
        "code": code,
        "request_id": g.get("request_id", ""),
        "errors": [{"pointer": wrong.pointer, "detail": wrong.detail} for wrong in problem.wrong],
        **(g.get("problem_members") or (lambda problem: {}))(problem),
    }
    text = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(text, problem.status, problem.headers, content_type="application/problem+json")


def _log_refusal(problem: Problem) -> None:
    """Contract §3: an authenticated POST that is refused for what it says leaves an entry."""
    caller = g.get("caller")
    if request.method != "POST" or caller is None or problem.status not in LOGGED:
        return
    from compliance.api.body import seen

    body = seen()
    refused(
        deployment().log,
        caller.asker,
        deployment().clock(),
        request_id=g.request_id,
        path=request.url_rule.rule if request.url_rule else "",
        status=problem.status,
        pointers=[wrong.pointer for wrong in problem.wrong],
        body_sha256=body.sha256,
        body_length=body.length,
    )
