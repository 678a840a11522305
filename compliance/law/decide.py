"""From facts and law to a decision: pure, the same for ever (first form: the simple path)."""

from __future__ import annotations

from datetime import timedelta

from compliance.law.facts import Action, Basis, Certainty, Decision, Effect, Facts, Finding, RuleStage, Verdict
from compliance.law.policy import Law

BASIS = (Basis("UU 24/2011 Pasal 17", Certainty.TEXT),)


def decide(facts: Facts, law: Law) -> Decision:
    """Judge. Raises ValueError when the agency must be asked and was not."""
    stage = law.stage(facts.application)
    code, verdict, action, effect = "", Verdict.MET, Action.PROCEED, Effect.OK
    if stage is RuleStage.OFF:
        code, verdict, effect = "PERMIT_NOT_GATED", Verdict.NOT_REQUIRED, Effect.NOT_REQUIRED
    elif facts.evidence is None:
        raise ValueError("the agency was not asked")
    elif facts.evidence.failure:
        kind = facts.evidence.failure.kind.upper()
        code, verdict, action, effect = f"REGISTRY_{kind}", Verdict.UNDETERMINED, Action.HOLD, Effect.UNDETERMINED
    elif not facts.evidence.accounts:
        code, verdict, action, effect = "NOT_REGISTERED", Verdict.NOT_MET, Action.STOP, Effect.NOT_MET
    text = {"id": code or "Memenuhi", "en": code or "Met"}
    findings = (Finding(code, effect, text, text, BASIS),) if code else ()
    good = action is Action.PROCEED
    retry = facts.evidence.failure.retry_at if facts.evidence and facts.evidence.failure else None
    until = facts.application.as_at + timedelta(days=30) if good else None
    enforced = stage is RuleStage.ENFORCE
    return Decision(verdict, action, enforced, stage, text, text, findings, None, until, retry)
