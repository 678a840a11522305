"""`flask registry try`: what an operator sees of one question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from compliance import create_app
from compliance.database import db
from compliance.deployment import deployment
from config import Settings
from tests.conftest import Clock
from tests.registry.agency import Agency, Behaviour, says
from tests.registry.answers import NIB, employer, project
from tests.registry.test_mapping import ANSWER, FILE

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(settings: Settings, clock: Clock) -> Iterator[Run]:
    apps: list[Flask] = []

    def try_(behaviour: Behaviour, *args: str, profile: Path | None = None) -> tuple[int, str]:
        with Agency(behaviour) as agency:
            chosen = replace(
                settings, registry="http", registry_url=agency.url, registry_profile=profile, registry_timeout=0.5
            )
            apps.append(create_app(chosen, clock=clock))
            result = apps[-1].test_cli_runner().invoke(args=["registry", "try", *args])
        return result.exit_code, result.output

    yield try_
    for app in apps:
        with app.app_context():
            db.engine.dispose()


def test_an_understood_answer_is_shown_raw_and_as_facts(run: Run) -> None:
    status, output = run(says(employer()), NIB)
    assert status == 0
    for shown in ('"jumlah_tk_aktif": 12', '"active_workers": 12', "divisi kantor_cabang terdaftar_sejak"):
        assert shown in output


def test_with_a_profile_the_mapped_answer_is_shown_too(run: Run) -> None:
    status, output = run(says(ANSWER), NIB, profile=FILE)
    assert status == 0
    for shown in ('"nomorIndukBerusaha"', '"kepesertaan"', '"active_workers": 12'):
        assert shown in output


@pytest.mark.parametrize(
    ("behaviour", "shown"),
    [
        (says(employer(kepesertaan__0__status="SUSPEND")), ["SUSPEND", "misunderstood", "status: a word"]),
        (says(b"<html>"), ["<html>", "misunderstood", "not JSON"]),
        (says(b"", 500), ["unavailable", "status 500"]),
    ],
)
def test_what_was_not_understood_is_named(behaviour: Behaviour, shown: list[str], run: Run) -> None:
    status, output = run(behaviour, NIB)
    assert status == 1
    assert all(text in output for text in shown)


def test_projects_are_tried_by_number_and_by_npp(run: Run) -> None:
    assert run(says(project()), "2300001078094", "--by", "nomor", "--subject", "project")[0] == 0
    assert run(says(project()), "15070955", "--by", "npp", "--subject", "project", "--region", "73.09")[0] == 0


@pytest.mark.parametrize("args", [["123"], [NIB, "--by", "nik"], [NIB, "--by", "name"], []])
def test_wrong_usage_ends_with_2(args: list[str], run: Run) -> None:
    assert run(says(employer()), *args)[0] == 2


def test_the_log_knows_that_the_agency_was_tried_but_no_number(settings: Settings, clock: Clock) -> None:
    with Agency(says(employer())) as agency:
        app = create_app(replace(settings, registry="http", registry_url=agency.url), clock=clock)
        app.test_cli_runner().invoke(args=["registry", "try", NIB])
    with app.app_context():
        entries: list[Any] = list(deployment().log.entries(kinds=("registry.tried",)))
        db.engine.dispose()
    assert len(entries) == 1
    assert NIB not in str(entries[0])
