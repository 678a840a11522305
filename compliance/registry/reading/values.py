"""What one cell says: months, counts, programmes and numbers in every notation seen in branch reports (notations.toml).

Each function returns None for a blank and raises Unclear for what it cannot read; it never guesses.
"""

import re
import tomllib
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path

from compliance.errors import BadIdentifier
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
PACKAGE_WORDS, PACKAGE_SIZES = frozenset(NOTATIONS["package"]["words"]), NOTATIONS["package"]["sizes"]
KNOWN_WORDS = {*PACKAGE_WORDS, *PACKAGE_SIZES, *NOTATIONS["package"]["fillers"], *Programme.__members__}
STATUS = dict.fromkeys(NOTATIONS["active"], True) | dict.fromkeys(NOTATIONS["closed"], False)
MOST_WORKERS = 5_000_000


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
    sizes = [PACKAGE_SIZES[word] for word in words if word in PACKAGE_SIZES]
    package = frozenset(list(Programme)[: sizes[0]]) if len(sizes) == 1 and PACKAGE_WORDS & set(words) else None
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
