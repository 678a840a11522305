"""The one port through which the gate asks the agency, and what those who watch its answers need and tell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from compliance.law.facts import Answer, Ask, Evidence, Identity


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why and for how long the agency is asked: one per question, shared by all its calls.

    `reference` is the permit application's number (`keperluan`), `request_id` travels as X-Request-ID, `ends_at` is a
    `time.monotonic()` moment after which nothing may be waited for.
    """

    request_id: str
    reference: str
    ends_at: float = field(default_factory=lambda: time.monotonic() + 8.0)

    @property
    def seconds_left(self) -> float:
        return self.ends_at - time.monotonic()


class Source(Protocol):
    """Somebody who knows who is registered. Thread-safe; holds no database connection while it waits.

    `name` is shown in `registry.source`. `ask` answers one call within the purpose's time, or raises
    RegistryUnavailable (no answer came) or RegistryMisunderstood (one that makes no sense), nothing else.
    """

    name: str

    def ask(self, ask: Ask, purpose: Purpose) -> Answer: ...


class Outages(Protocol):  # outages.Outages
    def saw(self, evidence: Evidence, now: datetime) -> Evidence: ...


class Brake(Protocol):  # brake.Brake
    def close(self, region: str, now: datetime) -> bool: ...
    def look(self, now: datetime, purpose: Purpose) -> None: ...
    def doubtful(
        self, region: str, identity: Identity, evidence: Evidence, purpose: Purpose, now: datetime
    ) -> bool: ...


class Entry(Protocol):  # a log entry, as far as a projection reads it
    @property
    def position(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def body(self) -> dict[str, Any]: ...
    @property
    def at(self) -> datetime: ...


class Log(Protocol):  # the audit log: `append(kind, body, *, entry_id, private, at)`; raises LogUnavailable
    @property
    def append(self) -> Callable[..., object]: ...
