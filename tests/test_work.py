"""The one loop: rows that are due are done once, by one worker, and come back when a worker dies."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from compliance import create_app, work
from compliance.audit import projection
from compliance.database import db
from compliance.deployment import Deployment, deployment
from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.gate import Asker, Officer, Question
from compliance.law.facts import Answer, Application, Ask, Identity, Scale
from compliance.registry.port import Purpose
from compliance.registry.watchers import brake_states
from config import Settings
from tests.conftest import Clock


class Agency:
    """Knows nobody; fails as it is told; keeps what it was asked."""

    name = "http"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.error: Exception | None = None
        self.asked: list[str] = []

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        self.asked.append(ask.value)
        if self.error:
            raise self.error
        return Answer(None, self.name, self.clock(), "1")


@pytest.fixture
def agency(clock: Clock) -> Agency:
    return Agency(clock)


@pytest.fixture
def app(settings: Settings, agency: Agency, clock: Clock, tmp_path: Path) -> Iterator[Flask]:
    key = tmp_path / "log.key"  # of this test's own: the signer remembers the log that it signed
    shutil.copy(settings.log_signing_key, key)
    app = create_app(replace(settings, log_signing_key=key), source=agency, clock=clock)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def here(app: Flask) -> Deployment:
    with app.app_context():
        return deployment()


@pytest.fixture
def done(here: Deployment) -> Iterator[list[tuple[str, int]]]:
    """Keeps what the kind "test" was asked to do; what begins with "late" is due again, with "bad" fails."""
    told: list[tuple[str, int]] = []

    def handler(deployment: Deployment, row: work.Row) -> object:
        told.append((row.key, row.tries))
        if row.key.startswith("bad"):
            raise RuntimeError("out of order")
        return deployment.clock() + timedelta(hours=2) if row.key.startswith("late") else None

    work.handles("test")(handler)  # type: ignore[arg-type]
    yield told
    del work._handlers["test"]


def put(here: Deployment, clock: Clock, *keys: str) -> None:
    with here.log.engine.begin() as connection:
        for key in keys:
            work.add(connection, "test", key, clock())


def rows(here: Deployment) -> list[str]:
    with here.log.engine.connect() as connection:
        return list(connection.scalars(select(work.WORK.c.id).order_by(work.WORK.c.id)))


def test_what_is_due_is_done_once_and_gone(here: Deployment, clock: Clock, done: list[tuple[str, int]]) -> None:
    put(here, clock, "a", "b", "b:with:colons")
    assert work.do_due(here) == 3
    assert sorted(done) == [("a", 1), ("b", 1), ("b:with:colons", 1)]
    assert (work.do_due(here), rows(here)) == (0, [])


def test_what_is_not_due_waits(here: Deployment, clock: Clock, done: list[tuple[str, int]]) -> None:
    clock.tick(minutes=1)
    put(here, clock, "a")
    clock.tick(minutes=-1)
    assert work.do_due(here) == 0
    clock.tick(minutes=1)
    assert work.do_due(here) == 1


def test_a_handler_may_be_due_again(here: Deployment, clock: Clock, done: list[tuple[str, int]]) -> None:
    put(here, clock, "late")
    for hours in (0, 1, 1, 1, 1):
        clock.tick(hours=hours)
        work.do_due(here)
    assert done == [("late", 1), ("late", 2), ("late", 3)]


def test_a_failing_row_comes_back_later_and_later_and_holds_nobody_up(
    here: Deployment, clock: Clock, done: list[tuple[str, int]]
) -> None:
    put(here, clock, "bad", "good")
    work.do_due(here)
    assert ("good", 1) in done
    assert rows(here) == ["test:bad"]
    clock.tick(minutes=4)
    assert work.do_due(here) == 0
    clock.tick(minutes=4)
    assert work.do_due(here) == 1
    clock.tick(minutes=8)
    assert work.do_due(here) == 0
    clock.tick(minutes=5)
    assert work.do_due(here) == 1


def test_the_rows_of_a_killed_worker_come_back_when_its_lease_ends(
    here: Deployment, clock: Clock, done: list[tuple[str, int]]
) -> None:
    put(here, clock, "a")
    assert [row.key for row in work.claim(here.log.engine, clock())] == ["a"]  # and dies
    assert work.do_due(here) == 0
    clock.tick(minutes=3)
    assert work.do_due(here) == 1
    assert done == [("a", 2)]


def test_no_row_is_given_to_two_workers(here: Deployment, clock: Clock) -> None:
    put(here, clock, *(f"{n:03}" for n in range(200)))
    taken: list[str] = []

    def worker() -> None:
        while got := work.claim(here.log.engine, clock(), limit=7):
            taken.extend(row.key for row in got)

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(taken) == [f"{n:03}" for n in range(200)]


# --- checks that wait for the agency -------------------------------------------------------------------------------


def ask(here: Deployment, number: int = 1) -> dict[str, object]:
    application = Application("RESTORAN", "73.09", date(2026, 11, 20), scale=Scale.SMALL, given=("nib", "nik"))
    identity = Identity(name="UD X", nib=f"{number:013}", nik="7309054403880002", owner_name="Budi")
    officer = Officer("197001012000031001", "Ani")
    question = Question(f"ref-{number}", application, identity, Asker("client", "c1"), officer)
    return dict(json.loads(here.gate.check(question).document))


def test_a_check_that_got_no_answer_is_asked_again_when_the_agency_is_back(
    here: Deployment, agency: Agency, clock: Clock
) -> None:
    agency.error = RegistryUnavailable("reset")
    old = ask(here)
    assert old["verdict"] == "UNDETERMINED"
    assert work.do_due(here) == 0
    for _ in range(3):  # still out: probed, and nothing more in the log
        clock.tick(minutes=30)
        size = here.log.head()[0]
        assert work.do_due(here) == 1
        assert here.log.head()[0] == size
    agency.error = None
    clock.tick(hours=2)
    assert work.do_due(here) == 1
    record = here.log.check(str(old["id"]))
    assert record
    assert record.superseded_by
    new = here.log.check(record.superseded_by)
    assert new
    assert (new.verdict, new.replaces, new.reference, new.asker_id) == ("NOT_MET", old["id"], "ref-1", "c1")
    entry, first = here.log.entry(new.id), here.log.entry(str(old["id"]))
    assert entry
    assert first
    private = ("name", "nik", "owner_name", "officer_nip", "officer_name")
    assert [entry.disclosed[key] for key in private] == [first.disclosed[key] for key in private]
    assert entry.body["business"] == first.body["business"]
    assert rows(here) == []


def test_asking_again_twice_for_one_row_makes_one_check(here: Deployment, agency: Agency, clock: Clock) -> None:
    agency.error = RegistryUnavailable("reset")
    old = ask(here)
    agency.error = None
    clock.tick(minutes=10)
    entry = here.log.entry(str(old["id"]))
    assert entry
    question = work.again(entry)
    assert question
    assert question == work.again(entry)
    first = here.gate.check(question)
    assert here.gate.check(question).position == first.position
    assert rows(here) == []


def test_they_are_spread_out(here: Deployment, agency: Agency, clock: Clock) -> None:
    agency.error = RegistryUnavailable("reset")
    for number in range(40):
        ask(here, number)
    with here.log.engine.connect() as connection:
        due = list(connection.scalars(select(work.WORK.c.due_at)))
    assert len(set(due)) > 20
    assert max(due) - min(due) > timedelta(seconds=60)


@pytest.mark.parametrize("change", ["a day", "replaced", "erased"])
def test_what_needs_no_answer_any_more_is_not_asked(
    here: Deployment, agency: Agency, clock: Clock, change: str
) -> None:
    agency.error = RegistryUnavailable("reset")
    old = ask(here)
    asked = len(agency.asked)
    if change == "replaced":
        entry = here.log.entry(str(old["id"]))
        assert entry
        agency.error = RegistryMisunderstood("status SUSPEND")
        question = work.again(entry)
        assert question
        here.gate.check(question)
        asked = len(agency.asked)
    if change == "erased":
        from compliance.audit.table import audit_disclosure

        with here.log.engine.begin() as connection:
            connection.execute(audit_disclosure.delete())
    clock.tick(hours=25 if change == "a day" else 1)
    work.do_due(here)
    assert len(agency.asked) == asked
    assert rows(here) == []


def test_a_misunderstood_answer_is_not_asked_again(here: Deployment, agency: Agency) -> None:
    agency.error = RegistryMisunderstood("status SUSPEND")
    ask(here)
    assert rows(here) == []


@pytest.fixture
def signals() -> Iterator[None]:
    kept = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    yield
    for name, handler in kept.items():
        signal.signal(name, handler)


@pytest.mark.usefixtures("signals")
def test_the_command_does_what_is_due_and_ends(app: Flask, here: Deployment, agency: Agency, clock: Clock) -> None:
    agency.error = RegistryUnavailable("reset")
    ask(here)
    agency.error = None
    clock.tick(minutes=10)
    invoke: Callable[..., object] = app.test_cli_runner().invoke
    with app.app_context():
        result = invoke(args=["work"])
    assert "8 dikerjakan" in result.output  # type: ignore[attr-defined]
    always = ("coverage", "heads", "promises", "replay", "retention", "sentinel", "tables")
    assert rows(here) == [f"{kind}:all" for kind in always]


def test_every_night_the_last_day_is_judged_again_and_every_hour_a_head_is_kept(
    here: Deployment, agency: Agency, clock: Clock
) -> None:
    application = Application("RESTORAN", "73.09", date(2026, 11, 20), scale=Scale.SMALL, given=("nib",))
    here.gate.check(Question("N/1", application, Identity(nib="8120001234567"), Asker("operator", "t")))
    clock.tick(minutes=5)
    work.standing(here)
    work.do_due(here)
    entries = list(here.log.entries(kinds=("log.replayed",)))
    assert [(e.body["checks"], e.body["differing"], e.body["by"]) for e in entries] == [(1, 0, "nightly")]
    assert here.log.head()[0] > 0
    with here.log.engine.connect() as connection:
        due = dict(connection.execute(select(work.WORK.c.id, work.WORK.c.due_at)).all())
    assert due["heads:all"] == clock() + timedelta(hours=1)
    assert due["replay:all"].astimezone(here.policy.regions["73.09"].zone).hour == 1
    assert timedelta(0) < due["replay:all"] - clock() <= timedelta(days=1)


def test_what_is_always_there_is_tried_again_soon_however_often_it_went_well(
    here: Deployment, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, done = False, list[int]()

    def handler(deployment: Deployment, row: work.Row) -> object:
        done.append(row.tries)
        if out:
            raise RuntimeError("the database was away for a second")
        return deployment.clock() + timedelta(seconds=5)

    monkeypatch.setitem(work._handlers, "batch", handler)
    with here.log.engine.begin() as connection:
        work.add(connection, "batch", "1", clock())
    for _ in range(20):
        work.do_due(here)
        clock.tick(seconds=5)
    out = True
    work.do_due(here)
    out = False
    clock.tick(minutes=8)
    work.do_due(here)
    assert len(done) == 22


def test_what_the_tables_missed_is_made_good_while_everybody_goes_on(
    here: Deployment, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A projection that failed, or whose process was killed after the commit, waits for no restart."""

    def fails(connection: object, entry: object) -> None:
        raise ValueError("the database was busy")

    body = {"region": "73.09", "opened": True, "reason": "share"}
    with monkeypatch.context() as broken:
        broken.setitem(projection._projectors, "registry.brake_opened", [fails])
        here.log.append("registry.brake_opened", body, entry_id="brake.1", private={}, at=clock())
    assert not brake_states(here.log.engine)
    work.standing(here)
    while work.do_due(here):
        pass
    assert brake_states(here.log.engine)["73.09"].opened
