"""A gate whose agency says what the test wants, a clerk and a supervisor, and the loop that does what is due."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from compliance import create_app, work
from compliance.access.clients import Client, Clients, Scope
from compliance.casework import acts
from compliance.casework.acts import Act, Person
from compliance.database import db
from compliance.deployment import Deployment, deployment
from compliance.errors import RegistryUnavailable
from compliance.gate import Asker, Question
from compliance.law.facts import (
    Account,
    Answer,
    Application,
    Ask,
    Employer,
    Identity,
    Participant,
    Programme,
    Scale,
    Subject,
    Workforce,
)
from compliance.law.policy import DATA
from compliance.registry.port import Purpose
from config import Settings
from tests.conftest import Clock

NIB, SHA = "8120001234567", "a" * 64
CLERK = Person("01CLERK", "Ibu Sitti Rahasia", "clerk", ("73.09",))
BOSS = Person("01BOSS", "Bapak Budi Rahasia", "supervisor", ("73.09",))
ELSEWHERE = Person("01BONE", "Ibu Bone", "supervisor", ("73.08",))
FULL = frozenset({Programme.JKK, Programme.JKM, Programme.JHT})


class Agency:
    """Knows one employer and one fisherman; keeps what it was asked."""

    name = "http"

    def __init__(self, clock: Clock) -> None:
        self.clock, self.asked, self.down = clock, list[str](), False
        self.programmes, self.workers, self.covered = FULL, 12, clock().date() + timedelta(days=10)

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        self.asked.append(ask.value)
        if self.down:
            raise RegistryUnavailable("the test switched it off")
        record: Any = None
        if ask.value == NIB:
            paid = (self.clock().replace(day=1) - timedelta(days=1)).date().replace(day=1)
            account = Account(
                "15070955", True, self.programmes, self.workers, True, paid, 0, False, False, False, False
            )
            record = Employer("SUMBER REJEKI, CV", NIB, None, (account,))
        if ask.subject is Subject.PARTICIPANT:
            record = Participant("BPU", True, self.covered)
        return Answer(record, self.name, self.clock(), "BPJSTK-1")


@pytest.fixture
def agency(clock: Clock) -> Agency:
    return Agency(clock)


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    """A region that allows an override of a finding for at most 60 days."""
    text = (DATA / "regions/73.09.toml").read_text(encoding="utf-8")
    text = text.replace("Contoh: peraturan daerah belum ada", "Perbup 1/2022").replace('"example"', '"reported"')
    more = """
[[value]]
name = "override_days"
since = 2022-01-01
value = 60
basis = [{ cite = "Perbup 1/2022 Pasal 9", certainty = "reported" }]
looked_at = 2026-11-21
"""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "73.09.toml").write_text(text + more, encoding="utf-8")
    return folder


@pytest.fixture
def app(settings: Settings, agency: Agency, clock: Clock, request: pytest.FixtureRequest) -> Iterator[Flask]:
    if "lenient" in request.fixturenames:
        settings = replace(settings, policy_dir=request.getfixturevalue("lenient"))
    app = create_app(settings, source=agency, clock=clock)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def here(app: Flask) -> Iterator[Deployment]:
    with app.app_context():
        yield deployment()


@pytest.fixture
def client(here: Deployment) -> Client:
    return Clients(here.log, here.clock).create("Perizinan", ("73.09",), [Scope.CHECK, Scope.READ], by="test")[0]


Checks = Callable[..., dict[str, Any]]


@pytest.fixture
def check(here: Deployment, client: Client) -> Checks:
    """Ask as licensing software does; the answer is the API's document."""

    def ask(reference: str = "503/1", permit_type: str = "RESTORAN", **changes: Any) -> dict[str, Any]:
        today = here.policy.today("73.09", here.clock())
        workers = changes.pop("workforce", Workforce(True, changes.pop("declared", 12)))
        identity = Identity(name="CV Sumber Rejeki", **(changes.pop("numbers", None) or {"nib": NIB}))
        given = tuple(name for name in ("nib", "npwp", "npp", "nik") if getattr(identity, name))
        about = {"as_at": today, "scale": Scale.SMALL, "workforce": workers, "given": given} | changes
        application = Application(permit_type, "73.09", **about)
        question = Question(reference, application, identity, Asker("client", client.id))
        return dict(json.loads(here.gate.check(question).document))

    return ask


def stated(act: Act, **changes: Any) -> dict[str, Any]:
    """What a clerk types for an act, rightly."""
    typed: dict[str, Any] = {
        Act.VERIFY: {"effect": "OK", "certificate": "SK-1/2026", "dated": "2026-11-19", "until": "2026-12-31"},
        Act.UNDERTAKE: {"dated": "2026-11-19", "until": "2026-12-01"},
        Act.OVERRIDE: {"basis": "Perbup 1/2022 Pasal 9", "until": "2026-12-31"},
        Act.IMPOSE: {"nib": NIB, "letter": "B/9/2026", "dated": "2026-11-18", "name": "CV Sumber Rejeki"},
        Act.LIFT: {"letter": "B/10/2026", "dated": "2026-11-20"},
        Act.GRANT: {"permit": "IZIN-7", "dated": "2026-11-20"},
    }.get(act, {})
    return {"ground": "Sudah dilihat sendiri oleh Ani", "sha256": SHA} | typed | changes


def asked_and_accepted(here: Deployment, act: Act, about: str = "", **changes: Any) -> str:
    """Proposed by the clerk, accepted by the supervisor; what follows is not done yet."""
    proposal = acts.propose(here, CLERK, act, stated(act, **changes), about)
    acts.settle(here, BOSS, proposal, "accepted", "Setuju, sesuai dokumen")
    return proposal


def do_due(here: Deployment) -> None:
    while work.do_due(here):
        pass


def newest(here: Deployment, check_id: str) -> dict[str, Any]:
    """The answer that took the place of a check."""
    record = here.log.check(check_id)
    while record and record.superseded_by:
        record = here.log.check(record.superseded_by)
    assert record
    return dict(json.loads(record.document))
