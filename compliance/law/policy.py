"""The law in force on a day in a region, compiled from dated files; every text by the hash that decisions name."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import date, datetime
from itertools import chain
from pathlib import Path, PurePath
from typing import NamedTuple, Self

from compliance.errors import BadPolicy, LawNotInForce, UnknownRegion
from compliance.law import loading
from compliance.law.law import Calendar, Law, Region, read_year
from compliance.law.loading import NATIONAL, REGION, SCHEMA, Entry, entries, in_order, parse, read

DATA = Path(__file__).parent / "data"
ALWAYS = ("finding", "text", "verdict", "phrase", "rule", "value", "programmes", "due")  # kinds that any decision needs


class _Source(NamedTuple):
    text: str
    where: str
    shipped: bool = True  # it came with the program


class Policy:
    """All law that this deployment knows. Thread-safe once loaded."""

    def __init__(self, sources: Mapping[str, _Source], *, complete: bool = True) -> None:
        files: dict[str, dict[str, _Source]] = {"": {}, "holidays": {}, "regions": {}}
        for path, source in sorted(sources.items()):
            files[path.rpartition("/")[0]][path] = source
        self._laws: dict[tuple[str, date], Law] = {}
        self._everywhere = {path: source.text for path, source in (files[""] | files["holidays"]).items()}
        years = [read_year(text, where, PurePath(path).stem) for path, (text, where, _) in files["holidays"].items()]
        self.calendar = Calendar(years)
        rows = [entries(parse(text, where), NATIONAL, where) for text, where, _ in files[""].values()]
        self.national = in_order(chain.from_iterable(rows))
        if complete:  # what was complete once need not know what rules ask today
            loading.check_national(self.national)
        regions = [self._read_region(path, source) for path, source in files["regions"].items()]
        self.regions = {region.code: region for region in regions}

    @classmethod
    def load(cls, extra: Path | None = None) -> Self:
        """Read the shipped law and the regional files and holidays of `extra`, which replace shipped ones. Raises
        BadPolicy naming file, place and the rule broken."""
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
            if text is None or _hash(text) != name:
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
                for about, group in chain(self.national.items(), known.groups.items())
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
        groups = chain(self.national.values(), *(region.groups.values() for region in self.regions.values()))
        old = [group[-1] for group in groups if (seen := group[-1].looked_at) and seen < before]
        return list({entry.where: entry for entry in old}.values())

    def _read_region(self, path: str, source: _Source) -> Region:
        data, where = parse(source.text, source.where), source.where
        tables = {key: data.pop(key) for key in [*data] if isinstance(data[key], list)}
        head = read(SCHEMA["file"]["region"], data, where)
        if path != f"regions/{head['region']}.toml":
            raise BadPolicy(where, f"holds the region {head['region']}")
        begun = [group[0].since for (kind, _), group in self.national.items() if kind in ALWAYS]
        first_day = max(head["since"], *begun)
        groups = in_order(entries(tables, REGION, where))
        loading.check_region(groups, self.national, first_day, shipped=source.shipped)
        dated = {entry.since for group in chain(self.national.values(), groups.values()) for entry in group}
        starts = sorted({first_day, *(day for day in dated if day > first_day)})
        texts = self._everywhere | {path: source.text}
        files = {name: _hash(texts[name]) for name in sorted(texts)}
        listed = json.dumps({"files": files}, sort_keys=True, separators=(",", ":"))
        by_hash = {files[name]: texts[name] for name in files} | {_hash(listed): listed}
        return Region(head["region"], head["name"], head["zone"], first_day, groups, starts, by_hash, _hash(listed))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
