"""The grounds of a region's rule: every active account is judged alone, with the scale of the business."""

from datetime import date
from typing import Any

from compliance.law.facts import Effect, Programme, Scale
from compliance.law.identifiers import INDIVIDUAL
from compliance.law.inquiry import registers
from compliance.law.law import add_months
from compliance.law.rules import RULES as RULES
from compliance.law.rules import Case, Findings, owner, rule

COUNTED = "gate value.several_accounts value.other_grounds"


def owed(case: Case, scale: Scale | None = None) -> list[Programme]:
    """The programmes owed, in their usual order; JP not when all workers are above the pension age."""
    owes = {*case.law.says("programmes", scale or case.application.scale or Scale.MICRO)["owed"], *case.gate.programmes}
    if 0 < (liable(case) or 0) <= case.application.workforce.over_pension_age:
        owes -= {Programme.JP}
    return [programme for programme in Programme if programme in owes]


def liable(case: Case) -> int | None:
    """How many workers the applicant himself must register; None when he did not state their number."""
    stated = case.application.workforce
    return None if stated.declared is None else stated.declared - stated.outsourced - stated.foreign_short_term


def _scale_known(case: Case) -> bool:
    """A person who employs somebody owes what a micro business does; everyone else must state a scale."""
    application = case.application
    return application.scale is not None or application.legal_form == INDIVIDUAL or case.evidence.found_by == "nik"


@rule("evidence.accounts evidence.found_by evidence.complete evidence.participant application.legal_form", COUNTED)
def registered(case: Case) -> Findings:
    """Not registered, closed, or cover not begun."""
    if not case.accounts:
        application = case.application
        person = application.legal_form == INDIVIDUAL or application.given == ("nik",)
        unstated = person and application.workforce.employs_workers is None
        variant = "person" if unstated else "" if case.evidence.complete else "report"
        effect = Effect.OFFICER_REVIEW if variant else None
        yield from case.find("NOT_REGISTERED", effect, variant=variant, owed=owed(case))
        yield from owner(case)
    elif not case.active:
        yield from case.find("INACTIVE", npp=case.accounts[0].npp, words={"owed": owed(case)})
    for account in case.judged():
        if account.first_payment is False:
            yield from case.find("FIRST_PAYMENT_PENDING", npp=account.npp)


@rule(
    "evidence.accounts application.scale application.workforce",
    f"{COUNTED} programmes pension_age",
    owed=lambda case: {
        "programmes": owed(case),
        "scale_known": _scale_known(case),
        "pension_age": case.law.pension_age,
    },
)
def programmes(case: Case) -> Findings:
    known_scale, due = _scale_known(case), owed(case)
    for account in case.judged():
        joined = account.programmes
        missing = [] if joined is None else [programme for programme in due if programme not in joined]
        facts: dict[str, Any] = {"owed": due, "missing": missing, "npp": account.npp}
        if missing:
            yield from case.find("PROGRAMMES_MISSING", variant="" if known_scale else "scale", **facts)
            continue
        if account.partial_programmes:
            yield from case.find("PROGRAMMES_MISSING", Effect.OFFICER_REVIEW, variant="partial", **facts)
        doubtful = [] if known_scale or joined is None else [p for p in owed(case, Scale.LARGE) if p not in joined]
        if doubtful and "programmes" in case.gate.grounds:
            yield from case.find("SCALE_UNKNOWN", missing=doubtful, npp=account.npp)


def _headcount(case: Case) -> dict[str, int | None]:
    most, spared = liable(case), case.application.workforce.hired_last_30_days + case.law.values["headcount_tolerance"]
    return {"most": most, "least": None if most is None else most - spared}


@rule("evidence.accounts application.workforce", f"{COUNTED} value.headcount_tolerance", owed=_headcount)
def workers(case: Case) -> Findings:
    """The agency's flag; without it, the headcounts are compared, over all active accounts together."""
    partial = [account for account in case.judged() if account.partial_workers]
    for account in partial:
        yield from case.find("WORKERS_PARTIAL", npp=account.npp)
    counts = [account.active_workers for account in case.active]
    most, least = _headcount(case).values()
    if partial or most is None or least is None or not counts or None in counts:
        return
    active, declared = sum(count or 0 for count in counts), case.application.workforce.declared
    if not least <= active <= most:
        code = "HEADCOUNT_DIFFERS" if active < most else "HEADCOUNT_STALE"
        yield from case.find(code, words={"expected": most}, declared=declared, active=active)


