"""`flask check`: one check from the shell, with the same rules, log entry and receipt as over HTTP."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext

from compliance.deployment import deployment
from compliance.errors import BadInput, ForeignRegion, LogUnavailable
from compliance.gate import Asker
from compliance.intake import read_question

OPTIONS = {
    "region": "region",
    "permit_type": "permit_type",
    "reference": "reference",
    "stage": "stage",
    "as_at": "as_at",
    "name": "business.name",
    "nib": "business.nib",
    "npwp": "business.npwp",
    "npp": "business.npp",
    "scale": "business.scale",
    "legal_form": "business.legal_form",
    "nib_status": "business.nib_status",
    "nik": "owner.nik",
    "declared": "workforce.declared",
    "employs_workers": "workforce.employs_workers",
    "contract_date": "project.contract_date",
    "project_number": "project.number",
}


def register(app: Flask) -> None:
    app.cli.add_command(check)


def _options(command: Any) -> Any:
    for name in reversed(OPTIONS):
        kind: Any = {"declared": int, "employs_workers": bool}.get(name, str)
        command = click.option(f"--{name.replace('_', '-')}", type=kind, help=OPTIONS[name])(command)
    return command


@click.command("check")
@click.option(
    "--json", "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True), help="A question as JSON."
)
@click.option("--raw", is_flag=True, help="Print the answer as the API gives it.")
@_options
@click.pass_context
@with_appcontext
def check(context: click.Context, /, file: str | None, raw: bool, **given: Any) -> None:
    """Check one application. Ends with 0 when the permit may proceed, 1 when it must stop or wait."""
    running = deployment()
    first, stated = running.settings.region, _stated(file, given)
    if not first and "region" not in stated:
        raise click.UsageError("say which region: --region 73.09 (or set REGION)")
    regions = tuple(sorted(running.policy.regions, key=lambda code: code != first))
    try:
        question = read_question(
            stated,
            regions=regions,
            policy=running.policy,
            now=running.clock(),
            asker=Asker("operator", "operator"),
            request_id="shell",
        )
        recorded = running.gate.check(question)
    except BadInput as error:
        lines = "\n".join(f"  {wrong.pointer or '/'}: {wrong.detail}" for wrong in error.errors)
        raise click.UsageError(f"the question is wrong\n{lines}") from error
    except (ForeignRegion, LogUnavailable) as error:
        raise click.ClickException(str(error)) from error
    answer = json.loads(recorded.document)
    click.echo(recorded.document if raw else "\n".join(_readable(answer)))
    context.exit(0 if answer["action"] == "PROCEED" else 1)


def _stated(file: str | None, given: dict[str, Any]) -> Any:
    """The file's document, with the options laid over it."""
    try:
        stated = json.loads(_text(file)) if file else {}
    except ValueError as error:
        raise click.UsageError(f"{file} is not JSON: {error}") from error
    if not isinstance(stated, dict):
        raise click.UsageError(f"{file} does not hold a question (a JSON object)")
    for name, value in given.items():
        if value is not None:
            *parts, last = OPTIONS[name].split(".")
            holder = stated.setdefault(parts[0], {}) if parts else stated
            if not isinstance(holder, dict):
                raise click.UsageError(f"{parts[0]} in {file} is not an object")
            holder[last] = value
    return stated


def _text(file: str) -> str:
    return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")


def _readable(answer: dict[str, Any]) -> list[str]:
    lines = [
        f"{answer['label']} ({answer['verdict']} → {answer['action']}{'' if answer['enforced'] else ', not enforced'})",
        answer["summary"],
        f"  {answer['permit_type']} · {answer['region']} · {answer['as_at']} · {answer['reference']}",
    ]
    for finding in answer["findings"]:
        lines += [f"- {finding['code']} [{finding['effect']}]: {finding['message']}"]
        lines += [f"    {finding['remedy']}"] if finding["remedy"] else []
        lines += [f"    {basis['cite']} [{basis['certainty']}]" for basis in finding["legal_basis"]]
    if answer["cure"]:
        lines += [f"  {number}. {step}" for number, step in enumerate(answer["cure"]["steps"], 1)]
    for name in ("valid_until", "retry_after"):
        lines += [f"  {name}: {answer[name]}"] if answer[name] else []
    lines.append(f"  id {answer['id']} · log {answer['log']['index']} · {answer['receipt']['url']}")
    return lines
