"""Who calls, and with what: the key, its rate, its scope, in this order before anything is read or logged; then the
query and the body: bounded, strictly JSON, no key twice, no NaN, no deep nesting."""

import hashlib
import json
import mmap
import secrets
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from flask import current_app, g, request
from werkzeug.wsgi import get_input_stream

from compliance.access.clients import Client, Clients
from compliance.access.once import OnceKey
from compliance.api.problems import Problem, path
from compliance.deployment import deployment
from compliance.intake import documents

LEVELS, LONGEST_KEY, CHUNK = 20, 128, 64 * 1024
DRAINED = 32 * 1024 * 1024  # a too large body is read on to here, so that the caller gets its answer


class Rate:
    """How often each client, and each address without a good key, may ask in a minute, on this host: gunicorn's workers
    are forks and share the counts. Who falls into the same of 32,768 places is counted together; an address never with
    a client, and nobody can choose his place.
    """

    def __init__(self, most: int, clock: Callable[[], datetime]) -> None:
        self.most, self._clock, self._lock = most, clock, threading.Lock()
        self._secret, self._seen = secrets.token_bytes(16), memoryview(mmap.mmap(-1, 65_536 * 8)).cast("Q")

    def count(self, who: str) -> None:
        """Raises Problem 429."""
        minute, second = divmod(int(self._clock().timestamp()), 60)
        digest = hashlib.blake2b(who.encode(), digest_size=2, key=self._secret).digest()
        place = int.from_bytes(digest, "big") >> 1 | who.startswith("address") << 15
        with self._lock:  # of this worker's threads: two workers in the same instant may count one request
            minutes, times = divmod(self._seen[place], 1 << 32)
            times = times + 1 if minutes == minute else 1
            self._seen[place] = minute << 32 | times
        left, wait = self.most - times, str(60 - second)
        g.rate_headers = {"RateLimit-Policy": f"{self.most};w=60", "RateLimit-Limit": str(self.most)}
        g.rate_headers |= {"RateLimit-Remaining": str(max(0, left)), "RateLimit-Reset": wait}
        if left < 0:
            raise Problem(429, f"more than {self.most} requests a minute", **{"Retry-After": wait})


def count_address() -> None:
    """Raises Problem 429. What a good key asks is counted for the key alone: others behind its address share a limit,
    not its fate."""
    current_app.extensions["compliance-rate"].count(f"address {request.remote_addr}")


def enter(client: Client | None, *scopes: str) -> None:
    """Let a client in. Raises Problem 401, 403 (none of these scopes, or not the client's network) or 429."""
    if client is None:
        count_address()
        challenge = {"WWW-Authenticate": 'Bearer realm="compliance gate"'}
        raise Problem(401, "send Authorization: Bearer with a valid client key", **challenge)
    current_app.extensions["compliance-rate"].count(client.id)
    g.client = client
    if not client.may_call_from(request.remote_addr or ""):
        raise Problem(403, "this key is not for calls from your address")
    if not client.scopes & set(scopes):
        raise Problem(403, f"this needs a key with scope {' or '.join(scopes)}")


def by_key() -> Client | None:
    """The client of the Authorization header, if there is a good one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    running = deployment()
    return Clients(running.log, running.clock).authenticate(token.strip()) if scheme.lower() == "bearer" else None


def by_token() -> Client | None:
    """The client of a call that OSS makes: a key opens before the body is read; a token is made of the NIB inside."""
    count_address()
    token, running = request.headers.get("Token", ""), deployment()
    if "Authorization" in request.headers or not token:
        return by_key()
    stated = read_json()
    data = stated.get("dataNIB") if isinstance(stated, dict) else None
    nib = data.get("nib") if isinstance(data, dict) else None
    return Clients(running.log, running.clock).by_oss_token(token, nib) if isinstance(nib, str) else None


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
    broken: documents.Broken = [
        (f"/{documents.escaped(name)}", documents.say("twice")) for name, many in request.args.lists() if len(many) > 1
    ]
    found = wanted.load(request.args.to_dict(), broken)
    if broken:
        raise documents.bad_input(broken)
    return found


class Body(NamedTuple):
    """What came. `raw` is cut at the path's limit; `sha256` is None when the body did not end where it is drained."""

    raw: bytes
    length: int
    sha256: str | None


def seen() -> Body:
    """The body as it came, read once."""
    if "body" not in g:
        stream, most = get_input_stream(request.environ), path().get("most", CHUNK)
        kept, length, digest = bytearray(), 0, hashlib.sha256()
        while length <= DRAINED and (chunk := stream.read(CHUNK)):
            length += len(chunk)
            digest.update(chunk)
            kept += chunk[: max(0, most - len(kept))]
        g.body = Body(bytes(kept), length, None if length > DRAINED else digest.hexdigest())
    body: Body = g.body
    return body


def whole() -> Body:
    """The body, if it is no larger than the path takes. Raises Problem 413."""
    body, most = seen(), path().get("most", CHUNK)
    if body.length > most:
        raise Problem(413, f"the body is larger than {most // 1024:,} KiB")
    return body


def read_json() -> Any:
    """The request's JSON document. Raises Problem 415, 413 or 400."""
    if request.mimetype != "application/json":
        raise Problem(415, f"the body's type is {request.mimetype or 'none'}; send Content-Type: application/json")
    body = whole()
    try:
        value = json.loads(body.raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse)
        if body.raw.count(b"{") + body.raw.count(b"[") > LEVELS and _deeper(value, LEVELS):
            raise RecursionError
    except UnicodeDecodeError as error:
        raise Problem(400, f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise Problem(400, f"the body has more than {LEVELS} levels") from error
    except ValueError as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)
