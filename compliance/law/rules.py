"""One case and how a finding is made of it; the rules in the contract's order, up to the grounds.

Each rule looks at a case and yields findings. Where a rule `stops`, a finding of it ends the judgement.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from compliance.law.codec import to_json
from compliance.law.facts import Account, Application, Effect, Evidence, Facts, Finding, Match, RuleStage, Sanction
from compliance.law.law import FROZEN_NIB, GateRule, Law, Words, says_no_workers

RANK = {effect: rank for rank, effect in enumerate(Effect)}
LANGUAGES = ("id", "en")
MONTHS: Words = {
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
    "en": "January February March April May June July August September October November December",
}
MONTH_NAMES = {language: names.split() for language, names in MONTHS.items()}
NOT_ASKED = Evidence("", datetime.min.replace(tzinfo=UTC))
NOT_GATED = GateRule(RuleStage.OFF, ())
Findings = Iterator[Finding]
Judge = Callable[["Case"], Findings]
Owed = Callable[["Case"], Mapping[str, object]]


@dataclass(slots=True)
class Case:  # what every rule looks at
    facts: Facts
    law: Law
    application: Application
    gate: GateRule
    evidence: Evidence
    accounts: tuple[Account, ...]  # in the order of their NPP, whatever order they came in
    active: tuple[Account, ...]

    @classmethod
    def of(cls, facts: Facts, law: Law) -> Self:
        evidence = facts.evidence if law.asks(facts) else NOT_ASKED
        if evidence is None:
            raise ValueError("the agency must be asked to judge this, and was not")
        accounts = tuple(sorted(evidence.accounts, key=lambda account: account.npp))
        active = tuple(account for account in accounts if account.active)
        gate = law.gate(facts.application) or NOT_GATED
        return cls(facts, law, facts.application, gate, evidence, accounts, active)

    def judged(self) -> tuple[Account, ...]:
        """The active accounts that the region counts: all, or the local ones where there are any."""
        if self.law.values["several_accounts"] == "worst":
            return self.active
        return tuple(a for a in self.active if a.region == self.application.region) or self.active

    def find(
        self,
        code: str,
        effect: Effect | None = None,
        *,
        variant: str = "",
        anywhere: bool = False,
        words: dict[str, object] | None = None,
        **facts: object,
    ) -> Findings:
        """One finding, or none where the region does not list other grounds.

        `effect` replaces the law's; `anywhere` says that no ground is judged, so that the region's rule has no say;
        `words` are filled into the texts only, `facts` into both.
        """
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
            filled = {name: _spell(value, language) for name, value in (facts | (words or {})).items()}
            filled |= fixed | {"branch": self.law.values["branch"][language]}
            message[language], remedy[language] = (text[language].format_map(filled) for text in rule.words[variant])
        told = {name: to_json(value) for name, value in facts.items() if value is not None}
        yield Finding(code, effect, message, remedy, basis, told)


def _spell(value: object, language: str) -> str:
    if isinstance(value, date):
        return f"{value.day} {MONTH_NAMES[language][value.month - 1]} {value.year}"
    if isinstance(value, (tuple, list)):
        return ", ".join(str(item) for item in value)
    return "—" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Rule:  # one question of the law
    name: str
    judge: Judge
    reads: tuple[str, ...]  # the facts it looks at
    rests_on: tuple[str, ...]  # the dated law it applies: a kind, or `value.` and a name
    stops: bool
    owed: Owed  # what it measures the facts against


RULES: list[Rule] = []  # asked in the order in which they stand, in this file and then in grounds


def rule(reads: str, rests_on: str = "", stops: bool = False, owed: Owed = lambda case: {}) -> Callable[[Judge], Judge]:
    """Makes a function the next rule; facts and law are named in one line, parted by spaces."""

    def add(judge: Judge) -> Judge:
        RULES.append(Rule(judge.__name__, judge, tuple(reads.split()), tuple(rests_on.split()), stops, owed))
        return judge

    return add


@rule("register application.permit_type application.as_at", "service value.lifted_days")
def register(case: Case) -> Findings:
    """The region's own register of sanctions."""
    yield from _sanctions(case, _letters(case)[0])


@rule("application.permit_type application.stage application.scale", "gate", stops=True)
def gated(case: Case) -> Findings:
    if case.gate is NOT_GATED:
        yield from case.find("PERMIT_NOT_GATED")


@rule("application.nib_status", stops=True)
def nib_status(case: Case) -> Findings:
    if case.application.nib_status in FROZEN_NIB:
        yield from case.find("NIB_NOT_ACTIVE")


