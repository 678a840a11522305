"""Golden cases turned around: what must come out alike, and what every failing call must come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from compliance.law.facts import Decision, Verdict
from tests.law.golden import Golden, golden_cases, run

GOLDEN = list(golden_cases())


def varied(case: Golden, **columns: object) -> Golden:
    return replace(case, row=case.row | columns)


def judged(case: Golden) -> list[tuple[str, str, object]]:
    decision = run(case).decision
    facts = [(finding.code, finding.effect.value, repr(finding.facts)) for finding in decision.findings]
    return [("verdict", decision.verdict.value, decision.valid_until), *facts]


def maros_restaurants(since: date) -> list[Golden]:
    shipped = [case for case in GOLDEN if case.says("region") == "73.09" and case.says("permit") == "RESTORAN"]
    return [case for case in shipped if case.says("as_at") >= since]


@pytest.mark.parametrize(
    ("permit", "since"),
    [
        ("PERDAGANGAN", date(2022, 1, 1)),
        ("RPTKA", date(2022, 1, 1)),
        ("TENDER", date(2024, 1, 1)),
        ("KAPAL", date(2026, 1, 1)),
        ("HOTEL", date(2026, 7, 1)),
    ],
)
def test_permits_of_one_rule_come_out_alike(permit: str, since: date) -> None:
    cases = maros_restaurants(since)
    assert len(cases) > 150
    different = [str(case) for case in cases if judged(case) != judged(varied(case, permit=permit))]
    assert different == []


@pytest.mark.parametrize("region", ["73.08", "73.09", "76.05"])
def test_new_and_renewal_come_out_alike(region: str) -> None:
    cases = [case for case in GOLDEN if case.says("region") == region]
    assert [str(case) for case in cases if judged(case) != judged(varied(case, stage="renewal"))] == []


ALIKE: dict[str, Callable[[Golden], Golden]] = {
    "the NPWP written plainly": lambda case: varied(case, npwp="012345678801000"),
    "the NPWP in 16 digits": lambda case: varied(case, npwp="0012345678801000"),
    "the name in lower case": lambda case: varied(case, name=str(case.says("name")).lower()),
    "another legal form of a company": lambda case: varied(case, form="01"),
    "a BUM Desa": lambda case: varied(case, form="28"),
}


@pytest.mark.parametrize("how", ALIKE)
def test_what_makes_no_difference_in_law_makes_none_here(how: str) -> None:
    plain = [
        case
        for case in maros_restaurants(date(2022, 1, 1))
        if not {"npwp", "name", "form", "agency_npwp", "agency_name", "owner"} & case.row.keys()
    ]
    assert len(plain) > 150
    assert [str(case) for case in plain if judged(case) != judged(ALIKE[how](case))] == []


@pytest.mark.parametrize("failure", ["unavailable", "misunderstood"])
def test_whichever_needed_call_fails_nobody_is_refused(failure: str) -> None:
    wrong = []
    for case in GOLDEN:
        for call in run(case).asked:
            decision: Decision = run(varied(case, fails={call: failure})).decision
            if decision.verdict not in (Verdict.UNDETERMINED, Verdict.BLOCKED):
                wrong.append((str(case), call, decision.verdict))
    assert wrong == []


def test_only_a_sanction_that_is_recorded_or_was_understood_blocks_when_a_call_fails() -> None:
    for case in GOLDEN:
        for call in run(case).asked:
            decision = run(varied(case, fails={call: "unavailable"})).decision
            if decision.verdict is Verdict.BLOCKED and "register" not in case.row:
                assert run(case).decision.verdict is Verdict.BLOCKED, str(case)
