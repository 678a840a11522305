"""The article's sentence: from which lists and answers it comes, on which day it is true, and what must not bend it."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest

from compliance import work
from compliance.audit.projection import rebuild
from compliance.coverage import acts, lines
from compliance.deployment import Deployment
from compliance.errors import BadInput, LogUnavailable, RegistryMisunderstood, RegistryUnavailable
from tests.conftest import SAMPLES, Clock
from tests.coverage.conftest import BY, REGION, Agency, at, said, take, write

TODAY = date(2026, 11, 20)
HEAD = ("jenis", "nama", "terdaftar", "npp")


def test_the_articles_sentence_comes_from_the_articles_lists(here: Deployment) -> None:
    for name in ("majene-opd-2022-11.csv", "majene-desa-2022-11.csv"):
        take(here, SAMPLES / name)
    other = {"as_of": "2022-11-30", "kind": "opd", "name": "Dinas di Bone", "registered": "yes"}
    acts.change(here, "73.08", "0" * 16, other, BY)
    for day in (date(2022, 11, 30), TODAY):
        assert said(here, day, "opd", "OPD") == "dari 39 OPD, 12 terdaftar, 27 belum"
        assert said(here, day, "village", "desa") == "dari 62 desa, 19 terdaftar, 43 belum"
    assert at(here, date(2022, 11, 29)) == []
    assert at(here, TODAY, "73.09") == []


def test_the_tables_come_again_from_the_log_alone(
    here: Deployment, agency: Agency, clock: Clock, tmp_path: Path
) -> None:
    take(here, SAMPLES / "majene-desa-2022-11.csv")
    take(here, write(tmp_path / "a.csv", HEAD, ("desa", "Desa 40", "", "N1"), ("desa", "Baru", "ya", "N2")))
    agency.knows("N1", "Desa 40")
    for one in acts.due(here, REGION):
        acts.ask(here, REGION, one, BY)
    acts.change(here, REGION, at(here, TODAY)[0].id, {"as_of": "2026-11-20", "removed": True}, BY)
    before = [(one.id, one.facts, one.about, one.until, one.covered) for one in at(here, TODAY)]
    rebuild(here.log)
    assert [(one.id, one.facts, one.about, one.until, one.covered) for one in at(here, TODAY)] == before
    assert said(here, TODAY, "village", "desa") == "dari 62 desa, 20 terdaftar, 42 belum"


def test_every_entry_fits_whatever_the_names_and_says_who_and_from_which_file(here: Deployment, tmp_path: Path) -> None:
    long = "\N{SNOWFLAKE}" * 100
    rows = [("desa", f"{long} {n}", "ya", "", long, long) for n in range(60)]
    take(here, write(tmp_path / "a.csv", (*HEAD, "kecamatan", "unit"), *rows))
    entries = list(here.log.entries(kinds=("coverage.",)))
    assert [(entry.body["part"], entry.body["parts"]) for entry in entries] == [(1, 3), (2, 3), (3, 3)]
    assert {entry.body["by"]["id"] for entry in entries} == {"test"}
    assert {len(entry.body["sha256"]) for entry in entries} == {64}
    assert max(len(entry.raw) for entry in entries) < 60_000


def test_a_list_that_broke_off_counts_nothing(
    here: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, done = here.log.append, []

    def full(kind: str, *args: object, **named: object) -> object:
        if kind == "coverage.imported" and (done.append(kind) or len(done) == 3):  # type: ignore[func-returns-value]
            raise LogUnavailable("no space left")
        return append(kind, *args, **named)  # type: ignore[arg-type]

    file = write(tmp_path / "a.csv", HEAD, *(("desa", f"Desa {n}", "ya", "") for n in range(60)))
    with monkeypatch.context() as patch:
        patch.setattr(here.log, "append", full)
        with pytest.raises(LogUnavailable):
            take(here, file)
    assert len(list(here.log.entries(kinds=("coverage.",)))) == 2
    assert at(here, TODAY) == []
    take(here, file)
    assert len(at(here, TODAY)) == 60


WRONG = [
    (("desa", "Desa 1", "", "", "", ""), "/3/name: sama dengan baris 2"),
    (("desa", " DESA-1. ", "", "", "", ""), "/3/name: sama dengan baris 2"),
    (("keraton", "X", "", "", "", ""), "/3/kind: “keraton” tidak dikenal; isi salah satu: opd, desa"),
    (("desa", "", "", "", "", ""), "/3/name: wajib diisi"),
    (("", "X", "", "", "", ""), "/3/kind: wajib diisi"),
    (("desa", "X", "mungkin", "", "", ""), "/3/registered: “mungkin” tidak dikenal"),
    (("desa", "X", "", "-1", "", ""), "/3/total: -1 kurang dari nol"),
    (("desa", "X", "", "dua", "", ""), "/3/total: “dua” bukan jumlah orang"),
    (("desa", "X", "", "7309054403880002", "", ""), "/3/total: “…0002” bukan jumlah orang"),
    (("desa", "X", "", "5", "6", ""), "/3/covered: terlindungi 6 orang, lebih dari yang seharusnya (5)"),
    (("desa", "X", "belum", "5", "3", ""), "/3/covered: belum terdaftar, tetapi 3 orang terlindungi"),
    (("kelompok BPU", "X", "", "", "", ""), "/3/total: kelompok BPU memerlukan jumlah"),
    (("desa", "X", "", "", "", "2026-02-30"), "/3/as_of: “2026-02-30” bukan tanggal"),
    (("desa", "X", "", "", "", "2026-11-21"), "/3/as_of: 2026-11-21 belum tiba"),
    (("desa", "X 7309054403880002", "", "", "", ""), "/3: “…0002” tampak seperti NIK"),
    (("desa", "X 73.09.05.440388.0002", "", "", "", ""), "/3: “…0002” tampak seperti NIK"),
    (("desa", "X\u202egnp", "", "", "", ""), "/3/name: paling banyak 120 karakter"),
    (("desa", "X" * 121, "", "", "", ""), "/3/name: paling banyak 120 karakter"),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("row", "says"), WRONG)
def test_each_wrong_line_is_named_and_nothing_is_taken(
    here: Deployment, tmp_path: Path, row: tuple[str, ...], says: str
) -> None:
    head, good = (
        ("jenis", "nama", "terdaftar", "jumlah orang", "terlindungi", "per"),
        ("desa", "Desa 1", "ya", "", "", ""),
    )
    with pytest.raises(BadInput) as caught:
        take(here, write(tmp_path / "a.csv", head, good, row))
    told = [f"{error.pointer}: {error.detail.removeprefix('Baris 3: ')}" for error in caught.value.errors]
    assert all(error.detail.startswith("Baris 3: ") for error in caught.value.errors)
    assert any(text.startswith(says) for text in told), told
    assert "7309054403880002" not in str(told)
    assert here.log.head()[0] == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "column",
    ["NIK", "No. KTP", "no_kpj", "Nama Pekerja", "NAMA ANGGOTA", "nama lengkap", "Upah", "Gaji Pokok", "Tanggal Lahir",
     "worker name", "Nama Kepala Desa", "Jumlah Upah", "Total Iuran"],
)  # fmt: skip
def test_a_file_with_data_of_persons_is_refused_by_its_column(here: Deployment, tmp_path: Path, column: str) -> None:
    with pytest.raises(BadInput) as caught:
        take(here, write(tmp_path / "a.csv", ("jenis", "nama", column), ("desa", "Desa 1", "x")))
    assert f"“{column}”" in str(caught.value)
    assert "hapus kolom itu" in str(caught.value)
    assert here.log.head()[0] == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "column", ["Nama", "Nama Desa", "Jenis Pekerja", "Jumlah Pekerja", "Jumlah Peserta", "Sumber Dana", "No"]
)
def test_columns_of_institutions_and_counts_are_no_data_of_persons(
    here: Deployment, tmp_path: Path, column: str
) -> None:
    names = ["jenis", "nama" if "Nama" not in column else column, *([] if "Nama" in column else [column])]
    take(here, write(tmp_path / "a.csv", names, ("desa", "Desa 1", *[""] * (len(names) - 2))))
    assert len(at(here, TODAY)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_persons_npwp_is_refused(here: Deployment, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tampak seperti NIK"):
        take(here, write(tmp_path / "a.csv", ("jenis", "nama", "npwp"), ("desa", "Desa 1", "7309054403880002")))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-8-sig", ";"), ("utf-16", "\t"), ("cp1252", ","), ("utf-8", "|")]
)
def test_files_of_every_usual_kind_are_read(here: Deployment, tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = [["DAFTAR DESA"], [], ["NO", "JENIS", "NAMA DESA", "STATUS", "JML"], ["1", "Desa", "Bukit é", "Sudah", "x"]]
    file = tmp_path / "a.csv"
    file.write_bytes("\r\n".join(delimiter.join(row) for row in rows).encode(encoding))
    take(here, file)
    assert [(one.facts["name"], one.state) for one in at(here, TODAY)] == [("Bukit é", "registered")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_workbook_with_numbers_and_days_as_cells_is_read(here: Deployment, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["kind", "name", "total", "covered", "until", "as of", "NPP"])  # type: ignore[union-attr]
    day, until = datetime(2026, 6, 1), datetime(2026, 12, 5)  # noqa: DTZ001 (a cell's day)
    book.active.append(["bpu_group", "Sinar Laut", 25.0, 20, until, day, 15070955])  # type: ignore[union-attr]
    book.save(tmp_path / "a.xlsx")
    take(here, tmp_path / "a.xlsx")
    [one] = at(here, TODAY)
    assert (one.facts["total"], one.covered, one.until, one.facts["npp"]) == (25, 20, date(2026, 12, 5), "15070955")
    assert said(here, TODAY, "bpu_group", "kelompok BPU").endswith(
        "1 terdaftar, 0 belum (20 dari 25 orang terlindungi)"
    )


def test_a_seasons_payment_that_ends_is_listed_and_then_counts_no_more(here: Deployment, tmp_path: Path) -> None:
    head = ("jenis", "nama", "jumlah orang", "terlindungi", "sampai", "per")
    take(here, write(tmp_path / "a.csv", head, ("kelompok", "Laut", "25", "20", "2026-10-31", "2026-06-01")))
    for day, listed, count in [
        (date(2026, 9, 30), False, 20),
        (date(2026, 10, 1), True, 20),
        (date(2026, 10, 31), True, 20),
        (date(2026, 11, 1), False, 0),
    ]:
        [one] = at(here, day)
        assert (bool(acts.ending([one], day)), one.covered) == (listed, count), day


def test_a_newer_line_changes_what_it_states_and_leaves_the_rest(here: Deployment, tmp_path: Path) -> None:
    take(
        here,
        write(
            tmp_path / "a.csv",
            ("jenis", "nama", "terdaftar", "pembayar", "per"),
            ("desa", "A", "belum", "CSR", "2026-01-31"),
        ),
    )
    take(here, write(tmp_path / "b.csv", ("jenis", "nama", "terdaftar", "per"), ("desa", "a.", "ya", "2026-03-31")))
    take(here, write(tmp_path / "c.csv", ("jenis", "nama", "kecamatan"), ("desa", "A", "Banggae")))
    [one] = at(here, TODAY)
    assert (one.state, one.facts["payer"], one.facts["district"]) == ("registered", "csr", "Banggae")
    assert one.about["source"].startswith("2026-03-31 ")
    assert at(here, date(2026, 2, 28))[0].state == "not_yet"
    trend = [(day.isoformat()[:7], table["village"]["registered"]) for day, table in with_rows(here, TODAY)]
    assert trend[0][0] == "2025-12"
    assert [count for _, count in trend[1:5]] == [0, 0, 1, 1]


def with_rows(here: Deployment, day: date) -> list[tuple[date, dict[str, acts.Counter[str]]]]:
    found = acts.trend(acts.known(here, REGION, day), day)
    return [(each, table or {"village": acts.Counter()}) for each, table in found]


def test_a_complete_list_takes_off_those_that_it_does_not_name(here: Deployment, tmp_path: Path) -> None:
    take(here, write(tmp_path / "a.csv", ("jenis", "nama"), ("desa", "A"), ("desa", "B"), ("opd", "C")))
    assert take(here, write(tmp_path / "b.csv", ("jenis", "nama"), ("desa", "B")))["removed"] == 0
    assert len(at(here, TODAY)) == 3
    assert take(here, write(tmp_path / "c.csv", ("jenis", "nama"), ("desa", "B")), complete=True)["removed"] == 1
    assert [one.facts["name"] for one in at(here, TODAY)] == ["C", "B"]


# --- the agency ----------------------------------------------------------------------------------------------------


@pytest.fixture
def office(here: Deployment, tmp_path: Path) -> Deployment:
    """One office, by the list not registered on 1 November."""
    take(here, write(tmp_path / "o.csv", (*HEAD, "per"), ("opd", "Dinas A", "belum", "N1", "2026-11-01")))
    return here


@pytest.mark.parametrize(
    ("account", "state", "why"),
    [
        ({}, "registered", "active"),
        ({"active": False}, "not_yet", "inactive"),
        ({"first_payment": False}, "unknown", "first_payment"),
        (None, "not_yet", "not_found"),
    ],
)
def test_the_agencys_answer_outweighs_the_list_from_its_day_on(
    office: Deployment, agency: Agency, account: dict[str, object] | None, state: str, why: str
) -> None:
    if account is not None:
        agency.knows("N1", "DINAS A", **account)
    [one] = acts.due(office, REGION)
    assert acts.ask(office, REGION, one, BY) == why
    assert at(office, date(2026, 11, 19))[0].state == "not_yet"
    [now] = at(office, TODAY)
    assert (now.state, now.about["source"]) == (state, "2026-11-20 agency")
    entry = list(office.log.entries(kinds=("coverage.asked",)))[-1]
    assert entry.body["business"] == {"npp": "N1"}
    assert entry.body["evidence"]["source"] == "http"
    assert "DINAS A" not in entry.raw.decode()


@pytest.mark.parametrize("listed", ["ya", ""])
@pytest.mark.parametrize(
    ("error", "complete", "name", "why"),
    [
        (RegistryUnavailable("reset"), True, "", "unavailable"),
        (RegistryMisunderstood("status SUSPEND"), True, "", "misunderstood"),
        (None, False, "", "incomplete"),
        (None, True, "PT LAIN SEKALI", "identity"),
    ],
)
def test_what_proves_nothing_never_counts_as_not_registered(
    here: Deployment, agency: Agency, tmp_path: Path, listed: str, error: Exception, complete: bool, name: str, why: str
) -> None:
    take(here, write(tmp_path / "a.csv", HEAD, ("opd", "Dinas A", listed, "N1")))
    agency.error, agency.complete = error, complete
    if name:
        agency.knows("N1", name)
    [one] = acts.due(here, REGION)
    assert acts.ask(here, REGION, one, BY) == why
    [now] = at(here, TODAY)
    assert now.state == ("registered" if listed else "unknown")
    assert now.tried is not None
    assert (now.tried.since, now.tried.data["why"]) == (TODAY, why)
    if not listed:
        assert said(here, TODAY, "opd", "OPD") == "dari 1 OPD, 0 terdaftar, 0 belum, 1 belum diketahui"


def test_an_answer_about_another_number_counts_no_more(office: Deployment, agency: Agency) -> None:
    """A wrong NPP made the office look registered; once it is corrected, the list holds until the agency is asked."""
    agency.knows("N1", "Dinas A")
    [one] = at(office, TODAY)
    acts.ask(office, REGION, one, BY)
    acts.change(office, REGION, one.id, {"as_of": "2026-11-20", "npp": "N2"}, BY)
    [now] = acts.due(office, REGION)
    assert (now.state, now.tried) == ("not_yet", None)
    acts.ask(office, REGION, now, BY)
    assert agency.asked == ["N1", "N2"]


def test_an_outage_leaves_yesterdays_answer(office: Deployment, agency: Agency, clock: Clock) -> None:
    agency.knows("N1", "Dinas A")
    acts.ask(office, REGION, at(office, TODAY)[0], BY)
    clock.tick(days=8)
    agency.error = RegistryUnavailable("reset")
    [one] = acts.due(office, REGION)
    acts.ask(office, REGION, one, BY)
    [now] = at(office, TODAY + timedelta(days=8))
    assert (now.state, now.about["source"]) == ("registered", "2026-11-20 agency")


def test_the_agencys_month_says_when_a_payment_made_ahead_ends(
    here: Deployment, agency: Agency, tmp_path: Path
) -> None:
    head = ("jenis", "nama", "npp", "irama", "jumlah orang", "terlindungi")
    take(here, write(tmp_path / "a.csv", head, ("kelompok", "Laut", "N1", "musim", "25", "5")))
    agency.knows("N1", "Laut", paid_through=date(2026, 11, 1), active_workers=30)
    acts.ask(here, REGION, at(here, TODAY)[0], BY)
    [one] = at(here, TODAY)
    assert (one.until, one.covered) == (date(2026, 11, 30), 25)
    assert acts.ending([one], TODAY) == [one]


def test_the_loop_asks_a_few_a_minute_each_once_a_week_and_stops_in_an_outage(
    here: Deployment, agency: Agency, clock: Clock, tmp_path: Path
) -> None:
    rows = [("desa", f"Desa {n:02}", "", f"N{n:02}") for n in range(12)]
    take(here, write(tmp_path / "a.csv", HEAD, *rows, ("desa", "tanpa nomor", "", "")))
    work.standing(here)
    for expected in (5, 10, 12, 12):
        work.do_due(here)
        assert len(agency.asked) == expected
        clock.tick(minutes=2)
    assert len(set(agency.asked)) == 12
    agency.error = RegistryUnavailable("reset")
    clock.tick(days=7)
    work.do_due(here)
    assert len(agency.asked) == 13
    agency.error = None
    clock.tick(hours=2)
    work.do_due(here)
    assert len(agency.asked) == 18
    assert here.log.head()[0] > 0


def test_answers_that_cannot_be_right_do_not_count(
    here: Deployment, agency: Agency, clock: Clock, tmp_path: Path
) -> None:
    """The agency does not know its own sentinel: its data are gone, not the institutions."""
    assert here.gate.brake
    here.gate.brake.sentinels = {REGION: "8120001234567"}
    take(here, write(tmp_path / "a.csv", HEAD, ("opd", "Dinas A", "ya", "N1")))
    assert acts.ask(here, REGION, at(here, TODAY)[0], BY) == "doubtful"
    assert at(here, TODAY)[0].state == "registered"


# --- the workbook --------------------------------------------------------------------------------------------------


def test_no_cell_of_the_workbook_is_a_formula() -> None:
    text = "\n".join(f"A\t{start}1+1\t12\t007" for start in ("=", "+", "-", "@"))
    book = openpyxl.load_workbook(io.BytesIO(lines.workbook(text)))
    cells = [cell for row in book["A"].iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} == {"s", "n"}
    assert [cell.value for cell in cells[:4]] == ["'=1+1", 12, "007", "'+1+1"]
