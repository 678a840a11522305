"""One case before the rules: facts, law, and how a finding is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from compliance.law.facts import Account, Application, Basis, Effect, Evidence, Facts, Finding, Match, Sanction
from compliance.law.law import FindingRule, GateRule, Law, Words

RANK = {effect: rank for rank, effect in enumerate(Effect)}
LANGUAGES = ("id", "en")
MONTHS: Words = {
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
    "en": "January February March April May June July August September October November December",
}
MONTH_NAMES = {language: names.split() for language, names in MONTHS.items()}


@dataclass(slots=True)
class Case:
    """What every rule looks at. `accounts` and `active` are in the order of their NPP, whatever order they came in."""

    facts: Facts
    law: Law
    application: Application
    gate: GateRule | None
    evidence: Evidence | None
    accounts: tuple[Account, ...]
    active: tuple[Account, ...]

    @classmethod
    def of(cls, facts: Facts, law: Law) -> Case:
        evidence = facts.evidence if law.asks(facts) else None
        if evidence is None and law.asks(facts):
            raise ValueError("the agency must be asked to judge this, and was not")
        accounts = tuple(sorted(evidence.accounts, key=lambda account: account.npp)) if evidence else ()
        active = tuple(account for account in accounts if account.active)
        return cls(facts, law, facts.application, law.gate(facts.application), evidence, accounts, active)

    def judged(self) -> tuple[Account, ...]:
        """The active accounts that the region counts: all, or the local ones where there are any."""
        if self.law.several_accounts == "worst":
            return self.active
        return tuple(a for a in self.active if a.region == self.application.region) or self.active

    def is_ground(self, ground: str) -> bool:
        return self.gate is not None and ground in self.gate.grounds

    def find(
        self,
        code: str,
        effect: Effect | None = None,
        *,
        variant: str = "",
        anywhere: bool = False,
        words: Mapping[str, object] | None = None,
        **facts: object,
    ) -> Iterator[Finding]:
        """One finding, or none where the region does not list other grounds.

        `effect` replaces the law's; `anywhere` says that no ground is judged, so that the region's rule has no say;
        `words` are filled into the texts only, `facts` into both. Days are `date`; `paid_through` is a month.
        """
        rule = self.law.findings[code]
        effect = effect or rule.effect
        basis = rule.basis
        if rule.ground and not anywhere and self.gate:
            if rule.ground not in self.gate.grounds:
                if self.law.other_grounds == "hidden":
                    return
                effect = milder(effect, Effect.NOTE)
            else:
                effect = milder(effect, self.gate.effects.get(code, effect))
                basis = (self.gate.arrears_basis if rule.ground == "arrears" else self.gate.basis) + basis
        yield self._finding(rule, effect, variant, basis, facts, words or {})

    def _finding(
        self,
        rule: FindingRule,
        effect: Effect,
        variant: str,
        basis: tuple[Basis, ...],
        facts: Mapping[str, object],
        words: Mapping[str, object],
    ) -> Finding:
        message, remedy = rule.words[variant]
        filled = {language: self._fill(language, facts, words) for language in LANGUAGES}
        return Finding(
            rule.code,
            effect,
            {language: message[language].format_map(filled[language]) for language in LANGUAGES},
            {language: remedy[language].format_map(filled[language]) for language in LANGUAGES},
            basis,
            {name: _json(name, value) for name, value in facts.items() if value is not None},
        )

    def _fill(self, language: str, facts: Mapping[str, object], words: Mapping[str, object]) -> dict[str, str]:
        law = self.law
        filled = {name: _spell(value, language) for name, value in (*facts.items(), *words.items())}
        filled["permit_type"], filled["region_name"] = self.application.permit_type, law.region_name
        filled["branch"] = law.branch[language]
        return filled


def milder(one: Effect, other: Effect) -> Effect:
    return one if RANK[one] > RANK[other] else other


def _spell(value: object, language: str) -> str:
    if isinstance(value, date):
        return f"{value.day} {MONTH_NAMES[language][value.month - 1]} {value.year}"
    if isinstance(value, (tuple, list)):
        return ", ".join(str(item) for item in value)
    return "—" if value is None else str(value)


def _json(name: str, value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()[:7] if name == "paid_through" else value.isoformat()
    return [str(item) for item in value] if isinstance(value, (tuple, list)) else value


# --- sanctions: letters from the region's register and from the agency ----------------------------------------------


def own_sanction(case: Case) -> Sanction | None:
    """The agency's letter about this applicant; a stranger's is never applied."""
    evidence = case.evidence
    return evidence.sanction if evidence and evidence.match is Match.AGREES else None


def joined(register: Iterable[Sanction], told: Sanction | None) -> tuple[list[Sanction], list[Sanction]]:
    """The register's letters, and those that only the agency knows; one in both is lifted if either says so."""
    known, rest = list(register), [told] if told else []
    for number, sanction in enumerate(known):
        if told and _letter(sanction) and _letter(sanction) == _letter(told):
            ends = [day for day in (sanction.lifted, told.lifted) if day]
            known[number] = replace(sanction, dated=sanction.dated or told.dated, lifted=min(ends) if ends else None)
            rest = []
    return known, rest


def _letter(sanction: Sanction) -> str:
    return "".join((sanction.letter or "").split()).upper()
