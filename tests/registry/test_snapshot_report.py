"""Whole files: the branch office's samples line by line, every way to save them, and files that are no reports."""

from __future__ import annotations

import contextlib
import io
import random
import zipfile
from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compliance.errors import ImportRefused
from compliance.registry.reading import sheets
from compliance.registry.reading.report import TEXTS, Kind, Line, Note, Report, described, shown
from tests.conftest import SAMPLES

TODAY = date(2026, 11, 21)
STORED_AS_NUMBER = """23792691 20023939 23301843 23046486 21170180 21792220 23764534 16776007 18795491 18273377 23470274
    23128307"""
GOLDEN = (Path(__file__).parent / "branch_report.golden.txt").read_text(encoding="utf-8").splitlines()
TITLE = "LAPORAN KEPESERTAAN AKTIF\nPERIODE : OKTOBER 2026;;;PER TANGGAL 19-11-2026\n\n"
HEADER = "NO;NPP;KODE_DIVISI;NAMA_PERUSAHAAN;NPWP;KEPS_AWAL;KEPS_JP;BLTH_NA;PROG;TK_AKTIF;BLTH_AKHIR;TOTAL_IURAN\n"
LINE = "1;19023341;001;CV. PESISIR JAYA MAROS;41.223.344.5-801.000;07-2012;;;JKK,JKM,JHT;12;10-2026;18.980.229,00\n"


def read(path: Path) -> tuple[Report, list[Line]]:
    report = Report(path, TODAY)
    lines = list(report.lines())
    for line in lines:
        assert all(str(note) for note in line.notes)  # every code has its words
    return report, lines


def told(lines: Iterable[Line]) -> list[str]:
    """Members as the golden file has them: place, facts, codes of the remarks."""
    written = []
    for line in lines:
        if line.member:
            codes = " ".join(note.code for note in line.notes if note.code != "taken")
            place = line.place.rpartition("!")[2]
            facts = described(line.member).removeprefix("NPP ")
            written.append(f"{place:>2} {facts}" + (f" · {codes}" if codes else ""))
    return written


def csv_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "report.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def codes(lines: Iterable[Line]) -> list[tuple[str, Kind, str]]:
    return [(line.place, note.kind, note.code) for line in lines for note in line.notes if note.kind is not Kind.TAKEN]


def test_the_branch_report_gives_line_by_line_what_a_person_reads_in_it() -> None:
    report, lines = read(SAMPLES / "branch-report.csv")
    assert told(lines) == GOLDEN
    assert (report.heading.period, report.heading.dated) == (date(2026, 10, 1), date(2026, 11, 19))
    assert [(line.place, line.total[0] if line.total else None) for line in lines if not line.member] == [
        ("4", None),
        ("66", 4143),
    ]


def test_the_workbook_says_the_same_and_the_numbers_stored_as_numbers_are_named() -> None:
    report, lines = read(SAMPLES / "branch-report.xlsx")
    assert [row.split(" · ")[0] for row in told(lines)] == [row.split(" · ")[0] for row in GOLDEN]
    given = [note.words["given"] for line in lines for note in line.notes if note.code == "rewritten"]
    numbers = [f"{npp} (angka/number)" for npp in STORED_AS_NUMBER.split()]
    assert sorted(given) == sorted(["1.206", "2.426", "2.534", *numbers])
    assert report.heading.dated == date(2026, 11, 19)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_encoding_delimiter_and_line_end_is_read_alike(
    tmp_path: Path, encoding: str, delimiter: str, newline: str
) -> None:
    import csv

    rows = list(csv.reader(io.StringIO(TITLE + HEADER + LINE.replace("JAYA", "JAYÀ"), newline=""), delimiter=";"))
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=newline).writerows(rows)
    report, lines = read(csv_file(tmp_path, out.getvalue().encode(encoding)))
    member = lines[-1].member
    assert member is not None
    assert (member["npp"], member["name"], member["npwp"]) == ("19023341", "CV. PESISIR JAYÀ MAROS", "0412233445801000")
    assert report.heading.dated == date(2026, 11, 19)
    assert lines[-1].place == "5"


