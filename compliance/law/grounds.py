"""The grounds of a region's rule: every active account is judged alone, with the scale of the business."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from compliance.law.case import Case
from compliance.law.facts import Contract, Effect, Programme, Scale
from compliance.law.identifiers import INDIVIDUAL
from compliance.law.inquiry import registers
from compliance.law.law import ONE_DAY
from compliance.law.rules import BEFORE_GROUNDS, Findings, Rule, owner


def registered(case: Case) -> Findings:
    """Not registered, closed, or cover not begun."""
    if not case.accounts:
        yield from _not_registered(case)
        yield from owner(case)
    elif not case.active:
        yield from case.find("INACTIVE", npp=case.accounts[0].npp, words={"owed": owed(case)})
    for account in case.judged():
        if account.first_payment is False:
            yield from case.find("FIRST_PAYMENT_PENDING", npp=account.npp)


def programmes(case: Case) -> Findings:
    known_scale = _scale_known(case)
    for account in case.judged():
        joined, due = account.programmes, owed(case)
        missing = [] if joined is None else [programme for programme in due if programme not in joined]
        facts: dict[str, Any] = {"owed": due, "missing": missing, "npp": account.npp}
        if missing:
            yield from case.find("PROGRAMMES_MISSING", variant="" if known_scale else "scale", **facts)
            continue
        if account.partial_programmes:
            yield from case.find("PROGRAMMES_MISSING", Effect.OFFICER_REVIEW, variant="partial", **facts)
        doubtful = [] if known_scale or joined is None else [p for p in owed(case, Scale.LARGE) if p not in joined]
        if doubtful and case.is_ground("programmes"):
            yield from case.find("SCALE_UNKNOWN", missing=doubtful, npp=account.npp)


def workers(case: Case) -> Findings:
    """The agency's flag; without it, the headcounts are compared, over all active accounts together."""
    partial = [account for account in case.judged() if account.partial_workers]
    for account in partial:
        yield from case.find("WORKERS_PARTIAL", npp=account.npp)
    counts = [account.active_workers for account in case.active]
    stated, expected = case.application.workforce, liable(case)
    if partial or expected is None or not counts or None in counts:
        return
    active = sum(count or 0 for count in counts)
    least = expected - stated.hired_last_30_days - case.law.headcount_tolerance
    facts: dict[str, Any] = {"declared": stated.declared, "active": active}
    if active < least:
        yield from case.find("HEADCOUNT_DIFFERS", words={"expected": expected}, **facts)
    elif active > expected:
        yield from case.find("HEADCOUNT_STALE", words={"expected": expected}, **facts)


def wages(case: Case) -> Findings:
    for account in case.judged():
        if account.partial_wages:
            yield from case.find("WAGES_PARTIAL", npp=account.npp)


def arrears(case: Case) -> Findings:
    """Paid through is the agency's own month; what is due follows from the dated due-day rule."""
    as_at = case.application.as_at
    month_due = _month_before(as_at)
    for account in case.judged():
        paid = account.paid_through if account.first_payment is not False else None
        late, confirmed = _late(case, paid, month_due) if paid else (0, 0)
        months = max(late, account.months_in_arrears or 0)
        if months:
            first = case.law.due_day(_after(paid, 1))[0] if paid and late else None
            facts: dict[str, Any] = {"months": months, "paid_through": paid, "due": first, "npp": account.npp}
            if account.instalment_plan:
                yield from case.find("INSTALMENT_PLAN", **facts)
            else:
                certain = max(confirmed, account.months_in_arrears or 0)
                yield from case.find("ARREARS", _consequence(case, months, certain), **facts)
        due = case.law.due_day(month_due)[0]
        if paid and paid < month_due and as_at <= due:
            yield from case.find("NOT_YET_DUE", paid_through=paid, due=due, npp=account.npp)


def project(case: Case) -> Findings:
    contract, evidence = case.law.contract_in_force(case.application), case.evidence
    if contract is None or evidence is None:
        return
    good = [found for found in evidence.projects if registers(found, contract, case.application)]
    if good:
        own = {account.npp for account in case.accounts}
        other = not any(found.npp in own for found in good)
        effect, variant = (Effect.NOTE, "other_npp") if other else (None, "")
        yield from case.find("PROJECT_REGISTERED", effect, variant=variant, number=good[0].number)
    else:
        yield from _missing_project(case, contract, complete=evidence.complete)


def owed(case: Case, scale: Scale | None = None) -> list[Programme]:
    """The programmes owed, in their usual order; JP not when all workers are above the pension age."""
    table = case.law.programmes[scale or case.application.scale or Scale.MICRO]
    table |= case.gate.programmes if case.gate else frozenset()
    expected = liable(case) or 0
    if 0 < expected <= case.application.workforce.over_pension_age:
        table -= {Programme.JP}
    return [programme for programme in Programme if programme in table]


