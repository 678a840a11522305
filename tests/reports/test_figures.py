"""Figures come out as counted by hand, and nothing of another region is in them."""

from __future__ import annotations

from datetime import date

from flask import Flask

from compliance.deployment import Deployment
from compliance.gate import Asker
from compliance.law.facts import Scale
from compliance.reports.search import Wanted, summary
from tests.conftest import Clock
from tests.reports.conftest import OUT, Ask


def week(here: Deployment, ask: Ask, clock: Clock) -> None:
    """A is refused, again refused, cured after 30 h; B refused for good; C held for 2 h; D goes at once."""
    ask("A", scale=Scale.MEDIUM)
    ask("B", "INDUSTRI", scale=Scale.MEDIUM, asker=Asker("client", "C1"))
    ask("C", nib=OUT)
    ask("X", region="73.08")
    clock.tick(hours=2)
    ask("C")
    ask("A", scale=Scale.MEDIUM)
    clock.tick(hours=28)
    ask("A")
    ask("D")


def test_the_figures_of_a_week(app: Flask, here: Deployment, ask: Ask, clock: Clock) -> None:
    week(here, ask, clock)
    with here.log.engine.connect() as connection:
        found = summary(connection, Wanted(("73.09",)))
        first = summary(connection, Wanted(("73.09",), until=date(2026, 11, 20), office="DPMPTSP Maros"))
    assert dict(found["verdicts"]) == {"MET": 3, "NOT_MET": 3, "UNDETERMINED": 1}
    assert ("PROGRAMMES_MISSING", 3) in found["reasons"]
    assert found["permit_types"][0] == ("INDUSTRI", "NOT_MET", 1)
    assert [row for row in found["offices"] if row[1] == ""] == [("73.09", "", "NOT_MET", 1)]
    assert found["cured"] == {
        "cases": 2, "done": 1, "median_hours": 30.0, "within_days": {"1": 0, "3": 1, "7": 1, "30": 1}
    }  # fmt: skip
    assert (found["decided"]["cases"], found["decided"]["median_hours"]) == (1, 2.0)
    assert [each["source"] for each in found["outages"]] == ["sandbox"]
    assert dict(first["verdicts"]) == {"MET": 1, "NOT_MET": 2, "UNDETERMINED": 1}
    assert first["cured"]["done"] == 1  # cured after the period is cured


def test_a_period_to_the_last_day_that_there_is_is_counted(here: Deployment, ask: Ask) -> None:
    ask("A", nib=OUT)
    with here.log.engine.connect() as connection:
        found = summary(connection, Wanted(("73.09",), date.min, date.max))
    assert len(found["outages"]) == 1
