"""The law in force on a day in a region, compiled from dated files; every text by the hash that decisions name."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

from compliance.errors import BadIdentifier, BadPolicy, LawNotInForce, UnknownRegion
from compliance.law import identifiers
from compliance.law.checks import ALWAYS_IN_FORCE, check_national, check_region
from compliance.law.facts import Certainty
from compliance.law.law import Law, compile_law
from compliance.law.loading import NATIONAL, REGION, REGION_HEAD, Entry, Key, entries, in_order, parse
from compliance.law.workdays import Calendar, HolidayYear, read_year

__all__ = ["Law", "Policy", "Region"]

DATA = Path(__file__).parent / "data"
Groups = Mapping[tuple[str, Key], list[Entry]]


@dataclass(frozen=True, slots=True)
class Region:
    """A region that has a policy; `first_day` is the first day on which anything can be decided there."""

    code: str
    name: str
    zone: ZoneInfo
    first_day: date


@dataclass(frozen=True, slots=True)
class _Source:
    """One file: its text, where it stands, and whether it came with the program."""

    text: str
    where: str
    shipped: bool = True


class Policy:
    """All law that this deployment knows. Thread-safe once loaded."""

    def __init__(self, sources: Mapping[str, _Source], *, complete: bool = True) -> None:
        self._sources = dict(sorted(sources.items()))
        self.regions: dict[str, Region] = {}
        self._groups: dict[str, Groups] = {}
        self._starts: dict[str, list[date]] = {}
        self._texts: dict[str, dict[str, str]] = {}
        self._laws: dict[tuple[str, date], Law] = {}
        self.calendar = Calendar(self._years())
        national = ((path, source) for path, source in self._sources.items() if "/" not in path)
        rows = (entries(parse(s.text, s.where), NATIONAL, s.where) for _, s in national)
        self._national = in_order(chain.from_iterable(rows))
        if complete:  # what was complete once need not know what rules ask today
            check_national(self._national)
        for path, source in self._sources.items():
            if path.startswith("regions/"):
                self._add_region(path, source)

    @classmethod
    def load(cls, extra: Path | None = None) -> Policy:
        """Read the shipped law and the regional files and holidays of `extra`, which replace shipped ones.

        Raises BadPolicy naming file, place and the rule broken.
        """
        sources = {}
        for path in sorted(DATA.rglob("*.toml")):
            name = path.relative_to(DATA).as_posix()
            sources[name] = _Source(path.read_text(encoding="utf-8"), name)
        for path in _files(extra) if extra else ():
            text = path.read_text(encoding="utf-8")
            name = f"holidays/{path.name}" if path.parent.name == "holidays" else _region_path(text, str(path))
            if name in sources and not sources[name].shipped:
                raise BadPolicy(str(path), f"says the same as {sources[name].where}")
            sources[name] = _Source(text, str(path), shipped=False)
        return cls(sources)

    @classmethod
    def from_texts(cls, sha256: str, texts: Mapping[str, str]) -> Policy:
        """The policy of one region as it was, from stored texts. Raises BadPolicy when one is missing or changed."""
        for name, text in texts.items():
            if hashlib.sha256(text.encode()).hexdigest() != name:
                raise BadPolicy(name, "is not the hash of the text stored under it")
        try:
            listed = json.loads(texts[sha256])["files"]
            return cls({path: _Source(texts[name], path) for path, name in listed.items()}, complete=False)
        except KeyError as error:
            raise BadPolicy(f"policy {sha256}", f"its text {error} is not stored") from error

    def on(self, day: date, region: str) -> Law:
        """The law in force. Raises UnknownRegion, and LawNotInForce for a day before it began."""
        known = self._region(region)
        starts = self._starts[region]
        if day < starts[0]:
            raise LawNotInForce(f"the policy of {known.name}", day, starts[0])
        start = starts[bisect_right(starts, day) - 1]
        if (region, start) not in self._laws:
            self._laws[region, start] = self._compile(known, start)
        return self._laws[region, start]

    def today(self, region: str, now: datetime) -> date:
        """The day in the region's zone. Raises UnknownRegion."""
        return now.astimezone(self._region(region).zone).date()

    def sha256(self, region: str) -> str:
        """The hash that names all texts that decide for a region."""
        self._region(region)
        return list(self._texts[region])[-1]

    def last_change(self, region: str) -> date:
        """The day on which the region's own rules change for the last time, as far as its file says."""
        known = self._region(region)
        return max((group[-1].since for group in self._groups[region].values()), default=known.first_day)

    def history(self, region: str) -> Groups:
        """All entries that ever hold in a region, oldest first, by what they are about."""
        self._region(region)
        return {**self._national, **self._groups[region]}

    def unlooked(self, before: date) -> list[Entry]:
        """Entries, still in force or to come, that nobody has looked at since a day."""
        every = [self._national, *self._groups.values()]
        last = [group[-1] for groups in every for group in groups.values()]
        distinct = {entry.where: entry for entry in last if entry.looked_at and entry.looked_at < before}
        return list(distinct.values())

    def _region(self, code: str) -> Region:
        if code not in self.regions:
            raise UnknownRegion(code, tuple(sorted(self.regions)))
        return self.regions[code]

    def _compile(self, region: Region, start: date) -> Law:
        due = tuple((entry.since, entry.data["day"]) for entry in self._national["due", ()])
        held = dict(self._in_force(region.code, start))
        return compile_law(region.code, region.name, start, held, self._texts[region.code], self.calendar, due)

    def _years(self) -> Iterator[HolidayYear]:
        for path, source in self._sources.items():
            if path.startswith("holidays/"):
                year = read_year(source.text, source.where)
                if path != f"holidays/{year.year}.toml":
                    raise BadPolicy(source.where, f"holds the year {year.year}")
                yield year

    def _add_region(self, path: str, source: _Source) -> None:
        region, rows = _read_region(source, self._national)
        if path != f"regions/{region.code}.toml":
            raise BadPolicy(source.where, f"holds the region {region.code}")
        groups = in_order(rows)
        check_region(groups, self._national, region.first_day)
        if not source.shipped:
            _no_examples(rows)
        self.regions[region.code] = region
        self._groups[region.code] = groups
        changes = {entry.since for group in [*self._national.values(), *groups.values()] for entry in group}
        self._starts[region.code] = sorted({region.first_day, *(day for day in changes if day > region.first_day)})
        self._texts[region.code] = self._hashed(path)

    def _hashed(self, region_path: str) -> dict[str, str]:
        """Texts by hash; the last one is the list of all, whose hash names this policy."""
        named = {path: s.text for path, s in self._sources.items() if not path.startswith("regions/")}
        named[region_path] = self._sources[region_path].text
        hashes = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in sorted(named.items())}
        listed = json.dumps({"files": hashes}, sort_keys=True, separators=(",", ":"))
        texts = {hashes[path]: text for path, text in named.items()}
        return texts | {hashlib.sha256(listed.encode()).hexdigest(): listed}

    def _in_force(self, region: str, day: date) -> Iterator[tuple[tuple[str, Key], Entry]]:
        """What holds on a day: the region's own word, where it has spoken, else the nation's."""
        for key in {**self._national, **self._groups[region]}:
            for groups in (self._groups[region], self._national):
                begun = [entry for entry in groups.get(key, ()) if entry.since <= day]
                if begun:
                    yield key, begun[-1]
                    break


