"""Opens a file as rows of cells: CSV in any usual encoding and delimiter, or XLSX; memory does not grow."""

import codecs
import csv
import io
import itertools
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl

from compliance.errors import ImportRefused
from compliance.registry.reading.values import Cell

MOST_UNPACKED, MOST_RATIO = 20 * 1024 * 1024, 100
MOST_ROWS, MOST_CELLS = 1_048_576, 30_000_000  # cells to the left of a written one are unfolded too
LONGEST_RECORD = 5  # lines; more is a quotation mark that nobody closed
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
HEAD = 60  # rows among which a header is looked for
NOT_TABLES = {b"%PDF": "a PDF", b"<": "a web page or XML file", b"{": "a JSON file"}
NOT_TABLES[b"\xd0\xcf\x11\xe0"] = "an old or password-protected Excel file"


class Row(NamedTuple):
    """`place` is how a person finds it: the line number, after the sheet's name when there are sheets."""

    place: str
    cells: tuple[Cell, ...]
    done: float  # how much of the file has been read, 0 to 1


def sheets(path: Path, known: Callable[[tuple[Cell, ...]], int]) -> Iterator[tuple[str, Iterator[Row]]]:
    """The visible sheets by name; a CSV file is one sheet "". `known` counts the known column names of a row.

    Raises ImportRefused, here or while rows are read, for anything that is no table.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise ImportRefused(f"{path.name} cannot be read ({error.strerror})") from error
    for magic, what in NOT_TABLES.items():
        if start.removeprefix(codecs.BOM_UTF8).lstrip().startswith(magic):
            raise ImportRefused(f"{path.name} is {what}; save it as XLSX or CSV")
    if start.startswith(b"PK\x03\x04"):
        yield from _workbook(path)
        return
    encoding = _encoding(path, start)

    def most_known(delimiter: str) -> int:
        try:
            rows = itertools.islice(_records(path, encoding, delimiter), HEAD)
            return max((known(row.cells) for row in rows), default=0)
        except ImportRefused:
            return 0

    yield "", _records(path, encoding, max(";\t|,", key=most_known))


def _encoding(path: Path, start: bytes) -> str:
    for bom, encoding in BOMS.items():
        if start.startswith(bom):
            return encoding
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if start[first::2].count(0) > len(start) // 4:
            return encoding
    try:
        with path.open(encoding="utf-8") as text:
            while text.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[Row]:
    """Each record with the line on which it begins."""
    line, size = 1, path.stat().st_size
    with path.open("rb") as raw, io.TextIOWrapper(raw, encoding) as lines:
        reader = csv.reader((text.replace("\x00", " ") for text in lines), delimiter=delimiter)
        try:
            for record in reader:
                if reader.line_num - line >= LONGEST_RECORD:
                    raise ImportRefused(f"line {line}: a quotation mark is opened and not closed")
                if line > 1 or not "".join(record).lower().startswith("sep="):
                    yield Row(str(line), tuple(record), min(raw.tell() / size, 1.0))
                line = reader.line_num + 1
        except csv.Error as error:
            raise ImportRefused(f"line {line}: {error}") from error
        except UnicodeDecodeError as error:
            raise ImportRefused(f"{path.name} is no text in UTF-8, UTF-16 or Windows-1252") from error


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """openpyxl meets hostile files with every kind of error; each of them means that this cannot be read."""
    try:
        yield
    except ImportRefused:
        raise
    except Exception as error:
        raise ImportRefused(f"{what} ({type(error).__name__})") from error


def _workbook(path: Path) -> Iterator[tuple[str, Iterator[Row]]]:
    with path.open("rb") as file:  # openpyxl leaves its own open when a workbook is damaged
        with _readable(f"{path.name} is no XLSX workbook that can be read"):
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > min(MOST_UNPACKED, MOST_RATIO * path.stat().st_size):
                most = f"{MOST_UNPACKED:,}, and {MOST_RATIO} times its size"
                raise ImportRefused(f"{path.name} unfolds to {unpacked:,} bytes; allowed are {most}")
            results = openpyxl.load_workbook(file, read_only=True, data_only=True)
            formulas = openpyxl.load_workbook(file, read_only=True, data_only=False)
            pairs = [(sheet, formulas[sheet.title]) for sheet in results.worksheets if sheet.sheet_state == "visible"]
        for sheet, written in pairs:
            yield sheet.title, _sheet_rows(path, sheet, written)


def _sheet_rows(path: Path, sheet: Any, written: Any) -> Iterator[Row]:
    """A formula's stored result is what the branch saw; without one the cell says nothing, which is not a blank."""
    total, unfolded = max(sheet.max_row or 1, 1), 0
    with _readable(f"sheet {sheet.title}: cannot be read"):
        with zipfile.ZipFile(path) as archive:
            has_formulas = re.search(rb"[<:]f[ />]", archive.read(sheet._worksheet_path))
        for each in (sheet, written):
            each.reset_dimensions()  # what the file says of its own size may be wrong
        second: Iterator[Any] = written.iter_rows(values_only=True) if has_formulas else itertools.repeat(())
        for number, (cells, typed) in enumerate(zip(sheet.iter_rows(values_only=True), second, strict=False), 1):
            unfolded += len(cells)
            if unfolded > MOST_CELLS:
                raise ImportRefused(f"sheet {sheet.title} has more than {MOST_CELLS:,} cells; delete the empty columns")
            if number > MOST_ROWS:
                raise ImportRefused(f"sheet {sheet.title} has more rows than a sheet can have")
            if has_formulas:
                both = zip(cells, typed, strict=False)
                cells = tuple("#FORMULA" if cell is None and str(put).startswith("=") else cell for cell, put in both)
            yield Row(f"{sheet.title[:28]}!{number}", cells, min(number / total, 1.0))
