"""The shortest cure: taking all its steps satisfies the gate, leaving out any one does not, and none is idle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations

import pytest

from compliance.law.decide import decide
from compliance.law.facts import (
    Application,
    Contract,
    Decision,
    Evidence,
    Facts,
    Programme,
    Project,
    Sanction,
    Scale,
    Verdict,
    Workforce,
)
from tests.law.anything import NOW, good_account
from tests.law.golden import FRIDAY, golden_cases, policy, run

GOOD = {Verdict.MET, Verdict.MET_WITH_NOTE, Verdict.NOT_REQUIRED}
SIGNED = date(2026, 10, 1)
PROJECT = Project("2300001078094", "A1", "73.09", True, SIGNED, date(2027, 12, 31))
Spoil = Callable[[Facts], Facts]


def business(permit: str) -> Facts:
    """A medium business in order: two accounts of six workers each, and a registered project."""
    contract = Contract(SIGNED, "73.09") if permit == "PBG" else None
    application = Application(
        permit, "73.09", FRIDAY, scale=Scale.MEDIUM, workforce=Workforce(True, 12), contract=contract, given=("nib",)
    )
    evidence = Evidence(
        "http",
        NOW,
        as_of=NOW,
        found_by="nib",
        accounts=(good_account("A1", FRIDAY), good_account("B2", FRIDAY)),
        projects_asked=contract is not None,
        projects=(PROJECT,) if contract else (),
    )
    return Facts(application, FRIDAY, evidence=evidence)


def judged(facts: Facts) -> Decision:
    return decide(facts, policy().on(facts.application.as_at, facts.application.region))


def account(npp: str, **changes: object) -> Spoil:
    def spoil(facts: Facts) -> Facts:
        assert facts.evidence
        accounts = tuple(replace(a, **changes) if a.npp == npp else a for a in facts.evidence.accounts)  # type: ignore[arg-type]
        return replace(facts, evidence=replace(facts.evidence, accounts=accounts))

    return spoil


def project_unknown(facts: Facts) -> Facts:
    assert facts.evidence
    return replace(facts, evidence=replace(facts.evidence, projects=()))


def sanctioned_elsewhere(facts: Facts) -> Facts:
    return replace(facts, register=(Sanction("73.71", "B/1", date(2026, 10, 2)),))


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong, and one step that rights it."""

    name: str
    spoil: Spoil
    permits: tuple[str, ...] = ("RESTORAN", "INDUSTRI", "PBG")


BASIC = frozenset({Programme.JKK, Programme.JKM})
DEFECTS = [
    Defect("A1 lacks programmes", account("A1", programmes=BASIC)),
    Defect("B2 lacks programmes", account("B2", programmes=BASIC | {Programme.JHT})),
    Defect("A1 has not paid once", account("A1", first_payment=False, paid_through=None)),
    Defect("A1 registers only some workers", account("A1", partial_workers=True), ("RESTORAN", "INDUSTRI")),
    Defect("B2 registers only some workers", account("B2", partial_workers=True), ("RESTORAN", "INDUSTRI")),
    Defect("B2 owes four months", account("B2", paid_through=date(2026, 6, 1)), ("INDUSTRI",)),
    Defect("project not registered", project_unknown, ("PBG",)),
    Defect("a letter of another region", sanctioned_elsewhere),
]
COMBINED = [
    (permit, several)
    for permit in ("RESTORAN", "INDUSTRI", "PBG")
    for size in (1, 2, 3, 4)
    for several in combinations([defect for defect in DEFECTS if permit in defect.permits], size)
]


def steps(facts: Facts, defects: tuple[Defect, ...]) -> set[str]:
    for defect in defects:
        facts = defect.spoil(facts)
    cure = judged(facts).cure
    return set(cure.steps["en"]) if cure else set()


@pytest.mark.parametrize("permit", ["RESTORAN", "INDUSTRI", "PBG"])
def test_a_business_in_order_has_nothing_to_do(permit: str) -> None:
    decision = judged(business(permit))
    assert decision.verdict is Verdict.MET
    assert decision.cure is None


@pytest.mark.parametrize(
    ("permit", "defects"), COMBINED, ids=lambda part: part if isinstance(part, str) else f"{len(part)} wrong"
)
def test_every_step_is_needed_and_all_of_them_suffice(permit: str, defects: tuple[Defect, ...]) -> None:
    """Each defect alone asks for one step; together for exactly these; righting all but one leaves that one."""
    single = {defect.name: steps(business(permit), (defect,)) for defect in defects}
    assert all(len(own) == 1 for own in single.values()), single
    assert steps(business(permit), defects) == set.union(*single.values())
    for left_out in defects:
        facts = left_out.spoil(business(permit))
        assert judged(facts).verdict not in GOOD
        assert steps(business(permit), (left_out,)) == single[left_out.name]


def test_what_can_be_left_undone_is_no_step() -> None:
    """Notes beside a refusal are not in the way."""
    facts = account("A1", programmes=BASIC)(business("RESTORAN"))
    both = account("B2", partial_wages=True, paid_through=date(2026, 8, 1))(facts)
    assert judged(both).cure == judged(facts).cure


def test_one_account_with_everything_wrong_is_cured_by_its_own_steps() -> None:
    facts = account("A1", programmes=BASIC, partial_workers=True, paid_through=date(2026, 3, 1))(business("INDUSTRI"))
    cure = judged(facts).cure
    assert cure
    assert len(cure.steps["en"]) == 3


def test_every_golden_case_that_is_held_or_stopped_says_what_to_do() -> None:
    for case in golden_cases():
        decision = run(case).decision
        if decision.verdict in GOOD or decision.verdict is Verdict.UNDETERMINED:
            continue
        assert decision.cure, str(case)
        assert all(step.strip() for texts in decision.cure.steps.values() for step in texts), str(case)
        assert decision.verdict is Verdict.BLOCKED or decision.cure.recheck_after, str(case)
