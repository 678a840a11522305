"""Who calls, and with what: the key, its rate, its scope, in this order before anything is read or logged; then query
and body: bounded, strictly JSON, no key twice, no NaN, no deep nesting; and errors as problem details (RFC 9457)."""

import hashlib
import json
import mmap
import threading
import tomllib
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Response, current_app, g, request
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import get_input_stream

from compliance import errors
from compliance.access.clients import Client, Clients
from compliance.access.once import OnceKey
from compliance.deployment import deployment
from compliance.intake import documents

TABLE: dict[str, Any] = tomllib.loads((Path(__file__).parent / "paths.toml").read_text(encoding="utf-8"))
PATHS: dict[str, dict[str, Any]] = TABLE["paths"]
CODES: dict[str, list[str]] = TABLE["problems"]
FORESEEN: dict[type[Exception], int] = {errors.AskedInProgress: 409, errors.AskedOtherwise: 422, errors.TooMuch: 413}
FORESEEN |= {errors.LogUnavailable: 503, errors.LogBroken: 503}
LEVELS, LONGEST_KEY, CHUNK, TOLD_OSS = 20, 128, 64 * 1024, (400, 401, 403, 503)
DRAINED = 32 * 1024 * 1024  # a too large body is read on to here, so that the caller gets its answer


