"""The law in force on a day in a region, compiled from dated files; every text by the hash that decisions name."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import date, datetime
from itertools import chain
from pathlib import Path, PurePath
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

from compliance.errors import BadIdentifier, BadPolicy, LawNotInForce, UnknownRegion
from compliance.law import identifiers
from compliance.law.checks import ALWAYS_IN_FORCE, check_national, check_region
from compliance.law.law import Law, Region
from compliance.law.loading import NATIONAL, REGION, REGION_HEAD, Entry, entries, in_order, parse
from compliance.law.workdays import Calendar, read_year

__all__ = ["Law", "Policy", "Region"]

DATA = Path(__file__).parent / "data"


class _Source(NamedTuple):
    text: str
    where: str
    shipped: bool = True  # it came with the program


class Policy:
    """All law that this deployment knows. Thread-safe once loaded."""

    def __init__(self, sources: Mapping[str, _Source], *, complete: bool = True) -> None:
        files = sorted(sources.items())
        regional = [(path, source) for path, source in files if path.startswith("regions/")]
        holidays = [(path, source) for path, source in files if path.startswith("holidays/")]
        national = [source for path, source in files if "/" not in path]
        self._laws: dict[tuple[str, date], Law] = {}
        self._everywhere = {path: source.text for path, source in files if not path.startswith("regions/")}
        self.calendar = Calendar(read_year(source.text, source.where, PurePath(path).stem) for path, source in holidays)
        rows = (entries(parse(source.text, source.where), NATIONAL, source.where) for source in national)
        self.national = in_order(chain.from_iterable(rows))
        if complete:  # what was complete once need not know what rules ask today
            check_national(self.national)
        self.regions = {one.code: one for one in (self._read_region(path, source) for path, source in regional)}

    @classmethod
    def load(cls, extra: Path | None = None) -> Self:
        """Read the shipped law and the regional files and holidays of `extra`, which replace shipped ones.

        Raises BadPolicy naming file, place and the rule broken.
        """
        names = {path.relative_to(DATA).as_posix(): path for path in DATA.rglob("*.toml")}
        sources = {name: _Source(path.read_text(encoding="utf-8"), name) for name, path in names.items()}
        if extra and not extra.exists():
            raise BadPolicy(str(extra), "is no folder and no file")
        for path in sorted(extra.rglob("*.toml") if extra.is_dir() else [extra]) if extra else ():
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise BadPolicy(str(path), "is not UTF-8") from error
            name = f"holidays/{path.name}"
            if path.parent.name != "holidays":
                name = f"regions/{parse(text, str(path)).get('region')}.toml"
            if name in sources and not sources[name].shipped:
                raise BadPolicy(str(path), f"says the same as {sources[name].where}")
            sources[name] = _Source(text, str(path), shipped=DATA in path.resolve().parents)
        return cls(sources)

    @classmethod
    def from_texts(cls, sha256: str, text_of: Callable[[str], str | None]) -> Self:
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
            self._laws[region, start] = Law(known, start, held, self.national["due", ()], self.calendar)
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
        return list({entry.where: entry for entry in last if entry.looked_at and entry.looked_at < before}.values())

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
        check_region(groups, self.national, first_day, shipped=source.shipped)
        dated = chain.from_iterable([*self.national.values(), *groups.values()])
        starts = sorted({first_day, *(entry.since for entry in dated if entry.since > first_day)})
        named = dict(sorted((self._everywhere | {path: source.text}).items()))
        hashes = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in named.items()}
        listed = json.dumps({"files": hashes}, sort_keys=True, separators=(",", ":"))
        texts = {hashes[path]: text for path, text in named.items()}
        texts[hashlib.sha256(listed.encode()).hexdigest()] = listed
        return Region(code, head["name"], zone, first_day, groups, starts, texts)