@rule("evidence.accounts", COUNTED)
def wages(case: Case) -> Findings:
    for account in case.judged():
        if account.partial_wages:
            yield from case.find("WAGES_PARTIAL", npp=account.npp)


def _contributions(case: Case) -> dict[str, object]:
    month = add_months(case.application.as_at, -1)
    due, confirmed = case.law.due_day(month)
    counts = case.gate.arrears.get("months")
    return {"month_due": month, "due": due, "holidays_confirmed": confirmed, "months_that_count": counts}


@rule("evidence.accounts application.as_at", f"{COUNTED} due", owed=_contributions)
def arrears(case: Case) -> Findings:
    """Paid through is the agency's own month; what is due follows from the dated due-day rule."""
    as_at, month_due = case.application.as_at, add_months(case.application.as_at, -1)
    for account in case.judged():
        paid = account.paid_through if account.first_payment is not False else None
        through = paid.isoformat()[:7] if paid else None
        late, confirmed = _late(case, paid, month_due) if paid else (0, 0)
        months = max(late, account.months_in_arrears or 0)
        if months:
            first = case.law.due_day(add_months(paid, 1))[0] if paid and late else None
            facts: dict[str, Any] = {"months": months, "paid_through": through, "due": first, "npp": account.npp}
            certain = max(confirmed, account.months_in_arrears or 0)
            if account.instalment_plan:
                yield from case.find("INSTALMENT_PLAN", **facts)
            else:
                yield from case.find("ARREARS", _consequence(case, months, certain), **facts)
        due = case.law.due_day(month_due)[0]
        if paid and paid < month_due and as_at <= due:
            yield from case.find("NOT_YET_DUE", paid_through=through, due=due, npp=account.npp)


def _late(case: Case, paid: date, month_due: date) -> tuple[int, int]:
    """Months after `paid` whose due day is past; and how many of them by confirmed holidays."""
    last = month_due
    while last > paid and case.law.due_day(last)[0] >= case.application.as_at:
        last = add_months(last, -1)
    late = confirmed = max((last.year - paid.year) * 12 + last.month - paid.month, 0)
    while confirmed and not case.law.due_day(last)[1]:
        last, confirmed = add_months(last, -1), confirmed - 1
    return late, confirmed


def _consequence(case: Case, months: int, certain: int) -> Effect:
    """What arrears lead to where they are a ground; a due day by unconfirmed holidays is for an officer to judge."""
    ground = case.gate.arrears
    if not ground or months < ground["months"]:
        return Effect.NOTE
    effect: Effect = ground["effect"]
    return Effect.OFFICER_REVIEW if effect is Effect.NOT_MET and certain < ground["months"] else effect


def _registration(case: Case) -> dict[str, object]:
    contract = case.law.contract_in_force(case.application)
    days = case.law.values["project_days"]
    return {"deadline": case.law.working_day_after(contract.contract_date, days)[0]} if contract else {}


@rule("application.contract evidence.projects", "gate value.project_days", owed=_registration)
def project(case: Case) -> Findings:
    contract, complete = case.law.contract_in_force(case.application), case.evidence.complete
    if contract is None:
        return
    good = [found for found in case.evidence.projects if registers(found, contract, case.application)]
    deadline, confirmed = case.law.working_day_after(contract.contract_date, case.law.values["project_days"])
    if good:
        own = {account.npp for account in case.accounts}
        other = not any(found.npp in own for found in good)
        effect, variant = (Effect.NOTE, "other_npp") if other else (None, "")
        yield from case.find("PROJECT_REGISTERED", effect, variant=variant, number=good[0].number)
    elif case.application.as_at <= deadline:
        yield from case.find("PROJECT_WITHIN_DEADLINE", deadline=deadline)
    else:
        effect = None if complete and confirmed else Effect.OFFICER_REVIEW
        yield from case.find("PROJECT_NOT_REGISTERED", effect, variant="" if complete else "report", deadline=deadline)
