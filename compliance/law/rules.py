"""The rules in the contract's order, up to the grounds: sanctions, gating, who is asked about, no workers.

Each rule looks at a case and yields findings. Where a rule `stops`, a finding of it ends the judgement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from compliance.law.case import Case, joined, own_sanction
from compliance.law.facts import Effect, Finding, Match, Sanction
from compliance.law.law import FROZEN_NIB, says_no_workers

Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Rule:
    """One question of the law. `reads` are the facts it looks at, `rests_on` the dated law it applies (a kind, or
    `value.` and a name), `owed` what it measures the facts against."""

    name: str
    judge: Callable[[Case], Findings]
    reads: tuple[str, ...]
    rests_on: tuple[str, ...]
    stops: bool = False
    owed: Callable[[Case], dict[str, object]] = lambda case: {}


def register(case: Case) -> Findings:
    """The region's own register of sanctions."""
    yield from _sanctions(case, joined(case.facts.register, own_sanction(case))[0])


def gated(case: Case) -> Findings:
    if case.gate is None:
        yield from case.find("PERMIT_NOT_GATED")


def nib_status(case: Case) -> Findings:
    if case.application.nib_status in FROZEN_NIB:
        yield from case.find("NIB_NOT_ACTIVE")


def state_body(case: Case) -> Findings:
    effect = case.law.state_bodies.get(case.application.legal_form or "")
    if effect:
        yield from case.find("STATE_BODY", effect, variant="review" if effect is Effect.OFFICER_REVIEW else "")


def agency(case: Case) -> Findings:
    """The agency's failure; what came before it may still show a sanction in force, and nothing else."""
    failure = case.evidence.failure if case.evidence else None
    if failure:
        told = _sanctions(case, joined(case.facts.register, own_sanction(case))[1])
        yield from (finding for finding in told if finding.effect is Effect.BLOCKED)
        yield from case.find(f"REGISTRY_{failure.kind.upper()}")


def identity(case: Case) -> Findings:
    match = case.evidence.match if case.evidence else Match.AGREES
    if match is not Match.AGREES:
        yield from case.find("NPP_OF_ANOTHER" if match is Match.NPP_OF_ANOTHER else "IDENTITY_UNRESOLVED")


def answer(case: Case) -> Findings:
    """What is to be said of the answer itself: its age, and the name it bears."""
    evidence = case.evidence
    if evidence and evidence.age_hours is not None:
        yield from case.find("REGISTRY_STALE", age_hours=evidence.age_hours)
    if evidence and evidence.name_equal is False:
        yield from case.find("NAME_DIFFERS", case.law.other_name)


def sanctions(case: Case) -> Findings:
    """Sanctions and warnings in the answer."""
    yield from _sanctions(case, joined(case.facts.register, own_sanction(case))[1])
    warning = case.evidence.warning if case.evidence else None
    if warning and warning.dated <= case.application.as_at:
        yield from case.find("WARNING_RUNNING", count=warning.count, dated=warning.dated)


def no_workers(case: Case) -> Findings:
    """Who says that he employs nobody owes nothing as an employer, unless the agency knows workers of his."""
    if not says_no_workers(case.application.workforce) or case.evidence is None:
        return
    active = sum(account.active_workers or 0 for account in case.active)
    if active:
        yield from case.find("HEADCOUNT_DIFFERS", variant="no_workers", anywhere=True, declared=0, active=active)
    unknown_owner = case.evidence.participant_asked and case.evidence.participant is None
    yield from case.find("NO_WORKERS", variant="advice" if unknown_owner else "")
    yield from owner(case)


def owner(case: Case) -> Findings:
    """The owner's own cover as self-employed (BPU)."""
    participant = case.evidence.participant if case.evidence else None
    if participant is None or participant.segment != "BPU":
        return
    if participant.covered_until and participant.covered_until >= case.application.as_at:
        yield from case.find("OWNER_BPU_ACTIVE", until=participant.covered_until)
    else:
        yield from case.find("OWNER_BPU_LAPSED", until=participant.covered_until)


def _sanctions(case: Case, letters: Iterable[Sanction]) -> Findings:
    """Only the services of PP 86/2013 Art 9(1) can be withheld; a letter must be there, with number and date."""
    if case.application.permit_type not in case.law.services:
        return
    as_at = case.application.as_at
    for letter in letters:
        if letter.dated and letter.dated > as_at:
            continue
        told: dict[str, Any] = {"letter": letter.letter, "dated": letter.dated, "region": letter.region}
        if letter.lifted and letter.lifted <= as_at:
            if as_at - letter.lifted <= timedelta(days=case.law.lifted_days):
                yield from case.find("TMP2T_LIFTED", lifted=letter.lifted, **told)
        elif not letter.letter or not letter.dated:
            yield from case.find("TMP2T_UNDOCUMENTED", **told)
        elif letter.region == case.application.region:
            yield from case.find("TMP2T_IN_FORCE", **told)
        else:
            yield from case.find("TMP2T_OTHER_REGION", **told)


BEFORE_GROUNDS = (
    Rule(
        "register",
        register,
        ("register", "application.permit_type", "application.as_at"),
        ("service", "value.lifted_days"),
    ),
    Rule("gated", gated, ("application.permit_type", "application.stage", "application.scale"), ("gate",), stops=True),
    Rule("nib_status", nib_status, ("application.nib_status",), (), stops=True),
    Rule("state_body", state_body, ("application.legal_form",), ("legal_form",), stops=True),
    Rule("agency", agency, ("evidence.failure", "evidence.sanction"), ("service",), stops=True),
    Rule("identity", identity, ("evidence.found_by", "evidence.match"), ("value.key_order",), stops=True),
    Rule(
        "answer",
        answer,
        ("evidence.age_hours", "evidence.name_equal"),
        ("value.other_name", "value.stored_answer_hours"),
    ),
    Rule("sanctions", sanctions, ("evidence.sanction", "evidence.warning"), ("service", "value.lifted_days")),
    Rule(
        "no_workers",
        no_workers,
        ("application.workforce", "evidence.accounts", "evidence.participant", "evidence.participant_asked"),
        (),
        stops=True,
    ),
)
