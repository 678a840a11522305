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
from marshmallow import Schema, ValidationError
from ulid import ULID

from compliance.access.clients import Client, Clients, Scope
from compliance.api.problems import Problem, failures
from compliance.deployment import deployment
from compliance.gate import Asker
from compliance.intake import bad_input, clean, pointed
from compliance.intake.fields import Say
from compliance.intake.schema import Document

SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
TWICE = Say("is given twice; give it once", "diberikan dua kali; berikan sekali")
NOTHING = Document()  # a path without query parameters
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="compliance gate"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client."""

    client: Client
    asker: Asker

    @property
    def only_checks(self) -> bool:
        """Whether the reasons of a rule on trial are hidden from this key (contract §1)."""
        return self.client.scopes == {Scope.CHECK}


class Rate:
    """How often each client may ask in a minute of the clock, counted per process.

    (Flask-Limiter's memory storage starts a thread at nearly every hit, which cost more than the rest of a request.)
    """

    def __init__(self, most: int, clock: Callable[[], datetime]) -> None:
        self.most, self._clock = most, clock
        self._seen: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

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


def request_id(stated: str | None) -> str:
    """The caller's own id if it is sane, else a new one."""
    return stated if stated and SANE_ID.fullmatch(stated) else str(ULID())


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
    if scheme.lower() != "bearer":
        return None
    running = deployment()
    return Clients(running.log, running.clock).authenticate(token.strip())


def allow(caller: Caller, *scopes: Scope) -> None:
    """Raises Problem 403 when the caller has none of these scopes."""
    if not caller.client.scopes & set(scopes):
        raise Problem(403, f"this needs a key with scope {' or '.join(scopes)}")


def locked(*scopes: Scope, query: Schema | None = None) -> Callable[[Any], Any]:
    """A view for clients with one of these scopes. `query` reads the query string; without it there must be none.

    Its values are passed to the view by name.
    """

    def decorate(view: Any) -> Any:
        @Blueprint.doc(
            security=[{"key": []}],
            parameters=[{"in": "query", "schema": query}] if query else [],
            responses=failures(401, 403, 422, 429, 503),
        )
        @wraps(view)
        def guarded(**path: Any) -> Any:
            allow(enter(by_key()), *scopes)
            return view(**path, **read_query(query))

        return guarded

    return decorate


def read_query(schema: Schema | None) -> dict[str, Any]:
    """The query string by a schema. Raises BadInput: unknown, repeated or wrong parameters."""
    stated: dict[str, Any] = {}
    broken: list[Any] = []
    for name, values in request.args.lists():
        stated[name] = values[0]
        if len(values) > 1:
            broken.append((f"/{name}", TWICE))
    stated = clean(stated, broken)
    try:
        found: dict[str, Any] = (schema or NOTHING).load(stated)
    except ValidationError as error:
        broken += pointed(error.messages)
    if broken:
        raise bad_input(broken, "en")
    return found
