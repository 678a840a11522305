"""Reads dated law strictly: whatever is unknown, uncited, overlapping, gapped or impossible is refused by name."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from compliance.errors import BadPolicy
from compliance.law.facts import Basis, Certainty, Effect, Programme, RuleStage, Scale, Verdict

Check = Callable[[Any, str], Any]
Key = tuple[str, ...]

GROUNDS = ("registered", "programmes", "workers", "wages", "arrears", "project")
SERVICES = ("business_licensing", "permit_to_tender", "foreign_workers", "labour_supplier", "building_approval")
IDENTIFIERS = ("nib", "npwp", "npp")
APPLIED_FOR = ("new", "renewal")
NO_EMPLOYER = (Effect.NOT_REQUIRED, Effect.OFFICER_REVIEW)
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


def text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadPolicy(where, "must be a text that is not empty")
    return value


def flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise BadPolicy(where, "must be true or false")
    return value


def day(value: Any, where: str) -> date:
    if type(value) is not date:
        raise BadPolicy(where, "must be a day, like 2026-11-21")
    return value


def whole(least: int, most: int) -> Check:
    def check(value: Any, where: str) -> int:
        if type(value) is not int or not least <= value <= most:
            raise BadPolicy(where, f"must be a whole number from {least} to {most}")
        return value

    return check


def one_of(allowed: Iterable[str], kind: type = str) -> Check:
    words = tuple(allowed)

    def check(value: Any, where: str) -> Any:
        if value not in words:
            raise BadPolicy(where, f"must be one of {', '.join(words)}")
        return kind(value)

    return check


def many(check: Check) -> Check:
    def checked(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            raise BadPolicy(where, "must be a list that is not empty")
        found = tuple(check(item, f"{where}[{number}]") for number, item in enumerate(value, 1))
        if len(set(found)) < len(found):
            raise BadPolicy(where, "names something twice")
        return found

    return checked


def table(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """A table with exactly these keys."""
    known = {**required, **(optional or {})}

    def check(value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise BadPolicy(where, "must be a table")
        for key in value.keys() - known.keys():
            raise BadPolicy(f"{where}.{key}", f"is an unknown key; known are {', '.join(known)}")
        for key in required:
            if key not in value:
                raise BadPolicy(f"{where}.{key}", "is missing")
        return {key: known[key](item, f"{where}.{key}") for key, item in value.items()}

    return check


def basis(value: Any, where: str) -> tuple[Basis, ...]:
    rows = many(lambda item, at: Basis(**_CITATION(item, at)))(value, where)
    return tuple(rows)


def order(value: Any, where: str) -> tuple[str, ...]:
    keys: tuple[str, ...] = many(one_of(IDENTIFIERS))(value, where)
    if set(keys) != set(IDENTIFIERS):
        raise BadPolicy(where, f"must name each of {', '.join(IDENTIFIERS)} once")
    return keys


_CITATION = table({"cite": text, "certainty": one_of(Certainty, Certainty)})
BOTH = table({"id": text, "en": text})
ARREARS = table({"months": whole(1, 120), "effect": one_of(LOWERED, Effect), "basis": basis})
COMMON: dict[str, Check] = {"since": day}
CITED: dict[str, Check] = COMMON | {"basis": basis, "looked_at": day}
LATER: dict[str, Check] = {"until": day, "note": text}

# Values that a region may set, and those that it may not (national).
REGIONAL_VALUES: dict[str, Check] = {
    "valid_days": whole(1, 366),
    "stored_answer_hours": whole(1, 720),
    "snapshot_days": whole(1, 366),
    "key_order": order,
    "several_accounts": one_of(("worst", "local")),
    "headcount_tolerance": whole(0, 1000),
    "project_days": whole(1, 60),
    "other_name": one_of((Effect.NOTE, Effect.OFFICER_REVIEW), Effect),
    "other_grounds": one_of(("note", "hidden")),
    "undertakings": flag,
    "branch": BOTH,
}
VALUES = REGIONAL_VALUES | {"lifted_days": whole(1, 3650)}


def value(values: Mapping[str, Check]) -> Check:
    """A named value of one of these kinds."""

    def check(row: Any, where: str) -> dict[str, Any]:
        kinds = {"name": one_of(values), "value": lambda item, at: item}
        found: dict[str, Any] = table(CITED | kinds, LATER)(row, where)
        found["value"] = values[found["name"]](found["value"], f"{where}.value")
        return found

    return check


def gate(row: Any, where: str) -> dict[str, Any]:
    """A rule of a region for permit types; what it says must be consistent."""
    found: dict[str, Any] = _GATE(row, where)
    grounds, arrears = found.get("grounds", ()), found.get("arrears")
    if found["stage"] is not RuleStage.OFF and not grounds:
        raise BadPolicy(f"{where}.grounds", "is missing: a rule that is on names what counts")
    if ("arrears" in grounds) != (arrears is not None):
        raise BadPolicy(f"{where}.arrears", "ground and threshold with its own legal basis belong together")
    return found


def effects(value: Any, where: str) -> dict[str, Effect]:
    """Findings by code that this rule treats more mildly than the nation does."""
    if not isinstance(value, dict):
        raise BadPolicy(where, "must be a table")
    return {code: one_of(LOWERED, Effect)(effect, f"{where}.{code}") for code, effect in value.items()}


_GATE = table(
    CITED | {"permit_types": many(text), "stage": one_of(RuleStage, RuleStage)},
    LATER
    | {
        "applied_for": many(one_of(APPLIED_FOR)),
        "scales": many(one_of(Scale, Scale)),
        "grounds": many(one_of(GROUNDS)),
        "programmes": many(one_of([p for p in Programme if p is not Programme.JKP], Programme)),
        "arrears": ARREARS,
        "effects": effects,
    },
)
_TEXT = {"code": text, "message": BOTH, "remedy": BOTH}
TEXT = table(COMMON | _TEXT, LATER | {"variant": text})
NATIONAL: dict[str, Check] = {
    "programmes": table(CITED | {"scales": many(one_of(Scale)), "owed": many(one_of(Programme, Programme))}, LATER),
    "due": table(CITED | {"day": whole(1, 31)}, LATER),
    "pension_age": table(CITED | {"age": whole(50, 70)}, LATER),
    "service": table(CITED | {"service": one_of(SERVICES), "permit_types": many(text)}, LATER),
    "legal_form": table(CITED | {"forms": many(text), "effect": one_of(NO_EMPLOYER, Effect)}, LATER),
    "value": value(VALUES),
    "finding": table(CITED | {"code": text, "effect": one_of(Effect, Effect)}, LATER | {"ground": one_of(GROUNDS)}),
    "text": TEXT,
    "verdict": table(COMMON | {"verdict": one_of(Verdict), "label": BOTH, "summary": BOTH}, LATER),
    "phrase": table(COMMON | {"name": text, "text": BOTH}, LATER),
    "rule": table(COMMON | {"name": text, "question": BOTH}, LATER),
}
REGION_HEAD = table({"region": text, "name": text, "zone": text, "since": day})
REGION: dict[str, Check] = {
    "value": value(REGIONAL_VALUES),
    "gate": gate,
    "text": table(CITED | _TEXT, LATER | {"variant": text}),
}


def parse(source: str, where: str) -> dict[str, Any]:
    """TOML as a dict. Raises BadPolicy with line and column."""
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(where, f"is not TOML: {error}") from error


def entries(data: Mapping[str, Any], sections: Mapping[str, Check], where: str) -> list[Entry]:
    """All dated entries of a file's tables. Raises BadPolicy naming the place, like `national.toml: due[2].day`."""
    found = []
    for kind, rows in data.items():
        if kind not in sections:
            raise BadPolicy(f"{where}: {kind}", f"is an unknown key; known are {', '.join(sections)}")
        if not isinstance(rows, list):
            raise BadPolicy(f"{where}: {kind}", f"must be a list of tables, [[{kind}]]")
        for number, row in enumerate(rows, 1):
            at = f"{where}: {kind}[{number}]"
            checked = sections[kind](row, at)
            found += [_entry(kind, key, checked, at) for key in _keys(kind, checked)]
    return found


