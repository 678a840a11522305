"""Which source the settings name. To add one: a class with `name` and `ask`, a line here, a word in config.SOURCES."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from compliance.registry import auth, reach
from compliance.registry.http import HttpSource
from compliance.registry.mapping import Agreed
from compliance.registry.port import Source

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from config import Settings


def _now() -> datetime:
    return datetime.now(UTC)


def build(settings: Settings, engine: Engine, clock: Callable[[], datetime] = _now) -> tuple[Source, Source | None]:
    """The source to ask, and the one that stands in when it is unavailable. Raises Misconfigured."""
    if settings.registry == "snapshot":
        return _snapshot(engine), None
    if settings.registry == "sandbox" and not settings.registry_url:
        from compliance.registry.sandbox import InProcess

        return InProcess(clock), None
    return http(settings, clock), _snapshot(engine) if settings.registry == "http,snapshot" else None


def http(settings: Settings, clock: Callable[[], datetime]) -> HttpSource:
    """The agency at REGISTRY_URL."""
    given = settings.registry_credentials
    session = reach.session(
        settings.allowed_hosts, given.get("ca", ""), given.get("cert", ""), given.get("cert_key", "")
    )
    return HttpSource(
        reach.checked_url(settings.registry_url, "REGISTRY_URL"),
        session,
        auth.build(settings.registry_auth, given, session, clock),
        Agreed(),
        clock,
        "sandbox" if settings.registry == "sandbox" else "http",
    )


def _snapshot(engine: Engine) -> Source:
    from compliance.registry.snapshot import SnapshotSource

    return SnapshotSource(engine)
