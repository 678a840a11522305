"""Opens a file as rows of cells: CSV in any usual encoding and delimiter, or XLSX; memory does not grow."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import openpyxl

from compliance.errors import ImportRefused
from compliance.registry.reading.values import Cell

MOST_UNPACKED = 20 * 1024 * 1024
MOST_RATIO = 100
MOST_ROWS = 1_048_576
LONGEST_RECORD = 5  # lines; more is a quotation mark that nobody closed
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
DELIMITERS = ";\t|,"
HEAD = 60  # rows among which a header is looked for
NOT_TABLES = {
    b"\xd0\xcf\x11\xe0": "an old or password-protected Excel file",
    b"%PDF": "a PDF",
    b"<": "a web page or XML file",
    b"{": "a JSON file",
}
FORMULA_WITHOUT_VALUE = "#FORMULA"


@dataclass(frozen=True, slots=True)
class Row:
    """`place` is how a person finds it: the line number, after the sheet's name when there are sheets."""

    place: str
    cells: tuple[Cell, ...]
    done: float = 0.0  # how much of the file has been read, 0 to 1


@dataclass(frozen=True, slots=True)
class Sheet:
    """`ragged`: a short row was cut off, and its missing cells are not blanks (CSV)."""

    name: str
    rows: Iterator[Row]
    ragged: bool


def sheets(path: Path, columns_known: Callable[[tuple[Cell, ...]], int]) -> Iterator[Sheet]:
    """The visible sheets of the file. `columns_known` counts known column names in a row: it tells delimiters apart.

    Raises ImportRefused, here or while rows are read, for anything that is no table.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ImportRefused(f"{path.name} cannot be read ({error.strerror})") from error
    for magic, what in NOT_TABLES.items():
        if start.removeprefix(codecs.BOM_UTF8).lstrip().startswith(magic):
            raise ImportRefused(f"{path.name} is {what}; save it as XLSX or CSV")
    if start == b"PK\x03\x04":
        yield from _workbook(path)
    else:
        yield Sheet("", _csv_rows(path, columns_known), ragged=True)


# --- CSV -----------------------------------------------------------------------------------------------------------


def _csv_rows(path: Path, columns_known: Callable[[tuple[Cell, ...]], int]) -> Iterator[Row]:
    encoding, size = _encoding(path), max(path.stat().st_size, 1)
    try:
        best = max(DELIMITERS, key=lambda delimiter: _known_columns(path, encoding, delimiter, columns_known))
        with path.open("rb") as raw:
            for line, record in _records(raw, encoding, best):
                yield Row(str(line), tuple(record), min(raw.tell() / size, 1.0))
    except UnicodeDecodeError as error:
        raise ImportRefused(f"{path.name} is no text in UTF-8, UTF-16 or Windows-1252") from error


def _records(raw: BinaryIO, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins."""
    lines = codecs.getreader(encoding)(raw)
    reader = csv.reader(_plain_lines(lines), delimiter=delimiter)
    line = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ImportRefused(f"line {line}: {error}") from error
        if reader.line_num - line >= LONGEST_RECORD:
            raise ImportRefused(f"line {line}: a quotation mark is opened and not closed")
        if not (line == 1 and len(record) <= 2 and record[0:1] and record[0].lower().startswith("sep=")):
            yield line, record
        line = reader.line_num + 1


def _plain_lines(lines: codecs.StreamReader) -> Iterator[str]:
    """Lines as text editors count them (not at every Unicode separator), without NUL."""
    rest = ""
    while piece := lines.read(65536):
        rest = (rest + piece).replace("\x00", " ")
        keep = rest.endswith("\r")  # its \n may follow
        whole = rest[:-1] if keep else rest
        parts = whole.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        rest = parts.pop() + ("\r" if keep else "")
        yield from (part + "\n" for part in parts)
    yield from (part + "\n" for part in rest.replace("\r", "\n").split("\n") if part)


def _known_columns(path: Path, encoding: str, delimiter: str, known: Callable[[tuple[Cell, ...]], int]) -> int:
    with path.open("rb") as raw:
        try:
            head = itertools.islice(_records(raw, encoding, delimiter), HEAD)
            return max((known(tuple(record)) for _, record in head), default=0)
        except ImportRefused:
            return 0


def _encoding(path: Path) -> str:
    with path.open("rb") as raw:
        start = raw.read(4096)
        for bom, encoding in BOMS.items():
            if start.startswith(bom):
                return encoding
        if start[1::2].count(0) > len(start) // 4:
            return "utf-16-le"
        if start[0::2].count(0) > len(start) // 4:
            return "utf-16-be"
        raw.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while piece := raw.read(1 << 20):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


# --- XLSX ----------------------------------------------------------------------------------------------------------


def _workbook(path: Path) -> Iterator[Sheet]:
    """openpyxl meets hostile files with every kind of error; each of them means that this file cannot be read."""
    _check_size(path)
    try:
        values = openpyxl.load_workbook(path, read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(path, read_only=True, data_only=False)
        pairs = [(sheet, formulas[sheet.title]) for sheet in values.worksheets if sheet.sheet_state == "visible"]
    except Exception as error:
        raise ImportRefused(f"{path.name} is no XLSX workbook that can be read") from error
    try:
        for sheet, written in pairs:
            yield Sheet(sheet.title, _sheet_rows(path, sheet, written), ragged=False)
    finally:
        values.close()
        formulas.close()


def _sheet_rows(path: Path, sheet: Any, written: Any) -> Iterator[Row]:
    total = max(sheet.max_row or 1, 1)
    try:
        for each in (sheet, written):
            each.reset_dimensions()  # what the file says of its own size may be wrong
        twice = _has_formulas(path, sheet)
        second: Iterator[Any] = written.iter_rows(values_only=True) if twice else itertools.repeat(())
        for number, (cells, typed) in enumerate(zip(sheet.iter_rows(values_only=True), second, strict=False), 1):
            if twice:
                cells = tuple(map(_with_formula, cells, typed))
            if number > MOST_ROWS:
                raise ImportRefused(f"sheet {sheet.title} has more rows than a sheet can have")
            yield Row(f"{sheet.title[:28]}!{number}", cells, min(number / total, 1.0))
    except ImportRefused:
        raise
    except Exception as error:
        raise ImportRefused(f"sheet {sheet.title}: cannot be read ({type(error).__name__})") from error


def _with_formula(value: Cell, typed: object) -> Cell:
    """A formula's stored result is what the branch saw; without one the cell says nothing, which is not a blank."""
    missing = value is None and isinstance(typed, str) and typed.startswith("=")
    return FORMULA_WITHOUT_VALUE if missing else value


def _has_formulas(path: Path, sheet: Any) -> bool:
    with zipfile.ZipFile(path) as archive, archive.open(sheet._worksheet_path) as xml:
        tail = b""
        while piece := xml.read(1 << 16):
            if re.search(rb"[<:]f[ />]", tail + piece):
                return True
            tail = piece[-2:]
    return False


def _check_size(path: Path) -> None:
    """Before anything is parsed: a small file must not unfold into a huge one."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ImportRefused(f"{path.name} is a damaged XLSX file") from error
    if unpacked > MOST_UNPACKED or unpacked > MOST_RATIO * path.stat().st_size:
        raise ImportRefused(
            f"{path.name} unfolds to {unpacked:,} bytes; allowed are {MOST_UNPACKED:,}, and {MOST_RATIO} times its size"
        )
