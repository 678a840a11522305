"""Working days rest on dated tables that somebody reviewed; a year without one is an error, not a guess."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from compliance.errors import BadPolicy, NoCalendar
from compliance.law.law import read_year
from compliance.law.policy import Policy

CALENDAR = Policy.load(None).calendar


def test_there_is_a_table_for_every_year_from_2015_to_next_year() -> None:
    assert sorted(CALENDAR.years) == list(range(2015, 2028))


def test_all_years_are_confirmed_but_the_next() -> None:
    assert [year for year in CALENDAR.years if not CALENDAR.of(year).confirmed] == [2027]


# One line per change that moved, added or struck out a day after a calendar was first printed.
@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2015-12-09", False),  # regional elections
        ("2016-06-01", True),  # Pancasila is a day off since 2017
        ("2017-06-01", False),
        ("2017-01-02", False),  # cuti bersama after a Sunday
        ("2017-06-23", False),  # the President's decision on Idul Fitri
        ("2018-06-11", False),  # the longer leave of 2018
        ("2018-06-20", False),
        ("2018-06-21", True),
        ("2018-06-27", False),
        ("2019-04-17", False),
        ("2020-05-22", True),  # leave struck out in the pandemic
        ("2020-05-26", True),  # leave moved to December
        ("2020-08-21", False),
        ("2020-10-28", False),
        ("2020-10-30", False),
        ("2020-12-09", False),
        ("2020-12-24", False),
        ("2020-12-28", True),  # struck out again on 1 December
        ("2020-12-30", True),
        ("2020-12-31", False),
        ("2021-03-12", True),  # leave struck out in February
        ("2021-05-12", False),
        ("2021-05-17", True),
        ("2021-08-10", True),  # 1 Muharram moved to the 11th
        ("2021-08-11", False),
        ("2021-10-19", True),  # Maulid moved to the 20th
        ("2021-10-20", False),
        ("2021-12-24", True),
        ("2022-04-29", False),
        ("2022-05-06", False),
        ("2023-04-19", False),  # the leave of Idul Fitri moved forward
        ("2023-04-26", True),
        ("2023-06-28", False),
        ("2023-06-30", False),
        ("2024-02-14", False),
        ("2024-04-15", False),
        ("2024-11-27", False),
        ("2025-04-07", False),
        ("2025-08-18", False),
        ("2026-03-20", False),
        ("2026-03-25", True),
        ("2026-11-20", True),
        ("2026-11-21", False),
        ("2026-12-24", False),
    ],
)
def test_days_that_decrees_moved(day: str, works: bool) -> None:
    assert CALENDAR.is_working_day(date.fromisoformat(day)) is works


@pytest.mark.parametrize(
    ("day", "next_one"),
    [
        ("2026-11-15", "2026-11-16"),
        ("2026-11-16", "2026-11-16"),
        ("2026-08-15", "2026-08-18"),
        ("2018-06-15", "2018-06-21"),
        ("2025-12-31", "2025-12-31"),
        ("2022-01-01", "2022-01-03"),
        ("2020-12-31", "2021-01-04"),
    ],
)
def test_the_next_working_day_is_that_day_or_later(day: str, next_one: str) -> None:
    assert CALENDAR.add_working_days(date.fromisoformat(day) - timedelta(days=1), 1) == date.fromisoformat(next_one)


@pytest.mark.parametrize(
    ("day", "number", "reached"),
    [
        ("2026-11-10", 14, "2026-11-30"),
        ("2026-11-21", 1, "2026-11-23"),
        ("2026-11-20", 0, "2026-11-20"),
        ("2018-06-04", 14, "2018-07-05"),
        ("2020-12-16", 14, "2021-01-11"),
    ],
)
def test_working_days_are_counted_from_the_day_after(day: str, number: int, reached: str) -> None:
    assert CALENDAR.add_working_days(date.fromisoformat(day), number) == date.fromisoformat(reached)


def test_a_year_without_table_is_an_error() -> None:
    for day in (date(2014, 12, 31), date(2028, 1, 3)):
        with pytest.raises(NoCalendar):
            CALENDAR.is_working_day(day)
    with pytest.raises(NoCalendar):
        CALENDAR.add_working_days(date(2027, 12, 30), 14)
    with pytest.raises(NoCalendar):
        CALENDAR.of(2028)


GOOD = """year = 2030
confirmed = true
certainty = "reported"
decree = "SKB"
days = [{ date = 2030-01-01, kind = "national", name = "Tahun Baru" }]
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("year = 2030", "year = 2031"),
        ("year = 2030", 'year = "2030"'),
        ("confirmed = true\n", ""),
        ("confirmed = true", "confirmed = 1"),
        ('certainty = "reported"', 'certainty = "example"'),
        ('decree = "SKB"', 'decree = " "'),
        ('decree = "SKB"', 'decree = "SKB"\nextra = 1'),
        ('kind = "national"', 'kind = "libur"'),
        ('name = "Tahun Baru"', 'name = ""'),
        (', name = "Tahun Baru"', ""),
        ("date = 2030-01-01", 'date = "2030-01-01"'),
        ("date = 2030-01-01", "date = 2030-01-01T00:00:00"),
        ("}]", '}, { date = 2030-01-01, kind = "national", name = "again" }]'),
        ('[{ date = 2030-01-01, kind = "national", name = "Tahun Baru" }]', "[]"),
        ('[{ date = 2030-01-01, kind = "national", name = "Tahun Baru" }]', "[3]"),
        ("days = [", "days = [["),
    ],
)
def test_a_table_that_is_not_strictly_right_is_refused_by_name(old: str, new: str) -> None:
    assert read_year(GOOD, "2030.toml").names
    assert GOOD.replace(old, new) != GOOD
    with pytest.raises(BadPolicy) as refused:
        read_year(GOOD.replace(old, new), "2030.toml")
    assert refused.value.where.startswith("2030.toml")


def test_a_tables_file_is_named_after_its_year(tmp_path: Path) -> None:
    (tmp_path / "holidays").mkdir()
    (tmp_path / "holidays" / "2030.toml").write_text(GOOD)
    assert 2030 in Policy.load(tmp_path).calendar.years
    (tmp_path / "holidays" / "2030.toml").rename(tmp_path / "holidays" / "2031.toml")
    with pytest.raises(BadPolicy):
        Policy.load(tmp_path)
