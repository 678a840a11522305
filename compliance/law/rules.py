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

LANGUAGES, MONTHS, PROGRAMMES = ("id", "en"), SCHEMA["months"], tuple(Programme)
NOT_ASKED = Evidence("", datetime.min.replace(tzinfo=UTC))
NOT_GATED = GateRule(RuleStage.OFF, ())
# What fills a text only, and is not told as a fact.
UNTOLD = {"INACTIVE": "owed", "HEADCOUNT_DIFFERS": "expected", "HEADCOUNT_STALE": "expected"}
STRANGERS = {Match.NPP_OF_ANOTHER: "NPP_OF_ANOTHER", Match.UNRESOLVED: "IDENTITY_UNRESOLVED"}


def _spell(value: object, language: str) -> str:
    if isinstance(value, date):
        return f"{value.day} {MONTHS[language][value.month - 1]} {value.year}"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return "—" if value is None else str(value)


class Case:
    """What every rule looks at, and what was `found` so far. Accounts stand in the order of their NPP, whatever order
    they came in; `judged` are the active ones that the region counts: all, or the local ones where there are any."""

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
        self.found: list[Finding] = []

    def find(
        self, code: str, effect: Effect | None = None, *, variant: str = "", anywhere: bool = False, **facts: object
    ) -> None:
        """Add a finding, if the region lists its ground. `effect` replaces the law's; `anywhere` says that no ground is
        judged, so that the region's rule has no say."""
        rule, gate = self.law.findings[code], self.gate
        effect, basis = effect or rule.effect, rule.basis
        if rule.ground in gate.grounds and not anywhere:
            effect = max(effect, gate.effects.get(code, effect), key=RANK.__getitem__)  # the milder of both
            basis = (gate.arrears["basis"] if rule.ground == "arrears" else gate.basis) + basis
        elif rule.ground and not anywhere:
            if self.law.values["other_grounds"] == "hidden":
                return
            effect = max(effect, Effect.NOTE, key=RANK.__getitem__)
        fixed = {"permit_type": self.application.permit_type, "region_name": self.law.region_name}
        message, remedy = {}, {}
        for language in LANGUAGES:
            filled = {name: _spell(value, language) for name, value in facts.items()} | fixed
            filled["branch"] = self.law.values["branch"][language]
            message[language], remedy[language] = (text[language].format_map(filled) for text in rule.words[variant])
        kept = {name: value for name, value in facts.items() if value is not None and name != UNTOLD.get(code)}
        self.found.append(Finding(code, effect, message, remedy, basis, to_json(kept)))

    def register(self) -> None:
        """The region's own register of sanctions."""
        self._sanctions(self._letters()[0])

    def gated(self) -> None:
        if self.gate is NOT_GATED:
            self.find("PERMIT_NOT_GATED")

    def nib_status(self) -> None:
        if self.application.nib_status in FROZEN_NIB:
            self.find("NIB_NOT_ACTIVE")

    def state_body(self) -> None:
        effect = self.law.says("legal_form", self.application.legal_form or "").get("effect")
        if effect:
            self.find("STATE_BODY", effect, variant="review" if effect is Effect.OFFICER_REVIEW else "")

    def agency(self) -> None:
        """The agency's failure; what came before it may still show a sanction in force, and nothing else."""
        if failure := self.evidence.failure:
            before = len(self.found)
            self._sanctions(self._letters()[1])
            self.found[before:] = [finding for finding in self.found[before:] if finding.effect is Effect.BLOCKED]
            self.find(f"REGISTRY_{failure.kind.upper()}")

    def identity(self) -> None:
        if self.evidence.match in STRANGERS:
            self.find(STRANGERS[self.evidence.match])

    def answer(self) -> None:
        """What is to be said of the answer itself: its age, and the name it bears."""
        if self.evidence.age_hours is not None:
            self.find("REGISTRY_STALE", age_hours=self.evidence.age_hours)
        if self.evidence.name_equal is False:
            self.find("NAME_DIFFERS", self.law.values["other_name"])

    def sanctions(self) -> None:
        """Sanctions and warnings in the answer."""
        self._sanctions(self._letters()[1])
        warning = self.evidence.warning
        if warning and warning.dated <= self.application.as_at:
            self.find("WARNING_RUNNING", count=warning.count, dated=warning.dated)

    def _letters(self) -> tuple[list[Sanction], list[Sanction]]:
        """The register's letters, and those that only the agency knows; one in both is lifted if either says so."""
        known, told = list(self.facts.register), self.evidence.sanction
        if told is None or self.evidence.match is not Match.AGREES:  # a stranger's letter is never applied
            return known, []
        numbers = ["".join((letter.letter or "").split()).upper() for letter in (*known, told)]
        same = [place for place, number in enumerate(numbers[:-1]) if number and number == numbers[-1]]
        for place in same:
            lifted = min((day for day in (known[place].lifted, told.lifted) if day), default=None)
            known[place] = replace(known[place], dated=known[place].dated or told.dated, lifted=lifted)
        return known, [] if same else [told]

    def _sanctions(self, letters: Iterable[Sanction]) -> None:
        """Only the services of PP 86/2013 Art 9(1) can be withheld; a letter must be there, with number and date."""
        as_at = self.application.as_at
        for letter in letters if self.law.says("service", self.application.permit_type) else ():
            told: dict[str, Any] = {"letter": letter.letter, "dated": letter.dated, "region": letter.region}
            if letter.dated and letter.dated > as_at:
                continue
            if letter.lifted and letter.lifted <= as_at:
                if as_at - letter.lifted <= timedelta(days=self.law.values["lifted_days"]):
                    self.find("TMP2T_LIFTED", lifted=letter.lifted, **told)
            elif not letter.letter or not letter.dated:
                self.find("TMP2T_UNDOCUMENTED", **told)
            else:
                here = letter.region == self.application.region
                self.find("TMP2T_IN_FORCE" if here else "TMP2T_OTHER_REGION", **told)

    def no_workers(self) -> None:
        """Who says that he employs nobody owes nothing as an employer, unless the agency knows workers of his."""
        if not says_no_workers(self.application):
            return
        active = sum(account.active_workers or 0 for account in self.active)
        if active:
            self.find("HEADCOUNT_DIFFERS", variant="no_workers", anywhere=True, declared=0, active=active)
        unknown_owner = self.evidence.participant_asked and self.evidence.participant is None
        self.find("NO_WORKERS", variant="advice" if unknown_owner else "")
        self._owner()

    def _owner(self) -> None:
        """The owner's own cover as self-employed (BPU)."""
        participant = self.evidence.participant
        if participant and participant.segment == "BPU":
            until = participant.covered_until
            active = until is not None and until >= self.application.as_at
            self.find("OWNER_BPU_ACTIVE" if active else "OWNER_BPU_LAPSED", until=until)

    def _owed(self, scale: Scale | None) -> list[Programme]:
        """The programmes owed, in their usual order; JP not when all workers are above the pension age."""
        owes = (*self.law.says("programmes", scale or Scale.MICRO)["owed"], *self.gate.programmes)
        retired = 0 < (self.liable() or 0) <= self.application.workforce.over_pension_age
        return [one for one in PROGRAMMES if one in owes and not (retired and one is Programme.JP)]

    def liable(self) -> int | None:
        """How many workers the applicant himself must register; None when he did not state their number."""
        stated = self.application.workforce
        return None if stated.declared is None else stated.declared - stated.outsourced - stated.foreign_short_term

    def registered(self) -> None:
        """Not registered, closed, or cover not begun."""
        application = self.application
        if not self.accounts:
            due = self._owed(application.scale)
            person = application.legal_form == INDIVIDUAL or application.given == ("nik",)
            unstated = person and application.workforce.employs_workers is None
            variant = "person" if unstated else "" if self.evidence.complete else "report"
            self.find("NOT_REGISTERED", Effect.OFFICER_REVIEW if variant else None, variant=variant, owed=due)
            self._owner()
        elif not self.active:
            self.find("INACTIVE", npp=self.accounts[0].npp, owed=self._owed(application.scale))
        for account in self.judged:
            if account.first_payment is False:
                self.find("FIRST_PAYMENT_PENDING", npp=account.npp)

    def programmes(self) -> None:
        """A person who employs somebody owes what a micro business does; everyone else must state a scale."""
        scale, due = self.application.scale, self._owed(self.application.scale)
        known = scale is not None or self.application.legal_form == INDIVIDUAL or self.evidence.found_by == "nik"
        self.owed = {"programmes": due, "scale_known": known, "pension_age": self.law.says("pension_age").get("age")}
        for account in self.judged:
            joined = frozenset(Programme) if account.programmes is None else account.programmes  # unknown: no finding
            missing = [one for one in due if one not in joined]
            facts: dict[str, Any] = {"owed": due, "missing": missing, "npp": account.npp}
            if missing:
                self.find("PROGRAMMES_MISSING", variant="" if known else "scale", **facts)
                continue
            if account.partial_programmes:
                self.find("PROGRAMMES_MISSING", Effect.OFFICER_REVIEW, variant="partial", **facts)
            doubtful = [] if known else [one for one in self._owed(Scale.LARGE) if one not in joined]
            if doubtful and "programmes" in self.gate.grounds:
                self.find("SCALE_UNKNOWN", missing=doubtful, npp=account.npp)

    def workers(self) -> None:
        """The agency's flag; without it, the headcounts are compared, over all active accounts together."""
        stated, most = self.application.workforce, self.liable()
        least = None if most is None else most - stated.hired_last_30_days - self.law.values["headcount_tolerance"]
        self.owed = {"most": most, "least": least}
        partial = [account for account in self.judged if account.partial_workers]
        for account in partial:
            self.find("WORKERS_PARTIAL", npp=account.npp)
        counts = [account.active_workers for account in self.active]
        if partial or most is None or least is None or not counts or None in counts:
            return
        active = sum(count or 0 for count in counts)
        if not least <= active <= most:
            code = "HEADCOUNT_DIFFERS" if active < most else "HEADCOUNT_STALE"
            self.find(code, expected=most, declared=stated.declared, active=active)

    def wages(self) -> None:
        for account in self.judged:
            if account.partial_wages:
                self.find("WAGES_PARTIAL", npp=account.npp)

    def arrears(self) -> None:
        """Paid through is the agency's own month; what is due follows from the dated due-day rule."""
        as_at, ground, month_due = self.application.as_at, self.gate.arrears, add_months(self.application.as_at, -1)

        def due_day(back: int) -> tuple[date, bool]:  # of the month so many before the month due
            return self.law.due_day(add_months(month_due, -back))

        due, confirmed = due_day(0)
        self.owed = {"month_due": month_due, "due": due, "holidays_confirmed": confirmed}
        self.owed["months_that_count"] = ground.get("months")
        for account in self.judged:
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
                self.find("INSTALMENT_PLAN", **facts)
            elif months:
                self.find("ARREARS", effect, **facts)
            if behind and as_at <= due:
                self.find("NOT_YET_DUE", paid_through=through, due=due, npp=account.npp)

    def project(self) -> None:
        contract, complete = self.law.contract_in_force(self.application), self.evidence.complete
        if contract is None:
            return
        deadline, confirmed = self.law.working_day_after(contract.contract_date, self.law.values["project_days"])
        self.owed = {"deadline": deadline}
        good = [found for found in self.evidence.projects if registers(found, contract, self.application)]
        if good:
            own = {found.npp for found in good} & {account.npp for account in self.accounts}
            effect, variant = (None, "") if own else (Effect.NOTE, "other_npp")
            self.find("PROJECT_REGISTERED", effect, variant=variant, number=good[0].number)
        elif self.application.as_at <= deadline:
            self.find("PROJECT_WITHIN_DEADLINE", deadline=deadline)
        else:
            effect = None if complete and confirmed else Effect.OFFICER_REVIEW
            self.find("PROJECT_NOT_REGISTERED", effect, variant="" if complete else "report", deadline=deadline)
