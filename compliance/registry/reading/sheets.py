"""Opens a file as rows of cells (CSV in any usual encoding and delimiter, or XLSX; memory does not grow), and says what
one cell means, in every notation seen in branch reports (notations.toml)."""

import codecs
import csv
import io
import itertools
import re
import tomllib
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl

from compliance.errors import BadIdentifier, ImportRefused
from compliance.law import identifiers
from compliance.law.facts import Programme

Cell = str | int | float | bool | date | datetime | None
NOTATIONS = tomllib.loads(Path(__file__).with_name("notations.toml").read_text("utf-8"))
MONTH_NAMES = dict(enumerate(NOTATIONS["months"], 1))
MONTHS = {name: f"M{number}" for number, names in MONTH_NAMES.items() for name in names.split()}
DATES = [re.compile(notation) for notation in NOTATIONS["dates"]]
YEARS = range(1970, 2100)
SERIAL_ZERO = date(1899, 12, 30)  # Excel counts days from here
SERIALS = range(25569, 58441)  # 1970 to 2059
CLOCK = re.compile(r"[ T]\d{1,2}[:.]\d{2}([:.]\d{2}(\.\d+)?)?\s*([AP]M|WIB|WITA|WIT|Z|[+-]\d\d:?\d\d)?$")
PACKAGE = NOTATIONS["package"]
KNOWN_WORDS = {*PACKAGE["words"], *PACKAGE["sizes"], *PACKAGE["fillers"], *Programme.__members__}
STATUS = dict.fromkeys(NOTATIONS["active"], True) | dict.fromkeys(NOTATIONS["closed"], False)
MOST_WORKERS = 5_000_000
MOST_UNPACKED, MOST_RATIO = 20 * 1024 * 1024, 100
MOST_ROWS, MOST_CELLS = 1_048_576, 30_000_000  # cells to the left of a written one are unfolded too
LONGEST_RECORD = 5  # lines; more is a quotation mark that nobody closed
HEAD = 60  # rows among which a header is looked for
NOT_TABLES = {b"%PDF": "a PDF", b"<": "a web page or XML file", b"{": "a JSON file"}
NOT_TABLES[b"\xd0\xcf\x11\xe0"] = "an old or password-protected Excel file"


class Row(NamedTuple):  # `place` is how a person finds it; so much of the file is `done`, 0 to 1
    place: str
    cells: tuple[Cell, ...]
    done: float


def sheets(path: Path, known: Callable[[tuple[Cell, ...]], int]) -> Iterator[tuple[str, Iterator[Row]]]:
    """The visible sheets by name; a CSV file is one sheet "". `known` counts the known column names of a row.
    Raises ImportRefused, here or while rows are read, for anything that is no table."""
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
    encoding, most = _encoding(path, start), dict.fromkeys(";\t|,", 0)
    for delimiter in most:
        with suppress(ImportRefused):
            rows = itertools.islice(_records(path, encoding, delimiter), HEAD)
            most[delimiter] = max((known(row.cells) for row in rows), default=0)
    yield "", _records(path, encoding, max(most, key=lambda delimiter: most[delimiter]))


def _encoding(path: Path, start: bytes) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if start[first::2].count(0) > len(start) // 4:
            return encoding
    try:
        with path.open(encoding="utf-8") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"  # its mark may be left out


def _records(path: Path, encoding: str, delimiter: str) -> Iterator[Row]:
    begins, size = 1, path.stat().st_size
    with path.open("rb") as raw, io.TextIOWrapper(raw, encoding) as lines:
        reader = csv.reader((line.replace("\x00", " ") for line in lines), delimiter=delimiter)
        try:
            for record in reader:
                if reader.line_num - begins >= LONGEST_RECORD:
                    raise ImportRefused(f"line {begins}: a quotation mark is opened and not closed")
                if begins > 1 or not "".join(record).lower().startswith("sep="):
                    yield Row(str(begins), tuple(record), min(raw.tell() / size, 1.0))
                begins = reader.line_num + 1
        except csv.Error as error:
            raise ImportRefused(f"line {begins}: {error}") from error
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


# --- one cell: None is a blank, Unclear what cannot be read; nothing is ever guessed


class Unclear(ValueError):
    """A cell that holds something, but not what its column is for."""


@lru_cache(maxsize=4096, typed=True)
def text(cell: object) -> str:
    """The cell as one line of printable text; whole numbers without decimals, days as yyyy-mm-dd."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e16:
        cell = int(cell)
    if isinstance(cell, datetime):
        cell = cell.date()
    written = "" if cell is None else str(cell)
    if not (written.isascii() and written.isprintable()):
        written = unicodedata.normalize("NFKC", written)
        written = "".join(letter if letter.isprintable() else " " for letter in written)
    written = " ".join(written.split())
    return "" if written.upper() in NOTATIONS["blank"] else written


def name(cell: Cell) -> str | None:
    """At most 200 characters; a spreadsheet's error value is unclear."""
    if (written := text(cell)).startswith("#"):
        raise Unclear(written)
    return written[:200] or None


