"""`flask check`: the same question, answer and log entry as over HTTP, from the shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.api.conftest import NIB, UNKNOWN_NIB, Agency, question

RESTAURANT = ["--region", "73.09", "--permit-type", "RESTORAN", "--reference", "503/1", "--scale", "small"]


@pytest.fixture
def run(app: Flask) -> Callable[..., Any]:
    return lambda *args, **more: app.test_cli_runner().invoke(args=["check", *args], **more)


def test_proceed_ends_with_0_and_anything_else_with_1(
    run: Callable[..., Any], agency: Agency, entries: Callable[..., Any]
) -> None:
    met = run(*RESTAURANT, "--nib", NIB)
    assert (met.exit_code, met.output.splitlines()[0]) == (0, "Memenuhi (MET → PROCEED)")
    stop = run(*RESTAURANT, "--nib", UNKNOWN_NIB)
    assert (stop.exit_code, "NOT_REGISTERED" in stop.output) == (1, True)
    agency.fails = True
    hold = run(*RESTAURANT, "--nib", "7777777777777")
    assert (hold.exit_code, "retry_after" in hold.output) == (1, True)
    assert [entry["asker"]["kind"] for entry in entries("check")] == ["operator"] * 3


def test_a_question_comes_from_a_file_or_the_input(run: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "question.json"
    file.write_text(json.dumps(question()), encoding="utf-8")
    raw = run("--json", str(file), "--region", "73.09", "--raw")
    assert (raw.exit_code, json.loads(raw.output)["verdict"]) == (0, "MET")
    piped = run("--json", "-", "--region", "73.09", "--raw", input=json.dumps(question()))
    assert json.loads(piped.output)["verdict"] == "MET"


def test_wrong_usage_ends_with_2_and_names_the_field(run: Callable[..., Any], tmp_path: Path) -> None:
    wrong = run(*RESTAURANT, "--nib", "1")
    assert (wrong.exit_code, "/business/nib: must be 13 digits" in wrong.output) == (2, True)
    (tmp_path / "x.json").write_text("[]", encoding="utf-8")
    (tmp_path / "y.json").write_text("{", encoding="utf-8")
    (tmp_path / "z.json").write_text('{"business": 1}', encoding="utf-8")
    for name in ("x.json", "y.json", "z.json", "missing.json"):
        assert run("--json", str(tmp_path / name), "--nib", NIB).exit_code == 2, name
