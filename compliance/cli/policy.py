"""`flask policy …`: lint, show and compare the law, draft holidays, and try a draft on the checks of the past."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
YEAR = timedelta(days=365)
PATH = click.Path(exists=True, path_type=Path)
DAY = click.DateTime(formats=["%Y-%m-%d"])
SECTIONS = ("gate", "value", "service", "programmes", "due", "pension_age", "legal_form", "finding")


def register(app: Flask) -> None:
    app.cli.add_command(policy)


def _load(path: Path | None) -> Policy:
    """The shipped law with a folder or file of regional policies; ends with 1 and one line when it is refused."""
    try:
        return Policy.load(path)
    except BadPolicy as error:
        click.echo(f"REFUSED: {error}")
        sys.exit(1)


def _today() -> date:
    return deployment().clock().date()


@policy.command("check")
@click.argument("folder", required=False, type=PATH)
def check(folder: Path | None) -> None:
    """Lint FOLDER (default: POLICY_DIR) with the shipped law; list what nobody has looked at for a year."""
    loaded = _load(folder or deployment().settings.policy_dir)
    for region in loaded.regions.values():
        click.echo(f"{region.code} {region.name}, since {region.first_day}, {loaded.sha256(region.code)}")
    old = loaded.unlooked(_today() - YEAR)
    for entry in old:
        click.echo(f"not looked at since {entry.looked_at}: {entry.where} ({' '.join((entry.kind, *entry.key))})")
    missing = [year for year in (_today().year, _today().year + 1) if year not in loaded.calendar.years]
    for year in missing:
        click.echo(f"no table of holidays for {year}: flask policy holidays {year}")
    for year, table in sorted(loaded.calendar.years.items()):
        if not table.confirmed:
            click.echo(f"the holidays of {year} are not confirmed")
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
        entries = [entry for (found, _), entry in sorted(law.entries.items()) if found == kind]
        rows = [(" ".join(e.key) or "-", _says(e), str(e.since), _basis(e), str(e.looked_at)) for e in entries]
        _table(kind, ("about", "says", "since", "legal basis", "looked at"), rows)


def _says(entry: Entry) -> str:
    hidden = {*CITED, *LATER, "permit_types", "scales", "forms", "name", "code", "applied_for"}
    return "; ".join(f"{name} {_plain(value)}" for name, value in entry.data.items() if name not in hidden)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items() if name != "basis")
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value))
    return str(to_json(value))


def _basis(entry: Entry) -> str:
    return "; ".join(f"{basis.cite} [{basis.certainty}]" for basis in entry.basis)


def _table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        click.echo(f"\n{title}")
        for row in [head, *rows]:
            click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@policy.command("diff")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def diff(old: Path, new: Path) -> None:
    """Compare two folders or files of regional policies, each with the shipped law. Ends with 1 when they differ."""
    one, other = _load(old), _load(new)
    lines = [line for region in sorted({*one.regions, *other.regions}) for line in _changes(one, other, region)]
    click.echo("\n".join(lines) or "no difference")
    sys.exit(1 if lines else 0)


def _changes(old: Policy, new: Policy, region: str) -> Iterator[str]:
    then, now = _dated(old, region), _dated(new, region)
    for key in sorted({*then, *now}):
        if then.get(key) != now.get(key):
            kind, about, since = key
            for sign, says in (("-", then.get(key)), ("+", now.get(key))):
                if says:
                    yield f"{sign} {region} {kind} {about} since {since}: {says}"


def _dated(loaded: Policy, region: str) -> dict[tuple[str, str, date], str]:
    if region not in loaded.regions:
        return {}
    entries = [entry for group in loaded.history(region).values() for entry in group]
    return {(e.kind, " ".join(e.key), e.since): f"{_says(e)} | {_basis(e)} | until {e.until}" for e in entries}


@policy.command("holidays")
@click.argument("year", type=click.IntRange(2000, 2100))
def holidays(year: int) -> None:
    """Print a draft table of a year's holidays, to be compared with the decree and confirmed by a person."""
    from holidays import GOVERNMENT, PUBLIC, country_holidays

    national = country_holidays("ID", years=year, language="id", categories=(PUBLIC,))
    joint = country_holidays("ID", years=year, language="id", categories=(GOVERNMENT,))
    found = {day: ("cuti_bersama", name) for day, name in joint.items()}
    found |= {day: ("national", name) for day, name in national.items()}
    rows = [_holiday(day, *found[day]) for day in sorted(found)]
    click.echo(f"# Holidays of {year}: a draft by the package `holidays`. Compare each line with the decree, name it,")
    click.echo("# set certainty and confirmed, and keep the file as holidays/YEAR.toml in POLICY_DIR.")
    click.echo(f'year = {year}\nconfirmed = false\ncertainty = "unverified"')
    click.echo('decree = "draft, no decree compared"\ndays = [\n' + "\n".join(rows) + "\n]")


