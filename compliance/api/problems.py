"""Errors as problem details (RFC 9457). The API's own paths only; the pages answer for theirs."""

import json
import tomllib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from flask import Response, current_app, g, request
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException

from compliance import errors
from compliance.deployment import deployment
from compliance.errors import FieldError

CODES: Mapping[str, list[str]] = tomllib.loads((Path(__file__).parent / "problems.toml").read_text(encoding="utf-8"))
FORESEEN: Mapping[type[Exception], int] = {
    errors.AskedInProgress: 409,
    errors.AskedOtherwise: 422,
    errors.TooMuch: 413,
    errors.LogUnavailable: 503,
    errors.LogBroken: 503,
}


class Problem(Exception):
    """An error with its HTTP status, raised where the API itself finds it. `detail` is shown to the caller."""

    def __init__(self, status: int, detail: str, *wrong: FieldError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.wrong, self.headers = status, detail, wrong, headers or {}


def failures(*statuses: int) -> dict[str, str]:
    """These problems, for the description of a path."""
    return {str(status): HTTPStatus(status).name for status in statuses}


def as_problem(error: Exception) -> Problem:
    """What went wrong, as a problem; an unforeseen error is noted for the operator and says nothing to the caller."""
    match error:
        case Problem():
            return error
        case errors.BadInput(errors=wrong):
            return Problem(422, f"{len(wrong)} field(s) are wrong; errors names each one", *wrong)
        case errors.ForeignRegion():
            return Problem(403, str(error), FieldError("/region", str(error)))
        case HTTPException(code=int(code)) if code >= 400:
            headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
            return Problem(code, error.description or "", headers=headers)
        case OperationalError() | InterfaceError() | TimeoutError():
            return Problem(503, "the database cannot be reached")
    if type(error) in FORESEEN:
        return Problem(FORESEEN[type(error)], str(error))
    current_app.logger.error("request %s failed: %s", g.get("request_id"), type(error).__name__, exc_info=error)
    return Problem(500, "an unforeseen error stopped the request; tell the operator the request_id")


def write(problem: Problem) -> Response:
    """The problem document; `g.problem_members` gives the members of its own kind (RFC 9457 §3.2)."""
    phrase = HTTPStatus(problem.status).phrase
    code, title = CODES.get(str(problem.status), (phrase.lower().replace(" ", "_"), phrase))
    document = {
        "type": f"{deployment().settings.public_url}/api/docs#{code}",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.path,
        "code": code,
        "request_id": g.get("request_id", ""),
        "errors": [{"pointer": wrong.pointer, "detail": wrong.detail} for wrong in problem.wrong],
    }
    if "problem_members" in g:
        document |= g.problem_members(problem)
    text = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(text, problem.status, problem.headers, content_type="application/problem+json")
