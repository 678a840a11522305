"""`flask check`: one check from the shell, with the same rules, log entry and receipt as over HTTP."""

import json
from typing import IO, Any

import click
from flask import Flask
from flask.cli import with_appcontext

from compliance.cli import told
from compliance.deployment import deployment
from compliance.errors import BadInput, ForeignRegion, LogUnavailable
from compliance.gate import Asker
from compliance.intake import read_question

OPTIONS = {
    **{name: name for name in ("region", "permit_type", "reference", "stage", "as_at")},
    **{name: f"business.{name}" for name in ("name", "nib", "npwp", "npp", "scale", "legal_form", "nib_status")},
    **{name: f"workforce.{name}" for name in ("declared", "employs_workers")},
    **{"nik": "owner.nik", "contract_date": "project.contract_date", "project_number": "project.number"},
}
KINDS: dict[str, Any] = {"declared": int, "employs_workers": bool}


def register(app: Flask) -> None:
    app.cli.add_command(check)


@click.command(
    params=[click.Option([f"--{name.replace('_', '-')}"], type=KINDS.get(name), help=OPTIONS[name]) for name in OPTIONS]
)
@click.option("--json", "file", type=click.File(encoding="utf-8"), help="A question as JSON.")
@click.option("--raw", is_flag=True, help="Print the answer as the API gives it.")
@click.pass_context
@with_appcontext
def check(context: click.Context, /, file: IO[str] | None, raw: bool, **given: Any) -> None:
    """Check one application. Ends with 0 when the permit may proceed, 1 when it must stop or wait."""
    running = deployment()
    first, stated = running.settings.region, _stated(file, given)
    if not first and "region" not in stated:
        raise click.UsageError("say which region: --region 73.09 (or set REGION)")
    regions = tuple(sorted(running.policy.regions, key=lambda code: code != first))
    asker = Asker("operator", "operator")
    try:
        question = read_question(
            stated, regions=regions, policy=running.policy, now=running.clock(), asker=asker, request_id="shell"
        )
        recorded = running.gate.check(question)
    except BadInput as error:
        lines = "\n".join(f"  {wrong.pointer or '/'}: {wrong.detail}" for wrong in error.errors)
        raise click.UsageError(f"the question is wrong\n{lines}") from error
    except (ForeignRegion, LogUnavailable) as error:
        raise click.ClickException(str(error)) from error
    answer = json.loads(recorded.document)
    click.echo(recorded.document if raw else told("check", **answer))
    context.exit(0 if answer["action"] == "PROCEED" else 1)


def _stated(file: IO[str] | None, given: dict[str, Any]) -> Any:
    """The file's document, with the options laid over it."""
    try:
        stated = json.load(file) if file else {}
    except ValueError as error:
        raise click.UsageError(f"the file is not JSON: {error}") from error
    if not isinstance(stated, dict):
        raise click.UsageError("the file does not hold a question (a JSON object)")
    for path, value in ((OPTIONS[name], value) for name, value in given.items() if value is not None):
        part, _, last = path.rpartition(".")
        holder = stated.setdefault(part, {}) if part else stated
        if not isinstance(holder, dict):
            raise click.UsageError(f"{part} in the file is not a JSON object")
        holder[last] = value
    return stated
