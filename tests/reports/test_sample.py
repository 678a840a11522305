"""Fair samples: drawn by a rule that anybody can repeat from the log alone, with an honest bound of the error rate."""

from __future__ import annotations

import json
from fractions import Fraction
from hashlib import sha256
from math import comb
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from compliance.deployment import Deployment
from compliance.errors import BadInput
from compliance.gate import Asker
from compliance.reports import sample
from compliance.reports.search import Wanted, named, stream
from tests.conftest import Clock
from tests.reports.conftest import Ask

SEED = "benih-7f3a"


def test_the_rule_is_the_one_that_is_written_down() -> None:
    checks = [("A", f"id{number}") for number in range(40)] + [("B", "x1"), ("B", "x2")]
    drawn = sample.draw(checks, SEED, 5)
    by_hand = sorted((f"id{number}" for number in range(40)), key=lambda each: sha256((SEED + each).encode()).digest())
    assert drawn["A"] == {"checks": 40, "ids": by_hand[:5]}
    assert drawn["B"]["checks"] == len(drawn["B"]["ids"]) == 2
    assert sample.draw(reversed(checks), SEED, 5) == drawn
    assert sample.draw(checks, "another", 5)["A"] != drawn["A"]


def test_a_sample_that_no_entry_could_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="1500"):
        sample.draw(((f"office {n % 4}", f"id{n}") for n in range(2000)), SEED, 500)


@pytest.mark.parametrize(("wrong", "looked"), [(0, 1), (0, 59), (1, 30), (3, 200), (29, 30), (990, 1000), (7, 1500)])
def test_the_bound_is_clopper_and_pearsons(wrong: int, looked: int) -> None:
    """At the bound, so few wrong ones have a chance of exactly 5 %; reckoned here in whole numbers."""
    p = Fraction(sample.upper_bound(wrong, looked)).limit_denominator(10**9)
    chance = sum(comb(looked, k) * p**k * (1 - p) ** (looked - k) for k in range(wrong + 1))
    assert float(chance) == pytest.approx(0.05, abs=1e-5)


def test_known_bounds() -> None:
    assert sample.upper_bound(0, 59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert sample.upper_bound(0, 30) == pytest.approx(0.0950, abs=1e-4)
    assert sample.upper_bound(30, 30) == 1.0
    drawn = {"A": {"checks": 1000, "ids": ["x"] * 30}, "B": {"checks": 4, "ids": ["x"] * 4}}
    each, overall = sample.bounds(drawn, {"A": 0, "B": 1})
    assert each["B"] == 0.25  # all of them were looked at
    assert overall == pytest.approx((1000 * each["A"] + 1) / 1004)


def test_another_machine_draws_the_same_from_an_export_and_notices_a_forged_sample(
    app: Flask, here: Deployment, ask: Ask, clock: Clock, tmp_path: Path
) -> None:
    def say(kind: str, **body: Any) -> None:
        here.log.append(f"access.sample_{kind}", {"sample": "S", **body}, entry_id=kind, private={}, at=clock())

    told = {"since": "2026-11-21", "until": "2026-11-22", "regions": ["73.09"], "per_office": 3}
    ask("before")
    say("committed", by="U9", seed_sha256=sha256(SEED.encode()).hexdigest(), **told)
    clock.tick(days=1)
    for number in range(8):
        ask(f"{number}")
        ask(f"{number}", asker=Asker("client", "C1"))
        ask(f"{number}", region="73.08")
    clock.tick(days=3)
    ask("after")
    rows = [row for batch in stream(here.log.engine, span(told)) for row in batch]
    drawn = sample.draw(((sample.office_of(r.region, r.office, r.asker), r.id) for r in rows), SEED, 3)
    assert {office: each["checks"] for office, each in drawn.items()} == {
        "73.09 DPMPTSP Maros": 8,
        "73.09 client:C1": 8,
    }
    say("drawn", seed=SEED, drawn=drawn)
    run = app.test_cli_runner().invoke
    assert run(args=["log", "export", str(tmp_path / "log"), "--by", "U9"]).exit_code == 0
    again = run(args=["report", "draw", str(tmp_path / "log"), "S"])
    assert (again.exit_code, json.loads(again.output)) == (0, drawn)
    drawn["73.09 client:C1"]["ids"][0] = "chosen"
    here.log.append("access.sample_drawn", {"sample": "S", "drawn": drawn}, entry_id="x", private={}, at=clock())
    run(args=["log", "export", str(tmp_path / "forged"), "--by", "U9"])
    assert run(args=["report", "draw", str(tmp_path / "forged"), "S"]).exit_code == 1
    entry = named(here.log, "access.sample_committed:S")
    assert entry
    assert entry.body["seed_sha256"] == sha256(SEED.encode()).hexdigest()


def span(told: dict[str, Any]) -> Wanted:
    from datetime import date

    return Wanted(tuple(told["regions"]), date.fromisoformat(told["since"]), date.fromisoformat(told["until"]))
