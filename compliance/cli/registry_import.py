"""`flask registry import FILE`: a branch office's membership report becomes the report in force."""

from __future__ import annotations

import sys
import tempfile
from datetime import datetime
from pathlib import Path

import click
from flask.cli import with_appcontext

from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import GateError
from compliance.registry.imports import ZONE, Imported, Remarks, import_report
from compliance.registry.reading.words import LABEL, Kind


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
    try:
        imported = _import(file, here.settings.region if region is None else region, older, dated, brief)
        here.log.append("registry.imported", imported.body(), entry_id=imported.id, private={}, at=here.clock())
    except GateError as error:
        raise click.ClickException(
            f"Tidak diterima, tidak ada yang disimpan / not taken, nothing stored: {error}"
        ) from error
    as_of = f"{imported.as_of.astimezone(ZONE):%Y-%m-%d %H:%M} WITA"
    click.echo(f"Laporan berlaku / in force: {imported.period:%Y-%m}, {as_of}, {imported.sha256[:12]}")
    sys.exit(1 if imported.counts["refused"] else 0)


def _import(file: Path, region: str, older: bool, dated: datetime | None, brief: bool) -> Imported:
    here, day = deployment(), dated.date() if dated else None
    if region:
        here.policy.today(region, here.clock())  # raises UnknownRegion
    with tempfile.TemporaryFile("w+", encoding="utf-8") as notes:
        remarks = Remarks(notes)
        with click.progressbar(length=1000, label=file.name, file=sys.stderr) as bar:
            imported = import_report(
                db.engine,
                file,
                remarks,
                lambda done: bar.update(int(done * 1000) - bar.pos),
                region=region,
                now=here.clock(),
                older=older,
                dated=day,
            )
        for note in remarks:
            if not (brief and note.kind is Kind.TAKEN):
                click.echo(str(note))
    click.echo(" · ".join(f"{LABEL[kind]}: {imported.counts[kind]}" for kind in Kind))
    return imported
