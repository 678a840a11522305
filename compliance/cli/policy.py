"""`flask policy …`: lint, show and compare the law, draft holidays, try a draft on logged checks, explain one."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import click

from compliance.audit.verify import past_policies
from compliance.cli import COMMANDS, day, progress, tell, told
from compliance.deployment import Deployment
from compliance.law import facts
from compliance.law.codec import from_json, to_json
from compliance.law.policy import Policy
from compliance.law.replay import explain, flips

policy = COMMANDS.noun("policy", "The law as dated data: check, show, diff, holidays, flips, explain.")
PATH = click.Path(exists=True, path_type=Path)
SECTIONS = ("gate", "value", "service", "programmes", "due", "pension_age", "legal_form", "finding")
NAMES = ("permit_types", "scales", "forms", "name", "code", "applied_for")  # what an entry is about


def _says(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_says(part)}" for name, part in value.items() if name not in NAMES)
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(to_json(value))


def _cites(basis: Any) -> str:
    return "; ".join(f"{row['cite']} [{row['certainty']}]" for row in to_json(basis))


def _dated(loaded: Policy) -> dict[tuple[str, ...], str]:
    """What every entry says, by region, kind, what it is about and its first day."""
    return {
        (region.code, e.kind, *e.key, "since", str(e.since)): f"{_says(e.data)} | {_cites(e.basis)} | until {e.until}"
        for region in loaded.regions.values()
        for group in (loaded.national | region.groups).values()
        for e in group
    }


@policy.command("check")
@click.argument("folder", required=False, type=PATH)
def check(here: Deployment, folder: Path | None) -> bool:
    """Lint FOLDER (default: POLICY_DIR) with the shipped law; list what nobody has looked at for a year."""
    loaded, today = Policy.load(folder or here.settings.policy_dir), here.clock().date()
    old = loaded.unlooked(today - timedelta(days=365))
    missing = [year for year in (today.year, today.year + 1) if year not in loaded.calendar.years]
    click.echo(told("policy_check", loaded=loaded, old=old, missing=missing))
    return bool(old or missing)


@policy.command("show")
@click.option("--on", type=day, help="Day, yyyy-mm-dd; default today.")
@click.option("--region", required=True)
def show(here: Deployment, on: date | None, region: str) -> None:
    """Print the law in force on a day in a region, with the legal basis of each entry."""
    on = on or here.policy.today(region, here.clock())
    law = here.policy.on(on, region)
    click.echo(told("policy_show", law=law, day=on, sections=SECTIONS, says=_says, cites=_cites))


@policy.command("diff")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def diff(here: Deployment, old: Path, new: Path) -> bool:
    """Compare two folders or files of regional policies, each with the shipped law. Ends with 1 when they differ."""
    signed = (("-", _dated(Policy.load(old))), ("+", _dated(Policy.load(new))))
    changed = sorted({about for about, _ in signed[0][1].items() ^ signed[1][1].items()})
    lines = [f"{sign} {' '.join(about)}: {says[about]}" for about in changed for sign, says in signed if about in says]
    click.echo("\n".join(lines) or "no difference")
    return bool(lines)


@policy.command("holidays")
@click.argument("year", type=click.IntRange(2000, 2100))
def holidays(here: Deployment, year: int) -> None:
    """Print a draft table of a year's holidays, to be compared with the decree and confirmed by a person."""
    from holidays import GOVERNMENT, PUBLIC, country_holidays

    found: dict[date, tuple[str, str]] = {}
    for kind, category in (("cuti_bersama", GOVERNMENT), ("national", PUBLIC)):
        named = country_holidays("ID", years=year, language="id", categories=(category,))
        found |= {day: (kind, name.replace("\\", "").replace('"', "")) for day, name in named.items()}
    click.echo(told("policy_holidays", year=year, days=found))


@policy.command("flips")
@click.argument("file", type=PATH)
@click.option("--region", help="Default: the one region that FILE changes.")
@click.option("--from", "first", type=day, default="0001-01-01", help="First day of the checks, in the region's zone.")
@click.option("--to", "last", type=day, default="9999-12-31", help="Last day, inclusive.")
def try_draft(here: Deployment, file: Path, region: str | None, first: date, last: date) -> bool:
    """Decide the logged checks of a period again under the draft in FILE; ends with 1 when a decision would change."""
    draft, running, judged = Policy.load(file), here.policy.regions, Counter[str]()
    changed = [
        code for code, known in draft.regions.items() if code not in running or known.sha256 != running[code].sha256
    ]
    changed = [region] if region else changed
    if len(changed) != 1 or changed[0] not in draft.regions:
        raise click.UsageError(f"{file} has no policy of just one region: {', '.join(changed)}; name one with --region")
    known = draft.regions[changed[0]]

    def bodies() -> Iterator[Mapping[str, Any]]:
        for entry in here.log.entries(kinds=("check",)):
            within = first <= entry.at.astimezone(known.zone).date() <= last
            if within and entry.body["facts"]["application"]["region"] == known.code:
                judged["checks"] += 1
                if judged["checks"] % 1000 == 0:
                    progress(judged["checks"])
                yield entry.body

    for flip in flips(bodies(), draft, known.code):
        judged.update(changed=1, stopped=flip.stopped, unknown=flip.now is None)
        click.echo(told("policy_flip", flip=flip))
    click.echo(told("policy_flips", **{"changed": 0, "checks": 0, "stopped": 0, "unknown": 0} | judged))
    return bool(judged["changed"])


@policy.command("explain")
@click.argument("check_id")
@click.option("--json", "raw", is_flag=True, help="As the API gives it.")
def why(here: Deployment, check_id: str, raw: bool) -> None:
    """Explain a logged check rule by rule, by the law that it names."""
    entry = here.log.entry(check_id)
    if entry is None or entry.kind != "check":
        raise click.UsageError(f"there is no check {check_id}")
    known: facts.Facts = from_json(facts.Facts, entry.body["facts"])
    law = past_policies(here.log).get(entry.body["policy"]["sha256"])
    found = explain(known, law.on(known.application.as_at, known.application.region))
    if raw:
        tell(found)
    else:
        click.echo(told("policy_explain", told=found, cites=_cites))
