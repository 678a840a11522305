"""The job on real input: the branch office's report imported, the three samples of OSS checked against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from compliance import create_app
from compliance.access.clients import Clients
from compliance.database import db
from compliance.deployment import deployment
from config import Settings
from tests.api.test_oss import BUILDER, EVERYWHERE, FISHER, RESTAURANT
from tests.conftest import SAMPLES, Clock

ASKED = {
    "reference": "503/1",
    "permit_type": "RESTORAN",
    "as_at": "2026-11-21",
    "business": {
        "name": "CV. PESISIR JAYA MAROS",
        "nib": "0220104512347",
        "npwp": "412233445801000",
        "npp": "19023341",
    },
}


@pytest.fixture
def office(settings: Settings, clock: Clock) -> Iterator[Flask]:
    """A gate that has nothing but the report."""
    clock.tick(days=1)
    app = create_app(replace(settings, registry="snapshot", registry_url=""), clock=clock)
    run = app.test_cli_runner().invoke(args=["registry", "import", str(SAMPLES / "branch-report.xlsx")])
    assert "Laporan berlaku" in run.output, run.output
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def headers(office: Flask) -> dict[str, str]:
    with office.app_context():
        clients = Clients(deployment().log, deployment().clock)
        return {"Authorization": f"Bearer {clients.create('OSS', EVERYWHERE, ['check'], by='test')[1]}"}


def outcome(check: dict[str, Any]) -> tuple[str, str, list[str]]:
    return check["permit_type"], check["verdict"], [finding["code"] for finding in check["findings"]]


def test_the_samples_of_oss_against_the_report(office: Flask, headers: dict[str, str]) -> None:
    def sent(sample: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
        answer = office.test_client().post("/api/v1/oss/receive-nib", json=sample, headers=headers)
        assert answer.status_code == 200, answer.text
        return [outcome(one["check"]) for one in answer.get_json()["checks"]]

    assert sent(RESTAURANT) == [("RESTORAN", "MET", [])]
    assert [found[:2] for found in sent(BUILDER)] == [("INDUSTRI", "MET"), ("PBG", "MET")]
    assert sent(FISHER) == [("KAPAL", "NOT_REQUIRED", ["PERMIT_NOT_GATED"])]


def test_the_restaurant_over_http_and_from_the_shell(office: Flask, headers: dict[str, str]) -> None:
    known = ASKED | {"business": {**ASKED["business"], "scale": "small", "legal_form": "02"}}  # type: ignore[dict-item]
    stranger = known | {"business": {"name": "PT LAIN", "nib": "8120001234567", "scale": "small"}}
    http = office.test_client()
    answers = [http.post("/api/v1/checks", json=one, headers=headers).get_json() for one in (known, stranger)]
    assert outcome(answers[0]) == ("RESTORAN", "MET", [])
    assert outcome(answers[1]) == ("RESTORAN", "OFFICER_REVIEW", ["NOT_REGISTERED"])
    shell = office.test_cli_runner().invoke(
        args=["check", "--json", "-", "--region", "73.09", "--raw"], input=json.dumps(known)
    )
    assert outcome(json.loads(shell.output)) == ("RESTORAN", "MET", [])
