"""One case before the rules: facts, law, and how a finding is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from compliance.law.facts import Account, Application, Effect, Evidence, Facts, Finding, RuleStage
from compliance.law.law import GateRule, Law, Words

RANK = {effect: rank for rank, effect in enumerate(Effect)}
LANGUAGES = ("id", "en")
MONTHS: Words = {
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
    "en": "January February March April May June July August September October November December",
}
MONTH_NAMES = {language: names.split() for language, names in MONTHS.items()}
NOT_ASKED = Evidence("", datetime.min.replace(tzinfo=UTC))
NOT_GATED = GateRule(RuleStage.OFF, ())


@dataclass(slots=True)
class Case:
    """What every rule looks at. `accounts` and `active` are in the order of their NPP, whatever order they came in."""

    facts: Facts
    law: Law
    application: Application
    gate: GateRule
    evidence: Evidence
    accounts: tuple[Account, ...]
    active: tuple[Account, ...]

    @classmethod
    def of(cls, facts: Facts, law: Law) -> Case:
        evidence = facts.evidence if law.asks(facts) else NOT_ASKED
        if evidence is None:
            raise ValueError("the agency must be asked to judge this, and was not")
        accounts = tuple(sorted(evidence.accounts, key=lambda account: account.npp))
        active = tuple(account for account in accounts if account.active)
        gate = law.gate(facts.application) or NOT_GATED
        return cls(facts, law, facts.application, gate, evidence, accounts, active)

    def judged(self) -> tuple[Account, ...]:
        """The active accounts that the region counts: all, or the local ones where there are any."""
        if self.law.several_accounts == "worst":
            return self.active
        return tuple(a for a in self.active if a.region == self.application.region) or self.active

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
        rule, gate = self.law.findings[code], self.gate
        effect, basis = effect or rule.effect, rule.basis
        if rule.ground in gate.grounds and not anywhere:
            effect = milder(effect, gate.effects.get(code, effect))
            basis = (gate.arrears["basis"] if rule.ground == "arrears" else gate.basis) + basis
        elif rule.ground and not anywhere:
            if self.law.other_grounds == "hidden":
                return
            effect = milder(effect, Effect.NOTE)
        filled = {language: self._filled(language, {**facts, **(words or {})}) for language in LANGUAGES}
        message, remedy = (
            {language: text[language].format_map(filled[language]) for language in LANGUAGES}
            for text in rule.words[variant]
        )
        told = {name: _json(name, value) for name, value in facts.items() if value is not None}
        yield Finding(code, effect, message, remedy, basis, told)

    def _filled(self, language: str, words: Mapping[str, object]) -> dict[str, str]:
        return {name: _spell(value, language) for name, value in words.items()} | {
            "permit_type": self.application.permit_type,
            "region_name": self.law.region_name,
            "branch": self.law.branch[language],
        }


def milder(one: Effect, other: Effect) -> Effect:
    return max(one, other, key=RANK.__getitem__)


def _spell(value: object, language: str) -> str:
    if isinstance(value, date):
        return f"{value.day} {MONTH_NAMES[language][value.month - 1]} {value.year}"
    if isinstance(value, (tuple, list)):
        return ", ".join(str(item) for item in value)
    return "—" if value is None else str(value)


def _json(name: str, value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()[: 7 if name == "paid_through" else 10]
    return [str(item) for item in value] if isinstance(value, (tuple, list)) else value