def liable(case: Case) -> int | None:
    """How many workers the applicant himself must register; None when he did not state their number."""
    stated = case.application.workforce
    return None if stated.declared is None else stated.declared - stated.outsourced - stated.foreign_short_term


def _scale_known(case: Case) -> bool:
    """A person who employs somebody owes what a micro business does; everyone else must state a scale."""
    person = case.application.legal_form == INDIVIDUAL or (case.evidence and case.evidence.found_by == "nik")
    return case.application.scale is not None or bool(person)


def _not_registered(case: Case) -> Findings:
    application = case.application
    unstated = application.workforce.employs_workers is None
    person = application.legal_form == INDIVIDUAL or application.given == ("nik",)
    complete = case.evidence is not None and case.evidence.complete
    variant = "person" if unstated and person else "" if complete else "report"
    effect = Effect.OFFICER_REVIEW if variant else None
    yield from case.find("NOT_REGISTERED", effect, variant=variant, owed=owed(case))


def _late(case: Case, paid: date, month_due: date) -> tuple[int, int]:
    """Months after `paid` whose due day is past; and how many of them by confirmed holidays."""
    last, as_at = month_due, case.application.as_at
    while last > paid and case.law.due_day(last)[0] >= as_at:
        last = _month_before(last)
    late = confirmed = max((last.year - paid.year) * 12 + last.month - paid.month, 0)
    while confirmed and not case.law.due_day(last)[1]:
        last, confirmed = _month_before(last), confirmed - 1
    return late, confirmed


def _consequence(case: Case, months: int, certain: int) -> Effect:
    """What arrears lead to where they are a ground; a due day by unconfirmed holidays is for an officer to judge."""
    threshold = case.gate.arrears_months if case.gate else None
    if case.gate is None or threshold is None or months < threshold:
        return Effect.NOTE
    effect = case.gate.arrears_effect
    return Effect.OFFICER_REVIEW if effect is Effect.NOT_MET and certain < threshold else effect


def _missing_project(case: Case, contract: Contract, *, complete: bool) -> Findings:
    deadline, confirmed = case.law.working_day_after(contract.contract_date, case.law.project_days)
    if case.application.as_at <= deadline:
        yield from case.find("PROJECT_WITHIN_DEADLINE", deadline=deadline)
    else:
        effect = None if complete and confirmed else Effect.OFFICER_REVIEW
        variant = "" if complete else "report"
        yield from case.find("PROJECT_NOT_REGISTERED", effect, variant=variant, deadline=deadline)


def _month_before(day: date) -> date:
    return (day.replace(day=1) - ONE_DAY).replace(day=1)


def _after(month: date, number: int) -> date:
    return (month + timedelta(days=31 * number)).replace(day=1)


def _owes_programmes(case: Case) -> dict[str, object]:
    return {"programmes": owed(case), "scale_known": _scale_known(case), "pension_age": case.law.pension_age}


def _owes_workers(case: Case) -> dict[str, object]:
    expected, stated = liable(case), case.application.workforce
    spared = stated.hired_last_30_days + case.law.headcount_tolerance
    return {"most": expected, "least": None if expected is None else expected - spared}


def _owes_contributions(case: Case) -> dict[str, object]:
    month = _month_before(case.application.as_at)
    due, confirmed = case.law.due_day(month)
    threshold = case.gate.arrears_months if case.gate else None
    return {"month_due": month, "due": due, "holidays_confirmed": confirmed, "months_that_count": threshold}


def _owes_project(case: Case) -> dict[str, object]:
    contract = case.law.contract_in_force(case.application)
    if contract is None:
        return {}
    return {"deadline": case.law.working_day_after(contract.contract_date, case.law.project_days)[0]}


ACCOUNTS = ("evidence.accounts",)
COUNTED = ("gate", "value.several_accounts", "value.other_grounds")
RULES = (
    *BEFORE_GROUNDS,
    Rule(
        "registered",
        registered,
        (*ACCOUNTS, "evidence.found_by", "evidence.complete", "evidence.participant", "application.legal_form"),
        COUNTED,
    ),
    Rule(
        "programmes",
        programmes,
        (*ACCOUNTS, "application.scale", "application.workforce"),
        (*COUNTED, "programmes", "pension_age"),
        owed=_owes_programmes,
    ),
    Rule(
        "workers",
        workers,
        (*ACCOUNTS, "application.workforce"),
        (*COUNTED, "value.headcount_tolerance"),
        owed=_owes_workers,
    ),
    Rule("wages", wages, ACCOUNTS, COUNTED),
    Rule("arrears", arrears, (*ACCOUNTS, "application.as_at"), (*COUNTED, "due"), owed=_owes_contributions),
    Rule(
        "project",
        project,
        ("application.contract", "evidence.projects"),
        ("gate", "value.project_days"),
        owed=_owes_project,
    ),
)
