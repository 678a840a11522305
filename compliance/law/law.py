"""The law of one region in one period, compiled for judging."""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from compliance.errors import NoCalendar
from compliance.law.facts import Application, Basis, Contract, Effect, Facts, Programme, RuleStage, Scale, Verdict
from compliance.law.loading import Entry, Groups, Key
from compliance.law.workdays import Calendar

FROZEN_NIB = ("05", "06")
GATE = ("stage", "basis", "grounds", "programmes", "scales", "effects", "arrears")
Words = Mapping[str, str]  # by language: id, en


@dataclass(frozen=True, slots=True)
class Region:  # one that has a policy
    code: str
    name: str
    zone: ZoneInfo
    first_day: date  # on which anything can be decided there
    groups: Groups = field(repr=False)  # its own dated entries
    starts: list[date] = field(repr=False)  # the days on which its law changes
    texts: Mapping[str, str] = field(repr=False)  # all that decide, by hash

    @property
    def sha256(self) -> str:
        """The hash of the list of all texts, which names the policy."""
        return list(self.texts)[-1]

    @property
    def last_change(self) -> date:
        """The day on which the region's own rules change for the last time, as far as its file says."""
        return max((group[-1].since for group in self.groups.values()), default=self.first_day)


@dataclass(frozen=True, slots=True)
class GateRule:  # what a region requires for a permit type
    stage: RuleStage
    basis: tuple[Basis, ...]
    grounds: tuple[str, ...] = ()
    programmes: tuple[Programme, ...] = ()  # owed on top of the national table
    scales: tuple[Scale, ...] | None = None
    effects: Mapping[str, Effect] = field(default_factory=dict)
    arrears: Mapping[str, Any] = field(default_factory=dict)  # as a ground: from how many months, effect, basis


@dataclass(frozen=True, slots=True)
class FindingRule:  # what national law says of one finding
    effect: Effect
    ground: str | None
    basis: tuple[Basis, ...]
    words: Mapping[str, tuple[Words, Words]]  # message and remedy by variant


class Law:
    """The law of one region from `since` until it next changes; ask `Policy.on` for it, and change nothing.

    `sha256` names the list of all `texts` that decide here; `entries` is every dated entry in force, `values` what it
    says by name. Ages are how old an imported report, and a stored answer in an outage, may be.
    """

    def __init__(
        self,
        region: Region,
        since: date,
        entries: Mapping[tuple[str, Key], Entry],
        due: list[Entry],
        calendar: Calendar,
    ) -> None:
        kinds: dict[str, dict[Key, Entry]] = defaultdict(dict)
        words: dict[str, dict[str, tuple[Words, Words]]] = defaultdict(dict)
        for (kind, key), entry in entries.items():
            kinds[kind][key] = entry
            if kind == "text":
                words[key[0]][key[1]] = (entry.data["message"], entry.data["remedy"])
        self.values: dict[str, Any] = {name: entry.data["value"] for (name,), entry in kinds["value"].items()}
        verdicts = {Verdict(name): entry.data for (name,), entry in kinds["verdict"].items()}
        self.region, self.region_name, self.since = region.code, region.name, since
        self.sha256, self.texts = region.sha256, region.texts
        self.version = f"{since.isoformat()}.{self.sha256[:8]}"
        self.entries, self.calendar, self._due_rules = entries, calendar, due
        self._due: dict[date, tuple[date, bool]] = {}
        self.gates = {
            about: GateRule(**{name: value for name, value in entry.data.items() if name in GATE})
            for about, entry in kinds["gate"].items()
        }
        promised = kinds["value"]["undertakings",].basis
        self.findings = {
            code: FindingRule(
                entry.data["effect"],
                entry.data.get("ground"),
                tuple(dict.fromkeys((promised if code.startswith("UNDERTAKING_") else ()) + entry.basis)),
                words[code],
            )
            for (code,), entry in kinds["finding"].items()
        }
        self.labels: dict[Verdict, Words] = {verdict: data["label"] for verdict, data in verdicts.items()}
        self.summaries: dict[Verdict, Words] = {verdict: data["summary"] for verdict, data in verdicts.items()}
        self.pension_age: int | None = self.says("pension_age").get("age")
        self.snapshot_age = timedelta(days=self.values["snapshot_days"])
        self.stored_answer_age = timedelta(hours=self.values["stored_answer_hours"])
        self.valid_days: int = self.values["valid_days"]
        self.key_order: tuple[str, ...] = self.values["key_order"]

    def says(self, kind: str, *key: str) -> Mapping[str, Any]:
        """What the entry in force says about something; empty when there is none."""
        entry = self.entries.get((kind, key))
        return entry.data if entry else {}

    def gate(self, application: Application) -> GateRule | None:
        """The region's rule for this application, if one is switched on and covers it."""
        rule = self.gates.get((application.permit_type, application.stage))
        if rule is None or rule.stage is RuleStage.OFF:
            return None
        outside = rule.scales is not None and application.scale is not None and application.scale not in rule.scales
        return None if outside else rule

    def asks(self, facts: Facts) -> bool:
        """Whether the agency must be asked to judge these facts."""
        application = facts.application
        settled = application.nib_status in FROZEN_NIB or self.says("legal_form", application.legal_form or "")
        return not settled and self.gate(application) is not None

    def contract_in_force(self, application: Application) -> Contract | None:
        """The construction contract whose project must be looked at, if any."""
        contract, rule = application.contract, self.gate(application)
        if contract is None or rule is None or "project" not in rule.grounds or says_no_workers(application):
            return None
        return contract if contract.contract_date <= application.as_at else None

    def due_day(self, month: date) -> tuple[date, bool]:
        """When the contributions of a month (its first day) fall due, and whether its holidays are confirmed."""
        if month not in self._due:
            rule = ([entry for entry in self._due_rules if entry.since <= month] or self._due_rules[:1])[-1]
            after = add_months(month, 1)
            day = min(rule.data["day"], monthrange(after.year, after.month)[1])
            self._due[month] = self.working_day_after(after.replace(day=day) - timedelta(days=1), 1)
        return self._due[month]

    def working_day_after(self, day: date, number: int) -> tuple[date, bool]:
        """The `number`-th working day after a day, and whether the holidays it rests on are confirmed.

        Where no table of holidays exists, Monday to Friday are counted, unconfirmed.
        """
        try:
            found = self.calendar.add_working_days(day, number)
            return found, all(self.calendar.confirmed(year) for year in {day.year, found.year})
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
