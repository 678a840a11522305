"""A decision is made again from its entry alone, and a changed rule, text or holiday shows at once."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import BadPolicy
from compliance.law import policy as room
from compliance.law import rules
from compliance.law.codec import to_json
from compliance.law.decide import Policies, flips, replay
from compliance.law.policy import Policy
from tests.law.golden import Golden, golden_cases, policy, run

GOLDEN = list(golden_cases())


def body_of(case: Golden, number: int = 0) -> dict[str, Any]:
    """What an entry of this check would say, after a journey through the log."""
    outcome = run(case)
    body = {
        "id": f"entry-{number}",
        "reference": f"503/{number}",
        "facts": to_json(outcome.facts),
        "decision": to_json(outcome.decision),
        "policy": {"region": outcome.law.region, "version": outcome.law.version, "sha256": outcome.law.sha256},
    }
    return json.loads(json.dumps(body))


def texts_of(*regions: str) -> dict[str, str]:
    stored: dict[str, str] = {}
    for region in regions:
        known = policy().regions[region]
        stored |= policy().on(known.first_day, region).texts
    return stored


STORED = texts_of("73.04", "73.05", "73.08", "73.09", "76.05")
BODIES = [body_of(case, number) for number, case in enumerate(GOLDEN)]


def case_named(words: str) -> Golden:
    return next(case for case in GOLDEN if words in str(case))


def test_every_golden_case_comes_out_the_same_from_its_entry_and_the_stored_texts() -> None:
    policies = Policies(STORED.get)
    different = [(body["reference"], replay(body, policies).differences) for body in BODIES]
    assert [found for found in different if found[1]] == []


def test_changing_one_line_of_a_rule_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """A headcount that is one short is no longer noticed: exactly the cases that rest on it differ."""
    body = body_of(case_named("Declared against active: one fewer"))
    assert replay(body, Policies(STORED.get)).same
    monkeypatch.setattr(rules.Case, "liable", lambda case: (case.application.workforce.declared or 0) - 1)
    again = replay(body, Policies(STORED.get))
    assert not again.same
    assert {difference.path for difference in again.differences} >= {"/verdict", "/action"}


def test_a_decision_that_was_tampered_with_goes_red() -> None:
    body = body_of(case_named("medium restaurant with the same three programmes"))
    body["decision"]["verdict"] = "MET"
    body["decision"]["findings"][0]["message"]["id"] = "Semua baik."
    found = {
        difference.path: (difference.then, difference.now)
        for difference in replay(body, Policies(STORED.get)).differences
    }
    assert found["/verdict"] == ("MET", "NOT_MET")
    assert set(found) == {"/verdict", "/findings/0/message/id"}


def test_facts_that_this_code_does_not_know_are_not_replayed_as_if_it_did() -> None:
    body = body_of(GOLDEN[0])
    body["facts"]["application"]["colour"] = "red"
    with pytest.raises((KeyError, TypeError, ValueError)):
        replay(body, Policies(STORED.get))


def test_a_text_that_is_missing_or_not_what_its_hash_says_is_an_error() -> None:
    body = body_of(GOLDEN[0])
    listed = json.loads(STORED[body["policy"]["sha256"]])["files"]
    lost = listed["national.toml"]
    with pytest.raises(BadPolicy):
        replay(body, Policies({name: text for name, text in STORED.items() if name != lost}.get))
    with pytest.raises(BadPolicy):
        replay(body, Policies((STORED | {lost: STORED[lost] + "# changed"}).get))


def draft(tmp_path: Path, old: str, new: str, *, region: str = "73.09") -> Policy:
    text = (room.DATA / "regions" / f"{region}.toml").read_text(encoding="utf-8")
    text = text.replace("Contoh: peraturan daerah belum ada", "Perbup 9/2026").replace('"example"', '"text"')
    assert old in text
    (tmp_path / f"{region}.toml").write_text(text.replace(old, new), encoding="utf-8")
    return Policy.load(tmp_path)


def test_a_draft_that_changes_nothing_flips_nothing(tmp_path: Path) -> None:
    today = [body_of(case) for case in GOLDEN if case.file == "b_programmes"]
    assert list(flips(today, draft(tmp_path, "months = 3", "months = 3"), "73.09")) == []


def test_a_lower_threshold_flips_the_checks_between(tmp_path: Path) -> None:
    """Arrears from two months on instead of three: who owed two months is stopped, and nobody else."""
    lower = draft(tmp_path, "arrears.months = 3", "arrears.months = 2")
    cases = [case for case in GOLDEN if case.about == "Arrears as a ground: three months in industry"]
    found = list(flips([body_of(case, number) for number, case in enumerate(cases)], lower, "73.09"))
    flipped = {cases[int(flip.entry_id.removeprefix("entry-"))].row["case"] for flip in found}
    assert flipped == {
        "two months",
        "the third month is due today",
        "the agency counts two although all is paid",
        "months of two accounts are not added up",
    }
    assert all(flip.stopped for flip in found)
    assert all(flip.now and any(reason.code == "ARREARS" for reason in flip.now.findings) for flip in found)


def test_a_draft_that_switches_a_gate_on_counts_who_would_have_been_stopped(tmp_path: Path) -> None:
    stage = 'since = 2026-01-01\nstage = "advise"'
    on = draft(tmp_path, stage, stage.replace("advise", "enforce"))
    boat = body_of(case_named("boat today"))
    fisher = body_of(case_named("fisherman without workers, BPU paid at harvest"))
    found = list(flips([boat, fisher], on, "73.09"))
    assert [(flip.then["verdict"], flip.stopped) for flip in found if flip.stopped] == [("NOT_MET", True)]


def test_a_check_for_which_nobody_was_asked_cannot_be_known(tmp_path: Path) -> None:
    gated = draft(tmp_path, 'permit_types = ["TENDER"]', 'permit_types = ["TENDER", "SIP"]')
    found = list(flips([body_of(case_named("Stages begin and end with their day: health practice"))], gated, "73.09"))
    assert [(flip.now, flip.stopped) for flip in found] == [(None, False)]


def test_checks_of_other_regions_are_left_alone(tmp_path: Path) -> None:
    lower = draft(tmp_path, "arrears.months = 3", "arrears.months = 1")
    assert list(flips([body_of(case_named("Bone: JKK only"))], lower, "73.09")) == []


def test_the_law_of_the_day_is_applied_not_todays() -> None:
    body = body_of(case_named("hotel not registered, last day of shadow"))
    again = replay(body, Policies(STORED.get))
    assert again.same
    assert again.decision.stage == "shadow"
    assert policy().on(date(2027, 1, 1), "73.09").gates["HOTEL", "new"].stage == "enforce"
