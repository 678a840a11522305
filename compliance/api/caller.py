"""Who calls: the key, its scope, its rate; in this order, before a body is read or anything is logged."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from flask import current_app, g, request
from flask_smorest import Blueprint
from marshmallow import Schema

from compliance.access.clients import Client, Clients, Scope
from compliance.api.problems import Problem, failures
from compliance.deployment import deployment
from compliance.gate import Asker
from compliance.intake import bad_input, clean, escaped, load
from compliance.intake.fields import say
from compliance.intake.schema import Document

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
NOTHING = Document()  # a path without query parameters
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="compliance gate"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client."""

    client: Client
    asker: Asker


class Rate:
    """How often each client may ask in a minute of the clock, counted per process."""

    def __init__(self, most: int, clock: Callable[[], datetime]) -> None:
        self.most, self._clock, self._lock = most, clock, threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}

    def count(self, client_id: str) -> None:
        """Raises Problem 429."""
        minute, second = divmod(int(self._clock().timestamp()), 60)
        with self._lock:
            last, count = self._seen.get(client_id, (minute, 0))
            count = count + 1 if last == minute else 1
            self._seen[client_id] = minute, count
        left, wait = str(max(0, self.most - count)), str(60 - second)
        g.rate_headers = {"RateLimit-Limit": str(self.most), "RateLimit-Remaining": left, "RateLimit-Reset": wait}
        if count > self.most:
            raise Problem(429, f"more than {self.most} requests a minute", headers={"Retry-After": wait})


def enter(client: Client | None) -> Caller:
    """Let a client in. Raises Problem 401 or 429."""
    if client is None:
        raise Problem(401, "send Authorization: Bearer with a valid client key", headers=CHALLENGE)
    current_app.extensions["compliance-rate"].count(client.id)
    caller = g.caller = Caller(client, Asker("client", client.id))
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


def locked(*scopes: Scope, query: Schema = NOTHING) -> Callable[[Any], Any]:
    """A view for clients with one of these scopes; it gets the values of the query string by name."""

    def decorate(view: Any) -> Any:
        @Blueprint.doc(
            security=[{"key": []}],
            parameters=[{"in": "query", "schema": query}] if query is not NOTHING else [],
            responses=failures(401, 403, 422, 429, 503),
        )
        @wraps(view)
        def guarded(**path: Any) -> Any:
            allow(enter(by_key()), *scopes)
            return view(**path, **read_query(query))

        return guarded

    return decorate


def read_query(schema: Schema = NOTHING) -> dict[str, Any]:
    """The query string by a schema. Raises BadInput: unknown, repeated or wrong parameters."""
    broken = [(f"/{escaped(name)}", say("twice")) for name, values in request.args.lists() if len(values) > 1]
    found = load(schema, clean(request.args.to_dict(), broken), broken)
    if broken:
        raise bad_input(broken)
    return found
