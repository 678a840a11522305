"""Sources against the misbehaving agency."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from compliance.registry.http import HttpSource
from compliance.registry.port import Purpose
from compliance.registry.sources import http
from config import Settings

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def now() -> datetime:
    return NOW


def purpose(seconds: float = 2.0) -> Purpose:
    return Purpose("req-1", "503/0123/DPMPTSP/2026", time.monotonic() + seconds)


@pytest.fixture
def connect() -> Callable[..., HttpSource]:
    """`connect(url, auth="apikey", profile=…, **credentials)` as the settings would build it, without breaker."""

    def build(url: str, auth: str = "none", profile: Path | None = None, **credentials: Any) -> HttpSource:
        settings = Settings(
            registry_url=url,
            registry_auth=auth,
            registry_profile=profile,
            registry_credentials=credentials,
            allowed_hosts=credentials.pop("allowed", ()),
        )
        return http(settings, now)

    return build


@pytest.fixture(autouse=True)
def _no_thread_left_hanging() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    ends = time.monotonic() + 3
    while time.monotonic() < ends and (set(threading.enumerate()) - before):
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before
