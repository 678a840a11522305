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

from compliance.audit.replays import past_policies, replay_checks
from compliance.cli.log import by_option, log
from compliance.deployment import deployment
from compliance.errors import BadPolicy, LawNotInForce, UnknownRegion
from compliance.law.codec import from_json, to_json
from compliance.law.explain import explain
from compliance.law.facts import Action, Facts
from compliance.law.loading import CITED, LATER
from compliance.law.policy import Policy
from compliance.law.replay import flips

policy = AppGroup("policy", help="The law as dated data: check, show, diff, holidays, flips, explain.")
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
    lines = [f"{one.code} {one.name}, since {one.first_day}, {one.sha256}" for one in loaded.regions.values()]
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
        rows = [(" ".join(e.key) or "-", _says(e.data), str(e.since), _cites(e.basis), str(e.looked_at)) for e in held]
        rows = [("about", "says", "since", "legal basis", "looked at"), *rows] if rows else []
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for line in [f"\n{kind}"] * bool(rows) + ["  " + "  ".join(map(str.ljust, row, widths)) for row in rows]:
            click.echo(line.rstrip())


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
    click.echo(f"# Holidays of {year}: a draft by the package `holidays`. Compare each line with the decree, name it,")
    click.echo("# set certainty and confirmed, and keep the file as holidays/YEAR.toml in POLICY_DIR.")
    click.echo(f'year = {year}\nconfirmed = false\ncertainty = "unverified"\ndecree = "draft, no decree compared"')
    rows = [f'{{ date = {day}, kind = "{kind}", name = "{name}" }}' for day, (kind, name) in sorted(found.items())]
    click.echo("days = [\n    " + ",\n    ".join(rows) + ",\n]")


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
        told = "unknown: the agency was not asked then"
        if flip.now:
            codes = ", ".join(f"{found.code} ({found.effect})" for found in flip.now.findings) or "no finding"
            stop = " STOPPED" if flip.now.action is Action.STOP else ""
            told = f"{flip.now.verdict}/{flip.now.action}{stop}: {codes}"
        then = f"{flip.then['verdict']}/{flip.then['action']}"
        click.echo(f"{flip.as_at} {flip.reference} {flip.entry_id}: {then} -> {told}")
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
    told = explain(facts, law.on(facts.application.as_at, facts.application.region))
    click.echo(json.dumps(told, indent=1, ensure_ascii=False) if raw else "\n".join(_lines(told)))


def _lines(told: dict[str, Any]) -> Iterator[str]:
    law, decision = told["policy"], told["decision"]
    yield f"{law['region']} on {told['as_at']}, policy {law['version']}, sha256 {law['sha256']}"
    for rule in told["rules"]:
        yield f"\n{rule['rule']}: {rule['question'].get('id', '')}"
        known = [("looked at", *said) for said in rule["looked_at"].items()]
        for head, name, value in known + [("owed", *said) for said in rule["owed"].items()]:
            if value is not None:
                yield f"  {head} {name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        yield from (f"  law {row['what']} since {row['since']}: {_cites(row['legal_basis'])}" for row in rule["law"])
        for found in rule["found"]:
            yield f"  found {found['code']} ({found['effect']}): {found['message']['id']}\n    {_cites(found['basis'])}"
        yield from ["  the judgement ends here"] * rule["ended_here"]
    yield f"\n{decision['verdict']} ({decision['label']['id']}): {decision['summary']['id']}"
