"""Reads dated law strictly: whatever is unknown, uncited, overlapping, gapped or impossible is refused by name."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

from compliance.errors import BadPolicy
from compliance.law.facts import RANK, Basis, Certainty, Effect, Programme, RuleStage, Scale, Verdict

SCHEMA = tomllib.loads(Path(__file__).with_name("schema.toml").read_text(encoding="utf-8"))
NATIONAL, REGION, VALUES, NAMED, PLAIN = (SCHEMA[one] for one in ("national", "region", "values", "named", "plain"))
UNSAID = {"variant": "", "applied_for": ("new", "renewal")}
ENUMS = {"scale": Scale, "programme": Programme, "effect": Effect, "stage": RuleStage, "verdict": Verdict}
ENUMS["certainty"] = Certainty
Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:  # one dated piece of law
    kind: str
    key: Key  # what it is about
    where: str  # file and table
    data: Mapping[str, Any]  # what it says
    since: date
    until: date | None = None
    basis: tuple[Basis, ...] = ()
    looked_at: date | None = None


About = tuple[str, Key]  # kind and key
Groups = dict[About, list[Entry]]


def read(said: Any, value: Any, where: str) -> Any:
    """A value that is as schema.toml says: by a word, or column by column. Raises BadPolicy naming place and rule."""
    if isinstance(said, dict):  # columns; those that end in "?" may be left out
        known = {name.rstrip("?"): what for name, what in said.items()}
        for key in read("table", value, where):
            if key not in known:
                raise BadPolicy(f"{where}.{key}", f"is an unknown key; known are {', '.join(known)}")
        for key in said:
            if key not in value and not key.endswith("?"):
                raise BadPolicy(f"{where}.{key}", "is missing")
        return {key: read(known[key], item, f"{where}.{key}") for key, item in value.items()}
    name, *words = said.split()
    if name == "any":
        return value
    if name in NAMED:
        found = read(NAMED[name], value, where)
        return Basis(**found) if name == "citation" else found
    if name in PLAIN:
        rule, kind, pattern = PLAIN[name]
        holds = type(value).__name__ == kind and re.fullmatch(pattern, str(value))
    elif name == "whole":
        rule = f"a whole number from {words[0]} to {words[1]}"
        holds = type(value) is int and int(words[0]) <= value <= int(words[1])
    elif name == "many":
        rule, holds = f"a list of at least {words[0]}", isinstance(value, list) and len(value) >= int(words[0])
    else:
        words = words or [*(VALUES if name == "value" else ENUMS[name])]
        rule, holds = f"one of {', '.join(words)}", value in words
    if not holds:
        raise BadPolicy(where, f"must be {rule}")
    if name == "many":
        items = [read(" ".join(words[1:]), item, f"{where}[{number}]") for number, item in enumerate(value, 1)]
        if any(item in items[:number] for number, item in enumerate(items)):
            raise BadPolicy(where, "names something twice")
        return tuple(items)
    if name == "each":
        return {key: read(" ".join(words), item, f"{where}.{key}") for key, item in value.items()}
    if name == "filled":
        try:
            filled = {word for _, word, _, _ in Formatter().parse(value) if word is not None}
        except ValueError as error:
            raise BadPolicy(where, f"braces: {error}") from error
        if unknown := filled.difference(SCHEMA["filled_in"]["words"]):
            raise BadPolicy(where, f"nothing fills in {', '.join(sorted(unknown))}")
    try:
        return ZoneInfo(value) if name == "zone" else ENUMS[name](value) if name in ENUMS else value
    except (ValueError, OSError, KeyError) as error:
        raise BadPolicy(where, f"{value} is no time zone") from error


def parse(source: str, where: str) -> dict[str, Any]:
    """TOML as a dict. Raises BadPolicy with line and column."""
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise BadPolicy(where, f"is not TOML: {error}") from error


def entries(data: Mapping[str, Any], sections: Mapping[str, Any], where: str) -> list[Entry]:
    """All dated entries of a file's tables. Raises BadPolicy naming the place, like `national.toml: due[2].day`."""
    made = []
    for kind, rows in data.items():
        if kind not in sections:
            raise BadPolicy(f"{where}: {kind}", f"is an unknown key; known are {', '.join(sections)}")
        if not isinstance(rows, list):
            raise BadPolicy(f"{where}: {kind}", f"must be a list of tables, [[{kind}]]")
        columns = {name: said for name, said in sections[kind].items() if name not in ("about", "uncited")}
        columns = SCHEMA["dated"] | ({} if "uncited" in sections[kind] else SCHEMA["cited"]) | columns
        for number, raw in enumerate(rows, 1):
            at = f"{where}: {kind}[{number}]"
            row = read(columns, raw, at)
            if kind == "value":
                row["value"] = read(VALUES[row["name"]], row["value"], f"{at}.value")
            if kind == "gate" and row["stage"] is not RuleStage.OFF and "grounds" not in row:
                raise BadPolicy(f"{at}.grounds", "is missing: a rule that is on names what counts")
            if kind == "gate" and ("arrears" in row.get("grounds", ())) != ("arrears" in row):
                raise BadPolicy(f"{at}.arrears", "ground and threshold with its own legal basis belong together")
            row.pop("note", None)
            dated = {name: row.pop(name) for name in ("since", "until", "basis", "looked_at") if name in row}
            about = [row.get(name, UNSAID.get(name)) for name in sections[kind]["about"].split()]
            keys = product(*([part] if isinstance(part, str) else part for part in about))
            made += [Entry(kind, key, at, row, **dated) for key in keys]
    return made


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


def check_national(groups: Groups) -> None:
    """Raises BadPolicy when something is missing that every decision needs, or has no reader."""
    needed = SCHEMA["complete"] | {"value": VALUES, "verdict": Verdict, "rule": SCHEMA["rules"], "programmes": Scale}
    known: set[About] = {(kind, (str(name),)) for kind, names in needed.items() for name in names}
    texts: set[About] = {("text", (code, "")) for code in needed["finding"]}
    for kind, key in sorted({("due", ()), *known, *texts} - groups.keys()):
        raise BadPolicy("national law", f"has no {kind} {' '.join(key)}".rstrip())
    for (kind, key), group in groups.items():
        if kind in needed and (kind, key) not in known:
            raise BadPolicy(group[0].where, f"no rule reads the {kind} {' '.join(key)}")


def check_region(groups: Groups, national: Groups, first_day: date, *, shipped: bool) -> None:
    """Raises BadPolicy when a region's rule reaches beyond what a region may decide."""
    for (kind, key), group in groups.items():
        if kind == "text" and ("text", key) not in national:
            raise BadPolicy(group[0].where, f"there is no text {' '.join(key)} to replace")
        for entry in group:
            if entry.since < first_day:
                raise BadPolicy(f"{entry.where}.since", f"lies before the region's first day, {first_day}")
            cited = (*entry.basis, *entry.data.get("arrears", {}).get("basis", ()))
            if not shipped and any(basis.certainty is Certainty.EXAMPLE for basis in cited):
                raise BadPolicy(f"{entry.where}.basis", "certainty example is only for files shipped with the program")
            for code, effect in entry.data.get("effects", {}).items():
                where, standard = f"{entry.where}.effects.{code}", national.get(("finding", (code,)), [])
                if not standard or "ground" not in standard[-1].data:
                    raise BadPolicy(where, "is no finding of a ground that a region may judge")
                if RANK[effect] < RANK[nations := standard[-1].data["effect"]]:
                    raise BadPolicy(where, f"is harder than national law, which says {nations}")
