"""Reads dated law strictly: whatever is unknown, uncited, overlapping, gapped or impossible is refused by name."""

import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Any

from compliance.errors import BadPolicy
from compliance.law.facts import Basis, Certainty, Effect, Programme, RuleStage, Scale, Verdict

Check = Callable[[Any, str], Any]
Checks = dict[str, Check]
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:  # one dated piece of law
    kind: str
    key: Key  # what it is about
    since: date
    until: date | None
    basis: tuple[Basis, ...]
    looked_at: date | None
    data: Mapping[str, Any]
    where: str  # file and table


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
COMMON: Checks = {"since": day}
CITED: Checks = COMMON | {"basis": basis, "looked_at": day}
LATER: Checks = {"until": day, "note": text}
SCHEMA = tomllib.loads(Path(__file__).with_name("schema.toml").read_text(encoding="utf-8"))
NATIONAL, REGION, VALUES = SCHEMA["national"], SCHEMA["region"], SCHEMA["values"]
UNSAID = {"variant": "", "applied_for": ("new", "renewal")}
ENUMS: dict[str, type[StrEnum]] = {"scale": Scale, "programme": Programme, "effect": Effect, "stage": RuleStage}
ENUMS |= {"verdict": Verdict}
NAMED: Checks = {"text": text, "flag": flag, "day": day, "basis": basis, "both": table({"id": text, "en": text})}
NAMED |= {"value": one_of(VALUES), "any": lambda value, where: value}
REGION_HEAD = table({"region": text, "name": text, "zone": text, "since": day})


def described(said: Any) -> Check:
    """The check that schema.toml describes: of a value by its word, of a row by its columns."""
    if isinstance(said, dict):
        columns = {name: described(what) for name, what in said.items() if name not in ("about", "uncited")}
        dates = {} if "about" not in said else COMMON if "uncited" in said else CITED
        optional = {name[:-1]: check for name, check in columns.items() if name.endswith("?")}
        required = {name: check for name, check in columns.items() if not name.endswith("?")}
        return table(dates | required, LATER | optional if dates else optional)
    match said.split():
        case ["whole", least, most]:
            return whole(int(least), int(most))
        case ["one", *words]:
            return one_of(words)
        case ["order", *words]:
            return many(one_of(words), least=len(words))
        case ["many", *words]:
            return many(described(" ".join(words)))
        case ["each", *words]:
            check = described(" ".join(words))
            return lambda value, where: {name: check(value[name], f"{where}.{name}") for name in _a_table(value, where)}
        case [name, *words] if name in ENUMS:
            return one_of(words or ENUMS[name], ENUMS[name])
    return NAMED[said]


def parse(source: str, where: str) -> dict[str, Any]:
    """TOML as a dict. Raises BadPolicy with line and column."""
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(where, f"is not TOML: {error}") from error


def entries(data: Mapping[str, Any], sections: Mapping[str, Any], where: str) -> list[Entry]:
    """All dated entries of a file's tables. Raises BadPolicy naming the place, like `national.toml: due[2].day`."""
    found = []
    for kind, rows in data.items():
        if kind not in sections:
            raise BadPolicy(f"{where}: {kind}", f"is an unknown key; known are {', '.join(sections)}")
        if not isinstance(rows, list):
            raise BadPolicy(f"{where}: {kind}", f"must be a list of tables, [[{kind}]]")
        columns, check = sections[kind]["about"].split(), described(sections[kind])
        for number, raw in enumerate(rows, 1):
            at = f"{where}: {kind}[{number}]"
            row = check(raw, at)
            if kind == "value":
                row["value"] = described(VALUES[row["name"]])(row["value"], f"{at}.value")
            if kind == "gate":
                _consistent(row, at)
            about = [row.get(column, UNSAID.get(column)) for column in columns]
            dated = (row["since"], row.get("until"), row.get("basis", ()), row.get("looked_at"), row, at)
            keys = product(*([part] if isinstance(part, str) else part for part in about))
            found += [Entry(kind, key, *dated) for key in keys]
    return found


def _consistent(gate: Mapping[str, Any], where: str) -> None:
    if gate["stage"] is not RuleStage.OFF and "grounds" not in gate:
        raise BadPolicy(f"{where}.grounds", "is missing: a rule that is on names what counts")
    if ("arrears" in gate.get("grounds", ())) != ("arrears" in gate):
        raise BadPolicy(f"{where}.arrears", "ground and threshold with its own legal basis belong together")


def in_order(found: Iterable[Entry]) -> Groups:
    """Entries by what they are about, oldest first. Raises BadPolicy where periods overlap or leave a gap."""
    groups: Groups = defaultdict(list)
    for entry in sorted(found, key=lambda entry: entry.since):
        groups[entry.kind, entry.key].append(entry)
    for group in groups.values():
        for entry, follower in zip(group, [*group[1:], None], strict=True):
            if follower and follower.since == entry.since:
                raise BadPolicy(follower.where, f"begins on {entry.since}, the same day as {entry.where}")
            if entry.until and (follower is None or follower.since != entry.until + timedelta(days=1)):
                rule = "overlaps" if follower and follower.since <= entry.until else "leaves a gap after"
                where = (follower or entry).where
                raise BadPolicy(where, f"{rule} {entry.where}, which ends on {entry.until}; a gate ends with stage off")
    return dict(groups)
