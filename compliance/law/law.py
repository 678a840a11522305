"""The law of one region in one period, compiled for judging; and its working days."""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import date, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from compliance.errors import BadPolicy, NoCalendar
from compliance.law.facts import Application, Basis, Contract, Effect, Fact, Facts, Programme, RuleStage, Scale, Verdict
from compliance.law.loading import SCHEMA, About, Entry, Groups, Key, parse, read

FROZEN_NIB = ("05", "06")
ONE_DAY = timedelta(days=1)
GATE = ("stage", "grounds", "programmes", "scales", "effects", "arrears")
Words = Mapping[str, str]  # by language: id, en


class HolidayYear(NamedTuple):  # one year's days off
    year: int
    confirmed: bool  # a person compared it with the decree
    names: dict[date, str]  # by day


def read_year(source: str, where: str, stem: str = "") -> HolidayYear:
    """Read one table, whose file's name, if said, must be its year. Raises BadPolicy naming `where` and the rule."""
    data = read(SCHEMA["file"]["holidays"], parse(source, where), where)
    days, year = [day["date"] for day in data["days"]], data["year"]
    if days != sorted(set(days)) or {day.year for day in days} != {year}:
        raise BadPolicy(f"{where}.days", f"must be days of {year}, in order, each once")
    if stem not in ("", str(year)):
        raise BadPolicy(where, f"holds the year {year}")
    return HolidayYear(year, data["confirmed"], {day["date"]: day["name"] for day in data["days"]})


class Calendar:
    """Working days: Monday to Friday, neither national holiday nor cuti bersama. Raises NoCalendar for a year without
    a table."""

    def __init__(self, years: Iterable[HolidayYear]) -> None:
        self.years = {year.year: year for year in years}

    def of(self, year: int) -> HolidayYear:
        if year not in self.years:
            raise NoCalendar(f"there is no table of holidays for {year}; add one (flask policy holidays {year})")
        return self.years[year]

    def is_working_day(self, day: date) -> bool:
        return day not in self.of(day.year).names and day.weekday() < 5

    def add_working_days(self, day: date, number: int) -> date:
        """The `number`-th working day after `day`, which itself is not counted."""
        for _ in range(number):
            day += ONE_DAY
            while not self.is_working_day(day):
                day += ONE_DAY
        return day


class Region(Fact):  # one that has a policy
    code: str
    name: str
    zone: ZoneInfo
    first_day: date  # on which anything can be decided there
    groups: Groups = field(repr=False)  # its own dated entries
    starts: list[date] = field(repr=False)  # the days on which its law changes
    texts: Mapping[str, str] = field(repr=False)  # all that decide, by hash
    sha256: str  # of the list of all texts: it names the policy


class GateRule(Fact):  # what a region requires for a permit type
    stage: RuleStage
    basis: tuple[Basis, ...]
    grounds: tuple[str, ...] = ()
    programmes: tuple[Programme, ...] = ()  # owed on top of the national table
    scales: tuple[Scale, ...] | None = None
    effects: Mapping[str, Effect] = field(default_factory=dict)
    arrears: Mapping[str, Any] = field(default_factory=dict)  # as a ground: from how many months, effect, basis


class FindingRule(NamedTuple):  # what national law says of one finding
    effect: Effect
    ground: str | None
    basis: tuple[Basis, ...]
    words: Mapping[str, tuple[Words, Words]]  # message and remedy by variant


