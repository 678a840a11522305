"""`flask batch FILE`: many checks from a table or JSON file, asked here and now at the agency's pace."""

import json
import sys
import time
from pathlib import Path
from typing import IO

import click
from flask import Flask
from flask.cli import with_appcontext
from ulid import ULID

from compliance.batches import reading, run
from compliance.deployment import deployment
from compliance.errors import BadInput, TooMuch
from compliance.gate import Asker
from compliance.work import Row


@click.command("batch")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--results", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="Where the CSV goes.")
@with_appcontext
def batch(file: Path, results: IO[str]) -> None:
    """Ask every question of FILE (CSV, or JSON with the list `checks`); if a line is wrong, none.

    Exit status 1: a line is wrong, nothing was asked. Stopped in between, `flask work` goes on with the rest.
    """
    here, asker, batch_id = deployment(), Asker("operator", "operator"), str(ULID())
    regions = tuple(sorted(here.policy.regions, key=lambda code: code != here.settings.region))
    try:
        raw = file.read_bytes()
        rows = reading.read_document(json.loads(raw)) if raw.lstrip()[:1] == b"{" else reading.read_csv(raw)
        lines = list(reading.judge(here, rows, regions, asker))
    except (BadInput, TooMuch, ValueError) as error:
        named = [f"{wrong.pointer}: {wrong.detail}" for wrong in getattr(error, "errors", ())] or [str(error)]
        raise click.ClickException("nothing was asked\n  " + "\n  ".join(named)) from error
    run.start(here, batch_id, lines, asker)
    with click.progressbar(length=len(lines), label=batch_id, file=sys.stderr) as bar:
        while (found := run.status(here.log.engine, batch_id)) and found.state in ("queued", "running"):
            again = run.ask_lines(here, Row("batch", "shell", 1))
            bar.update(found.done - bar.pos)
            time.sleep(max(0.0, min(5.0, (again or here.clock()).timestamp() - here.clock().timestamp())))
        bar.update(len(lines) - bar.pos)
    for piece in run.results(here.log.engine, found) if found else ():
        results.write(piece)


def register(app: Flask) -> None:
    app.cli.add_command(batch)
