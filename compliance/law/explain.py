"""Rule by rule: which facts were looked at, what was owed, what was found, and which day of which law applied."""

from functools import reduce
from typing import Any

from compliance.law.codec import to_json
from compliance.law.decide import decide, judge
from compliance.law.facts import Facts
from compliance.law.grounds import RULES
from compliance.law.law import Law
from compliance.law.loading import CITED, LATER, Entry
from compliance.law.rules import Case


def explain(facts: Facts, law: Law) -> dict[str, Any]:
    """The whole judgement as JSON values. Raises ValueError when the agency must be asked and was not."""
    case, stated = Case.of(facts, law), to_json(facts)
    rules = [
        {
            "rule": rule.name,
            "question": to_json(law.says("rule", rule.name).get("question", {})),
            "looked_at": {path: reduce(_part, path.split("."), stated) for path in rule.reads},
            "owed": to_json(rule.owed(case)),
            "law": [_cited(entry) for entry in map(_about(case).get, rule.rests_on) if entry],
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


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _about(case: Case) -> dict[str, Entry]:
    """The dated entries that a rule can rest on, by what the application is about."""
    application, entries = case.application, case.law.entries
    about = {
        "gate": (application.permit_type, application.stage),
        "service": (application.permit_type,),
        "programmes": (application.scale or "micro",),
        "legal_form": (application.legal_form or "",),
        "due": (),
        "pension_age": (),
    }
    named = {f"value.{key[0]}": entry for (kind, key), entry in entries.items() if kind == "value"}
    return named | {kind: entries[kind, key] for kind, key in about.items() if (kind, key) in entries}


def _cited(entry: Entry) -> dict[str, Any]:
    return {
        "what": " ".join((entry.kind, *entry.key)),
        "says": to_json({name: said for name, said in entry.data.items() if name not in CITED | LATER}),
        "since": entry.since.isoformat(),
        "legal_basis": to_json(entry.basis),
        "where": entry.where,
    }
