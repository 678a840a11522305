"""One case, how a finding is made of law and facts, and the rules in the contract's order.
The grounds of a region's rule come last: every active account is judged alone, with the scale of the business."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from compliance.law.codec import to_json
from compliance.law.facts import RANK, Effect, Evidence, Facts, Finding, Match, Programme, RuleStage, Sanction, Scale
from compliance.law.identifiers import INDIVIDUAL
from compliance.law.inquiry import registers
from compliance.law.law import FROZEN_NIB, GateRule, Law, add_months, says_no_workers
from compliance.law.loading import SCHEMA

LANGUAGES, MONTHS = ("id", "en"), SCHEMA["months"]
NOT_ASKED = Evidence("", datetime.min.replace(tzinfo=UTC))
NOT_GATED = GateRule(RuleStage.OFF, ())
# What fills a text only, and is not told as a fact.
UNTOLD = {"INACTIVE": "owed", "HEADCOUNT_DIFFERS": "expected", "HEADCOUNT_STALE": "expected"}
STRANGERS = {Match.NPP_OF_ANOTHER: "NPP_OF_ANOTHER", Match.UNRESOLVED: "IDENTITY_UNRESOLVED"}
Findings = Iterable[Finding]


class Case:
    """What every rule looks at. Accounts stand in the order of their NPP, whatever order they came in; `judged` are
    the active ones that the region counts: all, or the local ones where there are any."""

    def __init__(self, facts: Facts, law: Law) -> None:
        evidence = facts.evidence if law.asks(facts) else NOT_ASKED
        if evidence is None:
            raise ValueError("the agency must be asked to judge this, and was not")
        self.facts, self.law, self.evidence = facts, law, evidence
        self.application = facts.application
        self.gate = law.gate(facts.application) or NOT_GATED
        self.accounts = sorted(evidence.accounts, key=lambda account: account.npp)
        self.active = [account for account in self.accounts if account.active]
        here, local = facts.application.region, law.values["several_accounts"] == "local"
        self.judged = [a for a in self.active if local and a.region == here] or self.active
        self.owed: dict[str, object] = {}  # what the rule measures the facts against, where it measures

    def find(
        self, code: str, effect: Effect | None = None, *, variant: str = "", anywhere: bool = False, **facts: object
    ) -> list[Finding]:
        """One finding, or none where the region does not list other grounds. `effect` replaces the law's; `anywhere`
        says that no ground is judged, so that the region's rule has no say."""
        rule, gate = self.law.findings[code], self.gate
        effect, basis = effect or rule.effect, rule.basis
        if rule.ground in gate.grounds and not anywhere:
            effect = max(effect, gate.effects.get(code, effect), key=RANK.__getitem__)  # the milder of both
            basis = (gate.arrears["basis"] if rule.ground == "arrears" else gate.basis) + basis
        elif rule.ground and not anywhere:
            if self.law.values["other_grounds"] == "hidden":
                return []
            effect = max(effect, Effect.NOTE, key=RANK.__getitem__)
        fixed = {"permit_type": self.application.permit_type, "region_name": self.law.region_name}
        message, remedy = {}, {}
        for language in LANGUAGES:
            filled = {name: _spell(value, language) for name, value in facts.items()} | fixed
            filled["branch"] = self.law.values["branch"][language]
            message[language], remedy[language] = (text[language].format_map(filled) for text in rule.words[variant])
        kept = {name: value for name, value in facts.items() if value is not None and name != UNTOLD.get(code)}
        return [Finding(code, effect, message, remedy, basis, to_json(kept))]


def _spell(value: object, language: str) -> str:
    if isinstance(value, date):
        return f"{value.day} {SCHEMA['months'][language][value.month - 1]} {value.year}"
    if isinstance(value, (tuple, list)):
        return ", ".join(str(item) for item in value)
    return "—" if value is None else str(value)


def register(case: Case) -> Findings:
    """The region's own register of sanctions."""
    return _sanctions(case, _letters(case)[0])


def gated(case: Case) -> Findings:
    return case.find("PERMIT_NOT_GATED") if case.gate is NOT_GATED else ()


def nib_status(case: Case) -> Findings:
    return case.find("NIB_NOT_ACTIVE") if case.application.nib_status in FROZEN_NIB else ()


def state_body(case: Case) -> Findings:
    effect = case.law.says("legal_form", case.application.legal_form or "").get("effect")
    variant = "review" if effect is Effect.OFFICER_REVIEW else ""
    return case.find("STATE_BODY", effect, variant=variant) if effect else ()


def agency(case: Case) -> Findings:
    """The agency's failure; what came before it may still show a sanction in force, and nothing else."""
    if failure := case.evidence.failure:
        told = _sanctions(case, _letters(case)[1])
        yield from (finding for finding in told if finding.effect is Effect.BLOCKED)
        yield from case.find(f"REGISTRY_{failure.kind.upper()}")


