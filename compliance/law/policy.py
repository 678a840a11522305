"""The law in force on a day in a region, compiled from dated files; every text by the hash that decisions name."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from pathlib import Path, PurePath
from zoneinfo import ZoneInfo

from compliance.errors import BadIdentifier, BadPolicy, LawNotInForce, UnknownRegion
from compliance.law import identifiers
from compliance.law.checks import ALWAYS_IN_FORCE, check_national, check_region
from compliance.law.facts import Certainty
from compliance.law.law import Law, compile_law
from compliance.law.loading import NATIONAL, REGION, REGION_HEAD, Entry, Groups, entries, in_order, parse
from compliance.law.workdays import Calendar, read_year

__all__ = ["Law", "Policy", "Region"]

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Region:
    """A region that has a policy; `first_day` is the first day on which anything can be decided there.

    `groups` are its own dated entries, `starts` the days on which its law changes, `texts` all that decide, by hash.
    """

    code: str
    name: str
    zone: ZoneInfo
    first_day: date
    groups: Groups = field(repr=False)
    starts: list[date] = field(repr=False)
    texts: Mapping[str, str] = field(repr=False)

    @property
    def sha256(self) -> str:
        """The hash of the list of all texts, which names the policy."""
        return list(self.texts)[-1]

    @property
    def last_change(self) -> date:
        """The day on which the region's own rules change for the last time, as far as its file says."""
        return max((group[-1].since for group in self.groups.values()), default=self.first_day)


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
        self._laws: dict[tuple[str, date], Law] = {}
        holidays = [(path, source) for path, source in self._sources.items() if path.startswith("holidays/")]
        self.calendar = Calendar(read_year(source.text, source.where, PurePath(path).stem) for path, source in holidays)
        national = [source for path, source in self._sources.items() if "/" not in path]
        rows = (entries(parse(source.text, source.where), NATIONAL, source.where) for source in national)
        self.national = in_order(chain.from_iterable(rows))
        if complete:  # what was complete once need not know what rules ask today
            check_national(self.national)
        regional = [(path, source) for path, source in self._sources.items() if path.startswith("regions/")]
        self.regions = {one.code: one for one in (self._read_region(path, source) for path, source in regional)}

    @classmethod
    def load(cls, extra: Path | None = None) -> Policy:
        """Read the shipped law and the regional files and holidays of `extra`, which replace shipped ones.

        Raises BadPolicy naming file, place and the rule broken.
        """
        names = {path.relative_to(DATA).as_posix(): path for path in DATA.rglob("*.toml")}
        sources = {name: _Source(path.read_text(encoding="utf-8"), name) for name, path in names.items()}
        if extra and not extra.exists():
            raise BadPolicy(str(extra), "is no folder and no file")
        for path in sorted(extra.rglob("*.toml") if extra.is_dir() else [extra]) if extra else ():
            text = path.read_text(encoding="utf-8")
            name = f"holidays/{path.name}" if path.parent.name == "holidays" else _region_path(text, str(path))
            if name in sources and not sources[name].shipped:
                raise BadPolicy(str(path), f"says the same as {sources[name].where}")
            sources[name] = _Source(text, str(path), shipped=False)
        return cls(sources)

    @classmethod
    def from_texts(cls, sha256: str, text_of: Callable[[str], str | None]) -> Policy:
        """The policy of one region as it was, from stored texts. Raises BadPolicy when one is missing or changed."""

        def stored(name: str) -> str:
            text = text_of(name)
            if text is None or hashlib.sha256(text.encode()).hexdigest() != name:
                raise BadPolicy(f"policy {sha256}", f"its text {name} is not stored, or is another one")
            return text

        listed = json.loads(stored(sha256))["files"]
        return cls({path: _Source(stored(name), path) for path, name in listed.items()}, complete=False)

    def on(self, day: date, region: str) -> Law:
        """The law in force. Raises UnknownRegion, and LawNotInForce for a day before it began."""
        known = self.region(region)
        if day < known.starts[0]:
            raise LawNotInForce(f"the policy of {known.name}", day, known.starts[0])
        start = known.starts[bisect_right(known.starts, day) - 1]
        if (region, start) not in self._laws:
            held = {  # the region's own word, where it has spoken, else the nation's
                about: entry
                for groups in (self.national, known.groups)
                for about, group in groups.items()
                for entry in group
                if entry.since <= start
            }
            due = tuple((entry.since, entry.data["day"]) for entry in self.national["due", ()])
            law = compile_law(region, known.name, start, held, known.texts, self.calendar, due)
            self._laws[region, start] = law
        return self._laws[region, start]

    def today(self, region: str, now: datetime) -> date:
        """The day in the region's zone. Raises UnknownRegion."""
        return now.astimezone(self.region(region).zone).date()

    def region(self, code: str) -> Region:
        """Raises UnknownRegion."""
        if code not in self.regions:
            raise UnknownRegion(code, tuple(sorted(self.regions)))
        return self.regions[code]

    def unlooked(self, before: date) -> list[Entry]:
        """Entries, still in force or to come, that nobody has looked at since a day."""
        every = [self.national, *(region.groups for region in self.regions.values())]
        last = [group[-1] for groups in every for group in groups.values()]
        distinct = {entry.where: entry for entry in last if entry.looked_at and entry.looked_at < before}
        return list(distinct.values())

    def _read_region(self, path: str, source: _Source) -> Region:
        data = parse(source.text, source.where)
        tables = {key: data.pop(key) for key in [*data] if isinstance(data[key], list)}
        head = REGION_HEAD(data, source.where)
        try:
            code, zone = identifiers.region(head["region"]), ZoneInfo(head["zone"])
        except BadIdentifier as error:
            raise BadPolicy(f"{source.where}: region", str(error)) from error
        except (ValueError, OSError, KeyError) as error:
            raise BadPolicy(f"{source.where}: zone", f"{head['zone']} is no time zone") from error
        if path != f"regions/{code}.toml":
            raise BadPolicy(source.where, f"holds the region {code}")
        begun = max(group[0].since for (kind, _), group in self.national.items() if kind in ALWAYS_IN_FORCE)
        first_day = max(head["since"], begun)
        groups = in_order(entries(tables, REGION, source.where))
        check_region(groups, self.national, first_day)
        if not source.shipped:
            _no_examples(groups)
        dated = chain.from_iterable([*self.national.values(), *groups.values()])
        starts = sorted({first_day, *(entry.since for entry in dated if entry.since > first_day)})
        return Region(code, head["name"], zone, first_day, groups, starts, self._hashed(path))

    def _hashed(self, region_path: str) -> dict[str, str]:
        """Texts by hash; the last one is the list of all, whose hash names this policy."""
        every = self._sources.items()
        named = {path: one.text for path, one in every if path == region_path or not path.startswith("regions/")}
        hashes = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in named.items()}
        listed = json.dumps({"files": hashes}, sort_keys=True, separators=(",", ":"))
        texts = {hashes[path]: text for path, text in named.items()}
        return texts | {hashlib.sha256(listed.encode()).hexdigest(): listed}


def _region_path(text: str, where: str) -> str:
    code = parse(text, where).get("region")
    if not isinstance(code, str):
        raise BadPolicy(f"{where}: region", "is missing: only regional policies, and holidays/YEAR.toml, may be added")
    return f"regions/{code}.toml"


def _no_examples(groups: Groups) -> None:
    for entry in chain.from_iterable(groups.values()):
        arrears = entry.data.get("arrears", {})
        if any(cited.certainty is Certainty.EXAMPLE for cited in (*entry.basis, *arrears.get("basis", ()))):
            raise BadPolicy(f"{entry.where}.basis", "certainty example is only for files shipped with the program")
