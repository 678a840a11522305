"""Whatever bytes come, every reader of files and texts answers with its own error in words, or with a value."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import reduce
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from compliance.batches import reading as batches
from compliance.coverage import lines as coverage
from compliance.errors import BadIdentifier, BadInput, BadPolicy, ImportRefused, LogBroken
from compliance.intake import oss
from compliance.law import identifiers
from compliance.law.loading import NATIONAL, entries, parse
from compliance.law.policy import Policy
from compliance.proof.note import Head, Signer, VerifierKey, open_head, signature_lines
from compliance.proof.receipt import read_code, verify_claims, verify_proof
from compliance.registry.reading.report import Report
from tests.conftest import SAMPLES

TODAY, NOW, POLICY = date(2026, 11, 21), datetime(2026, 11, 21, tzinfo=UTC), Policy.load()
KEY = Signer.generate("gate.test/log").key
fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=200)
cells = st.one_of(texts, st.integers(), st.floats(), st.dates(), st.booleans(), st.none())
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=20,
)


def damaged(sample: bytes) -> st.SearchStrategy[bytes]:
    """The sample with some bytes replaced, cut out or put in."""
    cut = st.tuples(st.integers(0, len(sample)), st.integers(0, 40), st.binary(max_size=12))
    return st.lists(cut, min_size=1, max_size=4).map(
        lambda cuts: reduce(lambda left, cut: left[: cut[0]] + cut[2] + left[cut[0] + cut[1] :], cuts, sample)
    )


def report(path: Path) -> None:
    for line in Report(path, TODAY).lines():
        for note in line.notes:
            assert note.place


@fuzz
@given(st.one_of(st.binary(max_size=2000), damaged((SAMPLES / "branch-report.csv").read_bytes())))
@example(b"NPP;NAMA_PERUSAHAAN;TK_AKTIF\n" + b"9" * 5000)
def test_a_branch_report_of_any_bytes(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "report.csv"
    path.write_bytes(raw)
    refused_or_read(lambda: report(path), ImportRefused)


@fuzz
@given(damaged((SAMPLES / "branch-report.xlsx").read_bytes()))
def test_a_workbook_with_damaged_bytes(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "report.xlsx"
    path.write_bytes(raw)
    refused_or_read(lambda: report(path), ImportRefused)


@fuzz
@given(
    st.binary(max_size=3000), st.sampled_from(["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/sharedStrings.xml"])
)
def test_a_workbook_whose_parts_are_anything(tmp_path: Path, part: bytes, name: str) -> None:
    path, good = tmp_path / "report.xlsx", BytesIO()
    Workbook().save(good)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for item in old.namelist():
            new.writestr(item, part if name in item else old.read(item))
    refused_or_read(lambda: report(path), ImportRefused)


@fuzz
@given(st.lists(st.lists(cells, max_size=12), max_size=12))
def test_a_list_of_institutions_of_any_cells(rows: list[list[Any]]) -> None:
    header = ["jenis", "nama", "kecamatan", "jumlah", "terdaftar", "pembayar"]
    numbered = [(f"baris {number}", row) for number, row in enumerate([header, *rows], 1)]
    refused_or_read(lambda: coverage.read(numbered, TODAY, "id"), BadInput)


@fuzz
@given(
    st.one_of(st.binary(max_size=500), texts.map(lambda text: f"reference,permit_type,business.nib\n{text}".encode()))
)
def test_a_batch_of_any_bytes(raw: bytes) -> None:
    refused_or_read(lambda: list(batches.read_csv(raw)), BadInput)


@fuzz
@given(json_values)
def test_what_oss_sends_may_be_any_json(value: Any) -> None:
    refused_or_read(lambda: oss.read(value, POLICY, NOW), BadInput)
    refused_or_read(lambda: oss.read({"dataNIB": value}, POLICY, NOW), BadInput)
    inner = {"nib": value, "data_checklist": [value], "data_proyek": value}
    refused_or_read(lambda: oss.read({"dataNIB": inner}, POLICY, NOW), BadInput)


@fuzz
@given(texts)
def test_a_policy_of_any_text(text: str) -> None:
    refused_or_read(lambda: entries(parse(text, "x.toml"), NATIONAL, "x.toml"), BadPolicy)


@fuzz
@given(texts)
@pytest.mark.parametrize(
    "read",
    [
        Head.parse,
        VerifierKey.parse,
        signature_lines,
        lambda text: open_head(text, [KEY]),
        lambda text: verify_proof(text, b"\0" * 32, [KEY]),
        lambda text: verify_claims(text, [KEY]),
    ],
    ids=["head", "key", "signatures", "note", "proof", "jws"],
)
def test_a_proof_of_any_text(read: Callable[[str], Any], text: str) -> None:
    refused_or_read(lambda: read(text), LogBroken)


@fuzz
@given(texts)
def test_a_number_typed_as_any_text(text: str) -> None:
    read_code(text)
    for read in (identifiers.nib, identifiers.npwp, identifiers.npp, identifiers.nik, identifiers.region_or_province):
        refused_or_read(lambda read=read: read(text), BadIdentifier)


def refused_or_read(read: Callable[[], Any], refused: type[Exception]) -> None:
    said = "read"
    try:
        read()
    except refused as error:
        said = str(error)
    assert said.strip()
    assert "Traceback" not in said
