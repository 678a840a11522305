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
from compliance.registry.http import HttpSource, auth_by
from compliance.registry.port import SPARED, Purpose, Source
from compliance.registry.sandbox import InProcess
from compliance.registry.snapshot import SnapshotSource
from compliance.registry.wire import Agreed, Profile
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
    return Resilient(http(settings, clock), Breaker(file), clock), standby


def http(settings: Settings, clock: Callable[[], datetime]) -> HttpSource:
    """The agency at REGISTRY_URL, without breaker."""
    given, way = settings.registry_credentials, settings.registry_auth
    url = reach.checked_url(settings.registry_url, "REGISTRY_URL")
    client = reach.Client(settings.allowed_hosts, *(given.get(name, "") for name in ("ca", "cert", "cert_key")))
    wire = Profile(settings.registry_profile) if settings.registry_profile else Agreed()
    name = "sandbox" if settings.registry == "sandbox" else "http"
    return HttpSource(url, client, auth_by(way, given, client, clock), wire, clock, name)


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
        passed = time.time() - self.probed
        return PROBE_EVERY - passed if self.open and 0 <= passed < PROBE_EVERY else 0.0


class Breaker:
    """Kept in the small file `path`, which exists from the first failure on; shared by threads and processes. One that
    cannot be read or written counts as closed: it spares the agency, and decides nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def state(self) -> BreakerState:
        try:
            return BreakerState(*_FORM.unpack(self._path.read_bytes()))
        except (OSError, struct.error):
            return BreakerState()

    def wait(self) -> float:
        """Seconds until the agency may be asked; whoever is told 0 by an open breaker is its probe, and must ask."""
        state = self.state()
        if not state.open or state.wait:
            return state.wait
        return self._change(lambda now: now if now.wait else now._replace(probed=time.time())).wait

    def unavailable(self) -> None:
        now = time.time()
        self._change(lambda old: BreakerState(old.failures + 1, old.began or now, old.probed if old.open else now))

    def understood(self, anyhow: bool = True) -> None:
        """An answer breaks the row of failures; not `anyhow`: an open breaker waits for one that makes sense."""
        state = self.state()
        if state.failures and (anyhow or not state.open):
            self._change(lambda _: BreakerState())

    def _change(self, change: Callable[[BreakerState], BreakerState]) -> BreakerState:
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


class Resilient:
    """A source behind its breaker."""

    def __init__(self, inner: Source, breaker: Breaker, clock: Callable[[], datetime]) -> None:
        self.name, self.inner, self.breaker, self._clock = inner.name, inner, breaker, clock

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        if wait := self.breaker.wait():
            raise RegistryUnavailable(SPARED, self._clock() + timedelta(seconds=wait))
        try:
            answer = self.inner.ask(ask, purpose)
        except RegistryUnavailable:
            self.breaker.unavailable()
            raise
        except RegistryMisunderstood:
            self.breaker.understood(anyhow=False)
            raise
        self.breaker.understood()
        return answer


def breaker_state(source: Source) -> BreakerState | None:
    """How the upstream behind a source fares; None when it has no breaker."""
    layer: Any = source
    while layer and not isinstance(layer, Resilient):
        layer = getattr(layer, "inner", None)
    return layer.breaker.state() if layer else None
