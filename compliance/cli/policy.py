"""`flask policy …`: lint, show, compare the law, draft holidays, try a draft, explain; `flask log replay`."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from compliance.audit.verify import past_policies, replay_checks
from compliance.cli import told
from compliance.cli.log import by_option, log
from compliance.deployment import deployment
from compliance.errors import BadPolicy, LawNotInForce, UnknownRegion
from compliance.law.codec import from_json, to_json
from compliance.law.facts import Facts
from compliance.law.policy import Policy
from compliance.law.replay import explain, flips

policy = AppGroup("policy", help="The law as dated data: check, show, diff, holidays, flips, explain.")
PATH = click.Path(exists=True, path_type=Path)
DAY = click.DateTime(formats=["%Y-%m-%d"])
SECTIONS = ("gate", "value", "service", "programmes", "due", "pension_age", "legal_form", "finding")
NAMES = ("permit_types", "scales", "forms", "name", "code", "applied_for")  # what an entry is about


def register(app: Flask) -> None:
    app.cli.add_command(policy)


def _load(path: Path | None) -> Policy:
    """The shipped law with a folder or file of regional policies; ends with 1 and one line when it is refused."""
    try:
        return Policy.load(path)
    except BadPolicy as error:
        click.echo(f"REFUSED: {error}")
        sys.exit(1)


@policy.command("check")
@click.argument("folder", required=False, type=PATH)
def check(folder: Path | None) -> None:
    """Lint FOLDER (default: POLICY_DIR) with the shipped law; list what nobody has looked at for a year."""
    loaded, today = _load(folder or deployment().settings.policy_dir), deployment().clock().date()
    old = loaded.unlooked(today - timedelta(days=365))
    missing = [year for year in (today.year, today.year + 1) if year not in loaded.calendar.years]
    click.echo(told("policy_check", loaded=loaded, old=old, missing=missing))
    sys.exit(1 if old or missing else 0)


@policy.command("show")
@click.option("--on", "on", type=DAY, help="Day, yyyy-mm-dd; default today.")
@click.option("--region", required=True)
def show(on: datetime | None, region: str) -> None:
    """Print the law in force on a day in a region, with the legal basis of each entry."""
    running = deployment()
    try:
        day = on.date() if on else running.policy.today(region, running.clock())
        law = running.policy.on(day, region)
    except (UnknownRegion, LawNotInForce) as error:
        raise click.UsageError(str(error)) from error
    click.echo(told("policy_show", law=law, day=day, sections=SECTIONS, says=_says, cites=_cites))


def _says(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_says(part)}" for name, part in value.items() if name not in NAMES)
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(to_json(value))


def _cites(basis: Any) -> str:
    return "; ".join(f"{row['cite']} [{row['certainty']}]" for row in to_json(basis))


@policy.command("diff")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def diff(old: Path, new: Path) -> None:
    """Compare two folders or files of regional policies, each with the shipped law. Ends with 1 when they differ."""
    signed = (("-", _dated(_load(old))), ("+", _dated(_load(new))))
    changed = sorted({key for key, _ in signed[0][1].items() ^ signed[1][1].items()})
    lines = [f"{sign} {' '.join(key)}: {law[key]}" for key in changed for sign, law in signed if key in law]
    click.echo("\n".join(lines) or "no difference")
    sys.exit(1 if lines else 0)


def _dated(loaded: Policy) -> dict[tuple[str, ...], str]:
    """What every entry says, by region, kind, what it is about and its first day."""
    return {
        (region.code, e.kind, *e.key, "since", str(e.since)): f"{_says(e.data)} | {_cites(e.basis)} | until {e.until}"
        for region in loaded.regions.values()
        for group in (loaded.national | region.groups).values()
        for e in group
    }


@policy.command("holidays")
@click.argument("year", type=click.IntRange(2000, 2100))
def holidays(year: int) -> None:
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
@click.option("--from", "first", type=DAY, default="0001-01-01", help="First day of the checks, in the region's zone.")
@click.option("--to", "last", type=DAY, default="9999-12-31", help="Last day, inclusive.")
def try_draft(file: Path, region: str | None, first: datetime, last: datetime) -> None:
    """Decide the logged checks of a period again under the draft in FILE; ends with 1 when a decision would change."""
    draft, judged = _load(file), Counter[str]()
    running = {code: known.sha256 for code, known in deployment().policy.regions.items()}
    changed = [region] if region else [c for c, known in draft.regions.items() if known.sha256 != running.get(c)]
    if len(changed) != 1 or changed[0] not in draft.regions:
        raise click.UsageError(f"{file} has no policy of just one region: {', '.join(changed)}; name one with --region")
    for flip in flips(_bodies(changed[0], first.date(), last.date(), judged), draft, changed[0]):
        judged.update(changed=1, stopped=flip.stopped, unknown=flip.now is None)
        click.echo(told("policy_flip", flip=flip))
    click.echo(
        f"{judged['checks']} checks looked at: {judged['changed']} would change, {judged['stopped']} of them stopped;"
        f" {judged['unknown']} cannot be known, for the agency was not asked"
    )
    sys.exit(1 if judged["changed"] else 0)


def _bodies(region: str, first: date, last: date, judged: Counter[str]) -> Iterator[Mapping[str, Any]]:
    running = deployment()
    for entry in running.log.entries(kinds=("check",)) if region in running.policy.regions else ():
        known = entry.body["facts"]["application"]["region"] == region
        if known and first <= running.policy.today(region, entry.at) <= last:
            judged["checks"] += 1
            if judged["checks"] % 1000 == 0:
                _progress(judged["checks"])
            yield entry.body


def _progress(done: int) -> None:
    click.echo(f"{done} checks …", err=True)


@log.command("replay")
@click.option("--from", "first", type=DAY, required=True, help="First day in the regions' zone, yyyy-mm-dd.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, inclusive.")
@by_option
def replay(first: datetime, last: datetime, by: str) -> None:
    """Decide all checks of a period again, from the log alone; ends with 1 when any differs."""
    zones = [region.zone for region in deployment().policy.regions.values()]
    since = min(first.replace(tzinfo=zone) for zone in zones)  # of several zones, the whole day in each
    until = max(last.replace(tzinfo=zone) for zone in zones) + timedelta(days=1)
    checks, differing, entry_id = replay_checks(deployment().log, since, until, by=by, progress=_progress)
    for found in differing:
        click.echo("\n  ".join((f"{found.position} {found.id}", *found.why)))
    click.echo(f"{checks} checks decided again, {len(differing)} differ; entry {entry_id}")
    sys.exit(1 if differing else 0)


@policy.command("explain")
@click.argument("check_id")
@click.option("--json", "raw", is_flag=True, help="As the API gives it.")
def why(check_id: str, raw: bool) -> None:
    """Explain a logged check rule by rule, by the law that it names."""
    entry = deployment().log.entry(check_id)
    if entry is None or entry.kind != "check":
        raise click.UsageError(f"there is no check {check_id}")
    facts: Facts = from_json(Facts, entry.body["facts"])
    law = past_policies(deployment().log).get(entry.body["policy"]["sha256"])
    found = explain(facts, law.on(facts.application.as_at, facts.application.region))
    click.echo(
        json.dumps(found, indent=1, ensure_ascii=False) if raw else told("policy_explain", told=found, cites=_cites)
    )
