"""What paths.toml and answers.toml say, and errors as problem details (RFC 9457)."""

import json
import tomllib
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Response, current_app, g, request
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException

from compliance import errors
from compliance.deployment import deployment
from compliance.intake.documents import DOCUMENTS, KINDS, read_documents

HERE = Path(__file__).parent
TABLE: dict[str, Any] = tomllib.loads((HERE / "paths.toml").read_text(encoding="utf-8"))
PATHS: dict[str, dict[str, Any]] = TABLE["paths"]
CODES: dict[str, list[str]] = TABLE["problems"]
ANSWERS = read_documents(HERE / "answers.toml", KINDS)
SCHEMAS: dict[str, dict[str, Any]] = {name: document.described for name, document in (DOCUMENTS | ANSWERS).items()}
FORESEEN: Mapping[type[Exception], int] = {
    errors.AskedInProgress: 409,
    errors.AskedOtherwise: 422,
    errors.TooMuch: 413,
    errors.LogUnavailable: 503,
    errors.LogBroken: 503,
}
TOLD_OSS = (400, 401, 403, 503)


def path() -> dict[str, Any]:
    """What paths.toml says of the path that is asked; nothing of the others."""
    return PATHS.get(request.endpoint or "", {})


def schema(kind: str | dict[str, Any]) -> dict[str, Any]:
    """A kind of value or document in OpenAPI's words, unless it is in them already."""
    return KINDS[kind].shown if isinstance(kind, str) else kind


class Problem(Exception):
    """An error with its HTTP status, raised where the API itself finds it. `detail` is shown to the caller."""

    def __init__(self, status: int, detail: str, *wrong: errors.FieldError, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.wrong, self.headers = status, detail, wrong, headers


def as_problem(error: Exception) -> Problem:
    """What went wrong, as a problem; an unforeseen error is noted for the operator and says nothing to the caller."""
    match error:
        case Problem():
            return error
        case errors.BadInput(errors=wrong):
            return Problem(422, f"{len(wrong)} field(s) are wrong; errors names each one", *wrong)
        case errors.ForeignRegion():
            return Problem(403, str(error), errors.FieldError("/region", str(error)))
        case HTTPException(code=int(code)) if code >= 400:
            headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
            return Problem(code, error.description or "", **headers)
        case OperationalError() | InterfaceError() | TimeoutError():
            return Problem(503, "the database cannot be reached")
    if type(error) in FORESEEN:
        return Problem(FORESEEN[type(error)], str(error))
    current_app.logger.error("request %s failed: %s", g.get("request_id"), type(error).__name__, exc_info=error)
    return Problem(500, "an unforeseen error stopped the request; tell the operator the request_id")


def write(problem: Problem) -> Response:
    """The problem document, to OSS with its own words beside (RFC 9457 §3.2)."""
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
    if "token" in path() and problem.status in TOLD_OSS:
        named = "; ".join(f"{wrong.pointer} {wrong.detail}" for wrong in problem.wrong)
        document["responreceiveNIB"] = {"status": "2", "keterangan": (named or problem.detail)[:500]}
    text = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return Response(text, problem.status, problem.headers, content_type="application/problem+json")
