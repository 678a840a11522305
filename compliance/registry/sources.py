"""Which source the settings name, and the breaker that spares an agency which does not answer.
To add a source: a class with `name` and `ask`, a line in `build`, a word in config.SOURCES."""

import fcntl
import hashlib
import logging
import os
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine, make_url

from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry import reach
from compliance.registry.http import Auth, HttpSource
from compliance.registry.port import SPARED, Purpose, Source
from compliance.registry.sandbox import InProcess
from compliance.registry.snapshot import SnapshotSource
from compliance.registry.wire import Wire
from config import INSTANCE, Settings

OPENS_AFTER = 5  # unavailable answers in a row
PROBE_EVERY = 10.0  # seconds
_FORM = struct.Struct("<qdd")


def build(settings: Settings, engine: Engine, clock: Callable[[], datetime]) -> tuple[Source, Source | None]:
    """The source to ask, and the one that stands in when it is unavailable. Raises Misconfigured."""
    if settings.registry == "snapshot":
        return SnapshotSource(engine), None
    if settings.registry == "sandbox" and not settings.registry_url:
        return InProcess(clock), None
    # One breaker per deployment and upstream: beside the database if that is a file, else beside the log's key.
    url = make_url(settings.database_url)
    beside = url.database if url.get_backend_name() == "sqlite" else None
    folder = Path(beside).parent if beside and beside != ":memory:" else settings.log_signing_key.parent
    folder = folder if os.access(folder, os.W_OK) else INSTANCE  # a key may lie on a read-only mount
    folder.mkdir(parents=True, exist_ok=True)
    key = f"{url.render_as_string(hide_password=True)} {settings.registry_url}"
    file = folder / f"breaker-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    standby = SnapshotSource(engine) if settings.registry == "http,snapshot" else None
    return Breaker(http(settings, clock), file, clock), standby


def http(settings: Settings, clock: Callable[[], datetime]) -> HttpSource:
    """The agency at REGISTRY_URL, without breaker."""
    given = settings.registry_credentials
    url = reach.checked_url(settings.registry_url, "REGISTRY_URL")
    client = reach.Client(settings.allowed_hosts, *(given.get(name, "") for name in ("ca", "cert", "cert_key")))
    auth, wire = Auth(settings.registry_auth, given, client, clock), Wire(settings.registry_profile)
    return HttpSource(url, auth, wire, clock, "sandbox" if settings.registry == "sandbox" else "http")


class BreakerState(NamedTuple):  # failures in a row; when the first and the last probe were, seconds since 1970 or 0
    failures: int = 0
    began: float = 0.0
    probed: float = 0.0

    @property
    def open(self) -> bool:
        return self.failures >= OPENS_AFTER

    @property
    def since(self) -> datetime | None:
        return datetime.fromtimestamp(self.began, UTC) if self.failures else None

    @property
    def wait(self) -> float:
        """Seconds until the agency may be asked."""
        passed = time.time() - self.probed
        return PROBE_EVERY - passed if self.open and 0 <= passed < PROBE_EVERY else 0.0

    def failed(self) -> "BreakerState":
        now = time.time()
        return BreakerState(self.failures + 1, self.began or now, self.probed if self.open else now)

    def probing(self) -> "BreakerState":
        return self if self.wait else self._replace(probed=time.time())


class Breaker:
    """A source that is spared while it does not answer. What is known of it stands in the small file `path`, which
    exists from the first failure on; threads and processes share it. One that cannot be read or written counts as
    closed: it spares the agency, and decides nothing."""

    def __init__(self, inner: Source, path: Path, clock: Callable[[], datetime]) -> None:
        self.name, self._inner, self._path, self._clock = inner.name, inner, path, clock

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        state = self.state()
        if state.open and not state.wait:
            state = self.change(BreakerState.probing)  # whose change it is, that is the probe
        if state.wait:
            raise RegistryUnavailable(SPARED, self._clock() + timedelta(seconds=state.wait))
        try:
            answer = self._inner.ask(ask, purpose)
        except RegistryUnavailable:
            self.change(BreakerState.failed)
            raise
        except RegistryMisunderstood:
            if not self.state().open:  # an open one waits for an answer that makes sense
                self._spoke()
            raise
        self._spoke()
        return answer

    def _spoke(self) -> None:  # an answer breaks the row of failures
        if self.state().failures:
            self.change(lambda _: BreakerState())

    def state(self) -> BreakerState:
        try:
            return BreakerState(*_FORM.unpack(self._path.read_bytes()))
        except (OSError, struct.error):
            return BreakerState()

    def change(self, change: Callable[[BreakerState], BreakerState]) -> BreakerState:
        """Let one writer at a time change the state; returns it as it was before."""
        before = BreakerState()
        try:  # opened each time anew: flock is per opening
            with open(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "rb+", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                before = self.state()
                file.write(_FORM.pack(*change(before)))
        except OSError as error:
            logging.getLogger(__name__).warning("the breaker's file cannot be kept: %s", error.strerror)
        return before


def breaker_state(source: Any) -> BreakerState | None:
    """How the upstream behind a source fares; None when it has no breaker."""
    while source and not isinstance(source, Breaker):
        source = getattr(source, "inner", None)
    return source.state() if source else None
