"""Working days by dated tables of holidays: Monday to Friday, neither national holiday nor cuti bersama."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from compliance.errors import BadPolicy, NoCalendar

ONE_DAY = timedelta(days=1)
KINDS = ("national", "cuti_bersama")
CERTAINTIES = ("text", "reported", "unverified")
KEYS = {"year": int, "confirmed": bool, "certainty": str, "decree": str, "days": list}


@dataclass(frozen=True, slots=True)
class HolidayYear:
    """One year's days off. `confirmed` says that a person compared it with the decree; `names` is name by day."""

    year: int
    confirmed: bool
    certainty: str
    decree: str
    names: dict[date, str] = field(repr=False)


def read_year(text: str, where: str) -> HolidayYear:
    """Read one table (its head comment says the format). Raises BadPolicy naming `where` and the rule broken."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(where, f"is not TOML: {error}") from error
    if data.keys() != KEYS.keys():
        wrong = sorted(data.keys() ^ KEYS.keys())
        raise BadPolicy(where, f"must have exactly the keys {', '.join(KEYS)}; look at {', '.join(wrong)}")
    for key, kind in KEYS.items():
        if type(data[key]) is not kind:
            raise BadPolicy(where, f"{key} must be a {kind.__name__}")
    if data["certainty"] not in CERTAINTIES:
        raise BadPolicy(where, f"certainty must be one of {', '.join(CERTAINTIES)}")
    if not data["decree"].strip():
        raise BadPolicy(where, "decree must say which decision sets these days")
    names = _names(data["year"], data["days"], where)
    return HolidayYear(data["year"], data["confirmed"], data["certainty"], data["decree"], names)


def _names(year: int, rows: list[object], where: str) -> dict[date, str]:
    names: dict[date, str] = {}
    for number, row in enumerate(rows, 1):
        here = f"{where}: day {number}"
        if not isinstance(row, dict) or row.keys() != {"date", "kind", "name"}:
            raise BadPolicy(here, "must have exactly date, kind and name")
        day, kind, name = row["date"], row["kind"], row["name"]
        if type(day) is not date or day.year != year:
            raise BadPolicy(here, f"date must be a day of {year}")
        if kind not in KINDS or not isinstance(name, str) or not name.strip():
            raise BadPolicy(here, f"needs a name, and a kind of {' or '.join(KINDS)}")
        if names and day <= max(names):
            raise BadPolicy(here, "days must be in order and stand once")
        names[day] = name
    if not names:
        raise BadPolicy(where, "has no days")
    return names


class Calendar:
    """Working days of all years that have a table. Every method raises NoCalendar for a year without one."""

    def __init__(self, years: Iterable[HolidayYear]) -> None:
        self.years = {year.year: year for year in years}

    @classmethod
    def load(cls, folder: Path) -> Calendar:
        """All tables `YYYY.toml` of a folder. Raises BadPolicy, also when a file's name is not its year."""
        years = []
        for path in sorted(folder.glob("*.toml")):
            year = read_year(path.read_text(encoding="utf-8"), path.name)
            if path.stem != str(year.year):
                raise BadPolicy(path.name, f"holds the year {year.year}")
            years.append(year)
        return cls(years)

    def confirmed(self, year: int) -> bool:
        return self._year(year).confirmed

    def is_working_day(self, day: date) -> bool:
        return day not in self._year(day.year).names and day.weekday() < 5

    def next_working_day(self, day: date) -> date:
        """That day itself, or the first working day after it."""
        while not self.is_working_day(day):
            day += ONE_DAY
        return day

    def add_working_days(self, day: date, number: int) -> date:
        """The `number`-th working day after `day`, which itself is not counted."""
        for _ in range(number):
            day = self.next_working_day(day + ONE_DAY)
        return day

    def _year(self, year: int) -> HolidayYear:
        try:
            return self.years[year]
        except KeyError:
            raise NoCalendar(year) from None
