"""The one port through which the gate asks the agency, and what it tells of the answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

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
    """Somebody who knows who is registered. Thread-safe; holds no database connection while it waits."""

    name: str  # as shown in `registry.source`: http, snapshot, sandbox

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        """Answer one call within the purpose's time.

        Raises RegistryUnavailable (no answer came) or RegistryMisunderstood (one that makes no sense), nothing else.
        """
        ...


class Outages(Protocol):
    def saw(self, evidence: Evidence, now: datetime) -> Evidence:
        """Take note of an outcome; a failure comes back with its outage. Raises LogUnavailable."""
        ...


class Brake(Protocol):
    """Notices that the agency's answers cannot be right for a whole region."""

    def saw(self, region: str, evidence: Evidence) -> None: ...

    def close(self, region: str, now: datetime) -> bool:
        """An operator's word that the answers are right; False when nothing was open."""
        ...

    def look(self, now: datetime, purpose: Purpose) -> None:
        """Do what is due without any check."""
        ...

    def doubtful(self, region: str, identity: Identity, evidence: Evidence, purpose: Purpose, now: datetime) -> bool:
        """Whether a refusal that is due must wait for an officer. Raises LogUnavailable."""
        ...
