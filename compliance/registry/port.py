"""The one port through which the gate asks the agency."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from compliance.law.facts import Answer, Ask


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

        Raises RegistryUnavailable (no answer came) or RegistryMisunderstood (one came that makes no sense), nothing else.
        """
        ...
