"""The shortest cure: the least set of steps that would satisfy the gate, and when asking again is useful."""

from __future__ import annotations

from datetime import date

from compliance.law.case import LANGUAGES, RANK, Case
from compliance.law.facts import Cure, Effect, Finding, Verdict

IN_THE_WAY = (Effect.BLOCKED, Effect.UNDETERMINED, Effect.NOT_MET, Effect.OFFICER_REVIEW)
NO_USEFUL_DAY = (Verdict.BLOCKED, Verdict.UNDETERMINED)


def cure(case: Case, verdict: Verdict, judged: list[Finding]) -> Cure | None:
    """One step for each finding in the way, of every account; None when there is nothing to do.

    An overdue undertaking is no step of its own: it ends with the findings it named. A project that may still be
    registered in time is a step although it stops nothing.
    """
    steps = [f for f in judged if f.effect in IN_THE_WAY and f.code != "UNDERTAKING_OVERDUE"]
    deadline = None
    if not steps:
        steps = [finding for finding in judged if finding.code == "PROJECT_WITHIN_DEADLINE"]
        deadline = date.fromisoformat(str(steps[0].facts["deadline"])) if steps else None
    if not steps:
        return None
    steps.sort(key=lambda finding: RANK[finding.effect])
    texts = {language: list(dict.fromkeys(f.remedy[language] for f in steps)) for language in LANGUAGES}
    return Cure(texts, None if verdict in NO_USEFUL_DAY else deadline or tomorrow(case))


def tomorrow(case: Case) -> date:
    """The first working day on which something that the applicant does today can show."""
    return case.law.working_day_after(case.facts.today, 1)[0]
