"""`flask check`: one check, with the same rules, entry and receipt as over HTTP. `flask batch`: many."""

import json
import sys
import time
from pathlib import Path
from typing import IO, Any

import click
from ulid import ULID

from compliance.batches import reading, run
from compliance.cli import told
from compliance.deployment import Deployment
from compliance.errors import BadInput, TooMuch
from compliance.gate import Asker
from compliance.intake import read_question
from compliance.work import Row

ASKER = Asker("operator", "operator")


def _regions(here: Deployment) -> tuple[str, ...]:
    """All that are served, the deployment's own first: a question's default."""
    return tuple(sorted(here.policy.regions, key=lambda code: code != here.settings.region))


def check(here: Deployment, file: IO[str] | None, raw: bool, **given: Any) -> bool:
    try:
        stated = json.load(file) if file else {}
    except ValueError as error:
        raise click.UsageError(f"the file is not JSON: {error}") from error
    if not isinstance(stated, dict):
        raise click.UsageError("the file does not hold a question (a JSON object)")
    for name, value in ((name, value) for name, value in given.items() if value is not None):
        part, _, last = name.rpartition("__")
        holder = stated.setdefault(part, {}) if part else stated
        if not isinstance(holder, dict):
            raise click.UsageError(f"{part} in the file is not a JSON object")
        holder[last] = value
    if not here.settings.region and "region" not in stated:
        raise click.UsageError("say which region: --region 73.09 (or set REGION)")
    known: dict[str, Any] = {"regions": _regions(here), "policy": here.policy, "now": here.clock()}
    recorded = here.gate.check(read_question(stated, **known, asker=ASKER, request_id="shell"))
    answer = json.loads(recorded.document)
    click.echo(recorded.document if raw else told("check", **answer))
    return bool(answer["action"] != "PROCEED")


def batch(here: Deployment, file: Path, results: IO[str]) -> None:
    batch_id = str(ULID())
    try:
        raw = file.read_bytes()
        rows = reading.read_document(json.loads(raw)) if raw.lstrip()[:1] == b"{" else reading.read_csv(raw)
        judged = list(reading.judge(here, rows, _regions(here), ASKER))
    except (BadInput, TooMuch, ValueError) as error:
        wrong = [f"  {each.pointer}: {each.detail}" for each in getattr(error, "errors", ())] or [f"  {error}"]
        raise click.ClickException("\n".join(["nothing was asked", *wrong])) from error
    run.start(here, batch_id, judged, ASKER)
    with click.progressbar(length=len(judged), label=batch_id, file=sys.stderr) as bar:
        while (found := run.status(here.log.engine, batch_id)) and found.state in ("queued", "running"):
            again = run.ask_lines(here, Row("batch", "shell", 1))
            bar.update(found.done - bar.pos)
            time.sleep(max(0.0, min(5.0, (again or here.clock()).timestamp() - here.clock().timestamp())))
        bar.update(len(judged) - bar.pos)
    for piece in run.results(here.log.engine, found) if found else ():
        results.write(piece)
