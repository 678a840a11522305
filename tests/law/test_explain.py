"""Explain shows rule by rule what was looked at, owed and found, and which day of which law applied."""

from __future__ import annotations

import json
from functools import cache

import pytest

from compliance.law.decide import RULES, explain
from tests.law.golden import Golden, golden_cases, run

GOLDEN = list(golden_cases())


@cache
def explanations() -> dict[str, dict]:
    outcomes = {str(case): run(case) for case in GOLDEN}
    return {name: json.loads(json.dumps(explain(o.facts, o.law))) for name, o in outcomes.items()}


def explained(case: Golden) -> dict:
    return explanations()[str(case)]


def case_named(words: str) -> Golden:
    return next(case for case in GOLDEN if words in str(case))


def test_every_rule_is_reached_or_said_not_to_be() -> None:
    for case in GOLDEN:
        told = explained(case)
        reached = [rule["rule"] for rule in told["rules"]]
        assert reached + told["not_reached"] == [rule.name for rule in RULES], str(case)
        assert [rule["ended_here"] for rule in told["rules"][:-1]] == [False] * (len(reached) - 1)
        assert bool(told["not_reached"]) <= told["rules"][-1]["ended_here"]


def test_programmes_are_explained_by_table_scale_and_account() -> None:
    told = explained(case_named("medium restaurant with the same three programmes"))
    rule = next(rule for rule in told["rules"] if rule["rule"] == "programmes")
    assert rule["owed"]["programmes"] == ["JKK", "JKM", "JHT", "JP"]
    assert rule["looked_at"]["application.scale"] == "medium"
    assert rule["looked_at"]["evidence.accounts"][0]["programmes"] == ["JHT", "JKK", "JKM"]
    assert rule["found"][0]["code"] == "PROGRAMMES_MISSING"
    table = next(entry for entry in rule["law"] if entry["what"].startswith("programmes"))
    assert table["since"] == "2015-07-01"
    assert {"cite": "Perpres 109/2013 Pasal 6 ayat (3)", "certainty": "text"} in table["legal_basis"]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("health practice with the same sanction", "gated"),
        ("frozen: nobody asks the agency", "nib_status"),
        ("a public service agency (BLU) is no employer here", "state_body"),
        ("the agency times out, nothing stored", "agency"),
        ("someone else's programmes are not judged", "identity"),
        ("No workers: not known to the agency", "no_workers"),
    ],
)
def test_the_judgement_ends_where_the_contract_says(words: str, rule: str) -> None:
    told = explained(case_named(words))
    assert told["rules"][-1]["rule"] == rule
    assert told["rules"][-1]["ended_here"]
    assert told["not_reached"]


def test_it_names_the_policy_and_repeats_the_decision() -> None:
    for case in GOLDEN[:40]:
        outcome, told = run(case), explained(case)
        assert told["policy"]["sha256"] == outcome.law.sha256
        assert told["decision"]["verdict"] == outcome.decision.verdict
        assert told["as_at"] == outcome.facts.application.as_at.isoformat()


def test_nothing_it_looked_at_names_anybody() -> None:
    """The explanation is made of the entry's facts, which hold no name and no NIK."""
    text = json.dumps([explained(case) for case in GOLDEN])
    for secret in ("Sumber Rejeki", "SUMBER REJEKI", "Siti Aminah", "7309054403880002", "8120001234567", "Maju Jaya"):
        assert secret not in text
