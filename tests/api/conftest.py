"""The whole application on a database of the test's own, with an agency in memory that keeps what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from compliance import create_app
from compliance.access.clients import Clients
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import RegistryUnavailable
from compliance.law.facts import Account, Answer, Ask, Employer, Programme, Subject
from compliance.registry.port import Purpose
from config import Settings
from tests.conftest import Clock

NIB, UNKNOWN_NIB = "8120001234567", "9999999999999"
AS_OF = datetime(2026, 11, 19, 10, tzinfo=UTC)


def account(**changes: Any) -> Account:
    facts = {
        "npp": "15070955",
        "active": True,
        "programmes": frozenset({Programme.JKK, Programme.JKM, Programme.JHT}),
        "active_workers": 12,
        "first_payment": True,
        "paid_through": date(2026, 10, 1),
        "months_in_arrears": 0,
        "instalment_plan": False,
        "partial_workers": False,
        "partial_wages": False,
        "partial_programmes": False,
    }
    return Account(**facts | changes)


class Agency:
    """An agency that knows one employer, and keeps every question it got. `fails` and `waits` make it difficult."""

    name = "http"

    def __init__(self) -> None:
        self.told: list[tuple[Ask, Purpose]] = []
        self.known = {NIB: Employer("SUMBER REJEKI, CV", NIB, None, (account(),))}
        self.fails = False
        self.broken: Exception | None = None
        self.waits: threading.Event | None = None
        self.asked = threading.Event()

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        self.told.append((ask, purpose))
        self.asked.set()
        if self.waits:
            assert self.waits.wait(20)
        if self.broken:
            raise self.broken
        if self.fails:
            raise RegistryUnavailable("the test switched it off")
        known = self.known.get(ask.value) if ask.subject is Subject.EMPLOYER else None
        return Answer(known, self.name, AS_OF, "BPJSTK-1")


@pytest.fixture
def agency() -> Agency:
    return Agency()


@pytest.fixture
def app(settings: Settings, agency: Agency, clock: Clock) -> Iterator[Flask]:
    app = create_app(settings, source=agency, clock=clock)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def http(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def new_key(app: Flask) -> Callable[..., str]:
    """Make a client; the answer is its key."""

    def make(scopes: str = "check,read", regions: tuple[str, ...] = ("73.09",), **more: Any) -> str:
        with app.app_context():
            clients = Clients(deployment().log, deployment().clock)
            return clients.create("Perangkat lunak perizinan", regions, scopes.split(","), by="test", **more)[1]

    return make


@pytest.fixture
def key(new_key: Callable[..., str]) -> str:
    return new_key()


@pytest.fixture
def headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def entries(app: Flask) -> Callable[[str], list[dict[str, Any]]]:
    """The bodies of all log entries of a kind, oldest first."""

    def read(kind: str) -> list[dict[str, Any]]:
        with app.app_context():
            return [entry.body for entry in deployment().log.entries(kinds=(kind,))]

    return read


def question(**changes: Any) -> dict[str, Any]:
    """A question whose answer is MET. A change to None removes the field; `part__field` reaches inside."""
    document: dict[str, Any] = {
        "reference": "503/0123/DPMPTSP/2026",
        "permit_type": "RESTORAN",
        "business": {"name": "CV Sumber Rejeki", "nib": NIB, "scale": "small"},
        "workforce": {"employs_workers": True, "declared": 12},
    }
    for name, value in changes.items():
        *parts, last = name.split("__")
        holder = document
        for part in parts:
            holder = holder.setdefault(part, {})
        if value is None:
            holder.pop(last, None)
        else:
            holder[last] = value
    return json.loads(json.dumps(document))