def _keys(kind: str, row: Mapping[str, Any]) -> list[Key]:
    """What a row is about; a row that names several things says the same of each."""
    if kind == "gate":
        return [(name, applied) for name in row["permit_types"] for applied in row.get("applied_for", APPLIED_FOR)]
    several = {"programmes": "scales", "service": "permit_types", "legal_form": "forms"}.get(kind)
    if several:
        return [(name,) for name in row[several]]
    if kind == "text":
        return [(row["code"], row.get("variant", ""))]
    single = {"value": "name", "finding": "code", "verdict": "verdict", "phrase": "name", "rule": "name"}.get(kind)
    return [(row[single],)] if single else [()]


def _entry(kind: str, key: Key, row: Mapping[str, Any], where: str) -> Entry:
    return Entry(kind, key, row["since"], row.get("until"), row.get("basis", ()), row.get("looked_at"), row, where)


def in_order(found: Iterable[Entry]) -> dict[tuple[str, Key], list[Entry]]:
    """Entries by what they are about, oldest first. Raises BadPolicy where periods overlap or leave a gap."""
    groups: dict[tuple[str, Key], list[Entry]] = defaultdict(list)
    for entry in found:
        groups[entry.kind, entry.key].append(entry)
    for group in groups.values():
        group.sort(key=lambda entry: entry.since)
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
        raise BadPolicy(
            entry.where, f"leaves a gap after {entry.until}: say what holds then (a gate ends with stage off)"
        )
    if follower.since != entry.until + timedelta(days=1):
        rule = "overlaps" if follower.since <= entry.until else "leaves a gap after"
        raise BadPolicy(follower.where, f"{rule} {entry.where}, which ends on {entry.until}")
