"""`flask coverage import FILE` takes a list of institutions; `flask coverage show` says who is covered."""

import hashlib
from datetime import datetime
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup

from compliance.coverage import acts, lines
from compliance.deployment import deployment
from compliance.errors import BadInput, GateError, UnknownRegion
from compliance.gate import Asker
from compliance.registry.reading.sheets import sheets
from compliance.web.fields import FORM

KINDS = FORM["choices"]["kind"]
coverage = AppGroup("coverage", help="Who is covered: import a list of institutions, show the sentence.")
in_region = click.option("--region", required=True, help="Region code, e.g. 76.05.")


def register(app: Flask) -> None:
    app.cli.add_command(coverage)


@coverage.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@in_region
@click.option("--complete", is_flag=True, help="Whoever of the file's kinds is not in it is there no more.")
def import_command(file: Path, region: str, complete: bool) -> None:
    """Take a list (CSV or XLSX) whole; or name every wrong line and take nothing (exit status 1)."""
    try:
        rows = [(row.place, row.cells) for _, each in sheets(file, lambda c: len(lines.columns(c))) for row in each]
        digest, by = hashlib.sha256(file.read_bytes()).hexdigest(), Asker("operator", "flask")
        taken = acts.take_list(deployment(), region, rows, digest, by, "id", complete)
    except GateError as error:
        wrong = [f"  {e.pointer}: {e.detail}" for e in error.errors] if isinstance(error, BadInput) else [str(error)]
        raise click.ClickException("\n".join(["tidak ada yang disimpan / nothing stored", *wrong])) from error
    click.echo(", ".join(f"{count} {KINDS.get(kind, kind)}" for kind, count in taken.items() if count))


@coverage.command("show")
@in_region
@click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="A day that has come (default: today there).")
def show(region: str, on: datetime | None) -> None:
    """The sentence of each kind on a day, with what each number rests on."""
    try:
        day = on.date() if on else deployment().policy.today(region, deployment().clock())
        those = acts.now_known(deployment(), region, day)
    except UnknownRegion as error:
        raise click.UsageError(str(error)) from error
    for kind, count in acts.tally(those, "kind").items():
        click.echo(f"{day} {region}: {acts.sentence(kind, KINDS[kind], count, 'id')}")
    for source, count in acts.tally(those, "source").items():
        click.echo(f"  {count['all']}: {source or 'belum ada keterangan / nobody said'}")
