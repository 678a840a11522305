"""What comes out of a judgement: findings, the shortest cure, the decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from compliance.law.words import Action, Certainty, Effect, RuleStage, Verdict


@dataclass(frozen=True, slots=True)
class Basis:
    cite: str
    certainty: Certainty


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason. `message` and `remedy` are texts by language ("id", "en"); `facts` are JSON values, days as ISO."""

    code: str
    effect: Effect
    message: dict[str, str]
    remedy: dict[str, str]
    basis: tuple[Basis, ...]
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cure:
    """The least set of steps that would satisfy the gate, by language, and the first day that asking again helps."""

    steps: dict[str, list[str]]
    recheck_after: date | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome. `stage` is the rule's; `retry_at` is set if and only if UNDETERMINED."""

    verdict: Verdict
    action: Action
    enforced: bool
    stage: RuleStage
    label: dict[str, str]
    summary: dict[str, str]
    findings: tuple[Finding, ...]
    cure: Cure | None
    valid_until: date | None
    retry_at: datetime | None