def identity(case: Case) -> Findings:
    return case.find(STRANGERS[case.evidence.match]) if case.evidence.match in STRANGERS else ()


def answer(case: Case) -> Findings:
    """What is to be said of the answer itself: its age, and the name it bears."""
    if case.evidence.age_hours is not None:
        yield from case.find("REGISTRY_STALE", age_hours=case.evidence.age_hours)
    if case.evidence.name_equal is False:
        yield from case.find("NAME_DIFFERS", case.law.values["other_name"])


def sanctions(case: Case) -> Findings:
    """Sanctions and warnings in the answer."""
    yield from _sanctions(case, _letters(case)[1])
    warning = case.evidence.warning
    if warning and warning.dated <= case.application.as_at:
        yield from case.find("WARNING_RUNNING", count=warning.count, dated=warning.dated)


def _letters(case: Case) -> tuple[list[Sanction], list[Sanction]]:
    """The register's letters, and those that only the agency knows; one in both is lifted if either says so."""
    known, told = list(case.facts.register), case.evidence.sanction
    if told is None or case.evidence.match is not Match.AGREES:  # a stranger's letter is never applied
        return known, []
    numbers = ["".join((letter.letter or "").split()).upper() for letter in (*known, told)]
    same = [place for place, number in enumerate(numbers[:-1]) if number and number == numbers[-1]]
    for place in same:
        lifted = min((day for day in (known[place].lifted, told.lifted) if day), default=None)
        known[place] = replace(known[place], dated=known[place].dated or told.dated, lifted=lifted)
    return known, [] if same else [told]


def _sanctions(case: Case, letters: Iterable[Sanction]) -> Findings:
    """Only the services of PP 86/2013 Art 9(1) can be withheld; a letter must be there, with number and date."""
    as_at = case.application.as_at
    for letter in letters if case.law.says("service", case.application.permit_type) else ():
        told: dict[str, Any] = {"letter": letter.letter, "dated": letter.dated, "region": letter.region}
        if letter.dated and letter.dated > as_at:
            continue
        if letter.lifted and letter.lifted <= as_at:
            if as_at - letter.lifted <= timedelta(days=case.law.values["lifted_days"]):
                yield from case.find("TMP2T_LIFTED", lifted=letter.lifted, **told)
        elif not letter.letter or not letter.dated:
            yield from case.find("TMP2T_UNDOCUMENTED", **told)
        else:
            here = letter.region == case.application.region
            yield from case.find("TMP2T_IN_FORCE" if here else "TMP2T_OTHER_REGION", **told)


def no_workers(case: Case) -> Findings:
    """Who says that he employs nobody owes nothing as an employer, unless the agency knows workers of his."""
    if not says_no_workers(case.application):
        return
    active = sum(account.active_workers or 0 for account in case.active)
    if active:
        yield from case.find("HEADCOUNT_DIFFERS", variant="no_workers", anywhere=True, declared=0, active=active)
    unknown_owner = case.evidence.participant_asked and case.evidence.participant is None
    yield from case.find("NO_WORKERS", variant="advice" if unknown_owner else "")
    yield from _owner(case)


def _owner(case: Case) -> Findings:
    """The owner's own cover as self-employed (BPU)."""
    participant = case.evidence.participant
    if participant and participant.segment == "BPU":
        until = participant.covered_until
        active = until is not None and until >= case.application.as_at
        yield from case.find("OWNER_BPU_ACTIVE" if active else "OWNER_BPU_LAPSED", until=until)


def _owed(case: Case, scale: Scale | None) -> list[Programme]:
    """The programmes owed, in their usual order; JP not when all workers are above the pension age."""
    owes = {*case.law.says("programmes", scale or Scale.MICRO)["owed"], *case.gate.programmes}
    if 0 < (liable(case) or 0) <= case.application.workforce.over_pension_age:
        owes -= {Programme.JP}
    return [programme for programme in Programme if programme in owes]


def liable(case: Case) -> int | None:
    """How many workers the applicant himself must register; None when he did not state their number."""
    stated = case.application.workforce
    return None if stated.declared is None else stated.declared - stated.outsourced - stated.foreign_short_term


def registered(case: Case) -> Findings:
    """Not registered, closed, or cover not begun."""
    application = case.application
    if not case.accounts:
        due = _owed(case, application.scale)
        person = application.legal_form == INDIVIDUAL or application.given == ("nik",)
        unstated = person and application.workforce.employs_workers is None
        variant = "person" if unstated else "" if case.evidence.complete else "report"
        yield from case.find("NOT_REGISTERED", Effect.OFFICER_REVIEW if variant else None, variant=variant, owed=due)
        yield from _owner(case)
    elif not case.active:
        yield from case.find("INACTIVE", npp=case.accounts[0].npp, owed=_owed(case, application.scale))
    for account in case.judged:
        if account.first_payment is False:
            yield from case.find("FIRST_PAYMENT_PENDING", npp=account.npp)


