"""The agency over HTTP: one question's calls and retries within one budget."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Any
from uuid import uuid4

import requests

from compliance.errors import RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry.auth import Auth
from compliance.registry.calls import Refused, fetch
from compliance.registry.mapping import Agreed
from compliance.registry.port import Purpose
from compliance.registry.reach import deadline
from compliance.registry.wire import read_document, understand

TRIES = 3
FIRST_PAUSE = 0.2  # seconds; doubles, with full jitter
LONGEST_PAUSE = 20.0
_SENT = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "compliance-gate"}
_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,128}")


class HttpSource:
    """Asks `url` in the words of `wire`. Thread-safe; `clock` is the gate's."""

    def __init__(
        self,
        url: str,
        session: requests.Session,
        auth: Auth,
        wire: Agreed,
        clock: Callable[[], datetime],
        name: str,
    ) -> None:
        self.name, self.url, self.wire, self.clock, self._session, self._auth = name, url, wire, clock, session, auth

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        document = read_document(self.raw(ask, purpose))
        return understand(ask, self.wire.shape(ask, document), self.clock(), self.name)

    def raw(self, ask: Ask, purpose: Purpose) -> bytes:
        """The answer's body, not yet understood. Raises RegistryUnavailable or RegistryMisunderstood."""
        with deadline(purpose.ends_at):
            for attempt in count(1):
                try:
                    return self._auth.unwrap(self._call(ask, purpose))
                except RegistryUnavailable as error:
                    pause = self._pause(error, attempt)
                    if attempt == TRIES or pause >= purpose.seconds_left:
                        raise
                    time.sleep(pause)
                except TimeoutError:
                    raise RegistryUnavailable("no complete answer within the time") from None
        raise AssertionError("unreachable")

    def _call(self, ask: Ask, purpose: Purpose) -> bytes:
        headers = self._auth.headers()
        try:
            return self._get(ask, purpose, headers)
        except Refused:
            if not self._auth.renew(headers):
                raise
        return self._get(ask, purpose, self._auth.headers())

    def _get(self, ask: Ask, purpose: Purpose, headers: dict[str, str]) -> bytes:
        method, path, params = self.wire.call(ask, purpose.reference)
        request_id = purpose.request_id if _REQUEST_ID.fullmatch(purpose.request_id) else uuid4().hex
        sent = _SENT | {"X-Request-ID": request_id} | headers
        asked: dict[str, Any] = {"json" if method == "POST" else "params": params, "headers": sent}
        return fetch(self._session, method, self.url + path, statuses=self.wire.statuses, clock=self.clock, **asked)

    def _pause(self, error: RegistryUnavailable, attempt: int) -> float:
        jitter = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311 (no secret)
        told = (error.retry_at - self.clock()).total_seconds() if error.retry_at else 0.0
        return float(min(told + jitter, LONGEST_PAUSE))
