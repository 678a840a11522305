"""The law of one region in one period, compiled for judging."""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from compliance.errors import NoCalendar
from compliance.law.facts import (
    Application,
    Basis,
    Contract,
    Effect,
    Facts,
    Programme,
    RuleStage,
    Scale,
    Verdict,
    Workforce,
)
from compliance.law.loading import Entry, Key
from compliance.law.workdays import Calendar

FROZEN_NIB = ("05", "06")
Words = Mapping[str, str]  # by language: id, en


@dataclass(frozen=True, slots=True)
class GateRule:
    """What a region requires for a permit type. `programmes` are owed on top of the national table; `arrears`: from how
    many months on, with which effect and basis; empty where they are no ground."""

    stage: RuleStage
    basis: tuple[Basis, ...]
    grounds: tuple[str, ...] = ()
    programmes: tuple[Programme, ...] = ()
    scales: tuple[Scale, ...] | None = None
    effects: Mapping[str, Effect] = field(default_factory=dict)
    arrears: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FindingRule:
    """What national law says of one finding, and its words by variant."""

    effect: Effect
    ground: str | None
    basis: tuple[Basis, ...]
    words: Mapping[str, tuple[Words, Words]]  # variant → message, remedy


@dataclass(frozen=True, slots=True)
class Law:
    """The law of one region from `since` until it next changes; build it with `Policy.on`.

    `sha256` names the list of all texts that decide for this region, `texts` holds them by hash. `entries` is every
    dated entry in force. Ages are how old an imported report, and a stored answer in an outage, may be.
    """

    region: str
    region_name: str
    since: date
    version: str
    sha256: str
    texts: Mapping[str, str] = field(repr=False)
    entries: Mapping[tuple[str, Key], Entry] = field(repr=False)
    gates: Mapping[tuple[str, str], GateRule] = field(repr=False)
    findings: Mapping[str, FindingRule] = field(repr=False)
    labels: Mapping[Verdict, Words] = field(repr=False)
    summaries: Mapping[Verdict, Words] = field(repr=False)
    pension_age: int | None
    calendar: Calendar = field(repr=False)
    due_days: tuple[tuple[date, int], ...] = field(repr=False)
    snapshot_age: timedelta
    stored_answer_age: timedelta
    valid_days: int
    key_order: tuple[str, ...]
    several_accounts: str
    headcount_tolerance: int
    project_days: int
    lifted_days: int
    other_name: Effect
    other_grounds: str
    undertakings: bool
    branch: Words
    _due: dict[date, tuple[date, bool]] = field(default_factory=dict, repr=False, compare=False)

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
        if contract is None or rule is None or "project" not in rule.grounds or says_no_workers(application.workforce):
            return None
        return contract if contract.contract_date <= application.as_at else None

    def due_day(self, month: date) -> tuple[date, bool]:
        """When the contributions of a month (its first day) fall due, and whether its holidays are confirmed."""
        if month not in self._due:
            _, stated = max((row for row in self.due_days if row[0] <= month), default=self.due_days[0])
            after = add_months(month, 1)
            last = monthrange(after.year, after.month)[1]
            self._due[month] = self.working_day_after(after.replace(day=min(stated, last)) - timedelta(days=1), 1)
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
    year, index = divmod(month.year * 12 + month.month - 1 + number, 12)
    return date(year, index + 1, 1)


def says_no_workers(workforce: Workforce) -> bool:
    """Whether the applicant states that nobody is employed."""
    return workforce.employs_workers is False or (workforce.employs_workers is None and workforce.declared == 0)


def compile_law(
    region: str,
    region_name: str,
    since: date,
    entries: Mapping[tuple[str, Key], Entry],
    texts: Mapping[str, str],
    calendar: Calendar,
    due_days: tuple[tuple[date, int], ...],
) -> Law:
    """Put the entries in force into the form in which rules read them. The last of `texts` names this policy."""
    kinds: dict[str, dict[Key, Entry]] = defaultdict(dict)
    words: dict[str, dict[str, tuple[Words, Words]]] = defaultdict(dict)
    for (kind, key), entry in entries.items():
        kinds[kind][key] = entry
        if kind == "text":
            words[key[0]][key[1]] = (entry.data["message"], entry.data["remedy"])
    values: dict[str, Any] = {name: entry.data["value"] for (name,), entry in kinds["value"].items()}
    promised, sha256 = kinds["value"]["undertakings",].basis, list(texts)[-1]
    return Law(
        region,
        region_name,
        since,
        version=f"{since.isoformat()}.{sha256[:8]}",
        sha256=sha256,
        texts=texts,
        entries=entries,
        gates={(permit, stage): _gate(entry) for (permit, stage), entry in kinds["gate"].items()},
        findings={
            code: FindingRule(
                entry.data["effect"],
                entry.data.get("ground"),
                tuple(dict.fromkeys((*(promised if code.startswith("UNDERTAKING_") else ()), *entry.basis))),
                words[code],
            )
            for (code,), entry in kinds["finding"].items()
        },
        labels={Verdict(name): entry.data["label"] for (name,), entry in kinds["verdict"].items()},
        summaries={Verdict(name): entry.data["summary"] for (name,), entry in kinds["verdict"].items()},
        pension_age=kinds["pension_age"][()].data["age"] if kinds["pension_age"] else None,
        calendar=calendar,
        due_days=due_days,
        snapshot_age=timedelta(days=values.pop("snapshot_days")),
        stored_answer_age=timedelta(hours=values.pop("stored_answer_hours")),
        **values,
    )


def _gate(entry: Entry) -> GateRule:
    said = ("stage", "grounds", "programmes", "scales", "effects", "arrears")
    return GateRule(basis=entry.basis, **{name: entry.data[name] for name in said if name in entry.data})