def _holiday(day: date, kind: str, name: str) -> str:
    words = name.replace("\\", "").replace('"', "")
    return f'    {{ date = {day}, kind = "{kind}", name = "{words}" }},'


@policy.command("flips")
@click.argument("file", type=PATH)
@click.option("--region", help="Default: the one region that FILE changes.")
@click.option("--from", "first", type=DAY, help="First day of the checks, in the region's zone.")
@click.option("--to", "last", type=DAY, help="Last day, inclusive.")
def try_draft(file: Path, region: str | None, first: datetime | None, last: datetime | None) -> None:
    """Decide the logged checks of a period again under the draft in FILE; ends with 1 when a decision would change."""
    draft = _load(file)
    region = region or _changed_region(draft)
    if region not in draft.regions:
        raise click.UsageError(f"{file} has no policy of {region}")
    judged: Counter[str] = Counter()
    for flip in flips(_bodies(region, first, last, judged), draft, region):
        judged["changed"] += 1
        judged["stopped"] += flip.stopped
        judged["unknown"] += flip.now is None
        click.echo(_told(flip))
    click.echo(
        f"{judged['checks']} checks looked at: {judged['changed']} would change, {judged['stopped']} of them stopped;"
        f" {judged['unknown']} cannot be known, for the agency was not asked"
    )
    sys.exit(1 if judged["changed"] else 0)


def _changed_region(draft: Policy) -> str:
    running = deployment().policy
    changed = [
        code for code in draft.regions if code not in running.regions or draft.sha256(code) != running.sha256(code)
    ]
    if len(changed) != 1:
        raise click.UsageError(f"the draft changes {', '.join(changed) or 'nothing'}; name one with --region")
    return changed[0]


def _bodies(
    region: str, first: datetime | None, last: datetime | None, judged: Counter[str]
) -> Iterator[Mapping[str, Any]]:
    running = deployment()
    for entry in running.log.entries(kinds=("check",)):
        if region not in running.policy.regions or entry.body["facts"]["application"]["region"] != region:
            continue
        day = running.policy.today(region, entry.at)
        if (first is None or first.date() <= day) and (last is None or day <= last.date()):
            judged["checks"] += 1
            if judged["checks"] % 1000 == 0:
                click.echo(f"{judged['checks']} checks …", err=True)
            yield entry.body


def _told(flip: Flip) -> str:
    head = f"{flip.as_at} {flip.reference} {flip.entry_id}: {flip.then['verdict']}/{flip.then['action']}"
    if flip.now is None:
        return f"{head} -> unknown: the agency was not asked then"
    codes = [f"{found.code} ({found.effect})" for found in flip.now.findings]
    stop = " STOPPED" if flip.now.action is Action.STOP else ""
    return f"{head} -> {flip.now.verdict}/{flip.now.action}{stop}: {', '.join(codes) or 'no finding'}"
