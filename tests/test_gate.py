"""The gate joins policy, agency and log: what a stored answer may decide, what is recorded, and what never leaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from compliance.errors import LawNotInForce, LogUnavailable, RegistryError, RegistryMisunderstood, RegistryUnavailable
from compliance.gate import RETRY_AFTER, Asker, Gate, Officer, Question, Recorded, Standing
from compliance.law.codec import from_json
from compliance.law.facts import (
    Account,
    Answer,
    Application,
    Ask,
    Employer,
    Evidence,
    Facts,
    Identity,
    Scale,
    Workforce,
)
from compliance.law.policy import Policy
from compliance.registry.port import Purpose
from tests.conftest import Clock
from tests.law.anything import good_account

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
POLICY = Policy.load(None)
IDENTITY = Identity("CV Sumber Rejeki", "8120001234567", "0012345678801000", nik="7309054403880002", owner_name="Siti")
APPLICATION = Application(
    "RESTORAN", "73.09", date(2026, 11, 20), scale=Scale.SMALL, legal_form="02", workforce=Workforce(True, 6)
)


@dataclass
class MemoryLog:
    """A log that keeps what it was told, or is out of order."""

    broken: bool = False
    entries: list[tuple[str, dict[str, Any], dict[str, Any], datetime]] = field(default_factory=list)

    def append(
        self, kind: str, body: Mapping[str, Any], *, entry_id: str = "", private: Any = None, at: Any = None
    ) -> Recorded:
        if self.broken:
            raise LogUnavailable("no space left")
        self.entries.append((kind, json.loads(json.dumps(body)), dict(private or {}), at))
        return Recorded(entry_id, len(self.entries) - 1, json.dumps(body))

    def last_evidence(self, question_key: str, since: datetime) -> Evidence | None:
        for kind, body, private, _ in reversed(self.entries):
            if kind != "check" or private["question"] != question_key:
                continue
            evidence = from_json(Facts, body["facts"]).evidence
            fresh = evidence and not evidence.failure and evidence.age_hours is None and not evidence.cached
            if fresh and evidence.received_at >= since:
                return evidence
        return None

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [body for found, body, _, _ in self.entries if found == kind]


@dataclass
class Agency:
    """An agency that answers with one employer, or with an error; keeps what it was asked."""

    clock: Callable[[], datetime]
    accounts: tuple[Account, ...] | None = None
    error: RegistryError | None = None
    name: str = "http"
    complete: bool = True
    as_of: datetime | None = None
    told: list[tuple[Ask, Purpose]] = field(default_factory=list)

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        self.told.append((ask, purpose))
        if self.error:
            raise self.error
        record = None
        if self.accounts is not None and ask.by == "nib":
            record = Employer("SUMBER REJEKI, CV", IDENTITY.nib, IDENTITY.npwp, self.accounts)
        return Answer(record, self.name, self.as_of or self.clock(), "BPJSTK-1", self.complete)


class EmptyOffice:
    """An office that has decided nothing yet."""

    def standing(self, application: Application, reference: str, identity: Identity) -> Standing:
        return Standing()


class House:
    """A gate, its agency and its log."""

    def __init__(self, clock: Clock, **options: Any) -> None:
        self.clock, self.log = clock, MemoryLog()
        self.agency = Agency(clock, (good_account("A1", APPLICATION.as_at),))
        self.gate = Gate(POLICY, self.agency, self.log, EmptyOffice(), clock=clock, secret=b"s" * 32, **options)

    def check(
        self, application: Application = APPLICATION, identity: Identity = IDENTITY, **more: Any
    ) -> dict[str, Any]:
        question = Question("503/1", application, identity, Asker("client", "c1"), **more)
        self.gate.check(question)
        return self.log.of("check")[-1]

    def outage(self) -> None:
        self.agency.error = RegistryUnavailable("timed out")


@pytest.fixture
def house(clock: Clock) -> House:
    return House(clock)


def outcome(body: dict[str, Any]) -> tuple[str, list[str]]:
    return body["decision"]["verdict"], [finding["code"] for finding in body["decision"]["findings"]]


def test_yesterdays_good_answer_stands_in_for_an_agency_that_is_silent(house: House, clock: Clock) -> None:
    assert outcome(house.check()) == ("MET", [])
    clock.tick(days=1)
    house.outage()
    body = house.check()
    assert outcome(body) == ("MET_WITH_NOTE", ["REGISTRY_STALE"])
    assert body["decision"]["findings"][0]["facts"] == {"age_hours": 24}


def test_yesterdays_refusal_does_not(house: House, clock: Clock) -> None:
    house.agency.accounts = (good_account("A1", APPLICATION.as_at, programmes=frozenset()),)
    assert outcome(house.check()) == ("NOT_MET", ["PROGRAMMES_MISSING"])
    clock.tick(days=1)
    house.outage()
    assert outcome(house.check()) == ("UNDETERMINED", ["REGISTRY_UNAVAILABLE"])


def test_nor_does_what_an_officer_had_to_look_at(house: House, clock: Clock) -> None:
    house.agency.accounts = (good_account("A1", APPLICATION.as_at, active_workers=1),)
    assert outcome(house.check())[0] == "OFFICER_REVIEW"
    house.outage()
    assert outcome(house.check())[0] == "UNDETERMINED"


@pytest.mark.parametrize(("later", "verdict"), [(WEEK, "MET_WITH_NOTE"), (WEEK + timedelta(seconds=1), "UNDETERMINED")])
def test_a_stored_answer_is_good_for_a_week(house: House, clock: Clock, later: timedelta, verdict: str) -> None:
    house.check()
    clock.now += later
    house.outage()
    assert outcome(house.check())[0] == verdict


def test_an_answer_that_stood_in_does_not_grow_young_by_it(house: House, clock: Clock) -> None:
    house.check()
    house.outage()
    clock.tick(days=6)
    assert outcome(house.check())[0] == "MET_WITH_NOTE"
    clock.tick(days=2)
    assert outcome(house.check())[0] == "UNDETERMINED"


def test_a_misunderstood_answer_is_never_replaced_by_a_stored_one(house: House) -> None:
    house.check()
    house.agency.error = RegistryMisunderstood("an unknown status")
    assert outcome(house.check()) == ("UNDETERMINED", ["REGISTRY_MISUNDERSTOOD"])


def test_a_stored_answer_answers_its_own_question_only(house: House) -> None:
    house.check()
    house.outage()
    assert outcome(house.check(identity=replace(IDENTITY, nib="8120001234568")))[0] == "UNDETERMINED"


def test_a_stored_answer_is_judged_by_todays_application(house: House) -> None:
    """Twelve are declared now where six were registered: the stored answer is no longer a good one."""
    house.check()
    house.outage()
    assert outcome(house.check(replace(APPLICATION, workforce=Workforce(True, 12))))[0] == "UNDETERMINED"


def test_the_imported_report_stands_in_when_nothing_is_stored(clock: Clock) -> None:
    report = Agency(clock, (good_account("A1", APPLICATION.as_at),), name="snapshot", complete=False)
    report.as_of = clock.now - 3 * DAY
    house = House(clock, standby=report)
    house.outage()
    body = house.check()
    assert outcome(body) == ("MET_WITH_NOTE", ["REGISTRY_STALE"])
    assert body["decision"]["findings"][0]["facts"] == {"age_hours": 72}


@pytest.mark.parametrize("old", [WEEK + timedelta(hours=1), 30 * DAY])
def test_an_imported_report_that_is_too_old_does_not_stand_in(clock: Clock, old: timedelta) -> None:
    report = Agency(clock, (good_account("A1", APPLICATION.as_at),), name="snapshot", complete=False)
    report.as_of = clock.now - old
    house = House(clock, standby=report)
    house.outage()
    assert outcome(house.check())[0] == "UNDETERMINED"


def test_the_report_does_not_stand_in_for_a_firm_it_does_not_hold(clock: Clock) -> None:
    house = House(clock, standby=Agency(clock, None, name="snapshot", complete=False))
    house.outage()
    assert outcome(house.check()) == ("UNDETERMINED", ["REGISTRY_UNAVAILABLE"])


def test_an_answer_serves_again_for_as_long_as_the_operator_says(clock: Clock) -> None:
    house = House(clock, cache_ttl=60)
    house.check()
    clock.tick(seconds=60)
    assert house.check()["facts"]["evidence"]["cached"]
    assert len(house.agency.told) == 1
    clock.tick(seconds=1)
    house.check()
    assert len(house.agency.told) == 2


def test_who_is_unavailable_says_when_to_ask_again(house: House, clock: Clock) -> None:
    house.outage()
    assert house.check()["decision"]["retry_at"] == (clock.now + RETRY_AFTER).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = datetime(2026, 11, 20, 11, 30, tzinfo=UTC)
    house.agency.error = RegistryUnavailable("429", named)
    assert house.check()["decision"]["retry_at"] == "2026-11-20T11:30:00Z"


def test_without_a_record_there_is_no_answer(house: House) -> None:
    house.log.broken = True
    with pytest.raises(LogUnavailable):
        house.check()


def test_a_day_before_the_law_is_recorded_as_failed_and_raised(house: House) -> None:
    with pytest.raises(LawNotInForce):
        house.check(replace(APPLICATION, as_at=date(2021, 12, 31)))
    assert [body["error"] for body in house.log.of("check.failed")] == ["LawNotInForce"]
    assert house.agency.told == []


def test_a_permit_that_is_not_gated_asks_nobody(house: House) -> None:
    assert outcome(house.check(replace(APPLICATION, permit_type="SIP"))) == ("NOT_REQUIRED", ["PERMIT_NOT_GATED"])
    assert house.agency.told == []


def test_all_calls_of_a_question_share_one_purpose(house: House) -> None:
    house.agency.accounts = None
    house.check(request_id="r-1")
    purposes = {purpose for _, purpose in house.agency.told}
    assert len(house.agency.told) > 2
    assert [(purpose.request_id, purpose.reference) for purpose in purposes] == [("r-1", "503/1")]


PERSONAL = replace(IDENTITY, npwp="7309054403880002")


def test_no_name_and_no_number_of_a_person_is_in_an_entry(house: House) -> None:
    officer = Officer("197001012000031001", "Andi Petugas")
    body = house.check(replace(APPLICATION, legal_form="17"), PERSONAL, officer=officer)
    text = json.dumps(body)
    for secret in ("Sumber", "SUMBER", "Siti", "7309054403880002", "197001012000031001", "Andi"):
        assert secret not in text
    private = house.log.entries[-1][2]
    assert private["npwp"] == private["nik"] == "7309054403880002"
    assert (private["officer_nip"], private["officer_name"]) == ("197001012000031001", "Andi Petugas")


def test_a_companys_numbers_are_in_the_entry(house: House) -> None:
    assert house.check()["business"] == {"nib": "8120001234567", "npwp": "0012345678801000"}


@pytest.mark.parametrize(("days", "backdated"), [(30, False), (31, True)])
def test_more_than_30_days_ago_is_backdated(house: House, days: int, backdated: bool) -> None:
    body = house.check(replace(APPLICATION, as_at=APPLICATION.as_at - days * DAY))
    assert body["backdated"] is backdated


def test_the_texts_of_the_law_are_in_the_log_before_the_first_decision_that_names_them(house: House) -> None:
    sha256 = house.check()["policy"]["sha256"]
    house.check()
    kinds = [kind for kind, *_ in house.log.entries]
    assert kinds.index("check") > max(number for number, kind in enumerate(kinds) if kind == "policy.text")
    texts = [body["sha256"] for body in house.log.of("policy.text")]
    assert sha256 in texts
    assert len(texts) == len(set(texts))


def test_hundreds_who_come_at_once_after_a_start_write_the_texts_of_the_law_once(house: House) -> None:
    class Slow(MemoryLog):
        def append(self, kind: str, body: Mapping[str, Any], **more: Any) -> Recorded:
            time.sleep(0.002)
            return super().append(kind, body, **more)

    house.log = house.gate.log = Slow()
    start = threading.Barrier(40)

    def call() -> None:
        start.wait(10)
        house.check()

    threads = [threading.Thread(target=call) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    kinds = [kind for kind, *_ in house.log.entries]
    texts = [body["sha256"] for body in house.log.of("policy.text")]
    assert kinds.count("check") == 40
    assert len(texts) == len(set(texts)) > 0
    assert kinds.index("check") > max(number for number, kind in enumerate(kinds) if kind == "policy.text")
