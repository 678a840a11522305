"""The mass-refusal brake: an emptied agency refuses nobody; ordinary days never open it."""

from __future__ import annotations

import io
import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
from flask import Flask
from sqlalchemy import insert, select

from compliance import create_app
from compliance.audit.table import audit_entry
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
    Evidence,
    Identity,
    Programme,
    Scale,
    Subject,
)
from compliance.registry.port import AT_ONCE, HERD, Purpose, Turns, aside
from compliance.registry.watchers import RECENT, SIGHTINGS, at_least
from config import Settings
from tests.conftest import Clock

REGION, SENTINEL = "73.09", "0000000000001"
ACCOUNT = Account(
    "15070955", True, frozenset({Programme.JKK, Programme.JKM, Programme.JHT}), 12, True, date(2026, 10, 1)
)


class Agency:
    """Knows every NIB but those that begin with 9, until it is emptied; counts questions about the sentinel."""

    name = "http"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.emptied = self.silent = False
        self.sentinel_asked = 0
        self.wait: threading.Barrier | None = None

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        self.sentinel_asked += ask.value == SENTINEL
        if self.silent:
            raise RegistryUnavailable("silent")
        if self.wait and ask.value != SENTINEL:
            self.wait.wait(10)
        known = ask.subject is Subject.EMPLOYER and not self.emptied and not ask.value.startswith("9")
        return Answer(Employer("X", ask.value, None, (ACCOUNT,)) if known else None, self.name, self.clock(), "1")


@pytest.fixture
def agency(clock: Clock) -> Agency:
    return Agency(clock)


@pytest.fixture(params=[True, False], ids=["sentinel", "share"])
def sentinels(request: pytest.FixtureRequest) -> dict[str, str]:
    return {REGION: SENTINEL} if request.param else {}


@pytest.fixture
def app(settings: Settings, agency: Agency, clock: Clock, sentinels: dict[str, str]) -> Iterator[Flask]:
    app = create_app(
        replace(settings, registry_sentinels=sentinels, metrics_token="m" * 20), source=agency, clock=clock
    )
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def gate(app: Flask) -> Deployment:
    with app.app_context():
        return deployment()


only_sentinel = pytest.mark.parametrize("sentinels", [{REGION: SENTINEL}])
only_share = pytest.mark.parametrize("sentinels", [{}])


def check(gate: Deployment, nib: str, permit_type: str = "RESTORAN", scale: Scale = Scale.SMALL) -> str:
    application = Application(permit_type, REGION, date(2026, 11, 20), scale=scale, given=("nib",))
    question = Question(f"ref-{nib}", application, Identity(nib=nib), Asker("client", "test"))
    return str(json.loads(gate.gate.check(question).document)["verdict"])


def entries(gate: Deployment, kind: str) -> list[dict[str, object]]:
    with gate.log.engine.connect() as connection:
        bodies = [json.loads(raw) for raw in connection.scalars(select(audit_entry.c.body).order_by(audit_entry.c.pos))]
    return [body for body in bodies if body["kind"] == kind]


def remember(gate: Deployment, clock: Clock, found: int, missing: int) -> None:
    """A region's history of so many businesses, an hour ago and before."""
    rows = [
        {"region": REGION, "business": f"nib:{n:013}", "pos": -1 - n, "found": n >= missing, "doubtful": False}
        | {"at": clock() - timedelta(hours=1, minutes=n)}
        for n in range(found + missing)
    ]
    random.Random(1).shuffle(rows)
    moments = [row["at"] for row in rows]
    with gate.log.engine.begin() as connection:
        connection.execute(insert(SIGHTINGS), [row | {"at": at} for row, at in zip(rows, sorted(moments), strict=True)])


@only_sentinel
@pytest.mark.parametrize("before", ["an hour of checks", "a fresh start"])
def test_an_emptied_agency_leaks_at_most_one_refusal(
    gate: Deployment, agency: Agency, clock: Clock, before: str
) -> None:
    if before != "a fresh start":
        for n in range(12):
            assert check(gate, f"81{n:011}") == "MET"
            clock.tick(minutes=5)
    agency.emptied = True
    verdicts = []
    for n in range(40):
        verdicts.append(check(gate, f"82{n:011}"))
        clock.tick(seconds=20)
    assert verdicts.count("NOT_MET") <= 1
    assert set(verdicts[1:]) == {"OFFICER_REVIEW"}
    (opened,) = entries(gate, "registry.brake_opened")
    assert (opened["region"], opened["reason"]) == (REGION, "sentinel")
    agency.emptied = False
    clock.tick(seconds=20)
    assert check(gate, "9000000000001") == "NOT_MET"
    assert len(entries(gate, "registry.brake_closed")) == 1


