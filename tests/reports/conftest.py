"""A gate with the sandbox agency, asked without HTTP; and a log of a million checks, as the search sees it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from compliance import create_app
from compliance.database import db
from compliance.deployment import Deployment
from compliance.gate import Asker, Question
from compliance.law.facts import Application, Identity, Scale
from compliance.reports.search import CHECKS, FINDINGS
from config import Settings
from tests.conftest import Clock

GOOD, OUT = "8120001234567", "6603000000001"
OFFICE = Asker("user", "U1", "DPMPTSP Maros")
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def app(settings: Settings, clock: Clock) -> Iterator[Flask]:
    app = create_app(replace(settings, registry_url=""), clock=clock)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def here(app: Flask) -> Deployment:
    return app.extensions["compliance"]


@pytest.fixture
def ask(here: Deployment, clock: Clock) -> Ask:
    """Make a check; MET, or with `scale` medium NOT_MET, or with `nib` OUT UNDETERMINED."""
    import json

    def ask(
        reference: str = "503/1",
        permit_type: str = "RESTORAN",
        *,
        region: str = "73.09",
        nib: str = GOOD,
        scale: Scale = Scale.SMALL,
        asker: Asker = OFFICE,
        name: str = "CV Sumber Rejeki",
    ) -> dict[str, Any]:
        today = here.policy.today(region, clock())
        application = Application(permit_type, region, today, scale=scale, given=("nib",))
        question = Question(reference, application, Identity(name=name, nib=nib), asker)
        return json.loads(here.gate.check(question).document)

    return ask


def fill(engine: Engine, number: int) -> None:
    """The search's tables as `number` checks of three years leave them: three regions, forty offices, few blocked."""
    dice, start = random.Random(1), date(2024, 1, 1)
    verdicts = [("MET", 60, "PROCEED", ""), ("NOT_MET", 20, "STOP", "PROGRAMMES_MISSING")]
    verdicts += [("MET_WITH_NOTE", 12, "PROCEED", "ARREARS"), ("OFFICER_REVIEW", 5, "HOLD", "HEADCOUNT_DIFFERS")]
    verdicts += [("UNDETERMINED", 2.9, "HOLD", "REGISTRY_UNAVAILABLE"), ("BLOCKED", 0.1, "STOP", "TMP2T_IN_FORCE")]
    permits = ["RESTORAN", "PERDAGANGAN", "INDUSTRI", "HOTEL", "PBG", "TENDER", "RPTKA", "KAPAL"]
    for first in range(0, number, 20_000):
        checks, findings = [], []
        for pos in range(first, min(first + 20_000, number)):
            verdict, _, action, code = dice.choices(verdicts, [each[1] for each in verdicts])[0]
            region, clerk = dice.choice(("73.09", "73.09", "73.08", "76.05")), dice.randrange(200)
            day = start + timedelta(days=pos * 1050 // number)
            where = {"pos": pos, "region": region, "day": day}
            row = {"id": f"{pos:026}", "at": datetime(day.year, day.month, day.day, 3, tzinfo=UTC), "action": action}
            row |= {"office": f"Kantor {clerk % 40}", "asker": f"user:{clerk:026}", "reference": f"503/{pos // 2}"}
            row |= {"permit_type": dice.choices(permits, range(8, 0, -1))[0], "verdict": verdict}
            checks.append(where | row | {"nib": f"{dice.randrange(300_000):013}"})
            findings += [where | {"code": code}] if code else []
        with engine.begin() as connection:
            connection.execute(CHECKS.insert(), checks)
            connection.execute(FINDINGS.insert(), findings)
