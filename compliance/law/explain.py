"""Rule by rule: which facts were looked at, what was owed, what was found, and which day of which law applied."""

from __future__ import annotations

from typing import Any

from compliance.law.case import Case
from compliance.law.codec import to_json
from compliance.law.decide import decide, judge
from compliance.law.facts import Facts
from compliance.law.grounds import RULES
from compliance.law.law import Law
from compliance.law.loading import CITED, LATER, Entry
from compliance.law.rules import Rule


def explain(facts: Facts, law: Law) -> dict[str, Any]:
    """The whole judgement as JSON values. Raises ValueError when the agency must be asked and was not."""
    case, stated = Case.of(facts, law), to_json(facts)
    rules = [
        {
            "rule": rule.name,
            "question": to_json(law.questions.get(rule.name, {})),
            "looked_at": {path: _fact(stated, path) for path in rule.reads},
            "owed": to_json(rule.owed(case)),
            "law": [_cited(entry) for entry in _entries(case, rule)],
            "found": to_json(found),
            "ended_here": rule.stops and bool(found),
        }
        for rule, found in judge(case)
    ]
    return {
        "as_at": facts.application.as_at.isoformat(),
        "policy": {"region": law.region, "version": law.version, "sha256": law.sha256, "since": law.since.isoformat()},
        "rules": rules,
        "not_reached": [rule.name for rule in RULES[len(rules) :]],
        "decision": to_json(decide(facts, law)),
    }


def _fact(stated: dict[str, Any], path: str) -> Any:
    value: Any = stated
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _entries(case: Case, rule: Rule) -> list[Entry]:
    """The dated entries that a rule applies here, by what the application is about."""
    application = case.application
    about = {
        "gate": (application.permit_type, application.stage),
        "service": (application.permit_type,),
        "programmes": (application.scale or "micro",),
        "legal_form": (application.legal_form or "",),
    }
    named = [(kind, (name,) if name else about.get(kind, ())) for kind, _, name in map(_parted, rule.rests_on)]
    return [case.law.entries[key] for key in named if key in case.law.entries]


def _parted(text: str) -> tuple[str, str, str]:
    return text.partition(".")


def _cited(entry: Entry) -> dict[str, Any]:
    says = {name: value for name, value in entry.data.items() if name not in CITED and name not in LATER}
    return {
        "what": " ".join((entry.kind, *entry.key)),
        "says": to_json(says),
        "since": entry.since.isoformat(),
        "legal_basis": to_json(entry.basis),
        "where": entry.where,
    }
