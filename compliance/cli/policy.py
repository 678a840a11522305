"""`flask policy …`: lint, show and compare the law, draft holidays, try a draft on logged checks."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from compliance.cli import Commands, progress, show
from compliance.law import policy as law
from compliance.law.codec import to_json
from compliance.law.decide import flips

SECTIONS = ("gate", "value", "service", "programmes", "due", "pension_age", "legal_form", "finding")
NAMES = ("permit_types", "scales", "forms", "name", "code", "applied_for")  # what an entry is about


def _says(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_says(part)}" for name, part in value.items() if name not in NAMES)
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(to_json(value))


def _cites(basis: Any) -> str:
    return "; ".join(f"{row.cite} [{row.certainty}]" for row in basis)


def _dated(path: Path) -> dict[tuple[str, ...], str]:
    """What every entry says, by region, kind, what it is about and its first day."""
    loaded = law.Policy.load(path)
    return {
        (region.code, e.kind, *e.key, "since", str(e.since)): f"{_says(e.data)} | {_cites(e.basis)} | until {e.until}"
        for region in loaded.regions.values()
        for group in (loaded.national | region.groups).values()
        for e in group
    }


class Policy(Commands):
    def check(self, folder: Path | None) -> bool:
        loaded, today = law.Policy.load(folder or self.here.settings.policy_dir), self.here.clock().date()
        old = loaded.unlooked(today - timedelta(days=365))
        missing = [year for year in (today.year, today.year + 1) if year not in loaded.calendar.years]
        show("policy_check", loaded=loaded, old=old, missing=missing)
        return bool(old or missing)

    def show(self, on: date | None, region: str) -> None:
        on = on or self.here.policy.today(region, self.here.clock())
        in_force = self.here.policy.on(on, region)
        show("policy_show", law=in_force, day=on, sections=SECTIONS, says=_says, cites=_cites)

    def diff(self, old: Path, new: Path) -> bool:
        before, after = _dated(old), _dated(new)
        changed = sorted({about for about, _ in before.items() ^ after.items()})
        show("policy_diff", changed=changed, before=before, after=after)
        return bool(changed)

    def holidays(self, year: int) -> None:
        from holidays import GOVERNMENT, PUBLIC, country_holidays

        found: dict[date, tuple[str, str]] = {}
        for kind, category in (("cuti_bersama", GOVERNMENT), ("national", PUBLIC)):
            named = country_holidays("ID", years=year, language="id", categories=(category,))
            found |= {day: (kind, name.replace("\\", "").replace('"', "")) for day, name in named.items()}
        show("policy_holidays", year=year, days=found)

    def flips(self, file: Path, region: str | None, first: date, last: date) -> bool:
        draft, judged = law.Policy.load(file), Counter(checks=0, changed=0, stopped=0, unknown=0)
        running = {code: known.sha256 for code, known in self.here.policy.regions.items()}
        changed = [region] if region else [c for c, known in draft.regions.items() if known.sha256 != running.get(c)]
        if len(changed) != 1 or changed[0] not in draft.regions:
            named = f"{', '.join(changed)}; name one with --region"
            raise click.UsageError(f"{file} has no policy of just one region: {named}")
        known = draft.regions[changed[0]]

        def bodies() -> Iterator[Mapping[str, Any]]:
            for entry in self.log.entries(kinds=("check",)):
                within = first <= entry.at.astimezone(known.zone).date() <= last
                if within and entry.body["facts"]["application"]["region"] == known.code:
                    judged["checks"] += 1
                    if judged["checks"] % 1000 == 0:
                        progress(judged["checks"])
                    yield entry.body

        for flip in flips(bodies(), draft, known.code):
            judged.update(changed=1, stopped=flip.stopped, unknown=flip.now is None)
            show("policy_flip", flip=flip)
        show("policy_flips", **judged)
        return bool(judged["changed"])