def _files(extra: Path) -> list[Path]:
    if extra.is_file():
        return [extra]
    if not extra.is_dir():
        raise BadPolicy(str(extra), "is no folder and no file")
    return sorted(extra.rglob("*.toml"))


def _region_path(text: str, where: str) -> str:
    code = parse(text, where).get("region")
    if not isinstance(code, str):
        raise BadPolicy(f"{where}: region", "is missing: only regional policies, and holidays/YEAR.toml, may be added")
    return f"regions/{code}.toml"


def _read_region(source: _Source, national: Groups) -> tuple[Region, list[Entry]]:
    data = parse(source.text, source.where)
    tables = {key: data.pop(key) for key in [*data] if isinstance(data[key], list)}
    head = REGION_HEAD(data, source.where)
    try:
        code, zone = identifiers.region(head["region"]), ZoneInfo(head["zone"])
    except BadIdentifier as error:
        raise BadPolicy(f"{source.where}: region", str(error)) from error
    except (ValueError, OSError, KeyError) as error:
        raise BadPolicy(f"{source.where}: zone", f"{head['zone']} is no time zone") from error
    begun = max(group[0].since for (kind, _), group in national.items() if kind in ALWAYS_IN_FORCE)
    region = Region(code, head["name"], zone, max(head["since"], begun))
    return region, entries(tables, REGION, source.where)


def _no_examples(rows: list[Entry]) -> None:
    for entry in rows:
        arrears = entry.data.get("arrears", {})
        if any(cited.certainty is Certainty.EXAMPLE for cited in (*entry.basis, *arrears.get("basis", ()))):
            raise BadPolicy(f"{entry.where}.basis", "certainty example is only for files shipped with the program")
