"""From facts and law to a decision: pure, and the same for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from compliance.law.case import LANGUAGES, RANK, Case, milder
from compliance.law.cure import cure
from compliance.law.facts import (
    Action,
    Decision,
    Effect,
    Facts,
    Finding,
    RuleStage,
    Undertaking,
    Verdict,
)
from compliance.law.grounds import RULES
from compliance.law.law import Law, Words
from compliance.law.rules import Rule

ASK_AGAIN = timedelta(hours=1)  # when the agency named no time, or was misunderstood and somebody must repair that
VERDICTS = {effect: Verdict(effect) for effect in Effect if effect not in (Effect.NOTE, Effect.OK)} | {
    Effect.NOTE: Verdict.MET_WITH_NOTE,
    Effect.OK: Verdict.MET,
}
ACTIONS = {
    Verdict.NOT_MET: Action.STOP,
    Verdict.BLOCKED: Action.STOP,
    Verdict.OFFICER_REVIEW: Action.HOLD,
    Verdict.UNDETERMINED: Action.HOLD,
}
BEYOND_OFFICERS = (Effect.BLOCKED, Effect.UNDETERMINED)


def decide(facts: Facts, law: Law) -> Decision:
    """Judge one application. Raises ValueError when the agency must be asked and was not."""
    case = Case.of(facts, law)
    judged = _weighed(case, [finding for _, found in judge(case) for finding in found])
    findings = _shown(judged)
    verdict = VERDICTS[findings[0].effect] if findings else Verdict.MET
    stage = case.gate.stage if case.gate else RuleStage.OFF
    blocked = verdict is Verdict.BLOCKED
    trial = stage in (RuleStage.SHADOW, RuleStage.ADVISE) and not blocked
    return Decision(
        verdict,
        Action.PROCEED if trial else ACTIONS.get(verdict, Action.PROCEED),
        blocked or stage is RuleStage.ENFORCE,
        stage,
        dict(law.labels[verdict]),
        _summary(case, verdict, findings),
        findings,
        cure(case, verdict, judged),
        None if verdict in ACTIONS else _valid_until(case, findings),
        _retry_at(facts) if verdict is Verdict.UNDETERMINED else None,
    )


def judge(case: Case) -> Iterator[tuple[Rule, list[Finding]]]:
    """Ask every rule in order until one ends the judgement."""
    for rule in RULES:
        found = list(rule.judge(case))
        yield rule, found
        if rule.stops and found:
            return


def _weighed(case: Case, found: list[Finding]) -> list[Finding]:
    """What people decided about the findings: the limits of the rule, officers, undertakings, doubt."""
    return _doubted(case, _undertaken(case, _decided(case, _scales_checked(case, found))))


def _scales_checked(case: Case, found: list[Finding]) -> list[Finding]:
    """A rule for some scales alone refuses nobody whose scale is unknown."""
    gate, refused = case.gate, any(finding.effect is Effect.NOT_MET for finding in found)
    if gate is None or gate.scales is None or case.application.scale is not None or not refused:
        return found
    unknown = case.find("SCALE_UNKNOWN", variant="gate", anywhere=True)
    return [_softened(finding) for finding in found] + list(unknown)


def _decided(case: Case, found: list[Finding]) -> list[Finding]:
    """An officer's decision replaces the findings it names; a sanction ends with its letter alone."""
    decision = case.facts.decision
    if decision is None or decision.effect in BEYOND_OFFICERS:
        return found
    if decision.until and decision.until < case.application.as_at:
        return found
    replaced = [f for f in found if f.code in decision.codes and f.effect is not Effect.BLOCKED]
    if not replaced:
        return found
    codes = sorted({finding.code for finding in replaced})
    made = case.find("OFFICER_DECISION", decision.effect, codes=codes, until=decision.until)
    return [finding for finding in found if finding not in replaced] + list(made)


def _undertaken(case: Case, found: list[Finding]) -> list[Finding]:
    """An accepted undertaking turns what it names into a note until its due day, inclusive."""
    for undertaking in case.facts.undertakings if case.law.undertakings else ():
        named = [finding for finding in found if _promised(finding, undertaking)]
        if not named:
            continue
        facts: dict[str, Any] = {"codes": sorted({finding.code for finding in named}), "deadline": undertaking.due}
        if undertaking.due >= case.application.as_at:
            found = [finding for finding in found if finding not in named]
            found += case.find("UNDERTAKING_OPEN", **facts)
        else:
            harder = [replace(f, effect=_refusing(case)) if f in named else f for f in found]
            found = harder + list(case.find("UNDERTAKING_OVERDUE", _refusing(case), **facts))
    return found


def _promised(finding: Finding, undertaking: Undertaking) -> bool:
    return finding.code in undertaking.codes and finding.effect in (Effect.NOT_MET, Effect.OFFICER_REVIEW)


def _refusing(case: Case) -> Effect:
    """A source that may be incomplete refuses nobody."""
    complete = case.evidence is None or case.evidence.complete
    return Effect.NOT_MET if complete else Effect.OFFICER_REVIEW


def _doubted(case: Case, found: list[Finding]) -> list[Finding]:
    """While the agency's answers look doubtful, an officer looks before anybody is refused."""
    if not case.facts.doubtful:
        return found
    return [f if f.code == "OFFICER_DECISION" else _softened(f, case.law.phrases["doubtful"]) for f in found]


def _softened(finding: Finding, why: Words | None = None) -> Finding:
    if finding.effect is not Effect.NOT_MET:
        return finding
    message = {lang: f"{text} {why[lang]}" for lang, text in finding.message.items()} if why else finding.message
    return replace(finding, effect=milder(finding.effect, Effect.OFFICER_REVIEW), message=message)


def _shown(found: list[Finding]) -> tuple[Finding, ...]:
    """The worst first; of accounts, the worst finding of each code once."""
    ordered = sorted(found, key=_weight)
    seen: set[str] = set()
    shown = []
    for finding in ordered:
        if "npp" in finding.facts and finding.code in seen:
            continue
        seen.add(finding.code)
        shown.append(finding)
    return tuple(shown)


def _weight(finding: Finding) -> tuple[int, int]:
    missing, months = finding.facts.get("missing", ()), finding.facts.get("months", 0)
    extent = len(missing) if isinstance(missing, list) else 0
    return RANK[finding.effect], -extent - (months if isinstance(months, int) else 0)


def _summary(case: Case, verdict: Verdict, findings: tuple[Finding, ...]) -> dict[str, str]:
    texts = case.law.summaries[verdict]
    return {
        language: texts[language].format(
            permit_type=case.application.permit_type, reason=findings[0].message[language] if findings else ""
        )
        for language in LANGUAGES
    }


def _valid_until(case: Case, findings: tuple[Finding, ...]) -> date:
    """The policy's days, but never beyond an open undertaking."""
    promised = [str(f.facts["deadline"]) for f in findings if f.code == "UNDERTAKING_OPEN"]
    days = [date.fromisoformat(text) for text in promised]
    return min([case.application.as_at + timedelta(days=case.law.valid_days), *days])


def _retry_at(facts: Facts) -> datetime | None:
    evidence = facts.evidence
    if evidence is None or evidence.failure is None:
        return None
    return evidence.failure.retry_at or evidence.received_at + ASK_AGAIN
