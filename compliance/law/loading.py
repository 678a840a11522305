"""Reads dated law strictly: whatever is unknown, uncited, overlapping, gapped or impossible is refused by name."""

import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from typing import Any

from compliance.errors import BadPolicy
from compliance.law.facts import Basis, Certainty, Effect, Programme, RuleStage, Scale, Verdict

Check = Callable[[Any, str], Any]
Checks = dict[str, Check]
Sections = dict[str, tuple[str, Check]]
Key = tuple[str, ...]

GROUNDS = ("registered", "programmes", "workers", "wages", "arrears", "project")
SERVICES = ("business_licensing", "permit_to_tender", "foreign_workers", "labour_supplier", "building_approval")
IDENTIFIERS = ("nib", "npwp", "npp")
APPLIED_FOR = ("new", "renewal")
LOWERED = (Effect.NOT_MET, Effect.OFFICER_REVIEW, Effect.NOTE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One dated piece of law. `where` says in which file and table it stands; `kind` and `key` what it is about."""

    kind: str
    key: Key
    since: date
    until: date | None
    basis: tuple[Basis, ...]
    looked_at: date | None
    data: Mapping[str, Any]
    where: str


Groups = dict[tuple[str, Key], list[Entry]]


def must(rule: str, holds: Callable[[Any], bool], make: Callable[[Any], Any] = lambda value: value) -> Check:
    """A check that a value is as the rule says; what it is then read as."""

    def check(value: Any, where: str) -> Any:
        if not holds(value):
            raise BadPolicy(where, f"must be {rule}")
        return make(value)

    return check


text = must("a text that is not empty", lambda value: isinstance(value, str) and bool(value.strip()))
flag = must("true or false", lambda value: isinstance(value, bool))
day = must("a day, like 2026-11-21", lambda value: type(value) is date)
_a_table = must("a table", lambda value: isinstance(value, dict))


def whole(least: int, most: int) -> Check:
    return must(f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most)


def one_of(allowed: Iterable[str], make: Callable[[Any], Any] = str) -> Check:
    words = tuple(allowed)
    return must(f"one of {', '.join(words)}", lambda value: value in words, make)


def many(check: Check, least: int = 1) -> Check:
    a_list = must(f"a list of at least {least}", lambda value: isinstance(value, list) and len(value) >= least)

    def checked(value: Any, where: str) -> tuple[Any, ...]:
        found = tuple(check(item, f"{where}[{number}]") for number, item in enumerate(a_list(value, where), 1))
        if len(set(found)) < len(found):
            raise BadPolicy(where, "names something twice")
        return found

    return checked


def table(required: Checks, optional: Checks | None = None, make: Callable[..., Any] = dict) -> Check:
    """A table with exactly these keys."""
    known = required | (optional or {})

    def check(value: Any, where: str) -> Any:
        for key in _a_table(value, where).keys() - known.keys():
            raise BadPolicy(f"{where}.{key}", f"is an unknown key; known are {', '.join(known)}")
        for key in required.keys() - value.keys():
            raise BadPolicy(f"{where}.{key}", "is missing")
        return make(**{key: known[key](item, f"{where}.{key}") for key, item in value.items()})

    return check


basis = many(table({"cite": text, "certainty": one_of(Certainty, Certainty)}, make=Basis))
BOTH = table({"id": text, "en": text})
COMMON: Checks = {"since": day}
CITED: Checks = COMMON | {"basis": basis, "looked_at": day}
LATER: Checks = {"until": day, "note": text}

# Values that a region may set, and those that it may not (national).
REGIONAL_VALUES: Checks = {
    "valid_days": whole(1, 366),
    "stored_answer_hours": whole(1, 720),
    "snapshot_days": whole(1, 366),
    "key_order": many(one_of(IDENTIFIERS), least=len(IDENTIFIERS)),
    "several_accounts": one_of(("worst", "local")),
    "headcount_tolerance": whole(0, 1000),
    "project_days": whole(1, 60),
    "other_name": one_of((Effect.NOTE, Effect.OFFICER_REVIEW), Effect),
    "other_grounds": one_of(("note", "hidden")),
    "undertakings": flag,
    "branch": BOTH,
}
VALUES = REGIONAL_VALUES | {"lifted_days": whole(1, 3650)}


def value(values: Checks) -> Check:
    """A named value of one of these kinds."""
    named = table(CITED | {"name": one_of(values), "value": lambda item, where: item}, LATER)

    def check(row: Any, where: str) -> dict[str, Any]:
        found: dict[str, Any] = named(row, where)
        return found | {"value": values[found["name"]](found["value"], f"{where}.value")}

    return check


def gate(row: Any, where: str) -> dict[str, Any]:
    """A rule of a region for permit types; what it says must be consistent."""
    found: dict[str, Any] = _GATE(row, where)
    grounds = found.get("grounds", ())
    if found["stage"] is not RuleStage.OFF and not grounds:
        raise BadPolicy(f"{where}.grounds", "is missing: a rule that is on names what counts")
    if ("arrears" in grounds) != ("arrears" in found):
        raise BadPolicy(f"{where}.arrears", "ground and threshold with its own legal basis belong together")
    return found


def effects(value: Any, where: str) -> dict[str, Effect]:
    """Findings by code that a rule treats more mildly than the nation does."""
    check = one_of(LOWERED, Effect)
    return {code: check(effect, f"{where}.{code}") for code, effect in _a_table(value, where).items()}


_GATE = table(
    CITED | {"permit_types": many(text), "stage": one_of(RuleStage, RuleStage)},
    LATER
    | {
        "applied_for": many(one_of(APPLIED_FOR)),
        "scales": many(one_of(Scale, Scale)),
        "grounds": many(one_of(GROUNDS)),
        "programmes": many(one_of([p for p in Programme if p is not Programme.JKP], Programme)),
        "arrears": table({"months": whole(1, 120), "effect": one_of(LOWERED, Effect), "basis": basis}),
        "effects": effects,
    },
)
_PROGRAMMES = {"scales": many(one_of(Scale)), "owed": many(one_of(Programme, Programme))}
_FINDING = {"code": text, "effect": one_of(Effect, Effect)}
_TEXT: Checks = {"code": text, "message": BOTH, "remedy": BOTH}
_NO_EMPLOYER = one_of((Effect.NOT_REQUIRED, Effect.OFFICER_REVIEW), Effect)
# By kind, the columns that say what a row is about (where they list several things, it says the same of each).
NATIONAL: Sections = {
    "programmes": ("scales", table(CITED | _PROGRAMMES, LATER)),
    "due": ("", table(CITED | {"day": whole(1, 31)}, LATER)),
    "pension_age": ("", table(CITED | {"age": whole(50, 70)}, LATER)),
    "service": ("permit_types", table(CITED | {"service": one_of(SERVICES), "permit_types": many(text)}, LATER)),
    "legal_form": ("forms", table(CITED | {"forms": many(text), "effect": _NO_EMPLOYER}, LATER)),
    "value": ("name", value(VALUES)),
    "finding": ("code", table(CITED | _FINDING, LATER | {"ground": one_of(GROUNDS)})),
    "text": ("code variant", table(COMMON | _TEXT, LATER | {"variant": text})),
    "verdict": ("verdict", table(COMMON | {"verdict": one_of(Verdict), "label": BOTH, "summary": BOTH}, LATER)),
    "phrase": ("name", table(COMMON | {"name": text, "text": BOTH}, LATER)),
    "rule": ("name", table(COMMON | {"name": text, "question": BOTH}, LATER)),
}
REGION_HEAD = table({"region": text, "name": text, "zone": text, "since": day})
REGION: Sections = {
    "value": ("name", value(REGIONAL_VALUES)),
    "gate": ("permit_types applied_for", gate),
    "text": ("code variant", table(CITED | _TEXT, LATER | {"variant": text})),
}
UNSAID = {"variant": "", "applied_for": APPLIED_FOR}


def parse(source: str, where: str) -> dict[str, Any]:
    """TOML as a dict. Raises BadPolicy with line and column."""
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(where, f"is not TOML: {error}") from error


def entries(data: Mapping[str, Any], sections: Sections, where: str) -> list[Entry]:
    """All dated entries of a file's tables. Raises BadPolicy naming the place, like `national.toml: due[2].day`."""
    found = []
    for kind, rows in data.items():
        if kind not in sections:
            raise BadPolicy(f"{where}: {kind}", f"is an unknown key; known are {', '.join(sections)}")
        if not isinstance(rows, list):
            raise BadPolicy(f"{where}: {kind}", f"must be a list of tables, [[{kind}]]")
        columns, check = sections[kind]
        for number, raw in enumerate(rows, 1):
            at = f"{where}: {kind}[{number}]"
            row = check(raw, at)
            about = [row.get(column, UNSAID.get(column)) for column in columns.split()]
            dated = (row["since"], row.get("until"), row.get("basis", ()), row.get("looked_at"), row, at)
            keys = product(*([part] if isinstance(part, str) else part for part in about))
            found += [Entry(kind, key, *dated) for key in keys]
    return found


def in_order(found: Iterable[Entry]) -> Groups:
    """Entries by what they are about, oldest first. Raises BadPolicy where periods overlap or leave a gap."""
    groups: Groups = defaultdict(list)
    for entry in sorted(found, key=lambda entry: entry.since):
        groups[entry.kind, entry.key].append(entry)
    for group in groups.values():
        for entry, follower in zip(group, [*group[1:], None], strict=True):
            _follows(entry, follower)
    return dict(groups)


def _follows(entry: Entry, follower: Entry | None) -> None:
    if follower and follower.since == entry.since:
        raise BadPolicy(follower.where, f"begins on {entry.since}, the same day as {entry.where}")
    if entry.until is None:
        return
    if entry.until < entry.since:
        raise BadPolicy(entry.where, "ends before it begins")
    if follower is None:
        rule = f"leaves a gap after {entry.until}: say what holds then (a gate ends with stage off)"
        raise BadPolicy(entry.where, rule)
    if follower.since != entry.until + timedelta(days=1):
        rule = "overlaps" if follower.since <= entry.until else "leaves a gap after"
        raise BadPolicy(follower.where, f"{rule} {entry.where}, which ends on {entry.until}")
