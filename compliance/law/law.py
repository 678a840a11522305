"""The law of one region in one period, compiled for judging."""

from __future__ import annotations

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
ONE_DAY = timedelta(days=1)
Words = Mapping[str, str]  # by language: id, en


@dataclass(frozen=True, slots=True)
class GateRule:
    """What a region requires for a permit type; `programmes` are owed on top of the national table.

    `arrears_months` None: arrears are no ground.
    """

    stage: RuleStage
    grounds: frozenset[str]
    programmes: frozenset[Programme]
    basis: tuple[Basis, ...]
    scales: frozenset[Scale] | None
    effects: Mapping[str, Effect]
    arrears_months: int | None
    arrears_effect: Effect
    arrears_basis: tuple[Basis, ...]


@dataclass(frozen=True, slots=True)
class FindingRule:
    """What national law says of one finding, and its words by variant."""

    code: str
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
    phrases: Mapping[str, Words] = field(repr=False)
    questions: Mapping[str, Words] = field(repr=False)  # of each rule, for who explains
    services: Mapping[str, str] = field(repr=False)
    programmes: Mapping[Scale, frozenset[Programme]] = field(repr=False)
    state_bodies: Mapping[str, Effect] = field(repr=False)
    pension_age: int | None
    calendar: Calendar = field(repr=False)
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
    due_days: tuple[tuple[date, int], ...] = field(repr=False)
    _due: dict[date, tuple[date, bool]] = field(default_factory=dict, repr=False, compare=False)

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
        settled = application.nib_status in FROZEN_NIB or application.legal_form in self.state_bodies
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
            rule = max((row for row in self.due_days if row[0] <= month), default=self.due_days[0])
            after = next_month(month)
            last = next_month(after) - ONE_DAY
            self._due[month] = self.working_day_after(min(after.replace(day=min(rule[1], last.day)), last) - ONE_DAY, 1)
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


def next_month(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


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
    by_kind: dict[str, dict[Key, Entry]] = {}
    for (kind, key), entry in entries.items():
        by_kind.setdefault(kind, {})[key] = entry
    values: dict[str, Any] = {key[0]: entry.data["value"] for key, entry in by_kind["value"].items()}
    sha256 = list(texts)[-1]
    pension = entries.get(("pension_age", ()))
    return Law(
        region=region,
        region_name=region_name,
        since=since,
        version=f"{since.isoformat()}.{sha256[:8]}",
        sha256=sha256,
        texts=texts,
        entries=entries,
        gates={(key[0], key[1]): _gate(entry) for key, entry in by_kind.get("gate", {}).items()},
        findings={key[0]: _finding(entry, by_kind) for key, entry in by_kind["finding"].items()},
        labels={Verdict(key[0]): entry.data["label"] for key, entry in by_kind["verdict"].items()},
        summaries={Verdict(key[0]): entry.data["summary"] for key, entry in by_kind["verdict"].items()},
        phrases={key[0]: entry.data["text"] for key, entry in by_kind["phrase"].items()},
        questions={key[0]: entry.data["question"] for key, entry in by_kind["rule"].items()},
        services={key[0]: entry.data["service"] for key, entry in by_kind.get("service", {}).items()},
        programmes={Scale(key[0]): frozenset(e.data["owed"]) for key, e in by_kind["programmes"].items()},
        state_bodies={key[0]: entry.data["effect"] for key, entry in by_kind.get("legal_form", {}).items()},
        pension_age=pension.data["age"] if pension else None,
        calendar=calendar,
        snapshot_age=timedelta(days=values.pop("snapshot_days")),
        stored_answer_age=timedelta(hours=values.pop("stored_answer_hours")),
        due_days=due_days,
        **values,
    )


def _gate(entry: Entry) -> GateRule:
    data = entry.data
    arrears = data.get("arrears")
    return GateRule(
        stage=data["stage"],
        grounds=frozenset(data.get("grounds", ())),
        programmes=frozenset(data.get("programmes", ())),
        basis=entry.basis,
        scales=frozenset(data["scales"]) if "scales" in data else None,
        effects=data.get("effects", {}),
        arrears_months=arrears["months"] if arrears else None,
        arrears_effect=arrears["effect"] if arrears else Effect.NOTE,
        arrears_basis=arrears["basis"] if arrears else (),
    )


def _finding(entry: Entry, by_kind: Mapping[str, Mapping[Key, Entry]]) -> FindingRule:
    code, data = entry.key[0], entry.data
    words = {key[1]: (e.data["message"], e.data["remedy"]) for key, e in by_kind["text"].items() if key[0] == code}
    basis = entry.basis
    if code.startswith("UNDERTAKING_"):
        basis = tuple(dict.fromkeys(by_kind["value"]["undertakings",].basis + basis))
    return FindingRule(code, data["effect"], data.get("ground"), basis, words)
