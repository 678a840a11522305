"""What the agency is asked, word for word, and what is kept of its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import (
    Answer,
    Application,
    Ask,
    Contract,
    Employer,
    Evidence,
    Identity,
    Match,
    Project,
    Sanction,
    Subject,
    Warned,
    Workforce,
)
from compliance.law.inquiry import inquire, question_text
from tests.law.anything import NOW, good_account
from tests.law.golden import FRIDAY, policy

LAW = policy().on(FRIDAY, "73.09")
WHO = Identity("CV Sumber Rejeki", "8120001234567", "0012345678801000", "15070955", "7309054403880002", "Siti Aminah")
WHAT = Application("PBG", "73.09", FRIDAY, legal_form="02", workforce=Workforce(True, 6), given=("nib", "npwp"))
ASKED_AT = NOW
STRANGER = Employer(
    "CV Maju Jaya",
    "8120009999999",
    "0029998887801000",
    (good_account("Z9", FRIDAY),),
    Warned(1, date(2026, 11, 1)),
    Sanction("73.09", "B/9", date(2026, 10, 1)),
)
Reply = Callable[[Ask], Answer]


def answer(record: object = None, *, complete: bool = True) -> Answer:
    return Answer(record, "http", ASKED_AT, "BPJSTK-1", complete)  # type: ignore[arg-type]


def asked(application: Application, identity: Identity, reply: Reply) -> tuple[list[Ask], Evidence]:
    asks: list[Ask] = []

    def call(ask: Ask) -> Answer:
        asks.append(ask)
        return reply(ask)

    evidence = inquire(application, identity, LAW, "http", ASKED_AT, call)
    return asks, evidence


def test_numbers_are_asked_for_in_their_canonical_form_one_after_the_other() -> None:
    asks, evidence = asked(WHAT, WHO, lambda ask: answer())
    assert asks == [
        Ask(Subject.EMPLOYER, "nib", "8120001234567"),
        Ask(Subject.EMPLOYER, "npwp", "0012345678801000"),
        Ask(Subject.EMPLOYER, "npp", "15070955"),
        Ask(Subject.EMPLOYER, "nik", "7309054403880002"),
        Ask(Subject.PARTICIPANT, "nik", "7309054403880002"),
    ]
    assert evidence.found_by is None
    assert evidence.participant_asked


@pytest.mark.parametrize(("stated", "region"), [("73.09", "73.09"), ("73.71", "73.71")])
def test_a_project_is_asked_for_by_each_npp_where_it_stands(stated: str, region: str) -> None:
    own = Employer("CV Sumber Rejeki", None, None, (good_account("B2", FRIDAY), good_account("A1", FRIDAY)))
    signed = replace(WHAT, contract=Contract(date(2026, 10, 1), stated))
    asks, _ = asked(signed, WHO, lambda ask: answer(own if ask.subject is Subject.EMPLOYER else None))
    assert asks[1:] == [Ask(Subject.PROJECT, "npp", "A1", region), Ask(Subject.PROJECT, "npp", "B2", region)]


def test_a_project_with_a_number_is_asked_for_by_it_alone() -> None:
    own = Employer("CV Sumber Rejeki", None, None, (good_account("A1", FRIDAY),))
    signed = replace(WHAT, contract=Contract(date(2026, 10, 1), "73.09", "2300001078094"))
    asks, _ = asked(signed, WHO, lambda ask: answer(own if ask.subject is Subject.EMPLOYER else None))
    assert [(ask.by, ask.value) for ask in asks[1:]] == [("number", "2300001078094")]


@pytest.mark.parametrize(("found_by", "match"), [("nib", Match.UNRESOLVED), ("npp", Match.NPP_OF_ANOTHER)])
def test_nothing_of_a_stranger_is_kept(found_by: str, match: Match) -> None:
    record = replace(STRANGER, nib=None) if found_by == "nib" else STRANGER
    _, evidence = asked(WHAT, WHO, lambda ask: answer(record if ask.by == found_by else None))
    assert (evidence.found_by, evidence.match) == (found_by, match)
    assert (evidence.accounts, evidence.warning, evidence.sanction) == ((), None, None)
    assert "Z9" not in repr(evidence)
    assert "Maju" not in repr(evidence)


def test_the_npp_of_a_strangers_project_is_not_kept() -> None:
    own = Employer("CV Sumber Rejeki", None, None, (good_account("A1", FRIDAY),))
    project = Project("2300001078094", "Z9", "73.09", True, date(2026, 10, 1), date(2027, 1, 1))
    signed = replace(WHAT, contract=Contract(date(2026, 10, 1), "73.09", "2300001078094"))
    _, evidence = asked(signed, WHO, lambda ask: answer(own if ask.subject is Subject.EMPLOYER else project))
    assert evidence.projects_asked
    assert "Z9" not in repr(evidence)


def test_the_evidence_names_nobody() -> None:
    own = Employer("CV Sumber Rejeki", WHO.nib, WHO.npwp, (good_account("A1", FRIDAY),))
    _, evidence = asked(WHAT, WHO, lambda ask: answer(own))
    assert (evidence.name_equal, evidence.nib_equal, evidence.npwp_equal) == (True, True, True)
    for secret in ("Sumber", "8120001234567", "0012345678801000", "7309054403880002"):
        assert secret not in repr(evidence)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(RegistryUnavailable("timed out", ASKED_AT), "unavailable"), (RegistryMisunderstood("odd"), "misunderstood")],
)
def test_a_failure_ends_the_asking_and_is_kept(error: Exception, kind: str) -> None:
    def fails(ask: Ask) -> Answer:
        raise error

    asks, evidence = asked(WHAT, WHO, fails)
    assert len(asks) == 1
    assert evidence.failure
    assert evidence.failure.kind == kind


def test_source_and_day_are_those_of_the_answer_that_holds_the_record() -> None:
    own = Employer("CV Sumber Rejeki", None, None, (good_account("A1", FRIDAY),))
    signed = replace(WHAT, contract=Contract(date(2026, 10, 1), "73.09"))

    def reply(ask: Ask) -> Answer:
        record = own if ask.by == "npwp" else None
        return Answer(record, "http", NOW.replace(minute=len(ask.by)), f"ref-{ask.subject}-{ask.by}")

    _, evidence = asked(signed, WHO, reply)
    assert (evidence.reference, evidence.as_of) == ("ref-employer-npwp", NOW.replace(minute=4))


def test_a_household_bears_the_owners_name_or_the_business_own() -> None:
    for name, same in (("SITI AMINAH", True), ("SUMBER REJEKI", True), ("RAHMAWATI", False)):
        household = Employer(name, None, None, (good_account("A1", FRIDAY),))
        _, evidence = asked(WHAT, WHO, lambda ask, found=household: answer(found if ask.by == "nik" else None))
        assert evidence.found_by == "nik"
        assert evidence.name_equal is same


def test_what_one_incomplete_source_lacks_makes_the_whole_evidence_incomplete() -> None:
    _, evidence = asked(WHAT, WHO, lambda ask: answer(complete=ask.by != "npwp"))
    assert not evidence.complete


def text(application: Application = WHAT, **identity: object) -> str:
    return question_text(application, replace(WHO, **identity), LAW)  # type: ignore[arg-type]


def test_the_same_question_is_known_again_whatever_day_it_is() -> None:
    assert text() == text(replace(WHAT, as_at=date(2026, 11, 19)))
    assert text() == text(name="SUMBER REJEKI, CV")


@pytest.mark.parametrize(
    "identity",
    [
        {"nib": "8120001234568"},
        {"npwp": None},
        {"npp": "A1"},
        {"nik": None},
        {"name": "CV Maju Jaya"},
        {"owner_name": "X"},
    ],
)
def test_another_number_or_name_is_another_question(identity: dict[str, object]) -> None:
    assert text(**identity) != text()


@pytest.mark.parametrize(
    "application",
    [
        replace(WHAT, legal_form="17"),
        replace(WHAT, contract=Contract(date(2026, 10, 1), "73.09")),
        replace(WHAT, contract=Contract(date(2026, 10, 1), "73.09", "2300001078094")),
    ],
)
def test_what_changes_the_asking_or_comparing_is_another_question(application: Application) -> None:
    assert text(application) != text()
