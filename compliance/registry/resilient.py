"""Spares an agency that does not answer: one circuit breaker per upstream, shared by all processes of this host."""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry.port import Purpose, Source

OPENS_AFTER = 5  # unavailable answers in a row
PROBE_EVERY = 10.0  # seconds
SPARED = "the agency did not answer before; it is asked again soon"  # said without asking: no try
_FORM = struct.Struct("<qdd")


@dataclass(frozen=True, slots=True)
class _Row:
    """Failures in a row, the first of them, the last probe; seconds since 1970."""

    failures: int = 0
    since: float = 0.0
    probed: float = 0.0

    @property
    def open(self) -> bool:
        return self.failures >= OPENS_AFTER

    @property
    def wait(self) -> float:
        passed = time.time() - self.probed
        return PROBE_EVERY - passed if self.open and 0 <= passed < PROBE_EVERY else 0.0


class BreakerState(NamedTuple):
    """`failures` in a row, the first of them at `since` (None when there is none)."""

    open: bool
    failures: int
    since: datetime | None


class Breaker:
    """Kept in the small file `path`, which exists from the first failure on. Thread-safe and process-safe.

    A breaker that cannot be read or written counts as closed: it spares the agency, and decides nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def state(self) -> BreakerState:
        row = self._read()
        return BreakerState(row.open, row.failures, datetime.fromtimestamp(row.since, UTC) if row.failures else None)

    def wait(self) -> float:
        """Seconds until the agency may be asked; whoever is told 0 by an open breaker is its probe, and must ask."""
        row = self._read()
        if not row.open or row.wait:
            return row.wait
        return self._change(lambda now: now if now.wait else replace(now, probed=time.time())).wait

    def unavailable(self) -> None:
        self._change(_one_more)

    def understood(self) -> None:
        if self._read().failures:
            self._change(lambda _: _Row())

    def misunderstood(self) -> None:
        """An answer, so the row of failures is broken; but an open breaker waits for one that makes sense."""
        if 0 < self._read().failures < OPENS_AFTER:
            self.understood()

    def _read(self) -> _Row:
        try:
            return _Row(*_FORM.unpack(self._path.read_bytes()))
        except (OSError, struct.error):
            return _Row()

    def _change(self, change: Callable[[_Row], _Row]) -> _Row:
        """Let one writer at a time change the row; returns it as it was before."""
        before = _Row()
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)  # each time anew: flock is per opening
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                before = self._read()
                after = change(before)
                os.pwrite(handle, _FORM.pack(after.failures, after.since, after.probed), 0)
            finally:
                os.close(handle)
        except OSError as error:
            logging.getLogger(__name__).warning("the breaker's file cannot be kept: %s", error.strerror)
        return before


def _one_more(row: _Row) -> _Row:
    now = time.time()
    return _Row(row.failures + 1, row.since if row.failures else now, row.probed if row.open else now)


class Resilient:
    """A source behind its breaker. `clock` is the gate's."""

    def __init__(self, inner: Source, breaker: Breaker, clock: Callable[[], datetime]) -> None:
        self.name, self.inner, self.breaker = inner.name, inner, breaker
        self._clock = clock

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        if wait := self.breaker.wait():
            raise RegistryUnavailable(SPARED, self._clock() + timedelta(seconds=wait))
        try:
            answer = self.inner.ask(ask, purpose)
        except RegistryUnavailable:
            self.breaker.unavailable()
            raise
        except RegistryMisunderstood:
            self.breaker.misunderstood()
            raise
        self.breaker.understood()
        return answer
