"""Rule by rule: which facts were looked at, what was owed, what was found, and which day of which law applied."""

from functools import reduce
from typing import Any

from compliance.law.codec import to_json
from compliance.law.decide import decide, judge
from compliance.law.facts import Facts
from compliance.law.grounds import RULES
from compliance.law.law import Law
from compliance.law.loading import CITED, LATER
from compliance.law.rules import Case


def explain(facts: Facts, law: Law) -> dict[str, Any]:
    """The whole judgement as JSON values. Raises ValueError when the agency must be asked and was not."""
    case, stated = Case.of(facts, law), to_json(facts)
    law_of = _cited(case)
    rules = [
        {
            "rule": rule.name,
            "question": to_json(law.says("rule", rule.name).get("question", {})),
            "looked_at": {path: reduce(_part, path.split("."), stated) for path in rule.reads},
            "owed": to_json(rule.owed(case)),
            "law": [law_of[name] for name in rule.rests_on if name in law_of],
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


def _cited(case: Case) -> dict[str, dict[str, Any]]:
    """The dated entries that a rule can rest on, by what the application is about."""
    application, found = case.application, {}
    about = {"gate": (application.permit_type, application.stage), "service": (application.permit_type,)}
    about |= {"programmes": (application.scale or "micro",), "legal_form": (application.legal_form or "",)}
    for (kind, key), entry in case.law.entries.items():
        if kind == "value" or key == about.get(kind, ()):
            found[f"value.{key[0]}" if kind == "value" else kind] = {
                "what": " ".join((kind, *key)),
                "says": to_json({name: said for name, said in entry.data.items() if name not in CITED | LATER}),
                "since": entry.since.isoformat(),
                "legal_basis": to_json(entry.basis),
                "where": entry.where,
            }
    return found