def programmes(case: Case) -> Findings:
    """A person who employs somebody owes what a micro business does; everyone else must state a scale."""
    scale, due = case.application.scale, _owed(case, case.application.scale)
    known = scale is not None or case.application.legal_form == INDIVIDUAL or case.evidence.found_by == "nik"
    case.owed = {"programmes": due, "scale_known": known, "pension_age": case.law.pension_age}
    for account in case.judged:
        joined = frozenset(Programme) if account.programmes is None else account.programmes  # unknown: no finding
        facts: dict[str, Any] = {"owed": due, "missing": [one for one in due if one not in joined], "npp": account.npp}
        if facts["missing"]:
            yield from case.find("PROGRAMMES_MISSING", variant="" if known else "scale", **facts)
            continue
        if account.partial_programmes:
            yield from case.find("PROGRAMMES_MISSING", Effect.OFFICER_REVIEW, variant="partial", **facts)
        if not known and "programmes" in case.gate.grounds:
            doubtful = [one for one in _owed(case, Scale.LARGE) if one not in joined]
            yield from case.find("SCALE_UNKNOWN", missing=doubtful, npp=account.npp) if doubtful else ()


def workers(case: Case) -> Findings:
    """The agency's flag; without it, the headcounts are compared, over all active accounts together."""
    stated, most = case.application.workforce, liable(case)
    least = None if most is None else most - stated.hired_last_30_days - case.law.values["headcount_tolerance"]
    case.owed = {"most": most, "least": least}
    partial = [account for account in case.judged if account.partial_workers]
    for account in partial:
        yield from case.find("WORKERS_PARTIAL", npp=account.npp)
    counts = [account.active_workers for account in case.active]
    if partial or most is None or least is None or not counts or None in counts:
        return
    active = sum(count or 0 for count in counts)
    if not least <= active <= most:
        code = "HEADCOUNT_DIFFERS" if active < most else "HEADCOUNT_STALE"
        yield from case.find(code, expected=most, declared=stated.declared, active=active)


def wages(case: Case) -> Findings:
    for account in case.judged:
        if account.partial_wages:
            yield from case.find("WAGES_PARTIAL", npp=account.npp)


def arrears(case: Case) -> Findings:
    """Paid through is the agency's own month; what is due follows from the dated due-day rule."""
    as_at, ground, month_due = case.application.as_at, case.gate.arrears, add_months(case.application.as_at, -1)

    def due_day(back: int) -> tuple[date, bool]:  # of the month so many before the month due
        return case.law.due_day(add_months(month_due, -back))

    due, confirmed = due_day(0)
    case.owed = {"month_due": month_due, "due": due, "holidays_confirmed": confirmed}
    case.owed["months_that_count"] = ground.get("months")
    for account in case.judged:
        paid = account.paid_through if account.first_payment is not False else None
        behind = max((month_due.year - paid.year) * 12 + month_due.month - paid.month, 0) if paid else 0
        still = next((back for back in range(behind) if due_day(back)[0] < as_at), behind)
        late, stated = behind - still, account.months_in_arrears or 0
        months, effect = max(late, stated), Effect.NOTE
        if ground and months >= ground["months"]:  # a due day by unconfirmed holidays is for an officer to judge
            sure = behind - next((back for back in range(still, behind) if due_day(back)[1]), behind)
            doubtful = ground["effect"] is Effect.NOT_MET and max(sure, stated) < ground["months"]
            effect = Effect.OFFICER_REVIEW if doubtful else ground["effect"]
        first, through = due_day(behind - 1)[0] if late else None, paid.isoformat()[:7] if paid else None
        facts: dict[str, Any] = {"months": months, "paid_through": through, "due": first, "npp": account.npp}
        if months and account.instalment_plan:
            yield from case.find("INSTALMENT_PLAN", **facts)
        elif months:
            yield from case.find("ARREARS", effect, **facts)
        if behind and as_at <= due:
            yield from case.find("NOT_YET_DUE", paid_through=through, due=due, npp=account.npp)


def project(case: Case) -> Findings:
    contract, complete = case.law.contract_in_force(case.application), case.evidence.complete
    if contract is None:
        return
    deadline, confirmed = case.law.working_day_after(contract.contract_date, case.law.values["project_days"])
    case.owed = {"deadline": deadline}
    good = [found for found in case.evidence.projects if registers(found, contract, case.application)]
    if good:
        own = {found.npp for found in good} & {account.npp for account in case.accounts}
        effect, variant = (None, "") if own else (Effect.NOTE, "other_npp")
        yield from case.find("PROJECT_REGISTERED", effect, variant=variant, number=good[0].number)
    elif case.application.as_at <= deadline:
        yield from case.find("PROJECT_WITHIN_DEADLINE", deadline=deadline)
    else:
        effect = None if complete and confirmed else Effect.OFFICER_REVIEW
        yield from case.find("PROJECT_NOT_REGISTERED", effect, variant="" if complete else "report", deadline=deadline)