class Problem(Exception):
    """An error with its HTTP status, raised where the API itself finds it. `detail` is shown to the caller."""

    def __init__(self, status: int, detail: str, *wrong: errors.FieldError, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.wrong, self.headers = status, detail, wrong, headers


class Rate:
    """How often each client, and each address without a good key, may ask in a minute on this host: gunicorn's workers
    are forks and share the counts. Who shares one of 32,768 places counts as one; an address never with a client."""

    def __init__(self, most: int, clock: Callable[[], datetime]) -> None:
        self.most, self._clock, self._lock = most, clock, threading.Lock()
        self._seen = memoryview(mmap.mmap(-1, 65_536 * 8)).cast("Q")

    def count(self, who: str) -> None:
        """Raises Problem 429."""
        minute, second = divmod(int(self._clock().timestamp()), 60)
        place = hash(who) & 32_767 | who.startswith("address") << 15  # Python keys its hashes; forks have the same key
        with self._lock:  # of this worker's threads: two workers in the same instant may count one request
            minutes, times = divmod(self._seen[place], 1 << 32)
            times = times + 1 if minutes == minute else 1
            self._seen[place] = minute << 32 | times
        left, wait = self.most - times, str(60 - second)
        g.rate_headers = {"RateLimit-Policy": f"{self.most};w=60", "RateLimit-Limit": str(self.most)}
        g.rate_headers |= {"RateLimit-Remaining": str(max(0, left)), "RateLimit-Reset": wait}
        if left < 0:
            raise Problem(429, f"more than {self.most} requests a minute", **{"Retry-After": wait})


def path() -> dict[str, Any]:
    """What paths.toml says of the path that is asked; nothing of the others."""
    return PATHS.get(request.endpoint or "", {})


def count_address() -> None:
    """Raises Problem 429. What a good key asks is counted for the key alone: others share its address, not its fate."""
    current_app.extensions["compliance-rate"].count(f"address {request.remote_addr}")


def enter(*scopes: str) -> None:
    """Let in who has a good key or, where OSS calls, its token. Raises Problem 401, 403 (none of these scopes, or not
    the client's network) or 429."""
    if (client := _client()) is None:
        count_address()
        challenge = {"WWW-Authenticate": 'Bearer realm="compliance gate"'}
        raise Problem(401, "send Authorization: Bearer with a valid client key", **challenge)
    current_app.extensions["compliance-rate"].count(client.id)
    g.client = client
    if not client.may_call_from(request.remote_addr or ""):
        raise Problem(403, "this key is not for calls from your address")
    if not client.scopes & set(scopes):
        raise Problem(403, f"this needs a key with scope {' or '.join(scopes)}")


def _client() -> Client | None:
    """Whose key this is; it opens before the body is read. OSS's own token is made of the NIB inside."""
    running, by_oss = deployment(), "token" in path()
    clients = Clients(running.log, running.clock)
    if by_oss:
        count_address()
    if not by_oss or "Authorization" in request.headers or not (token := request.headers.get("Token")):
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return clients.authenticate(key.strip()) if scheme.lower() == "bearer" else None
    data = stated.get("dataNIB") if isinstance(stated := read(), dict) else None
    nib = data.get("nib") if isinstance(data, dict) else None
    return clients.by_oss_token(token, nib) if isinstance(nib, str) else None


def once_key() -> OnceKey | None:
    """The request's Idempotency-Key, if it has one. Raises Problem 422."""
    if (key := request.headers.get("Idempotency-Key")) is None:
        return None
    if not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Problem(422, f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters, e.g. 503-0123-1")
    return OnceKey(g.client.id, request.path, key)


def read_query(document: str | None) -> dict[str, Any]:
    """The query string by its document (None: there is none). Raises BadInput: unknown, repeated, wrong parameters."""
    if not request.query_string:
        return {}
    wanted = documents.DOCUMENTS[document] if document else documents.Document("Nothing", "", {})
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    broken: documents.Broken = [(f"/{documents.escaped(name)}", documents.say("twice")) for name in twice]
    found = wanted.load(request.args.to_dict(), broken)
    if broken:
        raise documents.bad_input(broken)
    return found


def seen() -> tuple[bytes, int, str | None]:
    """The body, read once: what the path takes of it, its length, its SHA-256 (None: it did not end where drained)."""
    if "body" not in g:
        stream, most = get_input_stream(request.environ), path().get("most", CHUNK)
        kept, length, digest = bytearray(), 0, hashlib.sha256()
        while length <= DRAINED and (chunk := stream.read(CHUNK)):
            length += len(chunk)
            digest.update(chunk)
            kept += chunk[: max(0, most - len(kept))]
        g.body = bytes(kept), length, None if length > DRAINED else digest.hexdigest()
    return g.body  # type: ignore[no-any-return]


def read() -> Any:
    """What the request says in JSON, or the bytes of another kind that the path takes. Raises Problem 415, 413, 400."""
    kinds, most = path()["takes"], path().get("most", CHUNK)
    if request.mimetype not in kinds:
        wanted = " or ".join(sorted(kinds))
        raise Problem(415, f"the body's type is {request.mimetype or 'none'}; send Content-Type: {wanted}")
    raw, length, _ = seen()
    if length > most:
        raise Problem(413, f"the body is larger than {most // 1024:,} KiB")
    if request.mimetype != "application/json":
        return raw
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_strict, parse_constant=_strict)
        if raw.count(b"{") + raw.count(b"[") > LEVELS and _deeper(value, LEVELS):
            raise RecursionError
    except RecursionError as error:
        raise Problem(400, f"the body has more than {LEVELS} levels") from error
    except ValueError as error:  # not UTF-8, not JSON, or what _strict says
        raise Problem(400, f"the body is not JSON in UTF-8: {error}") from error
    return value


def _strict(found: list[tuple[str, Any]] | str) -> dict[str, Any]:
    if isinstance(found, str):
        raise ValueError(f"{found} is not a JSON number")
    if len(made := dict(found)) != len(found):
        raise ValueError("an object has the same key twice")
    return made


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (levels == 0 or any(_deeper(item, levels - 1) for item in inner))


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
        case errors.LogBroken() if "absent" in path():
            return Problem(404, str(error))
    if type(error) in FORESEEN:
        return Problem(FORESEEN[type(error)], str(error))
    current_app.logger.error("request %s failed: %s", g.get("request_id"), type(error).__name__, exc_info=error)
    return Problem(500, "an unforeseen error stopped the request; tell the operator the request_id")


def write(problem: Problem) -> Response:
    """The problem document, to OSS with its own words beside (RFC 9457 §3.2)."""
    status, phrase = problem.status, HTTPStatus(problem.status).phrase
    code, title = CODES.get(str(status), (phrase.lower().replace(" ", "_"), phrase))
    told: dict[str, Any] = {"type": f"{deployment().settings.public_url}/api/docs#{code}", "title": title}
    told |= {"status": status, "detail": problem.detail, "instance": request.path, "code": code}
    told |= {"request_id": g.get("request_id", "")}
    told["errors"] = [{"pointer": wrong.pointer, "detail": wrong.detail} for wrong in problem.wrong]
    if "token" in path() and status in TOLD_OSS:
        named = "; ".join(f"{wrong.pointer} {wrong.detail}" for wrong in problem.wrong)
        told["responreceiveNIB"] = {"status": "2", "keterangan": (named or problem.detail)[:500]}
    text = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    return Response(text, status, problem.headers, content_type="application/problem+json")
