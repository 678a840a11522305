"""Each failure of the agency × each source mode × with and without a stored answer, through the whole gate and its log.

Right verdict, within the budget, never a STOP, one entry, no thread left hanging.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from itertools import count
from typing import Any

import pytest
from flask import Flask

from compliance import create_app
from compliance.database import db
from compliance.deployment import deployment
from compliance.gate import Asker, Question
from compliance.law.codec import from_json, to_json
from compliance.law.decide import decide
from compliance.law.facts import Application, Facts, Identity, Scale, Workforce
from compliance.registry.wire import MAX_ACCOUNTS, MAX_DIFFERENT, MAX_TEXT
from config import Settings
from tests.conftest import SAMPLES, Clock
from tests.registry.agency import Agency, Behaviour, says
from tests.registry.answers import employer
from tests.registry.test_http import MISUNDERSTOOD, UNAVAILABLE

BUDGET = 0.3
NIB, NPWP, NPP = "0220104512347", "0412233445801000", "19023341"
FIRM = {
    "nib": NIB,
    "npwp": NPWP,
    "nama": "CV. PESISIR JAYA MAROS",
    "kepesertaan__0__npp": NPP,
    "teguran": None,
    "tmp2t": None,
}
MET = employer(**FIRM)
NOT_MET = employer(**FIRM, kepesertaan__0__status="NONAKTIF")


@dataclass
class Gatehouse:
    """A running gate before an agency; every question is another one to the cache."""

    app: Flask
    agency: Agency
    numbers: Iterator[int]

    def some(self, cases: dict[str, Behaviour]) -> dict[str, Behaviour]:
        """All on SQLite; on PostgreSQL, where only the log differs, every fourth."""
        step = 1 if self.app.extensions["compliance"].settings.database_url.startswith("sqlite") else 4
        return dict(list(cases.items())[::step])

    def check(self, behaviour: Behaviour, npp: int) -> dict[str, Any]:
        self.agency.behaviour = behaviour
        question = Question(
            reference="503/0123/DPMPTSP/2026",
            application=Application(
                permit_type="RESTORAN",
                region="73.09",
                as_at=date(2026, 11, 20),
                scale=Scale.SMALL,
                workforce=Workforce(True, 12),
                given=("nib", "npp"),
            ),
            identity=Identity(nib=NIB, npwp=NPWP, npp=f"X{npp}"),
            asker=Asker("client", "test"),
        )
        with self.app.app_context():
            return dict(json.loads(deployment().gate.check(question).document))

    def size(self) -> int:
        with self.app.app_context():
            return deployment().log.head()[0]

    def checks_since(self, start: int) -> list[str]:
        with self.app.app_context():
            return [entry.kind for entry in deployment().log.entries(start, kinds=("check", "check."))]


@pytest.fixture(params=["http", "http,snapshot", "sandbox"])
def house(request: pytest.FixtureRequest, settings: Settings, clock: Clock) -> Iterator[Gatehouse]:
    with Agency(says(MET)) as agency:
        chosen = replace(settings, registry=request.param, registry_url=agency.url, registry_timeout=BUDGET)
        app = create_app(chosen, clock=clock)
        if request.param == "http,snapshot":
            imported = app.test_cli_runner().invoke(
                args=["registry", "import", str(SAMPLES / "branch-report.csv"), "--brief"]
            )
            assert "in force" in imported.output, imported.output
        yield Gatehouse(app, agency, count())
        with app.app_context():
            db.engine.dispose()


def _fails(house: Gatehouse, case: str, behaviour: Behaviour, stored: dict[str, Any] | None) -> dict[str, Any]:
    npp = next(house.numbers)
    if stored:
        assert house.check(says(stored), npp)["registry"]["cached"] is False
    before, started = house.size(), time.monotonic()
    document = house.check(behaviour, npp)
    assert time.monotonic() - started < BUDGET + 1.0, case
    assert house.checks_since(before) == ["check"], case
    assert document["action"] != "STOP", case
    house.check(says(MET), next(house.numbers))  # an answer that is understood keeps the breaker closed
    return document


def _codes(document: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in document["findings"]}


@pytest.mark.slow
def test_an_unavailable_agency(house: Gatehouse) -> None:
    standby = house.app.extensions["compliance"].settings.registry == "http,snapshot"
    for case, behaviour in house.some(UNAVAILABLE).items():
        nothing = _fails(house, case, behaviour, None)
        good = _fails(house, case, behaviour, MET)
        bad = _fails(house, case, behaviour, NOT_MET)
        assert (good["verdict"], "REGISTRY_STALE" in _codes(good)) == ("MET_WITH_NOTE", True), case
        assert good["registry"]["cached"] is True
        assert (bad["verdict"], bad["action"], _codes(bad)) == ("UNDETERMINED", "HOLD", {"REGISTRY_UNAVAILABLE"}), case
        if standby:
            assert (nothing["verdict"], nothing["registry"]["source"]) == ("MET_WITH_NOTE", "snapshot"), case
        else:
            assert (nothing["verdict"], _codes(nothing)) == ("UNDETERMINED", {"REGISTRY_UNAVAILABLE"}), case
            assert nothing["retry_after"]


def test_a_misunderstood_agency(house: Gatehouse) -> None:
    for case, behaviour in house.some(MISUNDERSTOOD).items():
        for stored in (None, MET, NOT_MET):
            document = _fails(house, case, behaviour, stored)
            assert (document["verdict"], document["action"]) == ("UNDETERMINED", "HOLD"), case
            assert _codes(document) == {"REGISTRY_MISUNDERSTOOD"}, case
            assert document["registry"]["cached"] is False


def test_the_largest_answer_that_is_understood_fits_into_the_log(house: Gatehouse) -> None:
    account = MET["kepesertaan"][0] | {"lunas_sampai": "2026-01", "program": ["JKK"], "jumlah_tk_aktif": 9_999_999}
    many = [
        account | {"npp": f"{number:020d}", "bulan_menunggak": 9_999_999 - number % MAX_DIFFERENT}
        for number in range(MAX_ACCOUNTS)
    ]
    huge = MET | {"kepesertaan": many, "no_ref": "é" * MAX_TEXT, "nama": "é" * MAX_TEXT}
    assert house.check(says(huge), 0)["verdict"] == "NOT_MET"
    for one_more in ([*many, account], [*many[1:], account]):  # one too many, and one that is unlike all others
        assert house.check(says(huge | {"kepesertaan": one_more}), 1)["verdict"] == "UNDETERMINED"


def test_a_firm_of_many_branches_is_judged_and_judged_the_same_from_the_log_alone(house: Gatehouse) -> None:
    account = MET["kepesertaan"][0] | {"program": ["JKK", "JKM", "JHT"], "jumlah_tk_aktif": 0}
    many = [account | {"npp": f"A{number}"} for number in range(400)] + [MET["kepesertaan"][0]]
    late = account | {"npp": "B1", "status": "AKTIF", "lunas_sampai": "2026-07", "bulan_menunggak": 3}
    document = house.check(says(MET | {"kepesertaan": [*many, late]}), 0)
    assert (document["verdict"], _codes(document)) == ("MET_WITH_NOTE", {"ARREARS"})
    assert document["findings"][0]["facts"]["npp"] == "B1"
    with house.app.app_context():
        entry = deployment().log.entry(document["id"])
        assert entry
        stored = from_json(Facts, entry.body["facts"])
        law = deployment().policy.on(stored.application.as_at, "73.09")
        assert len(stored.evidence.accounts) == 402
        assert to_json(decide(stored, law)) == entry.body["decision"]
