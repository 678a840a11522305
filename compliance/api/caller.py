"""Who calls: the key, its scope, its rate; in this order, before a body is read or anything is logged."""

import hashlib
import mmap
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from flask import current_app, g, request
from flask_smorest import Blueprint

from compliance.access.clients import Client, Clients, Scope
from compliance.api.problems import Problem, failures
from compliance.deployment import deployment
from compliance.gate import Asker
from compliance.intake.documents import Broken, Document, bad_input, escaped, say

NOTHING = Document("Nothing", "", {})  # the query of a path that has none
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="compliance gate"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client."""

    client: Client
    asker: Asker


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
        g.rate_headers = {
            "RateLimit-Policy": f"{self.most};w=60",
            "RateLimit-Limit": str(self.most),
            "RateLimit-Remaining": str(max(0, left)),
            "RateLimit-Reset": wait,
        }
        if left < 0:
            raise Problem(429, f"more than {self.most} requests a minute", headers={"Retry-After": wait})


def count_address() -> None:
    """Raises Problem 429. What a good key asks is counted for the key alone: others behind its address share a limit,
    not its fate."""
    current_app.extensions["compliance-rate"].count(f"address {request.remote_addr}")


def enter(client: Client | None) -> Caller:
    """Let a client in. Raises Problem 401, 403 (from a network that is not the client's) or 429."""
    if client is None:
        count_address()
        raise Problem(401, "send Authorization: Bearer with a valid client key", headers=CHALLENGE)
    current_app.extensions["compliance-rate"].count(client.id)
    caller = g.caller = Caller(client, Asker("client", client.id))
    if not client.may_call_from(request.remote_addr or ""):
        raise Problem(403, "this key is not for calls from your address")
    return caller


def by_key() -> Client | None:
    """The client of the Authorization header, if there is a good one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    running = deployment()
    return Clients(running.log, running.clock).authenticate(token.strip()) if scheme.lower() == "bearer" else None


def allow(caller: Caller, *scopes: Scope) -> None:
    """Raises Problem 403 when the caller has none of these scopes."""
    if not caller.client.scopes & set(scopes):
        raise Problem(403, f"this needs a key with scope {' or '.join(scopes)}")


def locked(*scopes: Scope, query: Document = NOTHING) -> Callable[[Any], Any]:
    """A view for clients with one of these scopes; it gets the values of the query string by name."""

    def decorate(view: Any) -> Any:
        @Blueprint.doc(
            security=[{"key": []}],
            parameters=[{"in": "query", "name": name, "schema": kind.shown} for name, kind in query.fields.items()],
            responses=failures(401, 403, 422, 429, 503),
        )
        @wraps(view)
        def guarded(**path: Any) -> Any:
            allow(enter(by_key()), *scopes)
            return view(**path, **read_query(query))

        setattr(guarded, "locked", True)  # noqa: B010
        return guarded

    return decorate


def read_query(wanted: Document = NOTHING) -> dict[str, Any]:
    """The query string by its document. Raises BadInput: unknown, repeated or wrong parameters."""
    if not request.query_string and not wanted.required:
        return {}
    broken: Broken = [(f"/{escaped(name)}", say("twice")) for name, many in request.args.lists() if len(many) > 1]
    found = wanted.load(request.args.to_dict(), broken)
    if broken:
        raise bad_input(broken)
    return found