def month(cell: Cell) -> date | None:
    """First day of the month: 07-2012, 07/15, OKT-26, 1 Oktober 2026, 202610, a date, or Excel's number of a day."""
    found = day(cell)
    return found and found.replace(day=1)


@lru_cache(maxsize=4096, typed=True)
def day(cell: Cell) -> date | None:
    """The day; a month alone gives its first day. Two-digit years below 70 are of this century; day before month."""
    written = CLOCK.sub("", text(cell).upper())
    if not written.strip("0-/. "):
        return None
    if re.search(r"^-|[^0-9A-Z\-/., '’_]", written):
        raise Unclear(written)
    serial = re.fullmatch(r"([0-9]{5})(\.[0-9]+)?", written)
    if serial and int(serial[1]) in SERIALS:
        if not isinstance(cell, str) and int(written[1:5]) in YEARS:  # 42012: April 2012, and Excel ate the zero?
            raise Unclear(written)
        return SERIAL_ZERO + timedelta(days=int(serial[1]))
    parts = " ".join(MONTHS.get(part, part) for part in re.findall(r"[A-Z]+|[0-9]+", written))
    for found in filter(None, (notation.fullmatch(parts) for notation in DATES)):
        year = int(found["y"]) + (0 if len(found["y"]) > 2 else 2000 if int(found["y"]) < 70 else 1900)
        with suppress(ValueError):
            if year in YEARS:
                return date(year, int(found["m"]), int(found.groupdict().get("d", 1)))
    raise Unclear(written)


def count(cell: Cell) -> int | None:
    """A head count: 12, "12", 1.206, 1,206 or 12,00. A fraction is unclear: Excel may have eaten a separator."""
    if not (written := text(cell)):
        return None
    found = re.fullmatch(r"([0-9]{1,9})([.,]0{1,2})?", written)
    number = int(found[1]) if found else -1
    if isinstance(cell, str) and re.fullmatch(r"[0-9]{1,3}([. ,][0-9]{3})+", written):
        number = int(re.sub(r"[. ,]", "", written))
    if isinstance(cell, (bool, date)) or not 0 <= number <= MOST_WORKERS:
        raise Unclear(written)
    return number


@lru_cache(maxsize=4096, typed=True)
def programmes(cell: Cell) -> frozenset[Programme] | None:
    """JKK,JKM,JHT in any punctuation, or a package: 2 PROGRAM, 3P, TIGA PROGRAM. A strange word makes all unclear."""
    if not (written := text(cell).upper()):
        return None
    words = re.findall(r"[^\W\d_]+|\d+", written)
    listed = frozenset(Programme(word) for word in words if word in Programme.__members__)
    sizes = [PACKAGE["sizes"][word] for word in words if word in PACKAGE["sizes"]]
    named = len(sizes) == 1 and not set(words).isdisjoint(PACKAGE["words"])
    package = frozenset(list(Programme)[: sizes[0]]) if named else None
    contradicts = (sizes and not package) or (package and listed and package != listed)
    if contradicts or not (package or listed) or not KNOWN_WORDS.issuperset(words):
        raise Unclear(written)
    return listed or package


def _number(check: Callable[[str], str], width: int, numbers: range | None, cell: Cell) -> str | None:
    """`numbers`: what a number cell may hold, filled up with zeros to `width`. Dots, dashes and spaces are dropped."""
    written = text(cell)
    damaged = re.search(r"[0-9][.,][0-9]+E\+?[0-9]+$", written.upper())
    if damaged or isinstance(cell, (bool, date)) or (isinstance(cell, float) and not cell.is_integer()):
        raise Unclear(written)
    if not written.strip("0-./ "):
        return None
    if numbers and isinstance(cell, (int, float)):
        if int(cell) not in numbers:
            raise Unclear(written)
        written = written.zfill(width)
    try:
        return check(re.sub(r"[-. /]", "", written))
    except BadIdentifier as error:
        raise Unclear(written) from error


# Excel drops the leading zeros of a number, and the last digit of one of 16.
npp = partial(_number, identifiers.npp, 0, None)
nib = partial(_number, identifiers.nib, 13, range(10**11, 10**13))
npwp = partial(_number, identifiers.npwp, 16, range(10**11, 10**15))


def divisi(cell: Cell) -> str | None:
    """The suffix of an NPP, three characters."""
    written = text(cell).upper()
    if not re.fullmatch(r"[0-9A-Z]{0,3}", written):
        raise Unclear(written)
    return written.zfill(3) if written else None


def active(cell: Cell) -> bool | None:
    """The word of a status column."""
    if (written := text(cell).upper()) and written not in STATUS:
        raise Unclear(written)
    return STATUS.get(written)
