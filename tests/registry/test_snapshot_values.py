"""What one cell says, in every notation; and that no cell whatever breaks the reader."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.law.facts import Programme
from compliance.registry.reading import sheets as values
from compliance.registry.reading.sheets import Unclear

OCTOBER = date(2026, 10, 1)
MONTHS = {
    OCTOBER: [
        "10-2026",
        "10/2026",
        "10.2026",
        "10/26",
        "OKT-26",
        "Okt 26",
        "OKT'26",
        "OKTOBER 2026",
        "oktober  2026",
        "Oct-26",
        "OCT 2026",
        "October, 2026",
        "01-10-2026",
        "1/10/2026",
        "01.10.26",
        "2026-10",
        "2026/10/01",
        "2026-10-01T00:00:00",
        "01/10/2026 00:00",
        "1 Oktober 2026",
        "31-OKT-2026",
        "2026 OKT",
        "Oct 1, 2026",
        "10/19/2026",
        "202610",
        "102026",
        "20261001",
        "01102026",
        "46296",
        "１０－２０２６",
        " 10 - 2026 ",
        46296,
        46296.0,
        46296.5,
        202610,
        102026,
        20261001,
        datetime.combine(OCTOBER, time()),
        date(2026, 10, 31),
    ],
    date(2012, 7, 1): ["07-2012", "7/2012", "JUL-12", "JULI 2012", "01-07-2012", 72012, 41091],
    date(2026, 5, 1): ["MEI-26", "MEI 2026", "May-26", "05-2026"],
    date(2026, 8, 1): ["AGT-26", "AGS-26", "AGU 2026", "AGUSTUS 2026", "AUG-26", "August 2026"],
    date(2022, 12, 1): ["DES-22", "DESEMBER 2022", "DEC-22"],
    date(2011, 3, 1): ["MAR-11", "MARET 2011", "MRT 2011"],
    date(2020, 2, 1): ["FEB-20", "PEBRUARI 2020", "29-02-2020"],
    date(2019, 11, 1): ["NOV-19", "NOPEMBER 2019", "NOP-19"],
    date(1998, 1, 1): ["JAN-98", "01-1998", "1/98"],
}
NO_MONTH = [
    "13-2026",
    "00-2026",
    "OKTOBER",
    "2026",
    "26-OKT",
    "OKT-126",
    "31-02-2026",
    "10-1926",
    "10-2126",
    "1026",
    "AKTIF",
    "#N/A",
    "#FORMULA",
    "?",
    "10-2026-11-2026",
    "=10-2026",
    True,
    7,
    1e300,
    float("nan"),
    42012,
    time(1, 2),
    -46296,
]
BLANKS = [None, "", "  ", "-", "--", "–", "\u00a0", "NULL", "nihil", "kosong"]


@pytest.mark.parametrize(("cell", "month"), [(cell, month) for month, cells in MONTHS.items() for cell in cells])
def test_a_month_is_read_in_every_notation(cell: values.Cell, month: date) -> None:
    assert values.month(cell) == month


@pytest.mark.parametrize("cell", NO_MONTH)
def test_what_is_no_month_is_unclear_and_never_guessed(cell: values.Cell) -> None:
    with pytest.raises(Unclear):
        values.month(cell)


@pytest.mark.parametrize("cell", [*BLANKS, 0, "0", "00-0000", "/  /"])
def test_a_blank_month_is_unknown(cell: values.Cell) -> None:
    assert values.month(cell) is None


@pytest.mark.parametrize("cell", BLANKS)
@pytest.mark.parametrize("parse", [values.count, values.programmes, values.npp, values.npwp, values.nib, values.active])
def test_blanks_are_unknown_everywhere(parse, cell: values.Cell) -> None:
    assert parse(cell) is None


PACKAGES = {
    "JKK JKM": [
        "JKK,JKM",
        "JKK;JKM",
        "jkk + jkm",
        "JKM/JKK",
        "JKK & JKM",
        "JKK dan JKM",
        "2 PROGRAM",
        "2P",
        "2 prog.",
        "P2",
        "PAKET 2",
        "DUA PROGRAM",
        "2 PROGRAM (JKK,JKM)",
        "JKK|JKM",
        "JKK, JKM, JPK",
    ],
    "JKK JKM JHT": ["JKK,JKM,JHT", "JKK, JKM, JHT", "JKK JKM JHT", "3 PROGRAM", "3P", "TIGA PROGRAM", "3-PROGRAM"],
    "JKK JKM JHT JP": ["JKK,JKM,JHT,JP", "4 PROGRAM", "4P", "EMPAT PROGRAM"],
    "JKK JKM JHT JP JKP": ["5 PROGRAM", "JKK+JKM+JHT+JP+JKP"],
    "JKK": ["JKK", " jkk "],
}


@pytest.mark.parametrize(("cell", "words"), [(cell, words) for words, cells in PACKAGES.items() for cell in cells])
def test_programmes_are_read_in_every_notation(cell: str, words: str) -> None:
    assert values.programmes(cell) == {Programme(word) for word in words.split()}


@pytest.mark.parametrize(
    "cell", ["1 PROGRAM", "6P", "3", 3, "JKK,JKM,XYZ", "PROGRAM", "4P (JKK,JKM)", "2P 3P", "#REF!", "JHTJP"]
)
def test_unknown_programmes_are_unclear_as_a_whole(cell: values.Cell) -> None:
    with pytest.raises(Unclear):
        values.programmes(cell)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("12", 12),
        (12, 12),
        (12.0, 12),
        ("1.206", 1206),
        ("1,206", 1206),
        ("2 534", 2534),
        ("12,00", 12),
        ("12.0", 12),
        ("1.234.567", 1234567),
        ("0", 0),
        (0, 0),
        ("012", 12),
    ],
)
def test_head_counts_are_read_with_any_separator(cell: values.Cell, number: int) -> None:
    assert values.count(cell) == number


@pytest.mark.parametrize(
    "cell", ["12 orang", "1.2", "-3", -3, 1.206, "1.20", "12.3456", 10**9, True, "#N/A", "=1+1", date(2026, 1, 1)]
)
def test_a_head_count_that_may_be_something_else_is_unclear(cell: values.Cell) -> None:
    with pytest.raises(Unclear):
        values.count(cell)


@pytest.mark.parametrize(
    ("cell", "npwp"),
    [
        ("41.223.344.5-801.000", "0412233445801000"),
        ("412233445801000", "0412233445801000"),
        (412233445801000, "0412233445801000"),
        ("003.188.772.5-801.000", "0031887725801000"),
        (31887725801000, "0031887725801000"),
        (31887725801000.0, "0031887725801000"),
        ("7309054403880002", "7309054403880002"),
        ("0031887725801001000000", "0031887725801001"),
        ("00.000.000.0-000.000", None),
        (0, None),
    ],
)
def test_tax_numbers_come_out_canonical(cell: values.Cell, npwp: str | None) -> None:
    assert values.npwp(cell) == npwp


@pytest.mark.parametrize(
    "cell", ["41.223.344.5-801.00", 7309054403880002, "4,12233E+14", 4.5, "ABC", "#N/A", True, date(2026, 1, 1)]
)
def test_a_damaged_tax_number_is_unclear(cell: values.Cell) -> None:
    with pytest.raises(Unclear):
        values.npwp(cell)


@pytest.mark.parametrize(
    ("cell", "npp"),
    [
        ("19023341", "19023341"),
        (19023341, "19023341"),
        (19023341.0, "19023341"),
        ("bb012239", "BB012239"),
        ("19.023.341", "19023341"),
        (" 19023341 ", "19023341"),
        ("MM-0012", "MM0012"),
    ],
)
def test_registration_numbers_may_be_numbers_or_texts(cell: values.Cell, npp: str) -> None:
    assert values.npp(cell) == npp


@pytest.mark.parametrize("cell", ["1,9E+07", "1.9023E+7", 1.5, "A" * 21, "#N/A", "NPP?", True])
def test_a_damaged_registration_number_is_unclear(cell: values.Cell) -> None:
    with pytest.raises(Unclear):
        values.npp(cell)


CELLS = st.one_of(
    st.text(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.from_regex(r"[0-9A-Z]{1,9}[-/. ,][0-9A-Z]{1,9}([-/. ][0-9]{1,5})?", fullmatch=True),
)


@given(CELLS)
def test_any_cell_is_read_or_unclear_and_nothing_else(cell) -> None:
    for parse in (
        values.month,
        values.day,
        values.count,
        values.programmes,
        values.npp,
        values.nib,
        values.npwp,
        values.divisi,
        values.active,
    ):
        try:
            parse(cell)
        except Unclear:
            continue


@given(st.dates(date(1970, 1, 1), date(2059, 12, 31)))
def test_every_month_survives_every_notation(day: date) -> None:
    name = values.MONTH_NAMES[day.month].split()[0]
    first = day.replace(day=1)
    serial = (day - values.SERIAL_ZERO).days
    for written in (
        f"{day:%m-%Y}",
        f"{day:%d/%m/%Y}",
        f"{day:%Y-%m-%d}",
        f"{name} {day.year}",
        f"{name[:3]}-{day:%y}",
        f"{day:%Y%m}",
        f"{day:%m%Y}",
        f"{day:%m/%y}",
        str(serial),
        datetime.combine(day, time()),
    ):
        assert values.month(written) == first, written


@given(st.integers(0, values.MOST_WORKERS))
def test_every_head_count_survives_its_separators(number: int) -> None:
    for written in (str(number), f"{number:,}", f"{number:,}".replace(",", "."), f"{number},00", number, float(number)):
        assert values.count(written) == number