class Law:
    """The law of one region from `since` until it next changes; ask `Policy.on` for it, and change nothing. `sha256`
    names the list of all `texts` that decide here; `entries` is every dated entry in force, `values` what it says by
    name. Ages are how old an imported report, and a stored answer in an outage, may be."""

    def __init__(
        self, region: Region, since: date, entries: Mapping[About, Entry], due: list[Entry], calendar: Calendar
    ) -> None:
        def said(kind: str) -> Iterator[tuple[Key, Entry]]:
            return ((key, entry) for (one, key), entry in entries.items() if one == kind)

        self.region, self.region_name, self.since = region.code, region.name, since
        self.sha256, self.texts, self.version = region.sha256, region.texts, f"{since.isoformat()}.{region.sha256[:8]}"
        self.entries, self._calendar, self._due_rules = entries, calendar, due
        self.due_day = cache(self._due_day)
        self.values: dict[str, Any] = {name: entry.data["value"] for (name,), entry in said("value")}
        self.gates = {
            about: GateRule(basis=entry.basis, **{name: entry.data[name] for name in GATE if name in entry.data})
            for about, entry in said("gate")
        }
        words: dict[str, dict[str, tuple[Words, Words]]] = defaultdict(dict)
        for (code, variant), entry in said("text"):
            words[code][variant] = entry.data["message"], entry.data["remedy"]
        promised, self.findings = entries["value", ("undertakings",)].basis, dict[str, FindingRule]()
        for (code,), entry in said("finding"):
            basis = dict.fromkeys((promised if code.startswith("UNDERTAKING_") else ()) + entry.basis)
            told = entry.data["effect"], entry.data.get("ground")
            self.findings[code] = FindingRule(*told, tuple(basis), words[code])
        self.labels: dict[Verdict, Words] = {Verdict(name): entry.data["label"] for (name,), entry in said("verdict")}
        self.snapshot_age = timedelta(days=self.values["snapshot_days"])
        self.stored_answer_age = timedelta(hours=self.values["stored_answer_hours"])
        self.valid_days: int = self.values["valid_days"]

    def says(self, kind: str, *key: str) -> Mapping[str, Any]:
        """What the entry in force says about something; empty when there is none."""
        entry = self.entries.get((kind, key))
        return entry.data if entry else {}

    def gate(self, application: Application) -> GateRule | None:
        """The region's rule for this application, if one is switched on and covers it."""
        rule = self.gates.get((application.permit_type, application.stage))
        if rule is None or rule.stage is RuleStage.OFF:
            return None
        return rule if not (rule.scales and application.scale) or application.scale in rule.scales else None

    def asks(self, facts: Facts) -> bool:
        """Whether the agency must be asked to judge these facts."""
        stated = facts.application
        settled = stated.nib_status in FROZEN_NIB or self.says("legal_form", stated.legal_form or "")
        return not settled and self.gate(stated) is not None

    def contract_in_force(self, application: Application) -> Contract | None:
        """The construction contract whose project must be looked at, if any."""
        contract, rule = application.contract, self.gate(application)
        if contract is None or rule is None or "project" not in rule.grounds or says_no_workers(application):
            return None
        return contract if contract.contract_date <= application.as_at else None

    def _due_day(self, month: date) -> tuple[date, bool]:
        """When the contributions of a month (its first day) fall due, and whether its holidays are confirmed."""
        rule = ([entry for entry in self._due_rules if entry.since <= month] or self._due_rules[:1])[-1]
        after = add_months(month, 1)
        day = min(rule.data["day"], monthrange(after.year, after.month)[1])
        return self.working_day_after(after.replace(day=day) - ONE_DAY, 1)

    def working_day_after(self, day: date, number: int) -> tuple[date, bool]:
        """The `number`-th working day after a day, and whether the holidays it rests on are confirmed. Where no table
        of holidays exists, Monday to Friday are counted, unconfirmed."""
        try:
            found = self._calendar.add_working_days(day, number)
            return found, self._calendar.of(day.year).confirmed and self._calendar.of(found.year).confirmed
        except NoCalendar:
            for _ in range(number):
                day += timedelta(days=max(1, 7 - day.weekday()) if day.weekday() > 3 else 1)
            return day, False


def add_months(month: date, number: int) -> date:
    """The first day of the month so many months later."""
    year, index = divmod(month.year * 12 + month.month - 1 + number, 12)
    return date(year, index + 1, 1)


def says_no_workers(application: Application) -> bool:
    """Whether the applicant states that nobody is employed."""
    stated = application.workforce
    return stated.employs_workers is False or (stated.employs_workers is None and stated.declared == 0)