@only_sentinel
def test_many_at_once_leak_at_most_one_refusal(gate: Deployment, agency: Agency, clock: Clock) -> None:
    assert check(gate, "8100000000001") == "MET"
    assert check(gate, "9000000000000") == "NOT_MET"  # ordinary, and the sentinel was asked
    assert check(gate, "8100000000002") == "MET"
    agency.emptied, agency.wait = True, threading.Barrier(8)
    verdicts: list[str] = []
    threads = [threading.Thread(target=lambda n=n: verdicts.append(check(gate, f"82{n:011}"))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(verdicts) == 8
    assert verdicts.count("NOT_MET") <= 1
    assert len(entries(gate, "registry.brake_opened")) == 1


@only_sentinel
@pytest.mark.parametrize("lull", [0, 15], ids=["just asked", "a quarter of an hour later"])
def test_of_many_workers_none_trusts_what_it_remembers(
    settings: Settings, agency: Agency, clock: Clock, sentinels: dict[str, str], lull: int
) -> None:
    """Every worker has just seen the agency well; it is emptied, and all of them refuse at the same moment."""
    apps = [create_app(replace(settings, registry_sentinels=sentinels), source=agency, clock=clock) for _ in range(4)]
    gates = []
    for app in apps:
        with app.app_context():
            gates.append(deployment())
    for n, gate in enumerate(gates):
        assert check(gate, f"810000000000{n}") == "MET"
        assert check(gate, f"900000000000{n}") == "NOT_MET"
        assert check(gate, f"810000000001{n}") == "MET"
    clock.tick(minutes=lull)
    agency.emptied, agency.wait = True, threading.Barrier(4)
    verdicts: list[str] = []
    threads = [
        threading.Thread(target=lambda gate=gate, n=n: verdicts.append(check(gate, f"82{n:011}")))
        for n, gate in enumerate(gates)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    agency.wait = None
    clock.tick(seconds=1)
    verdicts += [check(gate, "8300000000001") for gate in gates]
    agency.emptied = False
    assert verdicts == ["OFFICER_REVIEW"] * 8
    assert len(entries(gates[0], "registry.brake_opened")) == 1
    assert entries(gates[0], "registry.brake_closed") == []
    clock.tick(seconds=20)
    assert [check(gate, "9000000000009") for gate in gates] == ["NOT_MET"] * 4
    assert len(entries(gates[0], "registry.brake_closed")) == 1
    for app in apps:
        with app.app_context():
            db.engine.dispose()


@only_share
def test_without_a_sentinel_the_region_s_share_opens_it(gate: Deployment, agency: Agency, clock: Clock) -> None:
    remember(gate, clock, 280, 20)
    agency.emptied = True
    verdicts = [check(gate, f"82{n:011}") for n in range(30)]
    refused = verdicts.count("NOT_MET")
    assert refused <= 12
    assert set(verdicts[refused:]) == {"OFFICER_REVIEW"}
    (opened,) = entries(gate, "registry.brake_opened")
    assert opened["reason"] == "share"
    agency.emptied = False
    for n in range(30):
        clock.tick(minutes=1)
        assert check(gate, f"81{n:011}") == "MET"
    assert check(gate, "9000000000001") == "NOT_MET"
    assert len(entries(gate, "registry.brake_closed")) == 1


@only_share
def test_the_share_says_nothing_before_two_hundred_businesses(gate: Deployment, agency: Agency, clock: Clock) -> None:
    remember(gate, clock, 100, 0)
    agency.emptied = True
    assert {check(gate, f"82{n:011}") for n in range(40)} == {"NOT_MET"}


@only_share
def test_one_business_asked_again_and_again_is_one(gate: Deployment, agency: Agency, clock: Clock) -> None:
    remember(gate, clock, 300, 3)
    assert {check(gate, "9000000000001") for _ in range(40)} == {"NOT_MET"}
    assert entries(gate, "registry.brake_opened") == []


@only_share
def test_an_operator_s_word_closes_it_and_what_was_before_counts_no_more(
    app: Flask, gate: Deployment, agency: Agency, clock: Clock
) -> None:
    remember(gate, clock, 280, 20)
    agency.emptied = True
    for n in range(30):
        check(gate, f"82{n:011}")
    clock.tick(seconds=1)
    ready = app.test_client().get("/readyz", headers={"Authorization": f"Bearer {'m' * 20}"})
    assert f"refusals in {REGION} are held since" in ready.text
    assert "held" not in app.test_client().get("/readyz").text
    shown = app.test_cli_runner().invoke(args=["registry", "brake"])
    assert f"{REGION} · terbuka/open" in shown.output
    assert shown.exit_code == 1
    assert app.test_cli_runner().invoke(args=["registry", "brake", "--close", REGION]).exit_code == 0
    clock.tick(seconds=1)
    assert check(gate, "9000000000001") == "NOT_MET"
    assert app.test_cli_runner().invoke(args=["registry", "brake"]).exit_code == 0


@only_sentinel
def test_while_it_is_open_only_refusals_wait(gate: Deployment, agency: Agency, clock: Clock) -> None:
    agency.emptied = True
    assert check(gate, "8200000000001") == "OFFICER_REVIEW"
    agency.emptied = False
    assert check(gate, "8100000000001") == "MET"
    assert check(gate, "8100000000002", scale=Scale.MEDIUM) == "OFFICER_REVIEW"  # JP missing, but still open
    clock.tick(minutes=1)
    assert check(gate, "8100000000003", scale=Scale.MEDIUM) == "NOT_MET"


@only_sentinel
def test_a_sentinel_that_cannot_be_asked_holds_the_refusal_and_opens_nothing(
    gate: Deployment, agency: Agency, clock: Clock
) -> None:
    class Half(Agency):
        def ask(self, ask: Ask, purpose: Purpose) -> Answer:
            if ask.value == SENTINEL:
                raise RegistryUnavailable("silent")
            return super().ask(ask, purpose)

    half = Half(clock)
    gate.gate.brake._source = half  # type: ignore[union-attr]
    assert check(gate, "9000000000001") == "OFFICER_REVIEW"
    assert entries(gate, "registry.brake_opened") == []


@only_sentinel
def test_the_sentinel_is_asked_every_ten_minutes_by_the_work_loop(
    gate: Deployment, agency: Agency, clock: Clock
) -> None:
    brake = gate.gate.brake
    for _ in range(30):
        brake.look(clock(), Purpose("work", "sentinel"))  # type: ignore[union-attr]
        clock.tick(minutes=1)
    assert agency.sentinel_asked == 3
    agency.emptied = True
    clock.tick(minutes=10)
    brake.look(clock(), Purpose("work", "sentinel"))  # type: ignore[union-attr]
    assert len(entries(gate, "registry.brake_opened")) == 1
    assert check(gate, "8200000000001") == "OFFICER_REVIEW"


def test_the_binomial_tail() -> None:
    assert at_least(0, 30, 0.1) == pytest.approx(1)
    assert at_least(30, 30, 0.5) == pytest.approx(0.5**30)
    assert at_least(1, 30, 0.1) == pytest.approx(1 - 0.9**30)


@only_share
@pytest.mark.parametrize("share", [0.02, 0.15, 0.4])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_year_of_ordinary_days_never_opens_it(gate: Deployment, clock: Clock, share: float) -> None:
    """Forty businesses a working day; sightings are written as the projection does, the brake asked whenever the last
    30 look unusual: no other refusal could open it. Some of a year's 14,600 windows are unlikelier than 1 in 1,000."""
    brake, chance, recent = gate.gate.brake, random.Random(33), deque[bool](maxlen=RECENT)
    assert brake
    evidence, likelihoods = Evidence("http", clock()), []
    with gate.log.engine.connect() as connection:
        for n in range(365 * 40):
            clock.tick(minutes=36)
            found = chance.random() >= share
            recent.append(found)
            likelihood = at_least(recent.count(False), len(recent), share)
            if not found and likelihood < 0.05:
                connection.commit()
                likelihoods.append(likelihood)
                assert not brake.doubtful(REGION, Identity(nib=f"{n:013}"), evidence, Purpose("r", "r"), clock())
            row = {"region": REGION, "business": f"nib:{n:013}", "pos": n, "at": clock(), "found": found}
            connection.execute(insert(SIGHTINGS).values(**row, doubtful=False))
        connection.commit()
    assert len(likelihoods) > 20
    assert min(likelihoods) < 1e-3
    assert entries(gate, "registry.brake_opened") == []


def test_the_entry_says_that_the_answers_were_doubted(
    gate: Deployment, agency: Agency, clock: Clock, sentinels: dict[str, str]
) -> None:
    remember(gate, clock, 280, 1)
    agency.emptied = True
    for n in range(12):
        check(gate, f"82{n:011}")
    last = entries(gate, "check")[-1]
    assert last["facts"]["doubtful"] is True  # type: ignore[index]


@only_sentinel
def test_refusals_that_wait_for_the_sentinel_hold_no_turn(
    gate: Deployment, agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks the sentinel gave his turn away, and gets it back although all others wait for his word."""
    plain, verdicts = agency.ask, list[str]()

    def slowly(ask: Ask, purpose: Purpose) -> Answer:
        with aside():
            time.sleep(0.3)
            return plain(ask, purpose)

    def served(environ: dict[str, str], start_response: object) -> list[bytes]:
        verdicts.append(check(gate, environ["nib"]))
        return []

    monkeypatch.setattr(agency, "ask", slowly)
    turns, asked = Turns(served), {"REQUEST_METHOD": "POST", "PATH_INFO": min(HERD), "CONTENT_LENGTH": "0"}
    environs = [asked | {"nib": f"9{n:012}", "wsgi.input": io.BytesIO()} for n in range(3 * AT_ONCE)]
    threads = [threading.Thread(target=turns, args=(each, None), daemon=True) for each in environs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert verdicts == ["NOT_MET"] * len(threads)
