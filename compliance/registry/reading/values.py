"""What one cell says: months, counts, programmes and numbers in every notation seen in branch reports.

Each function returns None for a blank and raises Unclear for what it cannot read; it never guesses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache

from compliance.errors import BadIdentifier
from compliance.law import identifiers
from compliance.law.facts import Programme

Cell = str | int | float | bool | date | datetime | None

BLANK = frozenset({"", "-", "--", "---", "–", "—", "NULL", "NIHIL", "KOSONG", "TIDAK ADA", "BELUM ADA"})
FIRST_YEAR, LAST_YEAR = 1970, 2099
SERIAL_ZERO = date(1899, 12, 30)  # Excel counts days from here
SERIALS = range(25569, 58441)  # 1970 to 2059
MONTH_NAMES = {
    1: "JANUARI JANUARY JAN",
    2: "FEBRUARI PEBRUARI FEBRUARY FEB PEB",
    3: "MARET MARCH MAR MRT",
    4: "APRIL APR",
    5: "MEI MAY",
    6: "JUNI JUNE JUN",
    7: "JULI JULY JUL",
    8: "AGUSTUS AUGUST AGT AGS AGU AGUST AUG",
    9: "SEPTEMBER SEPT SEP",
    10: "OKTOBER OCTOBER OKT OCT",
    11: "NOVEMBER NOPEMBER NOV NOP",
    12: "DESEMBER DECEMBER DES DEC",
}
MONTHS = {name: number for number, names in MONTH_NAMES.items() for name in names.split()}
PACKAGES = [Programme.JKK, Programme.JKM, Programme.JHT, Programme.JP, Programme.JKP]
PACKAGE_WORDS = frozenset({"P", "PROG", "PROGRAM", "PROGRAMME", "PROGRAMMES", "PROGRAMS", "PAKET"})
FILLERS = PACKAGE_WORDS | {"DAN", "AND", "JPK"}  # JPK, health, left the agency in 2014
PACKAGE_SIZES = {"DUA": 2, "TIGA": 3, "EMPAT": 4, "LIMA": 5} | {str(size): size for size in range(2, 6)}
MOST_WORKERS = 5_000_000


class Unclear(ValueError):
    """A cell that holds something, but not what its column is for."""


def text(cell: Cell) -> str:
    """The cell as one line of printable text; whole numbers without decimals, days as yyyy-mm-dd."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e16:
        cell = int(cell)
    if isinstance(cell, datetime):
        cell = cell.date()
    return _clean(cell if isinstance(cell, str) else str(cell))


@lru_cache(maxsize=4096)
def _clean(written: str) -> str:
    kept = written
    if not (written.isascii() and written.isprintable()):
        kept = unicodedata.normalize("NFKC", written)
        kept = "".join(letter if letter.isprintable() else " " for letter in kept)
    kept = " ".join(kept.split())
    return "" if kept.upper() in BLANK else kept


def month(cell: Cell) -> date | None:
    """First day of the month: 07-2012, 07/15, OKT-26, 1 Oktober 2026, 202610, a date, or Excel's number of a day."""
    found = day(cell)
    return found and found.replace(day=1)


def day(cell: Cell) -> date | None:
    """The day; a month alone gives its first day. Two-digit years below 70 are of this century; day before month."""
    if isinstance(cell, bool):
        raise Unclear(str(cell))
    if isinstance(cell, date):
        return _day(cell.year, cell.month, cell.day)
    if isinstance(cell, (int, float)):
        return _from_number(cell)
    return _from_text(text(cell).upper())


def _from_number(number: float) -> date | None:
    if number == 0:
        return None
    if number != number or abs(number) > 1e9:
        raise Unclear(str(number))
    whole = int(number)
    month_first = 1 <= whole // 10_000 <= 9 and FIRST_YEAR <= whole % 10_000 <= LAST_YEAR  # 42012: April 2012?
    if whole in SERIALS and not month_first:
        return SERIAL_ZERO + timedelta(days=whole)
    if whole in SERIALS or whole != number:
        raise Unclear(str(number))
    return _from_digits(f"0{whole}" if month_first else str(whole))


@lru_cache(maxsize=4096)
def _from_text(written: str) -> date | None:
    if not written or not written.strip("0-/. "):
        return None
    written = re.sub(r"[ T]\d{1,2}[:.]\d{2}([:.]\d{2}(\.\d+)?)?\s*([AP]M|WIB|WITA|WIT|Z|[+-]\d\d:?\d\d)?$", "", written)
    if re.search(r"[^0-9A-Z\-/., '’_]", written):
        raise Unclear(written)
    parts = re.findall(r"[A-Z]+|[0-9]+", written)
    if len(parts) == 1 and parts[0].isdigit():
        return _from_digits(parts[0])
    return _from_parts([MONTHS.get(part, 0) if part.isalpha() else part for part in parts], written)


def _from_digits(digits: str) -> date:
    """202610, 102026, 20261001, 01102026, or five digits: Excel's number of a day."""
    if len(digits) == 5 and int(digits) in SERIALS:
        return SERIAL_ZERO + timedelta(days=int(digits))
    year_first = digits[:2] in ("19", "20")
    if len(digits) == 6:
        year, months = (digits[:4], digits[4:]) if year_first else (digits[2:], digits[:2])
        return _day(year, months, 1)
    if len(digits) == 8:
        if year_first and int(digits[4:6]) <= 12:
            return _day(digits[:4], digits[4:6], digits[6:])
        return _day(digits[4:], digits[2:4], digits[:2])
    raise Unclear(digits)


