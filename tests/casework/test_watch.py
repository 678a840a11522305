"""After the permit: what used wrong data is found and decided again, and granted permits are looked at in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from compliance import work
from compliance.access.clients import Client
from compliance.audit.checks import CheckFilter
from compliance.audit.erasure import erase
from compliance.casework import acts, watch
from compliance.casework.acts import ITEM, Act
from compliance.delivery import outbox
from compliance.deployment import Deployment
from compliance.errors import NotAllowed
from compliance.law.facts import Workforce
from tests.casework.conftest import (
    BOSS,
    CLERK,
    ELSEWHERE,
    FULL,
    NIB,
    Agency,
    Checks,
    asked_and_accepted,
    do_due,
    newest,
    stated,
)
from tests.conftest import Clock


def items(here: Deployment) -> list[tuple[str, str | None]]:
    with here.log.engine.connect() as connection:
        rows = connection.execute(select(ITEM).order_by(ITEM.c.position)).all()
    return [(row.kind, row.day and row.day.isoformat()) for row in rows]


def grant(here: Deployment, check_id: str, **changes: Any) -> str:
    return acts.propose(here, CLERK, Act.GRANT, stated(Act.GRANT, **changes), check_id)


def due(here: Deployment, kind: str) -> list[Any]:
    with here.log.engine.connect() as connection:
        return list(connection.execute(select(work.WORK).where(work.WORK.c.id.startswith(f"{kind}:"))))


# --- recalls -------------------------------------------------------------------------------------------------------


def test_a_correction_decides_one_check_again_and_links_to_it(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    agency.programmes = frozenset()
    wrong = check()
    clock.tick(days=3)
    agency.programmes = FULL
    asked_and_accepted(here, Act.CORRECT, wrong["id"])
    do_due(here)
    right = newest(here, wrong["id"])
    assert (right["verdict"], right["replaces"], right["as_at"]) == ("MET", wrong["id"], wrong["as_at"])


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({"nib": NIB}, ["A", "B", "D"]),
        ({"since": "2026-11-20", "to": "2026-11-20"}, ["A", "C"]),
        ({"nib": NIB, "since": "2026-11-20", "to": "2026-11-21"}, ["A", "B"]),
        ({"since": "2026-11-10", "to": "2026-11-19"}, []),
        ({"sha256": "b" * 64}, []),
    ],
)
def test_a_recall_finds_what_used_the_wrong_answers_and_decides_it_again_once(
    here: Deployment, check: Checks, agency: Agency, clock: Clock, criteria: dict[str, str], found: list[str]
) -> None:
    agency.programmes = frozenset()
    checks = {"A": check("A"), "C": check("C", numbers={"nib": "9999999999999"})}
    check("not asked", "SIP")
    clock.tick(days=1)
    checks["B"] = check("B")
    clock.tick(days=1)
    checks["D"] = check("D")
    agency.programmes = FULL
    recall = asked_and_accepted(here, Act.RECALL, **{"sha256": "", **criteria})
    later = check("later")
    for _ in range(4):
        do_due(here)
        clock.tick(seconds=1)
    with here.log.engine.connect() as connection:
        told = set(connection.scalars(select(ITEM.c.check_id).where(ITEM.c.act_id == recall)))
    assert told == {checks[name]["id"] for name in found}
    for name, old in checks.items():
        assert (newest(here, old["id"])["id"] != old["id"]) is (name in found)
    assert newest(here, later["id"])["id"] == later["id"]
    size = here.log.head()[0]
    watch.recall(here, work.Row("recall", recall, 2))  # a worker that was killed before the row was gone
    for check_id in told:
        watch.redecide(here, work.Row("redecide", f"{check_id}:{recall}", 2))
    assert here.log.head()[0] == size


def test_a_recall_by_the_hash_of_an_import_finds_what_was_judged_by_it(
    here: Deployment, check: Checks, agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agency, "name", "snapshot")
    judged = check()  # the answer's reference is the beginning of the file's hash
    evidence = here.log.entry(judged["id"]).body["facts"]["evidence"]  # type: ignore[union-attr]
    assert evidence["reference"] == "BPJSTK-1"
    known = evidence | {"reference": "c" * 12}
    assert watch.used(known, {}, {"sha256": "c" * 64}, "2026-11-20")
    assert not watch.used(known, {}, {"sha256": "d" * 64}, "2026-11-20")
    assert not watch.used(known | {"source": "http"}, {}, {"sha256": "c" * 64}, "2026-11-20")
    assert not watch.used({"source": "snapshot"}, {}, {"sha256": "d" * 64}, "2026-11-20")


def test_licensing_software_is_told_when_a_corrected_check_comes_out_otherwise(
    here: Deployment, check: Checks, agency: Agency, client: Client, clock: Clock
) -> None:
    outbox.set_hook(here, client, "https://perizinan.example/gate", by="test")
    agency.programmes = frozenset()
    check("A")
    agency.programmes = FULL
    check("B")
    asked_and_accepted(here, Act.RECALL, nib=NIB, sha256="")
    clock.tick(seconds=5)
    for row in work.claim(here.log.engine, clock()):
        if row.kind == "recall":
            watch.recall(here, row)
    clock.tick(minutes=1)
    for row in work.claim(here.log.engine, clock()):
        if row.kind == "redecide":
            watch.redecide(here, row)
    assert [row.id.split(":")[2] for row in due(here, "webhook")] == ["check.corrected"]


# --- the watch -----------------------------------------------------------------------------------------------------


def test_a_granted_permit_is_looked_at_on_the_regions_rhythm_and_a_lapse_is_told_but_nothing_revoked(
    here: Deployment, check: Checks, agency: Agency, client: Client, clock: Clock
) -> None:
    outbox.set_hook(here, client, "https://perizinan.example/gate", by="test")
    met = check()
    permit = grant(here, met["id"])
    assert Act.GRANT not in acts.possible(here, met["id"])
    asked = len(agency.asked)
    clock.tick(days=29)
    do_due(here)
    assert len(agency.asked) == asked
    clock.tick(days=2)
    do_due(here)
    assert (len(agency.asked), items(here)) == (asked + 1, [])
    agency.programmes = frozenset()
    clock.tick(days=31)
    do_due(here)
    assert items(here) == [("lapsed", None)]
    assert [row.id.split(":")[2] for row in due(here, "webhook")] == ["watch.lapsed"]
    record = here.log.check(met["id"])
    assert record
    assert record.superseded_by is None
    clock.tick(days=31)
    do_due(here)
    assert items(here) == [("lapsed", None)]  # it still waits there
    with pytest.raises(NotAllowed):
        acts.settle(here, ELSEWHERE, permit, "ended")
    acts.settle(here, CLERK, permit, "ended")
    clock.tick(days=60)
    do_due(here)
    assert due(here, "watch") == []


def test_looks_are_spread_over_the_day_and_a_killed_worker_repeats_nothing(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    permits = [grant(here, check(f"503/{number}")["id"]) for number in range(12)]
    moments = [row.due_at for row in due(here, "watch")]
    assert len(set(moments)) == 12
    assert max(moments) - min(moments) > timedelta(hours=6)
    assert {here.policy.today("73.09", at).isoformat() for at in moments} == {"2026-12-20"}
    clock.tick(days=31)
    agency.programmes = frozenset()
    row = work.Row("watch", permits[0], 1)
    first, size, asked = watch.look(here, row), here.log.head()[0], len(agency.asked)
    assert watch.look(here, row) == first
    assert (here.log.head()[0], len(agency.asked)) == (size, asked)


def test_a_new_letter_makes_the_permits_of_that_employer_due_at_once(
    here: Deployment, check: Checks, clock: Clock
) -> None:
    grant(here, check()["id"])
    grant(here, check("503/2", numbers={"nib": "9999999999999"}, workforce=Workforce(False))["id"])
    asked_and_accepted(here, Act.IMPOSE)
    do_due(here)
    assert items(here) == [("sanction", None)]
    assert len(due(here, "watch")) == 2  # the rhythm goes on


def test_what_ends_before_the_next_look_is_told_in_time(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    fisher = {"numbers": {"nik": "7309054403880002"}, "workforce": Workforce(False)}
    free = check("A", "PERDAGANGAN", **fisher)
    assert free["verdict"] == "NOT_REQUIRED"
    grant(here, free["id"])
    agency.covered = agency.covered + timedelta(days=30)  # until 2026-12-30
    grant(here, check("B")["id"], until="2027-01-05")
    grant(here, check("C")["id"], until="2027-11-20")
    clock.tick(days=31)
    do_due(here)
    assert sorted(items(here)) == [("expiring", "2026-12-30"), ("expiring", "2027-01-05")]


def test_an_outage_or_a_region_without_a_rhythm_is_no_lapse(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    grant(here, check()["id"])
    clock.tick(days=60)
    agency.down = True
    do_due(here)
    assert items(here) == []
    agency.down = False
    clock.tick(days=2)
    do_due(here)
    assert items(here) == []
    found = here.log.checks(CheckFilter(("73.09",)), 10)
    assert found[0].verdict == "MET"


def test_a_letter_that_came_during_an_outage_is_told_on_another_day(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    grant(here, check(numbers={"nib": NIB, "npp": "AB1"})["id"])
    clock.tick(days=8)  # no stored answer serves any more
    agency.down = True
    letter = asked_and_accepted(here, Act.IMPOSE, nib="", npp="ab1")
    asked_and_accepted(here, Act.LIFT, letter)
    do_due(here)
    assert items(here) == []
    agency.down, agency.programmes = False, frozenset()
    clock.tick(days=2)
    do_due(here)
    assert items(here) == [("lapsed", None)]


def test_what_cannot_be_asked_any_more_because_it_was_erased_is_told(
    here: Deployment, check: Checks, clock: Clock
) -> None:
    free = check("A", "PERDAGANGAN", numbers={"nik": "7309054403880002"}, workforce=Workforce(False))
    grant(here, free["id"])
    erase(here.log, [here.log.entry(free["id"])], fields=["nik"], ground="retensi", by="test")  # type: ignore[list-item]
    clock.tick(days=31)
    do_due(here)
    assert items(here) == [("erased", None)]


def test_an_item_that_was_seen_to_leaves_the_list(here: Deployment, check: Checks, agency: Agency) -> None:
    grant(here, check()["id"])
    asked_and_accepted(here, Act.IMPOSE)
    do_due(here)
    with here.log.engine.connect() as connection:
        item = connection.scalars(select(ITEM.c.id)).one()
    with pytest.raises(NotAllowed):
        acts.handle(here, ELSEWHERE, item)
    acts.handle(here, BOSS, item)
    with here.log.engine.connect() as connection:
        assert connection.scalars(select(ITEM.c.handled_by)).one() == BOSS.id


def test_what_has_been_replaced_meanwhile_is_not_decided_a_second_time(
    here: Deployment, check: Checks, clock: Clock
) -> None:
    old = check()
    for _ in range(2):
        asked_and_accepted(here, Act.RECALL, nib=NIB, sha256="")
    for _ in range(3):
        do_due(here)
        clock.tick(seconds=2)
    found = here.log.checks(CheckFilter(("73.09",)), 10)
    assert [record.replaces for record in found] == [old["id"], None]
