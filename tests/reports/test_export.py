"""An export is proved by the log's own commands, tells nothing of others, harms no spreadsheet and stays small."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask
from openpyxl import load_workbook

from compliance.deployment import Deployment
from compliance.law.facts import Scale
from compliance.proof.receipt import verify_claims, verify_package
from compliance.reports import export as module
from compliance.reports.export import COLUMNS, FORMS, export
from compliance.reports.search import Wanted
from tests.conftest import Clock
from tests.reports.conftest import Ask

MAROS = Wanted(("73.09",))


def taken(pieces: Iterable[bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(pieces)))


def rows(whole: zipfile.ZipFile, form: str) -> list[dict[str, object]]:
    data = whole.read(f"checks.{form}")
    if form == "jsonl":
        return [json.loads(line) for line in data.splitlines()]
    if form == "csv":
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    head, *lines = load_workbook(io.BytesIO(data), read_only=True).active.iter_rows(values_only=True)
    return [dict(zip(head, line, strict=True)) for line in lines]


@pytest.mark.parametrize("form", FORMS)
def test_an_export_holds_what_was_asked_proved_and_signed(here: Deployment, ask: Ask, form: str) -> None:
    refused = ask("A", scale=Scale.MEDIUM)
    ask("B")
    ask("C", region="73.08", scale=Scale.MEDIUM)
    whole = taken(export(here, Wanted(("73.09",), verdict="NOT_MET"), form, {"by": "U9"}))
    assert whole.testzip() is None
    (row,) = rows(whole, form)
    assert list(row) == list(COLUMNS)
    assert (row["id"], row["decision.findings.code"]) == (refused["id"], "PROGRAMMES_MISSING")
    said = verify_claims(whole.read("statement.jws").decode(), here.log.keyring.keys)
    assert (said["rows"], said["export"], said["size"]) == (1, {"by": "U9"}, here.log.head()[0])
    for name, digest in said["sha256"].items():
        assert sha256(whole.read(name)).hexdigest() == digest
    (line,) = whole.read("proofs.jsonl").splitlines()
    proved = verify_package(json.loads(line), here.log.keyring.keys)
    assert proved.body["reference"] == "A"
    assert proved.disclosed == {"name": "CV Sumber Rejeki"}


def test_the_two_commands_of_the_page_verify_what_was_taken_along(
    app: Flask, here: Deployment, ask: Ask, tmp_path: Path
) -> None:
    ask()
    whole = taken(export(here, MAROS, "csv", {}))
    (tmp_path / "statement.jws").write_bytes(whole.read("statement.jws"))
    (tmp_path / "row.json").write_bytes(whole.read("proofs.jsonl").splitlines()[0])
    run = app.test_cli_runner().invoke
    assert run(args=["receipt", "verify", str(tmp_path / "statement.jws")]).exit_code == 0
    assert "verified: check" in run(args=["log", "verify", str(tmp_path / "row.json")]).output
    forged = json.loads((tmp_path / "row.json").read_text()) | {"index": 3}
    (tmp_path / "row.json").write_text(json.dumps(forged))
    assert run(args=["log", "verify", str(tmp_path / "row.json")]).exit_code == 1


@pytest.mark.parametrize("name", ["=1+1", "+62", "-x", "@SUM(A1)", "\tx", "=cmd|' /C calc'!A0"])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_no_cell_is_a_formula(here: Deployment, ask: Ask, form: str, name: str) -> None:
    ask(name=name)
    (row,) = rows(taken(export(here, MAROS, form, {})), form)
    assert row["name"] == f"'{name}"


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_an_export_too(here: Deployment, form: str) -> None:
    assert rows(taken(export(here, MAROS, form, {})), form) == []


def test_a_workbook_goes_on_in_another_sheet(here: Deployment, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        ask(f"{number}")
    monkeypatch.setattr(module, "SHEET", 2)
    book = load_workbook(io.BytesIO(taken(export(here, MAROS, "xlsx", {})).read("checks.xlsx")))
    assert [sheet.max_row for sheet in book.worksheets] == [3, 2]


def test_what_is_asked_while_an_export_runs_is_not_in_it(here: Deployment, ask: Ask, clock: Clock) -> None:
    for number in range(3):
        ask(f"{number}")
    pieces = export(here, MAROS, "jsonl", {})
    first = next(pieces)
    ask("later")
    assert [row["reference"] for row in rows(taken([first, *pieces]), "jsonl")] == ["2", "1", "0"]


def test_an_export_of_ten_times_as_much_needs_no_more_memory(
    here: Deployment, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows come by batches, go to the zip and wait in a file; a batch of 5 instead of 500 shows it with few checks."""
    from compliance.reports import search

    monkeypatch.setattr(search, "BATCH", 5)
    monkeypatch.setattr(module, "CHUNK", 4096)
    peaks = []
    for number in (20, 180):
        for each in range(number):
            ask(f"{number}-{each}")
        sum(map(len, export(here, MAROS, "csv", {})))
        tracemalloc.start()
        largest = max(map(len, export(here, MAROS, "csv", {})))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert largest < 200_000
    assert peaks[1] < 1.5 * peaks[0], peaks