@pytest.mark.parametrize(
    ("titles", "period", "dated"),
    [
        ("PERIODE : OKTOBER 2026;;;PER TANGGAL 19-11-2026", date(2026, 10, 1), date(2026, 11, 19)),
        ("Periode Oktober 2026 per tanggal 19 November 2026", date(2026, 10, 1), date(2026, 11, 19)),
        ("PERIODE;:;10/2026\nPER TGL;;19/11/2026", date(2026, 10, 1), date(2026, 11, 19)),
        ("PERIODE 01-10-2026 S/D 31-10-2026", date(2026, 10, 1), None),
        ("PERIODE: SEPTEMBER 2026 s.d. OKTOBER 2026 (bulanan)", date(2026, 10, 1), None),
        ("POSISI: 2026-11-19", None, date(2026, 11, 19)),
        ("KEADAAN PER TANGGAL 19-NOV-2026", None, date(2026, 11, 19)),
        ("DAFTAR PERUSAHAAN", None, None),
    ],
)
def test_title_lines_tell_the_period_and_the_day(
    tmp_path: Path, titles: str, period: date | None, dated: date | None
) -> None:
    report, _ = read(csv_file(tmp_path, f"{titles}\n{HEADER}{LINE}"))
    assert (report.heading.period, report.heading.dated) == (period, dated)


def test_a_title_line_that_cannot_be_read_is_doubted(tmp_path: Path) -> None:
    _, lines = read(csv_file(tmp_path, f"PERIODE : BULAN LALU\n{HEADER}{LINE}"))
    assert ("2", Kind.DOUBTED, "title") in codes(lines)


@pytest.mark.parametrize(
    "header",
    [
        "Nomor NPP;Nama Badan Usaha;Program;Jml TK;BLTH Rekon;TGL NA",
        "npp;nama;kode_paket;Tenaga Kerja;Lunas s.d.;Non Aktif Sejak",
        "NPP;PERUSAHAAN;PROG;TK AKTIF;BLTH-AKHIR;BLTH.NA",
    ],
)
def test_synonyms_in_any_spelling_name_the_same_facts(tmp_path: Path, header: str) -> None:
    _, lines = read(csv_file(tmp_path, f"{header}\nA1;UD X;3P;12;OKT-26;\n"))
    assert described(lines[-1].member) == "NPP A1 AKTIF JKK+JKM+JHT TK 12 BLTH 2026-10"
    assert codes(lines) == []


LINES = {
    "a blank is unknown": ("1;A1;;;;;;;;;;", "A1 AKTIF ? TK ? BLTH ?", []),
    "an unreadable fact is unknown": ("1;A1;;X;12345;;;;9 PROG;dua;lalu;", "A1 AKTIF ? TK ? BLTH ?", ["unclear"] * 4),
    "left": ("1;A1;;X;;;;10-2025;3P;0;;", "A1 NONAKTIF JKK+JKM+JHT TK 0 BLTH ?", []),
    "left, with workers": ("1;A1;;X;;;;10-2025;3P;4;;", "A1 NONAKTIF JKK+JKM+JHT TK 4 BLTH ?", ["workers_inactive"]),
    "to leave next year": ("1;A1;;X;;;;10-2027;3P;4;;", "A1 AKTIF JKK+JKM+JHT TK 4 BLTH ?", ["not_yet"]),
    "left before it paid": ("1;A1;;X;;;;10-2025;3P;0;11-2025;", "A1 NONAKTIF JKK+JKM+JHT TK 0 BLTH 2025-11", ["order"]),
    "paid in the future": ("1;A1;;X;;;;;3P;4;12-2026;", "A1 AKTIF JKK+JKM+JHT TK 4 BLTH 2026-12", ["future"]),
    "a name of an error": ("1;A1;;#REF!;;;;;3P;4;;", "A1 AKTIF JKK+JKM+JHT TK 4 BLTH ?", ["unclear"]),
    "division as a number": ("1;A1;1;X;;;;;3P;4;;", "A1/001 AKTIF JKK+JKM+JHT TK 4 BLTH ?", ["rewritten"]),
    "unreadable leaving": ("1;A1;;X;;;;entah;3P;4;;", None, ["bad"]),
    "an error for leaving": ("1;A1;;X;;;;#N/A;3P;4;;", None, ["bad"]),
    "a damaged NPP": ("1;1,9E+07;;X;;;;;3P;4;;", None, ["bad"]),
    "no NPP": ("1;;;UD X;41.223.344.5-801.000;;;;3P;4;;", None, ["no_npp"]),
    "no NPP but a dash": ("1;-;;UD X;41.223.344.5-801.000;;;;3P;4;;", None, ["no_npp"]),
    "a delimiter inside a name": ("1;A1;;PT A; B;;;;;3P;4;10-2026;1;0", None, ["long"]),
    "cut off": ("1;A1;;X;;;;", None, ["short"]),
    "a signature": (";;;Maros, 20 November 2026", None, ["footer"]),
    "the header again": (HEADER.strip(), None, ["header"]),
    "column numbers": ("1;2;3;4;5;6;7;8;9;10;11;12", None, ["header"]),
    "a formula in a name": ("1;A1;;=HYPERLINK(1);;;;;3P;4;;", "A1 AKTIF JKK+JKM+JHT TK 4 BLTH ?", []),
}