@rule("application.legal_form", "legal_form", stops=True)
def state_body(case: Case) -> Findings:
    effect = case.law.says("legal_form", case.application.legal_form or "").get("effect")
    if effect:
        yield from case.find("STATE_BODY", effect, variant="review" if effect is Effect.OFFICER_REVIEW else "")


@rule("evidence.failure evidence.sanction", "service", stops=True)
def agency(case: Case) -> Findings:
    """The agency's failure; what came before it may still show a sanction in force, and nothing else."""
    if failure := case.evidence.failure:
        told = _sanctions(case, _letters(case)[1])
        yield from (finding for finding in told if finding.effect is Effect.BLOCKED)
        yield from case.find(f"REGISTRY_{failure.kind.upper()}")


@rule("evidence.found_by evidence.match", "value.key_order", stops=True)
def identity(case: Case) -> Findings:
    if case.evidence.match is not Match.AGREES:
        another = case.evidence.match is Match.NPP_OF_ANOTHER
        yield from case.find("NPP_OF_ANOTHER" if another else "IDENTITY_UNRESOLVED")


@rule("evidence.age_hours evidence.name_equal", "value.other_name value.stored_answer_hours")
def answer(case: Case) -> Findings:
    """What is to be said of the answer itself: its age, and the name it bears."""
    if case.evidence.age_hours is not None:
        yield from case.find("REGISTRY_STALE", age_hours=case.evidence.age_hours)
    if case.evidence.name_equal is False:
        yield from case.find("NAME_DIFFERS", case.law.values["other_name"])


@rule("evidence.sanction evidence.warning", "service value.lifted_days")
def sanctions(case: Case) -> Findings:
    """Sanctions and warnings in the answer."""
    yield from _sanctions(case, _letters(case)[1])
    warning = case.evidence.warning
    if warning and warning.dated <= case.application.as_at:
        yield from case.find("WARNING_RUNNING", count=warning.count, dated=warning.dated)


@rule("application.workforce evidence.accounts evidence.participant evidence.participant_asked", stops=True)
def no_workers(case: Case) -> Findings:
    """Who says that he employs nobody owes nothing as an employer, unless the agency knows workers of his."""
    if not says_no_workers(case.application):
        return
    active = sum(account.active_workers or 0 for account in case.active)
    if active:
        yield from case.find("HEADCOUNT_DIFFERS", variant="no_workers", anywhere=True, declared=0, active=active)
    unknown_owner = case.evidence.participant_asked and case.evidence.participant is None
    yield from case.find("NO_WORKERS", variant="advice" if unknown_owner else "")
    yield from owner(case)


def owner(case: Case) -> Findings:
    """The owner's own cover as self-employed (BPU)."""
    participant = case.evidence.participant
    if participant and participant.segment == "BPU":
        until = participant.covered_until
        active = until is not None and until >= case.application.as_at
        yield from case.find("OWNER_BPU_ACTIVE" if active else "OWNER_BPU_LAPSED", until=until)


def _letters(case: Case) -> tuple[list[Sanction], list[Sanction]]:
    """The register's letters, and those that only the agency knows; one in both is lifted if either says so."""
    known, told = list(case.facts.register), case.evidence.sanction
    if told is None or case.evidence.match is not Match.AGREES:  # a stranger's letter is never applied
        return known, []
    only_told = [told]
    for number, sanction in enumerate(known):
        if _letter(sanction) and _letter(sanction) == _letter(told):
            lifted = min((day for day in (sanction.lifted, told.lifted) if day), default=None)
            known[number] = replace(sanction, dated=sanction.dated or told.dated, lifted=lifted)
            only_told = []
    return known, only_told


def _letter(sanction: Sanction) -> str:
    return "".join((sanction.letter or "").split()).upper()


def _sanctions(case: Case, letters: Iterable[Sanction]) -> Findings:
    """Only the services of PP 86/2013 Art 9(1) can be withheld; a letter must be there, with number and date."""
    as_at = case.application.as_at
    for letter in letters if case.law.says("service", case.application.permit_type) else ():
        if letter.dated and letter.dated > as_at:
            continue
        told: dict[str, Any] = {"letter": letter.letter, "dated": letter.dated, "region": letter.region}
        if letter.lifted and letter.lifted <= as_at:
            if as_at - letter.lifted <= timedelta(days=case.law.values["lifted_days"]):
                yield from case.find("TMP2T_LIFTED", lifted=letter.lifted, **told)
        elif not letter.letter or not letter.dated:
            yield from case.find("TMP2T_UNDOCUMENTED", **told)
        else:
            here = letter.region == case.application.region
            yield from case.find("TMP2T_IN_FORCE" if here else "TMP2T_OTHER_REGION", **told)
