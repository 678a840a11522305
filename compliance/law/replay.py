"""Deciding again, years later or under a draft: from the entry alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from compliance.law.codec import from_json, to_json
from compliance.law.decide import decide
from compliance.law.facts import Action, Decision, Facts
from compliance.law.policy import Policy


@dataclass(frozen=True, slots=True)
class Difference:  # where a decision no longer comes out as it was recorded
    path: str  # a JSON pointer into the decision
    then: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Replay:  # a decision made again
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
    found = list(differences(body["decision"], to_json(decision)))
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


@dataclass(frozen=True, slots=True)
class Flip:  # a logged check that a draft would decide otherwise
    entry_id: str
    reference: str
    as_at: date
    then: Mapping[str, Any]
    now: Decision | None  # None: the agency was not asked then

    @property
    def stopped(self) -> bool:
        """Whether the draft would stop what went on."""
        return self.now is not None and self.now.action is Action.STOP and self.then["action"] != Action.STOP


def flips(bodies: Iterable[Mapping[str, Any]], draft: Policy, region: str) -> Iterator[Flip]:
    """The checks of a region that a draft would decide otherwise, judged by the draft as its last change leaves it."""
    for body in bodies:
        facts: Facts = from_json(Facts, body["facts"])
        application = facts.application
        if application.region != region:
            continue
        law = draft.on(max(draft.region(region).last_change, application.as_at), region)
        now = None if facts.evidence is None and law.asks(facts) else decide(facts, law)
        if now is None or _outcome(to_json(now)) != _outcome(body["decision"]):
            yield Flip(body["id"], body["reference"], application.as_at, body["decision"], now)


def _outcome(decision: Mapping[str, Any]) -> tuple[Any, ...]:
    found = sorted((finding["code"], finding["effect"]) for finding in decision["findings"])
    return decision["verdict"], decision["action"], decision["enforced"], found
