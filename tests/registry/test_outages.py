"""Outages as facts: since when, which tries, until when; in the log, and in the answer that must wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from compliance import create_app
from compliance.audit.table import audit_entry
from compliance.database import db
from compliance.deployment import Deployment, deployment
from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.gate import Asker, Question
from compliance.law.facts import Answer, Application, Ask, Identity, Scale
from compliance.registry.port import SPARED, Purpose
from compliance.registry.watchers import FAILURES, OUTAGES, SHOWN, Outages, record_outage
from config import Settings
from tests.conftest import Clock

FIRST = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


class Agency:
    """Fails as it is told."""

    name = "http"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.error: Exception | None = None

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        if self.error:
            raise self.error
        return Answer(None, self.name, self.clock(), "1")


@pytest.fixture
def agency(clock: Clock) -> Agency:
    return Agency(clock)


@pytest.fixture
def app(settings: Settings, agency: Agency, clock: Clock) -> Iterator[Flask]:
    app = create_app(settings, source=agency, clock=clock)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def gate(app: Flask) -> Deployment:
    with app.app_context():
        return deployment()


def check(gate: Deployment, number: int = 1) -> dict[str, object]:
    application = Application("RESTORAN", "73.09", date(2026, 11, 20), scale=Scale.SMALL, given=("nib",))
    question = Question(f"ref-{number}", application, Identity(nib=f"{number:013}"), Asker("client", "test"))
    return dict(json.loads(gate.gate.check(question).document))


def entries(gate: Deployment) -> list[dict[str, object]]:
    with gate.log.engine.connect() as connection:
        bodies = [json.loads(raw) for raw in connection.scalars(select(audit_entry.c.body).order_by(audit_entry.c.pos))]
    return [body for body in bodies if body["kind"].startswith("registry.outage")]


def test_the_first_failure_begins_an_outage_and_an_answer_ends_it(
    gate: Deployment, agency: Agency, clock: Clock
) -> None:
    assert check(gate)["verdict"] == "NOT_MET"
    agency.error = RegistryUnavailable("status 503")
    for _ in range(3):
        assert check(gate)["verdict"] == "UNDETERMINED"
        clock.tick(minutes=1)
    (began,) = entries(gate)
    assert (began["kind"], began["source"], began["since"]) == ("registry.outage_began", "http", "2026-11-20T08:00:00Z")
    assert began["detail"] == "status 503"
    agency.error = None
    check(gate)
    check(gate)
    _, ended = entries(gate)
    assert (ended["kind"], ended["outage"]) == ("registry.outage_ended", began["outage"])
    assert (ended["since"], ended["until"]) == ("2026-11-20T08:00:00Z", "2026-11-20T08:03:00Z")


def test_an_undetermined_answer_says_since_when_and_which_tries(gate: Deployment, agency: Agency, clock: Clock) -> None:
    assert "outage" not in check(gate)
    agency.error = RegistryUnavailable("status 503")
    for _ in range(SHOWN + 4):
        last = check(gate)
        clock.tick(minutes=1)
    outage = last["outage"]
    assert isinstance(outage, dict)
    assert (outage["source"], outage["since"]) == ("http", "2026-11-20T08:00:00Z")
    assert len(outage["tries"]) == SHOWN
    assert outage["tries"][-1] == "2026-11-20T08:13:00Z"
    assert outage["tries"] == sorted(outage["tries"])


def test_a_call_that_the_breaker_spared_is_no_try(gate: Deployment, agency: Agency, clock: Clock) -> None:
    agency.error = RegistryUnavailable("status 503")
    check(gate)
    clock.tick(minutes=1)
    agency.error = RegistryUnavailable(SPARED)
    for _ in range(2):
        assert check(gate)["outage"]["tries"] == ["2026-11-20T08:00:00Z"]  # type: ignore[index]


def test_the_receipt_signs_the_outage(gate: Deployment, agency: Agency) -> None:
    from base64 import urlsafe_b64decode

    agency.error = RegistryUnavailable("status 503")
    answer = check(gate)
    payload = answer["receipt"]["jws"].split(".")[1]  # type: ignore[index]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["outage"] == answer["outage"]


def test_a_misunderstood_answer_neither_begins_nor_ends_an_outage(
    gate: Deployment, agency: Agency, clock: Clock
) -> None:
    agency.error = RegistryMisunderstood("status SUSPEND")
    assert "outage" not in check(gate)
    assert entries(gate) == []
    agency.error = RegistryUnavailable("reset")
    check(gate)
    clock.tick(minutes=1)
    agency.error = RegistryMisunderstood("status SUSPEND")
    check(gate)
    assert len(entries(gate)) == 1


def test_an_agency_that_comes_and_goes_within_seconds_has_one_outage(
    gate: Deployment, agency: Agency, clock: Clock
) -> None:
    for n in range(20):
        agency.error = RegistryUnavailable("status 429") if n % 2 else None
        check(gate, n)
        clock.tick(seconds=3)
    assert len(entries(gate)) == 1


def test_each_outage_has_its_own_name_and_processes_agree_on_it(gate: Deployment, agency: Agency, clock: Clock) -> None:
    other = Outages(gate.log.engine, gate.log)
    agency.error = RegistryUnavailable("reset")
    check(gate)
    assert other.since("http") == FIRST
    assert other.since("http", begin=clock() + timedelta(seconds=1)) == FIRST
    agency.error = None
    clock.tick(minutes=1)
    check(gate)
    agency.error = RegistryUnavailable("reset")
    clock.tick(minutes=1)
    check(gate)
    names = [entry["outage"] for entry in entries(gate)]
    assert names == ["outage.http.1", "outage.http.1", "outage.http.2"]


def test_the_tables_come_out_the_same_when_rebuilt_in_any_order(gate: Deployment, agency: Agency, clock: Clock) -> None:
    agency.error = RegistryUnavailable("reset")
    check(gate)
    agency.error = None
    clock.tick(minutes=1)
    check(gate)
    with gate.log.engine.begin() as connection:
        before = connection.execute(select(OUTAGES)).all()
        failures = connection.execute(select(FAILURES)).all()
        connection.execute(OUTAGES.delete())
        for entry in reversed([e for e in gate.log.entries() if e.kind.startswith("registry.outage")] * 2):
            record_outage(connection, entry)
        assert connection.execute(select(OUTAGES)).all() == before
    assert [(row.source, row.at) for row in failures] == [("http", FIRST)]
