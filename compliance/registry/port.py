"""The one port through which the gate asks the agency, what those who watch its answers need, and turns."""

import io
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol

from compliance.law.facts import Answer, Ask, Evidence, Fact, Identity

Entry = Any  # of the log, as a projection reads it: position, id, body, at
Log = Any  # with append(kind, body, *, entry_id, private, at); raises LogUnavailable
AT_ONCE = 4  # turns of one process
HERD = {"/api/v1/checks", "/api/v1/oss/receive-nib"}
LARGEST = 1024 * 1024
SPARED = "the agency did not answer before; it is asked again soon"  # said without asking: no try
_mine = threading.local()


class Purpose(Fact):
    """Why the agency is asked, one for all calls of a question: `reference` is the permit application's number
    (`keperluan`), `request_id` travels as X-Request-ID; nothing is waited for after `ends_at` (`time.monotonic()`)."""

    request_id: str
    reference: str
    ends_at: float = field(default_factory=lambda: time.monotonic() + 8.0)


class Source(Protocol):
    """Somebody who knows who is registered, with the name shown in `registry.source`. Thread-safe; answers one call in
    the purpose's time, or raises RegistryUnavailable (no answer came) or RegistryMisunderstood, nothing else."""

    name: str

    def ask(self, ask: Ask, purpose: Purpose) -> Answer: ...


class Outages(Protocol):  # watchers.Outages
    def saw(self, evidence: Evidence, now: datetime) -> Evidence: ...


class Brake(Protocol):  # watchers.Brake
    def close(self, region: str, now: datetime) -> bool: ...
    def look(self, now: datetime, purpose: Purpose) -> None: ...
    def doubtful(
        self, region: str, identity: Identity, evidence: Evidence, purpose: Purpose, now: datetime
    ) -> bool: ...


class Turns:
    """WSGI: who asks for a check works in his turn; the body is read before, so that a slow sender holds none. Hundreds
    may wait for the agency, few work at a time: Python lets one thread run, and who comes among a hundred runnable ones
    waits a round for each of his steps."""

    def __init__(self, app: Any) -> None:
        self._app, self._turns = app, threading.BoundedSemaphore(AT_ONCE)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        asks = environ["REQUEST_METHOD"] == "POST" and environ.get("PATH_INFO") in HERD
        if not (asks and length.isdecimal() and int(length) <= LARGEST):
            return self._app(environ, start_response)  # type: ignore[no-any-return]
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._turns:
            _mine.turns = self._turns
            try:
                return self._app(environ, start_response)  # type: ignore[no-any-return]
            finally:
                del _mine.turns


@contextmanager
def aside() -> Iterator[None]:
    """While this thread waits inside, its turn is another's; once it has none, a second call changes nothing."""
    turns, _mine.turns = getattr(_mine, "turns", None), None
    if turns:
        turns.release()
    try:
        yield
    finally:
        if turns:
            turns.acquire()
        _mine.turns = turns
