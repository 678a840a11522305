"""From a file to a judged application: imports on both databases, what is in force, and what the source answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import Engine, func, select

from compliance import create_app
from compliance.audit.entry import Entry
from compliance.audit.table import audit_entry
from compliance.database import db
from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import Ask, Employer, Programme, Subject
from compliance.registry.port import Purpose
from compliance.registry.snapshot import ACCOUNTS, IMPORTS, SnapshotSource
from config import Settings
from tests.conftest import SAMPLES, Clock

PURPOSE = Purpose("request", "reference")
HEADER = "NPP;KODE_DIVISI;NAMA_PERUSAHAAN;NIB;NPWP;BLTH_NA;PROG;TK_AKTIF;BLTH_AKHIR\n"
NPWP = "0412233445801000"


@pytest.fixture
def app(settings: Settings, clock: Clock) -> Iterator[Flask]:
    clock.now = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
    app = create_app(replace(settings, registry="snapshot"), clock=clock)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


@pytest.fixture
def engine(app: Flask) -> Engine:
    with app.app_context():
        return db.engine


@pytest.fixture
def source(engine: Engine) -> SnapshotSource:
    return SnapshotSource(engine)


def take(runner: FlaskCliRunner, folder: Path, lines: str, dated: str = "19-11-2026", *options: str) -> str:
    """Import a small report; returns what was printed, ending in the exit status."""
    path = folder / "report.csv"
    path.write_text(f"PER TANGGAL {dated}\n{HEADER}{lines}", encoding="utf-8")
    result = runner.invoke(args=["registry", "import", str(path), *options])
    return f"{result.output}exit {result.exit_code}"


def ask(source: SnapshotSource, by: str, value: str) -> Employer | None:
    record = source.ask(Ask(Subject.EMPLOYER, by, value), PURPOSE).record
    assert record is None or isinstance(record, Employer)
    return record


def rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(ACCOUNTS)) or 0


def entries(engine: Engine) -> list[dict[str, object]]:
    """The imports that the log holds."""
    with engine.connect() as connection:
        bodies = [json.loads(raw) for raw in connection.scalars(select(audit_entry.c.body).order_by(audit_entry.c.pos))]
    return [body for body in bodies if body["kind"] == "registry.imported"]


@pytest.mark.parametrize("name", ["branch-report.csv", "branch-report.xlsx"])
def test_the_branch_report_is_taken_and_the_log_names_it(runner: FlaskCliRunner, engine: Engine, name: str) -> None:
    result = runner.invoke(args=["registry", "import", str(SAMPLES / name)])
    assert result.exit_code == 0, result.output
    assert "NPP 19023341/001 AKTIF JKK+JKM+JHT TK 12 BLTH 2026-10" in result.output
    assert "same facts as line" in result.output
    (entry,) = entries(engine)
    assert (entry["period"], entry["as_of"], entry["region"]) == ("2026-10", "2026-11-19T15:59:59Z", "")
    assert len(str(entry["sha256"])) == len(str(entry["rows_sha256"])) == 64
    assert rows(engine) == 60
    assert "PESISIR" not in json.dumps(entry)
    assert "1.206" not in json.dumps(entry)


def test_a_total_that_does_not_add_up_is_doubted_and_the_file_is_taken(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["registry", "import", str(SAMPLES / "branch-report.csv"), "--brief"])
    assert "baris 66 · diragukan/doubted · jumlah 4143" in result.output
    assert "diambil/taken · NPP" not in result.output


def test_no_amount_is_stored_anywhere(app: Flask) -> None:
    assert not {column.name for column in ACCOUNTS.columns} & {"amount", "total", "total_iuran", "iuran"}


def test_before_any_import_the_source_is_unavailable(source: SnapshotSource) -> None:
    with pytest.raises(RegistryUnavailable, match="no report imported"):
        source.ask(Ask(Subject.EMPLOYER, "npp", "A1"), PURPOSE)


def test_the_source_answers_by_every_number_with_the_reports_date(
    runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path
) -> None:
    line = "A1;000;UD X;8120001234567;41.223.344.5-801.000;;3P;12;10-2026\n"
    assert take(runner, tmp_path, line).endswith("exit 0")
    for by, value in (("npp", "A1"), ("nib", "8120001234567"), ("npwp", NPWP), ("npwp", NPWP[:13] + "001")):
        answer = source.ask(Ask(Subject.EMPLOYER, by, value), PURPOSE)
        assert isinstance(answer.record, Employer)
        (account,) = answer.record.accounts
        assert (account.npp, account.active, account.active_workers, account.first_payment) == ("A1", True, 12, True)
        assert account.programmes == {Programme.JKK, Programme.JKM, Programme.JHT}
        assert account.paid_through == date(2026, 10, 1)
        assert account.instalment_plan is account.months_in_arrears is account.partial_workers is None
        assert (answer.source, answer.complete) == ("snapshot", False)
        assert answer.as_of == datetime(2026, 11, 19, 15, 59, 59, tzinfo=UTC)
        assert answer.reference is not None


def test_what_the_report_lacks_is_not_found_and_never_proved(
    runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path
) -> None:
    take(runner, tmp_path, "A1;000;UD X;;;;3P;12;10-2026\n")
    asks = [Ask(Subject.EMPLOYER, by, "9" * 16) for by in ("nib", "npwp", "npp", "nik")]
    asks += [Ask(Subject.PARTICIPANT, "nik", "9" * 16), Ask(Subject.PROJECT, "number", "9" * 13)]
    asks += [Ask(Subject.PROJECT, "npp", "A1", "73.09")]
    for each in asks:
        answer = source.ask(each, PURPOSE)
        assert (answer.record, answer.complete) == (None, False)


def test_blanks_stay_unknown_and_a_month_of_leaving_closes_the_account(
    runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path
) -> None:
    take(runner, tmp_path, "A1;;;;;;;;\nA2;;UD Y;;;10-2025;3P;0;\n")
    blank, closed = ask(source, "npp", "A1"), ask(source, "npp", "A2")
    assert blank
    assert closed
    assert (blank.name, blank.nib, blank.npwp) == (None, None, None)
    unknown = blank.accounts[0]
    assert (unknown.programmes, unknown.active_workers, unknown.paid_through, unknown.first_payment) == (None,) * 4
    assert [account.active for account in closed.accounts] == [False]


def test_divisions_and_branches_are_accounts_of_one_employer(
    runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path
) -> None:
    lines = (
        "A1;000;PT X;;41.223.344.5-801.000;;4P;10;10-2026\nA1;001;PT X;;;;3P;5;10-2026\n"
        "B2;000;PT X CABANG;;41.223.344.5-801.001;;3P;7;10-2026\nC3;000;PT Z;;51.223.344.5-801.000;;3P;9;10-2026\n"
    )
    take(runner, tmp_path, lines)
    for by, value in (("npp", "A1"), ("npp", "B2"), ("npwp", NPWP)):
        employer = ask(source, by, value)
        assert employer
        assert sorted((account.npp, account.active_workers) for account in employer.accounts) == [
            ("A1", 5),
            ("A1", 10),
            ("B2", 7),
        ]
    branch = ask(source, "npp", "B2")
    assert branch
    assert (branch.name, branch.npwp) == ("PT X CABANG", NPWP[:13] + "001")


def test_persons_with_neighbouring_numbers_are_not_one_taxpayer(
    runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path
) -> None:
    take(runner, tmp_path, "A1;;TOKO A;;7309054403880002;;2P;1;10-2026\nA2;;TOKO B;;7309054403880003;;2P;1;10-2026\n")
    employer = ask(source, "npwp", "7309054403880002")
    assert employer
    assert [account.npp for account in employer.accounts] == ["A1"]


def test_a_number_of_two_taxpayers_is_doubted_and_never_an_answer(
    runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path
) -> None:
    lines = "A1;000;X;;41.223.344.5-801.000;;3P;1;10-2026\nA1;001;Y;;51.223.344.5-801.000;;3P;1;10-2026\n"
    assert "NPP A1 is used with several NPWP" in take(runner, tmp_path, lines)
    with pytest.raises(RegistryMisunderstood):
        ask(source, "npp", "A1")


def test_the_same_number_twice_counts_once_or_not_at_all(
    runner: FlaskCliRunner, source: SnapshotSource, engine: Engine, tmp_path: Path
) -> None:
    lines = "A1;000;PT. X;;;;3P;5;10-2026\nA1;000;PT X;;;;3P;5;10-2026\n"
    lines += "A2;000;UD Y;;;;3P;5;10-2026\nA2;000;UD Y;;;;2P;5;10-2026\nA3;;;;;;;;\n"
    printed = take(runner, tmp_path, lines)
    assert "baris 4 · diperbaiki/corrected" in printed
    assert "baris 5 · ditolak/refused · NPP A2 muncul lagi dengan isi berbeda: baris 6" in printed
    assert "baris 6 · ditolak/refused · NPP A2 muncul lagi dengan isi berbeda: baris 5" in printed
    assert "baris 5 · diambil" not in printed
    assert printed.endswith("exit 1")
    assert rows(engine) == 2
    first = ask(source, "npp", "A1")
    assert first
    assert len(first.accounts) == 1
    assert ask(source, "npp", "A2") is None


def test_a_number_on_thousands_of_lines_is_refused_in_seconds(runner: FlaskCliRunner, tmp_path: Path) -> None:
    begun = time.monotonic()
    printed = take(runner, tmp_path, "".join(f"A1;;;;;;3P;{n};\n" for n in range(8_000)) + "B2;;;;;;;;\n", "19-11-2026")
    assert "muncul lagi dengan isi berbeda: baris 4, 5, 6" in printed
    assert time.monotonic() - begun < 20  # a comparison of each line with all others took 35 s and more


def test_an_older_report_is_refused_unless_told(
    runner: FlaskCliRunner, source: SnapshotSource, engine: Engine, tmp_path: Path
) -> None:
    take(runner, tmp_path, "NEW;;;;;;;;\n")
    printed = take(runner, tmp_path, "OLD;;;;;;;;\n", "31-10-2026")
    assert "--older" in printed
    assert printed.endswith("exit 1")
    assert (rows(engine), len(entries(engine))) == (1, 1)
    assert ask(source, "npp", "NEW")
    assert take(runner, tmp_path, "OLD;;;;;;;;\n", "31-10-2026", "--older").endswith("exit 0")
    assert ask(source, "npp", "OLD")
    assert ask(source, "npp", "NEW") is None


def test_the_same_file_may_be_taken_again(runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path) -> None:
    for _ in range(2):
        assert take(runner, tmp_path, "A1;;;;;;;;\n").endswith("exit 0")
    assert ask(source, "npp", "A1")


def test_a_report_dated_after_today_is_refused(runner: FlaskCliRunner, tmp_path: Path) -> None:
    assert "after today" in take(runner, tmp_path, "A1;;;;;;;;\n", "22-11-2026")
    assert take(runner, tmp_path, "A1;;;;;;;;\n", "22-11-2026", "--dated", "2026-11-20").endswith("exit 0")


def test_a_report_without_dates_is_taken_as_of_its_newest_month_and_doubted(
    runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path
) -> None:
    printed = take(runner, tmp_path, "A1;;X;;;;3P;1;09-2026\n", "yang lalu")
    assert "neither PERIODE nor PER TANGGAL: 2026-09" in printed
    assert source.ask(Ask(Subject.EMPLOYER, "npp", "A1"), PURPOSE).as_of == datetime(
        2026, 9, 30, 15, 59, 59, tzinfo=UTC
    )
    assert "--dated" in take(runner, tmp_path, "A1;;X;;;;3P;1;\n", "yang lalu")


@pytest.mark.parametrize("lines", ["", "1;2\n", "A1;;X;;;entah;3P;1;\n", 'A1;;X;;;;3P;1;10-2026\nA2;;"X\n' + ";\n" * 9])
def test_a_refused_file_leaves_nothing(runner: FlaskCliRunner, engine: Engine, tmp_path: Path, lines: str) -> None:
    printed = take(runner, tmp_path, lines)
    assert "tidak ada yang disimpan" in printed
    assert printed.endswith("exit 1")
    assert (rows(engine), entries(engine)) == (0, [])


def test_each_region_has_its_own_report(runner: FlaskCliRunner, source: SnapshotSource, tmp_path: Path) -> None:
    take(runner, tmp_path, "A1;;MAROS;;;;3P;1;10-2026\n", "19-11-2026", "--region", "73.09")
    take(runner, tmp_path, "B1;;BONE;;;;3P;1;10-2026\nA1;;LAMA;;;;2P;1;10-2026\n", "31-10-2026", "--region", "73.08")
    maros, bone = ask(source, "npp", "A1"), ask(source, "npp", "B1")
    assert maros
    assert bone
    assert (maros.name, len(maros.accounts)) == ("MAROS", 1)
    assert source.ask(Ask(Subject.EMPLOYER, "npp", "none"), PURPOSE).as_of.month == 10
    assert "not served" in take(runner, tmp_path, "A1;;;;;;;;\n", "19-11-2026", "--region", "11.11")


def test_the_projection_may_be_rebuilt_and_old_rows_are_swept(
    runner: FlaskCliRunner, source: SnapshotSource, engine: Engine, tmp_path: Path, clock: Clock
) -> None:
    take(runner, tmp_path, "A1;;;;;;;;\n")
    clock.tick(days=2)
    take(runner, tmp_path, "A2;;;;;;;;\n", "21-11-2026")
    assert rows(engine) == 2
    clock.tick(days=2)
    take(runner, tmp_path, "A3;;;;;;;;\n", "22-11-2026")
    assert rows(engine) == 2
    with engine.begin() as connection:
        connection.execute(IMPORTS.delete())
    from compliance.registry.snapshot import record_import

    with engine.begin() as connection:
        stored = connection.execute(select(audit_entry).order_by(audit_entry.c.pos.desc())).all()
        for row in stored * 2:
            entry = Entry(row.pos, row.entry_id, row.body, row.leaf_hash)
            if entry.kind == "registry.imported":
                record_import(connection, entry)
    assert ask(source, "npp", "A3")
    assert ask(source, "npp", "A2") is None


# --- judged --------------------------------------------------------------------------------------------------------


def judged(app: Flask, runner: FlaskCliRunner, sample: str) -> dict[str, tuple[str, list[str]]]:
    """Verdict and codes by permit code, of what OSS sends."""
    args = ["client", "create", "OSS", "--region", "73.09", "--region", "76.05", "--scopes", "check,read"]
    with app.app_context():
        created = runner.invoke(args=args)
    key = created.output.strip().splitlines()[-1]
    answer = app.test_client().post(
        "/api/v1/oss/receive-nib",
        json=json.loads((SAMPLES / sample).read_text(encoding="utf-8")),
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 200, answer.text
    checks = {item["kd_izin"]: item["check"] for item in answer.json["checks"]}
    return {code: (check["verdict"], [f["code"] for f in check["findings"]]) for code, check in checks.items()}


def test_what_oss_sends_is_judged_by_the_branch_report(app: Flask, runner: FlaskCliRunner) -> None:
    assert runner.invoke(args=["registry", "import", str(SAMPLES / "branch-report.xlsx")]).exit_code == 0
    assert judged(app, runner, "oss-datanib-small-restaurant.json") == {"055000000021": ("MET", [])}
    assert judged(app, runner, "oss-datanib-medium-builder-two-permits.json") == {
        "013000000007": ("MET", []),
        "027000000011": ("MET", []),
    }
    assert judged(app, runner, "oss-datanib-sole-fisher.json") == {
        "061000000003": ("NOT_REQUIRED", ["PERMIT_NOT_GATED"])
    }


def test_a_firm_that_is_not_in_the_report_is_for_an_officer(app: Flask, runner: FlaskCliRunner) -> None:
    runner.invoke(args=["registry", "import", str(SAMPLES / "branch-report.csv")])
    args = ["check", "--raw", "--region", "73.09", "--permit-type", "RESTORAN", "--reference", "1", "--scale", "small"]
    with app.app_context():
        result = runner.invoke(args=[*args, "--nib", "8120001234567", "--npwp", "99.999.999.9-801.000"])
    assert '"OFFICER_REVIEW"' in result.output
    assert '"NOT_REGISTERED"' in result.output
    assert '"snapshot"' in result.output
