"""`flask report …`: an auditor's figures, the promises, and a sample drawn again from an export of the log. JSON."""

import json
from datetime import datetime
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup

from compliance.audit import witnesses
from compliance.deployment import deployment
from compliance.proof.export import bodies_in
from compliance.proof.note import open_head
from compliance.reports import promises, sample, search
from compliance.reports.search import Wanted

report = AppGroup("report", help="Figures, promises and samples, as JSON.")


def register(app: Flask) -> None:
    app.cli.add_command(report)


@report.command("figures")
@click.argument("parts", nargs=-1, type=click.Choice([*search.BY, *search.FOLLOWED, "outages"]))
@click.option("--region", "regions", multiple=True, help="May repeat; default: all that are served.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="First day, as the region's days go.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day, inclusive.")
@click.option("--office", help="Of one office.")
@click.option("--permit-type", help="Of one permit type.")
def show(
    parts: tuple[str, ...], regions: tuple[str, ...], since: datetime | None, until: datetime | None, **only: str | None
) -> None:
    """Checks per day and verdict, reasons, refusals cured and how fast, outages …: all of them, or PARTS."""
    days = [day and day.date() for day in (since, until)]
    span = Wanted(regions or tuple(deployment().policy.regions), days[0], days[1], **only)  # type: ignore[arg-type]
    with deployment().log.engine.connect() as connection:
        found = search.summary(connection, span)
    click.echo(json.dumps({name: found[name] for name in parts or found}, indent=1, default=str))


@report.command("promises")
@click.pass_context
def prove(context: click.Context) -> None:
    """Hold every promise against the log now; ends with 1 when one is not kept."""
    cosigners = [key for _, key in witnesses.configured(deployment().settings.log_witnesses)]
    told = promises.prove(deployment(), cosigners, by="operator")
    click.echo(json.dumps(told, indent=1))
    context.exit(0 if all(one["kept"] for one in told["promises"].values()) else 1)


@report.command("draw")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("sample_id")
@click.pass_context
def draw(context: click.Context, folder: Path, sample_id: str) -> None:
    """Draw a sample again from FOLDER (`flask log export`); ends with 1 when the log says otherwise."""
    keyring = deployment().log.keyring
    size = open_head((folder / "checkpoint").read_text(encoding="utf-8"), [*keyring.keys, *keyring.retired]).size
    told = [body for body in map(json.loads, bodies_in(folder, size)) if body.get("sample") == sample_id]
    said = {name: value for body in told for name, value in body.items()}
    if "seed" not in said:
        raise click.UsageError("the log has no such sample, or its seed is not revealed yet")
    again = sample.draw(sample.pairs(map(json.loads, bodies_in(folder, size)), said), said["seed"], said["per_office"])
    click.echo(json.dumps(again, indent=1))
    context.exit(0 if again == said["drawn"] else 1)