@pytest.mark.parametrize("case", LINES)
def test_one_line(tmp_path: Path, case: str) -> None:
    line, facts, remarks = LINES[case]
    _, lines = read(csv_file(tmp_path, f"{TITLE}{HEADER}{line}\n"))
    assert [(described(row.member)[4:] if row.member else None) for row in lines[1:]] == [facts]
    assert [code for _, _, code in codes(lines)] == remarks


@pytest.mark.parametrize("label", ["JUMLAH", "Total", "GRAND TOTAL", "TOTAL TENAGA KERJA :", "SUB TOTAL"])
@pytest.mark.parametrize("column", [0, 1, 3])
def test_a_total_line_is_no_member_wherever_its_label_stands(tmp_path: Path, label: str, column: int) -> None:
    cells = [""] * 12
    cells[column], cells[9] = label, "24"
    _, lines = read(csv_file(tmp_path, TITLE + HEADER + LINE + LINE + ";".join(cells) + "\n"))
    assert lines[-1].member is None
    assert lines[-1].total == (24, 24, 24)


def test_a_firm_that_is_called_total_is_a_member(tmp_path: Path) -> None:
    _, lines = read(csv_file(tmp_path, TITLE + HEADER + LINE.replace("CV. PESISIR JAYA MAROS", "TOTAL")))
    assert lines[-1].member is not None


# --- workbooks -----------------------------------------------------------------------------------------------------


