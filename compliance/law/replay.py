"""Judging again from an entry's facts, years later or under a draft; and rule by rule, with the law of the day."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import cache, reduce
from typing import Any, NamedTuple

from compliance.law.codec import from_json, to_json
from compliance.law.decide import RULES, decide, judge
from compliance.law.facts import Action, Decision, Facts
from compliance.law.law import Law
from compliance.law.policy import Policy
from compliance.law.rules import Case


class Difference(NamedTuple):  # where a decision no longer comes out as it was recorded
    path: str  # a JSON pointer into the decision
    then: Any
    now: Any


class Replay(NamedTuple):  # a decision made again
    decision: Decision
    differences: tuple[Difference, ...]  # none when it came out the same to the letter
    policy_sha256: str

    @property
    def same(self) -> bool:
        return not self.differences


class Policies:
    """The policies of the past by hash, from stored texts; `text_of` returns None for one that is not stored."""

    def __init__(self, text_of: Callable[[str], str | None]) -> None:
        self.get: Callable[[str], Policy] = cache(lambda sha256: Policy.from_texts(sha256, text_of))


def replay(body: Mapping[str, Any], policies: Policies) -> Replay:
    """Decide an entry's facts again by the law it names. Raises BadPolicy; KeyError or ValueError for facts unknown."""
    facts: Facts = from_json(Facts, body["facts"])
    named = body["policy"]
    law = policies.get(named["sha256"]).on(facts.application.as_at, facts.application.region)
    decision = decide(facts, law)
    found = [*differences(body["decision"], to_json(decision))]
    found += differences(named["version"], law.version, "/policy/version")
    return Replay(decision, tuple(found), named["sha256"])


def differences(then: Any, now: Any, path: str = "") -> Iterator[Difference]:
    """Every place where two JSON values differ."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted(then.keys() | now.keys()):
            yield from differences(then.get(key), now.get(key), f"{path}/{key}")
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from differences(one, other, f"{path}/{number}")
    elif then != now:
        yield Difference(path, then, now)


class Flip(NamedTuple):  # a logged check that a draft would decide otherwise
    entry_id: str
    reference: str
    as_at: date
    then: Mapping[str, Any]
    now: Decision | None  # None: the agency was not asked then
    stopped: bool  # the draft would stop what went on


def flips(bodies: Iterable[Mapping[str, Any]], draft: Policy, region: str) -> Iterator[Flip]:
    """The checks of a region that a draft would decide otherwise, judged by the draft as its last change leaves it."""

    def outcome(decided: Mapping[str, Any]) -> tuple[Any, ...]:
        found = sorted((finding["code"], finding["effect"]) for finding in decided["findings"])
        return decided["verdict"], decided["action"], decided["enforced"], found

    known = draft.region(region)
    changed = max((group[-1].since for group in known.groups.values()), default=known.first_day)
    for body in bodies:
        facts, then = from_json(Facts, body["facts"]), body["decision"]
        if facts.application.region != region:
            continue
        as_at = facts.application.as_at
        law = draft.on(max(changed, as_at), region)
        now = None if facts.evidence is None and law.asks(facts) else decide(facts, law)
        if now is None or outcome(to_json(now)) != outcome(then):
            stopped = now is not None and now.action is Action.STOP and then["action"] != Action.STOP
            yield Flip(body["id"], body["reference"], as_at, then, now, stopped)


def explain(facts: Facts, law: Law) -> dict[str, Any]:
    """Rule by rule: which facts were looked at, what was owed, what was found, and which day of which law applied; as
    JSON values. Raises ValueError when the agency must be asked and was not."""
    case, stated, application = Case(facts, law), to_json(facts), facts.application
    about = {"gate": (application.permit_type, application.stage), "service": (application.permit_type,)}
    about |= {"programmes": (application.scale or "micro",), "legal_form": (application.legal_form or "",)}
    cited, rules = {}, []
    for (kind, key), entry in law.entries.items():
        if kind == "value" or key == about.get(kind, ()):  # what a rule can rest on
            cited[f"value.{key[0]}" if kind == "value" else kind] = {
                "what": " ".join((kind, *key)),
                "says": to_json(entry.data),
                "since": entry.since.isoformat(),
                "legal_basis": to_json(entry.basis),
                "where": entry.where,
            }
    for rule, found in judge(case):
        parts = {path: path.split(".") for path in rule.reads}
        looked_at = {path: reduce(lambda part, name: (part or {}).get(name), parts[path], stated) for path in parts}
        told = {"rule": rule.name, "question": to_json(law.says("rule", rule.name).get("question", {}))}
        told |= {"looked_at": looked_at, "owed": to_json(case.owed), "found": to_json(found)}
        law_of_rule = [cited[name] for name in rule.rests_on if name in cited]
        rules.append(told | {"law": law_of_rule, "ended_here": rule.stops and bool(found)})
    return {
        "as_at": application.as_at.isoformat(),
        "policy": {"region": law.region, "version": law.version, "sha256": law.sha256, "since": law.since.isoformat()},
        "rules": rules,
        "not_reached": [rule.name for rule in RULES[len(rules) :]],
        "decision": to_json(decide(facts, law)),
    }
