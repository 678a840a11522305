"""What two officers decide together changes what the gate answers, from the log alone; one of them changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from compliance.access.clients import Clients, Scope
from compliance.audit.projection import rebuild
from compliance.audit.verify import past_policies
from compliance.casework import acts
from compliance.casework.acts import ACT, ITEM, Act
from compliance.deployment import Deployment
from compliance.errors import BadInput, NotAllowed
from compliance.law.decide import replay
from compliance.work import WORK
from tests.casework.conftest import (
    BOSS,
    CLERK,
    ELSEWHERE,
    FULL,
    NIB,
    SHA,
    Agency,
    Checks,
    asked_and_accepted,
    do_due,
    newest,
    stated,
)
from tests.conftest import Clock


def codes(document: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in document["findings"]]


def same_on_replay(here: Deployment, check_id: str) -> bool:
    entry = here.log.entry(check_id)
    assert entry
    return replay(entry.body, past_policies(here.log)).same


def test_a_verification_by_two_answers_for_the_finding_it_names(here: Deployment, check: Checks) -> None:
    held = check(declared=30)
    assert (held["verdict"], codes(held)) == ("OFFICER_REVIEW", ["HEADCOUNT_DIFFERS"])
    proposal = acts.propose(here, CLERK, Act.VERIFY, stated(Act.VERIFY, codes=["HEADCOUNT_DIFFERS"]), held["id"])
    do_due(here)
    assert check(declared=30)["verdict"] == "OFFICER_REVIEW"  # a proposal alone changes nothing
    acts.settle(here, BOSS, proposal, "accepted", "Sertifikat asli sudah dilihat")
    do_due(here)
    later = newest(here, held["id"])
    assert (later["verdict"], codes(later), later["replaces"]) == ("MET", ["OFFICER_DECISION"], held["id"])
    assert check(declared=30)["verdict"] == "MET"
    assert check("503/2", declared=30)["verdict"] == "OFFICER_REVIEW"
    assert check(permit_type="PERDAGANGAN", declared=30)["verdict"] == "OFFICER_REVIEW"
    assert same_on_replay(here, later["id"])


def test_the_decision_ends_on_its_last_day_and_never_lifts_a_sanction(
    here: Deployment, check: Checks, clock: Clock
) -> None:
    held = check(declared=30)
    asked_and_accepted(here, Act.VERIFY, held["id"], codes=["HEADCOUNT_DIFFERS"], until="2026-11-25")
    clock.tick(days=5)
    assert check(declared=30)["verdict"] == "MET"
    clock.tick(days=1)
    assert check(declared=30)["verdict"] == "OFFICER_REVIEW"
    asked_and_accepted(here, Act.IMPOSE)
    blocked = check(declared=30)
    assert (blocked["verdict"], blocked["action"]) == ("BLOCKED", "STOP")
    assert "TMP2T_IN_FORCE" not in [code for named in acts.possible(here, blocked["id"]).values() for code in named]


def test_during_an_outage_a_certificate_shown_to_an_officer_is_a_way(
    here: Deployment, check: Checks, agency: Agency
) -> None:
    agency.down = True
    held = check()
    assert acts.possible(here, held["id"]) == {Act.VERIFY: ("REGISTRY_UNAVAILABLE",)}
    asked_and_accepted(here, Act.VERIFY, held["id"], codes=["REGISTRY_UNAVAILABLE"])
    do_due(here)
    later = newest(here, held["id"])
    assert (later["verdict"], later["action"]) == ("MET", "PROCEED")
    assert same_on_replay(here, later["id"])


def test_the_api_shows_the_decision_and_the_log_keeps_names_and_words_apart(
    app: Flask, here: Deployment, check: Checks
) -> None:
    held = check(declared=30)
    proposal = asked_and_accepted(here, Act.VERIFY, held["id"], codes=["HEADCOUNT_DIFFERS"])
    key = Clients(here.log, here.clock).create("Baca", ("73.09",), [Scope.READ], by="test")[1]
    answer = app.test_client().get(f"/api/v1/checks/{held['id']}", headers={"Authorization": f"Bearer {key}"})
    entry = here.log.entry(f"{proposal}.decided")
    assert entry
    assert answer.get_json()["decision"] == {
        "effect": "OK",
        "ground": "Sudah dilihat sendiri oleh Ani",
        "by_role": "supervisor",
        "at": "2026-11-20T08:00:00Z",
        "until": "2026-12-31",
        "entry": entry.position,
    }
    for raw in (one.raw for one in here.log.entries(kinds=("officer.",))):
        assert b"Rahasia" not in raw
        assert b"Ani" not in raw
    assert entry.disclosed["by_name"] == CLERK.name
    assert entry.disclosed["decided_by_name"] == BOSS.name
    assert entry.body["said"]["sha256"] == SHA


@pytest.mark.parametrize(
    ("person", "why"),
    [
        (CLERK, "only a supervisor"),
        (replace(BOSS, id=CLERK.id), "second person"),
        (replace(BOSS, role="administrator"), "only a supervisor"),
        (ELSEWHERE, "no such"),
    ],
)
def test_nobody_decides_alone_nor_without_the_role_nor_for_another_region(
    here: Deployment, check: Checks, person: acts.Person, why: str
) -> None:
    held = check(declared=30)
    proposal = acts.propose(here, CLERK, Act.VERIFY, stated(Act.VERIFY, codes=["HEADCOUNT_DIFFERS"]), held["id"])
    size = here.log.head()[0]
    with pytest.raises(NotAllowed, match=why):
        acts.settle(here, person, proposal, "accepted", "Setuju saja")
    assert here.log.head()[0] == size
    assert check(declared=30)["verdict"] == "OFFICER_REVIEW"


def test_a_supervisor_who_proposes_needs_another_one_too(here: Deployment, check: Checks) -> None:
    proposal = acts.propose(here, BOSS, Act.IMPOSE, stated(Act.IMPOSE))
    with pytest.raises(NotAllowed, match="second person"):
        acts.settle(here, BOSS, proposal, "accepted", "Setuju saja")
    acts.settle(here, replace(BOSS, id="01OTHER"), proposal, "accepted", "Surat asli dilihat")
    assert check()["verdict"] == "BLOCKED"


def test_of_two_words_at_the_same_moment_the_first_stands(
    here: Deployment, check: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = acts.propose(here, CLERK, Act.IMPOSE, stated(Act.IMPOSE))
    before, find = acts.find(here, proposal), acts.find
    acts.settle(here, BOSS, proposal, "refused", "Surat tidak terbaca")
    monkeypatch.setattr(acts, "find", lambda *about: before)  # the second one still saw it open
    for word in ("accepted", "refused"):
        with pytest.raises(NotAllowed, match="already decided"):
            acts.settle(here, replace(BOSS, id="01OTHER"), proposal, word, "Setuju saja")
    monkeypatch.setattr(acts, "find", find)
    assert acts.find(here, proposal).state == "refused"
    assert check()["verdict"] == "MET"


def test_a_proposal_about_a_check_that_was_replaced_is_not_accepted(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    agency.down = True
    held = check()
    proposal = acts.propose(here, CLERK, Act.VERIFY, stated(Act.VERIFY, codes=["REGISTRY_UNAVAILABLE"]), held["id"])
    agency.down = False
    clock.tick(hours=2)
    do_due(here)
    assert newest(here, held["id"])["verdict"] == "MET"
    with pytest.raises(NotAllowed, match="anew"):
        acts.settle(here, BOSS, proposal, "accepted", "Setuju saja")


def test_the_same_proposal_twice_is_one(here: Deployment, check: Checks) -> None:
    held = check(declared=30)
    typed = stated(Act.VERIFY, codes=["HEADCOUNT_DIFFERS"])
    first, second = (acts.propose(here, CLERK, Act.VERIFY, typed, held["id"]) for _ in range(2))
    assert first == second


def test_a_colleagues_words_are_not_lost_behind_the_proposal_that_waits(here: Deployment, check: Checks) -> None:
    held = check(declared=30)
    typed = stated(Act.VERIFY, codes=["HEADCOUNT_DIFFERS"])
    acts.propose(here, CLERK, Act.VERIFY, typed, held["id"])
    with pytest.raises(NotAllowed, match="a colleague has proposed this already"):
        acts.propose(here, replace(CLERK, id="another"), Act.VERIFY, typed, held["id"])


@pytest.mark.parametrize(
    ("act", "changes", "pointers"),
    [
        (Act.VERIFY, {"sha256": "a" * 63}, ["/sha256"]),
        (Act.VERIFY, {"sha256": "a" * 64 + "\n-"}, ["/sha256"]),
        (Act.VERIFY, {"dated": "2026-11-21"}, ["/dated"]),
        (Act.VERIFY, {"dated": "20261120"}, ["/dated"]),
        (Act.VERIFY, {"until": "2026-11-19"}, ["/until"]),
        (Act.VERIFY, {"until": "2028-01-01"}, ["/until"]),
        (Act.VERIFY, {"codes": []}, ["/codes"]),
        (Act.VERIFY, {"codes": ["ARREARS"]}, ["/codes"]),
        (Act.VERIFY, {"effect": "BLOCKED"}, ["/effect"]),
        (Act.VERIFY, {"certificate": "x" * 201, "ground": "ya"}, ["/certificate", "/ground"]),
        (Act.IMPOSE, {"nib": "", "npwp": "", "npp": ""}, ["/nib"]),
        (Act.IMPOSE, {"letter": "", "nib": "", "npwp": "", "npp": ""}, ["/letter", "/nib"]),
        (Act.IMPOSE, {"npwp": "7309054403880002"}, ["/npwp"]),
        (Act.RECALL, {"sha256": ""}, ["/nib"]),
        (Act.RECALL, {"since": "2026-11-02", "to": "2026-11-01"}, ["/to"]),
        (Act.RECALL, {"since": "2026-11-02"}, ["/to"]),
    ],
)
def test_what_is_stated_wrongly_is_named_and_nothing_is_recorded(
    here: Deployment, check: Checks, act: Act, changes: dict[str, Any], pointers: list[str]
) -> None:
    about = check(declared=30)["id"] if act is Act.VERIFY else ""
    size = here.log.head()[0]
    with pytest.raises(BadInput) as caught:
        acts.propose(here, CLERK, act, stated(act, **{"codes": ["HEADCOUNT_DIFFERS"]} | changes), about)
    assert [error.pointer for error in caught.value.errors] == pointers
    assert here.log.head()[0] == size


# --- undertakings and overrides ------------------------------------------------------------------------------------


def test_an_undertaking_is_a_note_until_its_day_and_is_checked_again_after_it(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    agency.programmes = FULL - {min(FULL)}
    stopped = check()
    assert (stopped["verdict"], codes(stopped)) == ("NOT_MET", ["PROGRAMMES_MISSING"])
    asked_and_accepted(here, Act.UNDERTAKE, stopped["id"], codes=["PROGRAMMES_MISSING"])
    do_due(here)
    promised = newest(here, stopped["id"])
    assert (promised["verdict"], codes(promised)) == ("MET_WITH_NOTE", ["UNDERTAKING_OPEN"])
    assert promised["valid_until"] == "2026-12-01"
    clock.tick(days=11)  # its last day
    do_due(here)
    assert check()["verdict"] == "MET_WITH_NOTE"
    clock.tick(days=1)
    last = check()["id"]
    clock.tick(days=1)
    do_due(here)
    overdue = newest(here, last)
    assert (overdue["verdict"], overdue["as_at"]) == ("NOT_MET", "2026-12-03")
    assert set(codes(overdue)) == {"PROGRAMMES_MISSING", "UNDERTAKING_OVERDUE"}
    with here.log.engine.connect() as connection:
        assert [row.kind for row in connection.execute(select(ITEM))] == ["overdue"]
    assert same_on_replay(here, promised["id"])
    assert same_on_replay(here, overdue["id"])


def test_a_kept_undertaking_ends_well_and_a_later_one_takes_the_place_of_an_earlier(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    agency.programmes = FULL - {min(FULL)}
    asked_and_accepted(here, Act.UNDERTAKE, check()["id"], codes=["PROGRAMMES_MISSING"])
    clock.tick(days=12)
    overdue = check()
    assert "UNDERTAKING_OVERDUE" in codes(overdue)
    asked_and_accepted(here, Act.UNDERTAKE, overdue["id"], codes=["PROGRAMMES_MISSING"], until="2026-12-20")
    assert codes(check()) == ["UNDERTAKING_OPEN"]
    agency.programmes = FULL
    clock.tick(days=30)
    do_due(here)
    assert check()["verdict"] == "MET"
    with here.log.engine.connect() as connection:
        assert connection.execute(select(ITEM)).all() == []


def test_an_override_is_not_allowed_unless_the_region_says_so(here: Deployment, check: Checks, agency: Agency) -> None:
    agency.programmes = frozenset()
    stopped = check()
    assert Act.OVERRIDE not in acts.possible(here, stopped["id"])
    with pytest.raises(NotAllowed, match="not allowed in this region"):
        acts.propose(here, CLERK, Act.OVERRIDE, stated(Act.OVERRIDE, codes=["PROGRAMMES_MISSING"]), stopped["id"])


@pytest.mark.usefixtures("lenient")
def test_an_override_where_it_is_allowed_has_a_ground_a_basis_and_an_end(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    agency.programmes = frozenset()
    stopped = check()
    about = {"codes": ["PROGRAMMES_MISSING"]}
    for changes in ({"basis": ""}, {"ground": ""}, {"until": "2027-01-20"}, {"until": ""}):
        with pytest.raises(BadInput):
            acts.propose(here, CLERK, Act.OVERRIDE, stated(Act.OVERRIDE, **about | changes), stopped["id"])
    asked_and_accepted(here, Act.OVERRIDE, stopped["id"], **about)
    do_due(here)
    later = newest(here, stopped["id"])
    assert (later["verdict"], codes(later)) == ("MET_WITH_NOTE", ["OFFICER_DECISION"])
    assert same_on_replay(here, later["id"])
    clock.tick(days=42)
    assert check()["verdict"] == "NOT_MET"


# --- the register of letters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letter", "numbers", "verdict"),
    [
        ({"nib": NIB}, {"nib": NIB}, "BLOCKED"),
        ({"nib": "", "npp": "ab12"}, {"nib": NIB, "npp": "AB12"}, "BLOCKED"),
        ({"nib": "", "npwp": "01.234.567.8-801.000"}, {"nib": NIB, "npwp": "0012345678801001"}, "BLOCKED"),  # a branch
        ({"nib": "", "npwp": "01.234.567.8-801.000"}, {"nib": NIB, "npwp": "0012345678802000"}, "MET"),
        ({"nib": "9999999999999"}, {"nib": NIB}, "MET"),
        ({"nib": NIB, "dated": "2026-11-20"}, {"nib": NIB}, "BLOCKED"),
    ],
)
def test_a_letter_in_the_register_blocks_the_employer_it_names(
    here: Deployment, check: Checks, letter: dict[str, str], numbers: dict[str, str], verdict: str
) -> None:
    asked_and_accepted(here, Act.IMPOSE, **letter)
    answer = check(numbers=numbers)
    assert answer["verdict"] == verdict
    assert same_on_replay(here, answer["id"])


def test_a_letter_ends_with_its_lifting_letter_which_two_record(here: Deployment, check: Checks) -> None:
    letter = asked_and_accepted(here, Act.IMPOSE)
    assert check()["verdict"] == "BLOCKED"
    lifting = acts.propose(here, CLERK, Act.LIFT, stated(Act.LIFT), letter)
    assert check()["verdict"] == "BLOCKED"
    acts.settle(here, BOSS, lifting, "accepted", "Surat pencabutan dilihat")
    assert codes(check()) == ["TMP2T_LIFTED"]
    with pytest.raises(NotAllowed):
        acts.propose(here, CLERK, Act.LIFT, stated(Act.LIFT), lifting)
    with pytest.raises(NotAllowed):
        acts.propose(here, ELSEWHERE, Act.LIFT, stated(Act.LIFT), letter)


def test_one_regions_letter_means_nothing_in_another(here: Deployment, check: Checks) -> None:
    proposal = acts.propose(here, replace(ELSEWHERE, role="clerk"), Act.IMPOSE, stated(Act.IMPOSE))
    acts.settle(here, replace(ELSEWHERE, id="01OTHER"), proposal, "accepted", "Surat asli dilihat")
    assert check()["verdict"] == "MET"
    assert acts.acts(here, ("73.09",)) == []
    with pytest.raises(NotAllowed):
        acts.propose(here, CLERK, Act.IMPOSE, stated(Act.IMPOSE, region="73.08"))


def test_the_tables_are_rebuilt_from_the_log_alone(
    here: Deployment, check: Checks, agency: Agency, clock: Clock
) -> None:
    agency.programmes = FULL - {min(FULL)}
    asked_and_accepted(here, Act.UNDERTAKE, check()["id"], codes=["PROGRAMMES_MISSING"])
    letter = asked_and_accepted(here, Act.IMPOSE, nib="9999999999999", npwp="01.234.567.8-801.000")
    asked_and_accepted(here, Act.LIFT, letter)
    acts.propose(here, CLERK, Act.RECALL, stated(Act.RECALL))
    clock.tick(days=13)
    do_due(here)

    def tables() -> list[Any]:
        with here.log.engine.connect() as connection:
            return [list(connection.execute(select(table).order_by(table.c.id))) for table in (ACT, ITEM)]

    before, answer = tables(), check()
    with here.log.engine.begin() as connection:
        connection.execute(ACT.delete())
        connection.execute(WORK.delete())
    rebuild(here.log)
    assert tables() == before
    assert codes(check()) == codes(answer)
    size, asked = here.log.head()[0], len(agency.asked)
    do_due(here)  # all that is due again was done before: nothing is asked or decided twice
    assert (here.log.head()[0], len(agency.asked)) == (size, asked)
