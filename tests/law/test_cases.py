"""Every golden case comes out as the contract says: verdict, action, findings, facts, days and calls."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest

from compliance.law.facts import Action, Decision, Effect, Verdict
from tests.law.golden import Golden, golden_cases, run

GOLDEN = list(golden_cases())
USUAL = {
    Effect.BLOCKED: "TMP2T_IN_FORCE",
    Effect.UNDETERMINED: "REGISTRY_UNAVAILABLE REGISTRY_MISUNDERSTOOD",
    Effect.NOT_MET: """NOT_REGISTERED INACTIVE PROGRAMMES_MISSING WORKERS_PARTIAL PROJECT_NOT_REGISTERED
        UNDERTAKING_OVERDUE""",
    Effect.OFFICER_REVIEW: """HEADCOUNT_DIFFERS FIRST_PAYMENT_PENDING TMP2T_OTHER_REGION TMP2T_UNDOCUMENTED
        NPP_OF_ANOTHER IDENTITY_UNRESOLVED SCALE_UNKNOWN NIB_NOT_ACTIVE""",
    Effect.NOT_REQUIRED: "PERMIT_NOT_GATED STATE_BODY NO_WORKERS",
    Effect.NOTE: """HEADCOUNT_STALE ARREARS INSTALMENT_PLAN PROJECT_WITHIN_DEADLINE TMP2T_LIFTED WARNING_RUNNING
        NAME_DIFFERS OWNER_BPU_LAPSED REGISTRY_STALE WAGES_PARTIAL UNDERTAKING_OPEN""",
    Effect.OK: "NOT_YET_DUE PROJECT_REGISTERED OWNER_BPU_ACTIVE",
}
EFFECT_OF = {code: effect for effect, codes in USUAL.items() for code in codes.split()}
ALL_CODES = EFFECT_OF.keys() | {"OFFICER_DECISION"}
GOOD = {Verdict.MET, Verdict.MET_WITH_NOTE, Verdict.NOT_REQUIRED}
ACTION_OF = {
    Verdict.NOT_MET: Action.STOP,
    Verdict.BLOCKED: Action.STOP,
    Verdict.OFFICER_REVIEW: Action.HOLD,
    Verdict.UNDETERMINED: Action.HOLD,
}


def expected(case: Golden) -> tuple[Verdict, Counter[tuple[str, Effect]], set[tuple[str, Effect]]]:
    """The stated verdict, the findings that must be listed, and those that may be."""
    verdict, _, codes = case.row["then"].partition(":")
    must, may = [], set()
    for text in codes.split():
        code, _, effect = text.removesuffix("?").partition("=")
        finding = (code, Effect(effect) if effect else EFFECT_OF[code])
        if text.endswith("?"):
            may.add(finding)
        else:
            must.append(finding)
    return Verdict(verdict), Counter(must), may


def listed(decision: Decision) -> str:
    return ", ".join(f"{finding.code}={finding.effect} {finding.facts}" for finding in decision.findings)


@pytest.mark.parametrize("case", GOLDEN, ids=str)
def test_the_law_decides_as_the_case_says(case: Golden) -> None:
    outcome = run(case)
    decision = outcome.decision
    verdict, must, may = expected(case)
    found = Counter((finding.code, finding.effect) for finding in decision.findings)
    assert decision.verdict is verdict, listed(decision)
    assert must <= found, listed(decision)
    assert set(found - must) <= may, listed(decision)
    if "shows" in case.row:
        first = case.row["then"].partition(":")[2].split()[0].partition("=")[0]
        facts = next(finding.facts for finding in decision.findings if finding.code == first)
        assert case.row["shows"].items() <= facts.items(), facts
    if "asked" in case.row:
        assert ", ".join(outcome.asked) == case.row["asked"]
    check_action(case, decision)
    check_days(case, decision)


def check_action(case: Golden, decision: Decision) -> None:
    ungated = any(finding.code == "PERMIT_NOT_GATED" for finding in decision.findings)
    enforced = decision.verdict is Verdict.BLOCKED or not (ungated or case.row.get("not_enforced", False))
    assert decision.enforced is enforced
    usual = ACTION_OF.get(decision.verdict, Action.PROCEED)
    assert decision.action is (usual if enforced else Action.PROCEED)


def check_days(case: Golden, decision: Decision) -> None:
    good = decision.verdict in GOOD
    usual = case.says("as_at") + timedelta(days=30) if good else None
    assert decision.valid_until == case.row.get("valid_until", usual)
    assert (decision.retry_at is not None) is (decision.verdict is Verdict.UNDETERMINED)
    if decision.verdict in (Verdict.BLOCKED, Verdict.UNDETERMINED):
        assert decision.cure is None or decision.cure.recheck_after is None
    stated = case.row.get("recheck")
    if isinstance(stated, date):
        assert decision.cure is not None
        assert decision.cure.recheck_after == stated


FACTS = [
    "owed",
    "missing",
    "npp",
    "declared",
    "active",
    "months",
    "paid_through",
    "due",
    "deadline",
    "number",
    "letter",
    "dated",
    "lifted",
    "region",
    "until",
    "count",
    "age_hours",
    "codes",
]


def test_findings_show_only_the_facts_that_callers_know() -> None:
    shown = {name for case in GOLDEN for finding in run(case).decision.findings for name in finding.facts}
    assert shown == set(FACTS)


def test_there_are_at_least_250_cases_and_no_two_of_one_name() -> None:
    names = Counter(str(case) for case in GOLDEN)
    assert len(GOLDEN) >= 250
    assert [name for name, number in names.items() if number > 1] == []


def test_every_case_names_its_source() -> None:
    assert [str(case) for case in GOLDEN if not case.cite.strip()] == []


@pytest.mark.parametrize("code", sorted(ALL_CODES))
def test_every_code_stands_in_a_case_that_finds_it(code: str) -> None:
    assert any(code in {name for name, _ in expected(case)[1]} for case in GOLDEN)