def workbook(folder: Path, **sheets_: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets_.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path = folder / "report.xlsx"
    book.save(path)
    return path


TOP: list[list[object]] = [["PERIODE", None, "OKTOBER 2026"], HEADER.strip().split(";")]


def row(npp: object = "A1", left: object = None, workers: object = 12, paid: object = "10-2026") -> list[object]:
    return [1, npp, "000", "UD X", None, None, None, left, "3P", workers, paid, "1,00"]


def test_dates_serial_numbers_and_numbers_come_through_a_workbook(tmp_path: Path) -> None:
    midnight = datetime.combine(date(2026, 10, 1), time())
    rows = [
        row(23792691, paid=midnight),
        row("A2", paid=46296),
        row("A3", paid=date(2026, 10, 31)),
        row("A4", workers=12.0),
    ]
    _, lines = read(workbook(tmp_path, Data=TOP + rows))
    members = [line.member for line in lines if line.member]
    assert [described(member) for member in members] == [
        f"NPP {npp}/000 AKTIF JKK+JKM+JHT TK 12 BLTH 2026-10" for npp in ("23792691", "A2", "A3", "A4")
    ]


def test_hidden_sheets_and_sheets_without_header_are_read_past(tmp_path: Path) -> None:
    path = workbook(tmp_path, Petunjuk=[["Cara mengisi"]], Lama=[*TOP, row("OLD")], Data=[*TOP, row()])
    book = openpyxl.load_workbook(path)
    book["Lama"].sheet_state = "hidden"
    book.save(path)
    _, lines = read(path)
    assert [line.place for line in lines if line.member] == ["Data!3"]
    assert ("Petunjuk", Kind.PASSED, "sheet") in codes(lines)


def test_several_sheets_of_one_period_are_one_report(tmp_path: Path) -> None:
    _, lines = read(workbook(tmp_path, Satu=[*TOP, row()], Dua=[*TOP, row("A2")]))
    assert [line.place for line in lines if line.member] == ["Satu!3", "Dua!3"]


def test_sheets_of_different_periods_are_refused(tmp_path: Path) -> None:
    other: list[list[object]] = [["PERIODE", None, "SEPTEMBER 2026"], TOP[1]]
    for workers in (12, None):
        with pytest.raises(ImportRefused, match="different periods"):
            read(workbook(tmp_path, Satu=[*TOP, row(workers=workers)], Dua=[*other, row("A2")]))


def test_a_formula_without_its_result_is_no_blank(tmp_path: Path) -> None:
    _, lines = read(workbook(tmp_path, Data=[*TOP, row(left="=VLOOKUP(A1,B:C,2)"), row("A2", workers="=SUM(A1:A2)")]))
    assert [(line.place, line.member is None) for line in lines[1:]] == [("Data!3", True), ("Data!4", False)]
    assert [code for *_, code in codes(lines)] == ["bad", "unclear"]


def test_the_result_that_a_formula_had_is_taken(tmp_path: Path) -> None:
    path = workbook(tmp_path, Data=[*TOP, row(workers="=6+6")])
    rewrite(path, "xl/worksheets/sheet1.xml", b"<f>6+6</f><v/>", b"<f>6+6</f><v>12</v>")
    rewrite(path, "xl/worksheets/sheet1.xml", b"<f>6+6</f><v />", b"<f>6+6</f><v>12</v>")
    _, lines = read(path)
    assert described(lines[-1].member) == "NPP A1/000 AKTIF JKK+JKM+JHT TK 12 BLTH 2026-10"


def test_a_workbook_that_lies_about_its_size_is_read_whole(tmp_path: Path) -> None:
    path = workbook(tmp_path, Data=[*TOP, row(), row("A2")])
    rewrite(path, "xl/worksheets/sheet1.xml", b'<dimension ref="A1:L4"', b'<dimension ref="A1:B2"')
    _, lines = read(path)
    assert len([line for line in lines if line.member]) == 2


def rewrite(path: Path, name: str, old: bytes, new: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    parts[name] = parts[name].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in parts.items():
            archive.writestr(entry, content)


# --- refused -------------------------------------------------------------------------------------------------------


def bomb(folder: Path, size: int, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = workbook(folder, Data=[*TOP, row()])
    with zipfile.ZipFile(path, "a", compression) as archive:
        archive.writestr("xl/media/image1.bin", random.Random(1).randbytes(1000) * (size // 1000))
    return path


def test_a_workbook_that_unfolds_beyond_20_megabytes_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = bomb(tmp_path, 21 * 1024 * 1024, zipfile.ZIP_STORED)
    with pytest.raises(ImportRefused, match="unfolds"):
        read(path)


def test_a_workbook_that_unfolds_beyond_100_times_its_size_is_refused(tmp_path: Path) -> None:
    path = bomb(tmp_path, 5 * 1024 * 1024)
    assert path.stat().st_size * 100 < 5 * 1024 * 1024
    with pytest.raises(ImportRefused, match="unfolds"):
        read(path)


ENTITY = b'<!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


def test_a_workbook_with_entities_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, Data=[*TOP, row()])
    rewrite(path, "xl/worksheets/sheet1.xml", b"<worksheet", ENTITY + b"<worksheet")
    with pytest.raises(ImportRefused):
        read(path)


def test_a_row_number_beyond_any_sheet_is_refused_soon(tmp_path: Path) -> None:
    path = workbook(tmp_path, Data=[*TOP, row()])
    rewrite(path, "xl/worksheets/sheet1.xml", b'<row r="3"', b'<row r="2000000000"')
    with pytest.raises(ImportRefused, match="more rows"):
        read(path)


NO_REPORTS = {
    "empty": b"",
    "a sentence": b"Dengan hormat, bersama ini kami sampaikan laporan.",
    "a PDF": b"%PDF-1.7\n",
    "an old Excel file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "a web page": b"<html><table><tr><td>NPP</td></tr></table></html>",
    "a JSON file": b'{"NPP": 1}',
    "a zip of nothing": b"PK\x03\x04" + bytes(60),
    "two columns": b"NPP;NAMA\nA1;X\n",
    "an open quotation mark": (TITLE + HEADER + LINE + '2;A2;000;"UD X;;;;;3P;1;10-2026;1\n' + LINE * 9).encode(),
    "a cell without end": (TITLE + HEADER + '"' + "x" * 200_000).encode(),
    "bytes of no encoding": b"\x81\x8d\x8f NPP;NAMA;PROG\n" * 9,
}


@pytest.mark.parametrize("case", NO_REPORTS)
def test_what_is_no_report_is_refused_with_a_reason(tmp_path: Path, case: str) -> None:
    with pytest.raises(ImportRefused, match=r".{20}"):
        read(csv_file(tmp_path, NO_REPORTS[case]))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="cannot be read"):
        read(tmp_path / "none.csv")


@pytest.mark.parametrize("cell", ["=1+1", "+62", "-x", "@SUM", "\x1b[31mred", "a\nb", "x" * 500])
def test_what_is_printed_of_a_cell_is_one_short_harmless_line(cell: str) -> None:
    printed = str(Note("1", "unclear", {"column": "C", "given": shown(cell)}))
    assert printed.isprintable()
    assert shown(cell)[0] not in "=+-@"
    assert len(shown(cell)) <= 41


def test_every_remark_is_worded_in_both_languages() -> None:
    assert all(indonesian and (english or code == "taken") for code, (indonesian, english) in TEXTS.items())


# --- anything at all -----------------------------------------------------------------------------------------------

CELL = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["JUMLAH", "NPP", "10-2026", "OKT-26", "3P", "1.206", "#N/A", '"', "A1", "-", "=1"]),
)
GRID = st.lists(st.lists(CELL, max_size=14).map(";".join), max_size=12).map("\n".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    st.one_of(st.binary(max_size=400), GRID.map(str.encode), GRID.map(lambda rows: (TITLE + HEADER + rows).encode()))
)
def test_any_bytes_give_a_report_or_a_refusal_and_nothing_else(tmp_path: Path, content: bytes) -> None:
    with contextlib.suppress(ImportRefused):
        read(csv_file(tmp_path, content))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_workbook_gives_a_report_or_a_refusal(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray((SAMPLES / "branch-report.xlsx").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "report.xlsx"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    with contextlib.suppress(ImportRefused):
        read(path)


def test_reading_is_lazy(tmp_path: Path) -> None:
    path = csv_file(tmp_path, TITLE + HEADER + LINE * 50_000)
    lines = Report(path, TODAY).lines()
    first = next(lines)
    assert first.place == "4"
    assert next(lines).done < 0.1
    assert sheets.HEAD < 1000


def test_a_few_rows_that_reach_to_the_last_column_are_not_unfolded(tmp_path: Path) -> None:
    """40 bytes of a file become 16,384 cells, so that a small file is the whole memory of who collects them."""
    path = workbook(tmp_path, Data=[*TOP, row()])
    wide = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (n, n) for n in range(9, 20_000))
    rewrite(path, "xl/worksheets/sheet1.xml", b"</sheetData>", wide + b"</sheetData>")
    assert path.stat().st_size < 200_000
    for _name, rows in sheets.sheets(path, len):
        with pytest.raises(ImportRefused, match="cells"):
            assert sum(1 for _row in rows) < 5_000