def _from_parts(parts: list[str | int], written: str) -> date:
    """Two or three parts; a month's name came as int, every number as str."""
    match parts:
        case [int() as name, str() as year] if len(year) in (2, 4):
            return _day(year, name, 1)
        case [str() as year, int() as name] if len(year) == 4:
            return _day(year, name, 1)
        case [str() as year, int() | str() as middle, str() as last] if len(year) == 4 and len(last) <= 2:
            return _day(year, middle, last)
        case [str() as first, int() | str() as middle, str() as year] if len(first) <= 2 and len(year) in (2, 4):
            american = isinstance(middle, str) and int(middle) > 12
            return _day(year, first, middle) if american else _day(year, middle, first)
        case [int() as name, str() as first, str() as year] if len(year) == 4:
            return _day(year, name, first)
        case [str() as year, str() as last] if len(year) == 4 and len(last) <= 2:
            return _day(year, last, 1)
        case [str() as first, str() as year] if len(first) <= 2 and len(year) in (2, 4):
            return _day(year, first, 1)
    raise Unclear(written)


def _day(year: str | int, months: str | int, days: str | int) -> date:
    number = int(year)
    if isinstance(year, str) and len(year) == 2:
        number += 2000 if number < FIRST_YEAR - 1900 else 1900
    if not FIRST_YEAR <= number <= LAST_YEAR:
        raise Unclear(str(year))
    try:
        return date(number, int(months), int(days))
    except ValueError as error:
        raise Unclear(f"{days}-{months}-{year}") from error


def count(cell: Cell) -> int | None:
    """A head count: 12, "12", 1.206, 1,206 or 12,00. A fraction is unclear: Excel may have eaten a separator."""
    if isinstance(cell, (bool, date)):
        raise Unclear(text(cell))
    written = text(cell)
    if re.fullmatch(r"[0-9]{1,3}([. ,][0-9]{3})+", written) and isinstance(cell, str):
        number = int(re.sub(r"[^0-9]", "", written))
    elif found := re.fullmatch(r"([0-9]{1,9})([.,]0{1,2})?", written):
        number = int(found[1])
    elif not written:
        return None
    else:
        raise Unclear(written)
    if number > MOST_WORKERS:
        raise Unclear(written)
    return number


def programmes(cell: Cell) -> frozenset[Programme] | None:
    """JKK,JKM,JHT in any punctuation, or a package: 2 PROGRAM, 3P, TIGA PROGRAM. A strange word makes all unclear."""
    return _programmes(text(cell).upper())


@lru_cache(maxsize=4096)
def _programmes(written: str) -> frozenset[Programme] | None:
    if not written:
        return None
    words = re.findall(r"[^\W\d_]+|\d+", written)
    listed = frozenset(Programme(word) for word in words if word in Programme.__members__)
    sizes = [PACKAGE_SIZES[word] for word in words if word in PACKAGE_SIZES]
    strange = [w for w in words if w not in Programme.__members__ and w not in PACKAGE_SIZES and w not in FILLERS]
    package = frozenset(PACKAGES[: sizes[0]]) if len(sizes) == 1 and PACKAGE_WORDS & set(words) else None
    if strange or (sizes and not package) or (package and listed and package != listed) or not (package or listed):
        raise Unclear(written)
    return listed or package


def npp(cell: Cell) -> str | None:
    """Registration number, upper case. Dots, dashes and spaces are dropped; a fraction or 2,1E+07 is unclear."""
    return _number(cell, identifiers.npp)


def nib(cell: Cell) -> str | None:
    """13 digits; Excel drops the leading zero of a number."""
    if isinstance(cell, (int, float)) and not isinstance(cell, bool) and 10**11 <= cell < 10**13:
        cell = text(cell).zfill(13)
    return _number(cell, identifiers.nib)


def npwp(cell: Cell) -> str | None:
    """Canonical 16 digits. A number cell has lost its leading zeros; one of 16 digits has lost its last digit."""
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        if 10**11 <= cell < 10**15:
            cell = text(cell).zfill(16)
        elif cell:
            raise Unclear(text(cell))
    found = _number(cell, identifiers.npwp)
    return found if found and found.strip("0") else None


def _number(cell: Cell, check: Callable[[str], str]) -> str | None:
    written = text(cell)
    if isinstance(cell, (bool, date)) or (isinstance(cell, float) and not cell.is_integer()):
        raise Unclear(written)
    if not written or not written.strip("0-. "):
        return None
    if re.search(r"[0-9][.,][0-9]+E\+?[0-9]+$", written.upper()):
        raise Unclear(written)
    try:
        return check(re.sub(r"[-. /]", "", written))
    except BadIdentifier as error:
        raise Unclear(written) from error


def divisi(cell: Cell) -> str:
    """The suffix of an NPP, three characters; blank is blank."""
    written = text(cell).upper()
    if not re.fullmatch(r"[0-9A-Z]{0,3}", written):
        raise Unclear(written)
    return written.zfill(3) if written else ""


ACTIVE = frozenset({"AKTIF", "ACTIVE"})
CLOSED = frozenset({"NONAKTIF", "NON AKTIF", "NON-AKTIF", "TIDAK AKTIF", "INACTIVE"})


def active(cell: Cell) -> bool | None:
    """The word of a status column."""
    written = text(cell).upper()
    if written and written not in ACTIVE | CLOSED:
        raise Unclear(written)
    return written in ACTIVE if written else None
