"""Working days by dated tables of holidays: Monday to Friday, neither national holiday nor cuti bersama."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Self

from compliance.errors import BadPolicy, NoCalendar
from compliance.law.loading import day, flag, many, one_of, parse, table, text, whole

ONE_DAY = timedelta(days=1)
_DAY = {"date": day, "kind": one_of(("national", "cuti_bersama")), "name": text}
_YEAR = {
    "year": whole(2000, 2100),
    "confirmed": flag,
    "certainty": one_of(("text", "reported", "unverified")),
    "decree": text,
    "days": many(table(_DAY, make=lambda date, kind, name: (date, name))),
}


@dataclass(frozen=True, slots=True)
class HolidayYear:  # one year's days off
    year: int
    confirmed: bool  # a person compared it with the decree
    names: dict[date, str] = field(repr=False)  # by day


def read_year(source: str, where: str, stem: str = "") -> HolidayYear:
    """Read one table, whose file's name, if said, must be its year. Raises BadPolicy naming `where` and the rule."""
    data = table(_YEAR)(parse(source, where), where)
    days = [found for found, _ in data["days"]]
    if days != sorted(set(days)) or {found.year for found in days} != {data["year"]}:
        raise BadPolicy(f"{where}.days", f"must be days of {data['year']}, in order, each once")
    if stem not in ("", str(data["year"])):
        raise BadPolicy(where, f"holds the year {data['year']}")
    return HolidayYear(data["year"], data["confirmed"], dict(data["days"]))


class Calendar:
    """Working days of all years that have a table. Every method raises NoCalendar for a year without one."""

    def __init__(self, years: Iterable[HolidayYear]) -> None:
        self.years = {year.year: year for year in years}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """All tables `YYYY.toml` of a folder. Raises BadPolicy, also when a file's name is not its year."""
        return cls(read_year(path.read_text("utf-8"), path.name, path.stem) for path in sorted(folder.glob("*.toml")))

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
        if year not in self.years:
            raise NoCalendar(year)
        return self.years[year]
