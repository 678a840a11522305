"""`flask policy …`: lint, show and compare the law, draft holidays, and try a draft on the checks of the past."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from compliance.deployment import deployment
from compliance.errors import BadPolicy, LawNotInForce, UnknownRegion
from compliance.law.codec import to_json
from compliance.law.facts import Action
from compliance.law.loading import CITED, LATER, Entry
from compliance.law.policy import Policy
from compliance.law.replay import Flip, flips

policy = AppGroup("policy", help="The law as dated data: check, show, diff, holidays, flips.")
PATH = click.Path(exists=True, path_type=Path)
DAY = click.DateTime(formats=["%Y-%m-%d"])
SECTIONS = ("gate", "value", "service", "programmes", "due", "pension_age", "legal_form", "finding")
NAMES = {*CITED, *LATER, "permit_types", "scales", "forms", "name", "code", "applied_for"}  # what an entry is about


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
    years, old = loaded.calendar.years, loaded.unlooked(today - timedelta(days=365))
    missing = [year for year in (today.year, today.year + 1) if year not in years]
    lines = [
        f"{region.code} {region.name}, since {region.first_day}, {region.sha256}" for region in loaded.regions.values()
    ]
    lines += [f"not looked at since {one.looked_at}: {one.where} ({' '.join((one.kind, *one.key))})" for one in old]
    lines += [f"no table of holidays for {year}: flask policy holidays {year}" for year in missing]
    lines += [f"the holidays of {year} are not confirmed" for year in sorted(years) if not years[year].confirmed]
    click.echo("\n".join(lines))
    sys.exit(1 if old or missing else 0)


@policy.command("show")
@click.option("--on", "day", type=DAY, help="Day, yyyy-mm-dd; default today.")
@click.option("--region", required=True)
def show(day: datetime | None, region: str) -> None:
    """Print the law in force on a day in a region, as a table."""
    running = deployment()
    try:
        chosen = day.date() if day else running.policy.today(region, running.clock())
        law = running.policy.on(chosen, region)
    except (UnknownRegion, LawNotInForce) as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{law.region} {law.region_name} on {chosen}: version {law.version}\nsha256 {law.sha256}")
    for kind in SECTIONS:
        held = [entry for (found, _), entry in sorted(law.entries.items()) if found == kind]
        rows = [(" ".join(e.key) or "-", _says(e), str(e.since), _basis(e), str(e.looked_at)) for e in held]
        rows = [("about", "says", "since", "legal basis", "looked at"), *rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        click.echo("\n  ".join([f"\n{kind}", *lines]) if held else "", nl=bool(held))


def _says(entry: Entry) -> str:
    return "; ".join(f"{name} {_plain(value)}" for name, value in entry.data.items() if name not in NAMES)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items() if name != "basis")
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(to_json(value))


def _basis(entry: Entry) -> str:
    return "; ".join(f"{basis.cite} [{basis.certainty}]" for basis in entry.basis)


@policy.command("diff")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def diff(old: Path, new: Path) -> None:
    """Compare two folders or files of regional policies, each with the shipped law. Ends with 1 when they differ."""
    then, now = _dated(_load(old)), _dated(_load(new))
    changed = sorted(key for key in {*then, *now} if then.get(key) != now.get(key))
    lines = [
        f"{sign} {' '.join(key)}: {law[key]}"
        for key in changed
        for sign, law in (("-", then), ("+", now))
        if key in law
    ]
    click.echo("\n".join(lines) or "no difference")
    sys.exit(1 if lines else 0)


def _dated(loaded: Policy) -> dict[tuple[str, ...], str]:
    """What every entry says, by region, kind, what it is about and its first day."""
    return {
        (region.code, e.kind, *e.key, "since", str(e.since)): f"{_says(e)} | {_basis(e)} | until {e.until}"
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
        found |= {day: (kind, name.translate({ord(mark): None for mark in '\\"'})) for day, name in named.items()}
    click.echo(f"# Holidays of {year}: a draft by the package `holidays`. Compare each line with the decree, name it,")
    click.echo("# set certainty and confirmed, and keep the file as holidays/YEAR.toml in POLICY_DIR.")
    click.echo(f'year = {year}\nconfirmed = false\ncertainty = "unverified"')
    click.echo('decree = "draft, no decree compared"\ndays = [')
    for day, (kind, name) in sorted(found.items()):
        click.echo(f'    {{ date = {day}, kind = "{kind}", name = "{name}" }},')
    click.echo("]")


@policy.command("flips")
@click.argument("file", type=PATH)
@click.option("--region", help="Default: the one region that FILE changes.")
@click.option("--from", "first", type=DAY, default="0001-01-01", help="First day of the checks, in the region's zone.")
@click.option("--to", "last", type=DAY, default="9999-12-31", help="Last day, inclusive.")
def try_draft(file: Path, region: str | None, first: datetime, last: datetime) -> None:
    """Decide the logged checks of a period again under the draft in FILE; ends with 1 when a decision would change."""
    draft, running = _load(file), deployment().policy.regions
    changed = [
        code for code, known in draft.regions.items() if known.sha256 != getattr(running.get(code), "sha256", "")
    ]
    if not region and len(changed) != 1:
        raise click.UsageError(f"the draft changes {', '.join(changed) or 'nothing'}; name one with --region")
    region = region or changed[0]
    if region not in draft.regions:
        raise click.UsageError(f"{file} has no policy of {region}")
    judged: Counter[str] = Counter()
    for flip in flips(_bodies(region, first.date(), last.date(), judged), draft, region):
        judged.update(changed=1, stopped=flip.stopped, unknown=flip.now is None)
        click.echo(_told(flip))
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
                click.echo(f"{judged['checks']} checks …", err=True)
            yield entry.body


def _told(flip: Flip) -> str:
    head = f"{flip.as_at} {flip.reference} {flip.entry_id}: {flip.then['verdict']}/{flip.then['action']}"
    if flip.now is None:
        return f"{head} -> unknown: the agency was not asked then"
    codes = ", ".join(f"{found.code} ({found.effect})" for found in flip.now.findings)
    stop = " STOPPED" if flip.now.action is Action.STOP else ""
    return f"{head} -> {flip.now.verdict}/{flip.now.action}{stop}: {codes or 'no finding'}"
