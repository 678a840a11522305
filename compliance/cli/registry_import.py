"""`flask registry import FILE`: a branch office's report comes into force; `flask registry brake`: what waits."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click
from flask.cli import with_appcontext

from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import GateError, UnknownRegion
from compliance.registry.brake import brake_states
from compliance.registry.imports import ZONE, Remarks, import_report
from compliance.registry.reading.notes import LABEL, Kind


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--region", default=None, help="The region whose report it replaces (default: REGION, else all).")
@click.option("--older", is_flag=True, help="Take it even if it is older than the report in force, or the same.")
@click.option("--dated", type=click.DateTime(["%Y-%m-%d"]), help="The day of the facts, instead of PER TANGGAL.")
@click.option("--brief", is_flag=True, help="Leave out the lines that were simply taken.")
@with_appcontext
def import_command(file: Path, region: str | None, older: bool, dated: datetime | None, brief: bool) -> None:
    """Take a membership report (CSV or XLSX) and say what became of each line.

    Exit status 0: all taken. 1: the file, or some of its lines, were refused.
    """
    here = deployment()
    region = here.settings.region if region is None else region
    try:
        if region:
            here.policy.today(region, here.clock())  # raises UnknownRegion
        with tempfile.TemporaryFile("w+", encoding="utf-8") as notes:
            remarks = Remarks(notes)
            with click.progressbar(length=1000, label=file.name, file=sys.stderr) as bar:
                tell: Callable[[float], None] = lambda done: bar.update(int(done * 1000) - bar.pos)  # noqa: E731
                day = dated.date() if dated else None
                import_id, body = import_report(db.engine, file, remarks, tell, region, here.clock(), older, day)
            for note in remarks:
                if not (brief and note.kind is Kind.TAKEN):
                    click.echo(str(note))
        click.echo(" · ".join(f"{LABEL[kind]}: {body['counts'][kind]}" for kind in Kind))
        here.log.append("registry.imported", body, entry_id=import_id, private={}, at=here.clock())
    except GateError as error:
        raise click.ClickException(
            f"Tidak diterima, tidak ada yang disimpan / not taken, nothing stored: {error}"
        ) from error
    as_of = f"{datetime.fromisoformat(body['as_of']).astimezone(ZONE):%Y-%m-%d %H:%M} WITA"
    click.echo(f"Laporan berlaku / in force: {body['period']}, {as_of}, {body['sha256'][:12]}")
    sys.exit(1 if body["counts"]["refused"] else 0)


@click.command("brake")
@click.option("--close", "region", help="Say that the agency's answers for this region are right after all.")
@with_appcontext
def brake_command(region: str | None) -> None:
    """Show the mass-refusal brake of each region; exit status 1 while one is open."""
    here = deployment()
    if region and not (here.gate.brake and here.gate.brake.close(region, here.clock())):
        try:
            here.policy.today(region, here.clock())
        except UnknownRegion as error:
            raise click.UsageError(str(error)) from error
        click.echo(f"{region} · sudah tertutup / is closed already")
    with db.engine.connect() as connection:
        states = brake_states(connection)
    for code in sorted(here.policy.regions):
        state = states.get(code)
        word = "terbuka/open" if state and state.opened else "tertutup/closed"
        click.echo(f"{code} · {word}" + (f" · {state.at:%Y-%m-%d %H:%M} UTC · {state.reason}" if state else ""))
    sys.exit(any(state.opened for state in states.values()))
