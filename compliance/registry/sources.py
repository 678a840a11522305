"""Which source the settings name. To add one: a class with `name` and `ask`, a line here, a word in config.SOURCES."""

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url

from compliance.registry import auth, reach
from compliance.registry.http import HttpSource
from compliance.registry.mapping import Agreed, Profile
from compliance.registry.port import Source
from compliance.registry.resilient import Breaker, BreakerState, Resilient
from compliance.registry.sandbox import InProcess
from compliance.registry.snapshot import SnapshotSource
from config import INSTANCE, Settings


def build(settings: Settings, engine: Engine, clock: Callable[[], datetime]) -> tuple[Source, Source | None]:
    """The source to ask, and the one that stands in when it is unavailable. Raises Misconfigured."""
    if settings.registry == "snapshot":
        return SnapshotSource(engine), None
    if settings.registry == "sandbox" and not settings.registry_url:
        return InProcess(clock), None
    agency = Resilient(http(settings, clock), Breaker(_breaker_file(settings)), clock)
    return agency, SnapshotSource(engine) if settings.registry == "http,snapshot" else None


def breaker_state(source: Source) -> BreakerState | None:
    """How the upstream behind a source fares; None when it has no breaker."""
    layer: Any = source
    while layer and not isinstance(layer, Resilient):
        layer = getattr(layer, "inner", None)
    return layer.breaker.state() if layer else None


def http(settings: Settings, clock: Callable[[], datetime]) -> HttpSource:
    """The agency at REGISTRY_URL, without breaker."""
    given, way = settings.registry_credentials, settings.registry_auth
    url = reach.checked_url(settings.registry_url, "REGISTRY_URL")
    client = reach.Client(settings.allowed_hosts, *(given.get(name, "") for name in ("ca", "cert", "cert_key")))
    wire = Profile(settings.registry_profile) if settings.registry_profile else Agreed()
    name = "sandbox" if settings.registry == "sandbox" else "http"
    return HttpSource(url, client, auth.build(way, given, client, clock), wire, clock, name)


def _breaker_file(settings: Settings) -> Path:
    """One per deployment and upstream: beside the database if that is a file, else beside the log's key."""
    url = make_url(settings.database_url)
    beside = url.database if url.get_backend_name() == "sqlite" else None
    folder = Path(beside).parent if beside and beside != ":memory:" else settings.log_signing_key.parent
    folder = folder if os.access(folder, os.W_OK) else INSTANCE  # a key may lie on a read-only mount
    folder.mkdir(parents=True, exist_ok=True)
    key = f"{url.render_as_string(hide_password=True)} {settings.registry_url}"
    return folder / f"breaker-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
