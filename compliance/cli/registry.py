"""`flask registry`: the agency seen from the shell."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup
from ulid import ULID

from compliance.cli.registry_import import brake_command, import_command
from compliance.deployment import deployment
from compliance.errors import BadIdentifier, Misconfigured, RegistryError, RegistryUnavailable
from compliance.law import identifiers
from compliance.law.codec import to_json
from compliance.law.facts import Ask, Subject
from compliance.registry.mapping import unread
from compliance.registry.port import Purpose
from compliance.registry.sources import http
from compliance.registry.wire import read_document, understand

registry = AppGroup("registry", help="The agency: try one question, import a report.")
registry.add_command(import_command)
registry.add_command(brake_command)
FORMS = {"nib": identifiers.nib, "npwp": identifiers.npwp, "npp": identifiers.npp, "nik": identifiers.nik}
FORMS["nomor"] = identifiers.project_number


def register(app: Flask) -> None:
    app.cli.add_command(registry)


@registry.command("try")
@click.argument("number", metavar="NIB")
@click.option("--by", type=click.Choice(list(FORMS)), default="nib", show_default=True, help="The kind of number.")
@click.option("--subject", type=click.Choice([s.value for s in Subject]), default="employer", show_default=True)
@click.option("--region", help="For projects by NPP: kd_daerah.")
def try_command(number: str, by: str, subject: str, region: str | None) -> None:
    """Ask the agency once: its raw answer, the facts in it, and what was not understood.

    It passes by cache and breaker. Exit status 0: understood. 1: unavailable or misunderstood.
    """
    here = deployment()
    try:
        ask = Ask(Subject(subject), by, FORMS[by](number), region)
        source = http(here.settings, here.clock)
    except (BadIdentifier, Misconfigured) as error:
        raise click.UsageError(str(error)) from error
    purpose = Purpose(str(ULID()), "flask registry try", time.monotonic() + here.settings.registry_timeout)
    outcome, started = "understood", time.monotonic()
    try:
        raw = source.raw(ask, purpose)
        took = f"{len(raw)} bytes, {time.monotonic() - started:.2f} s"
        _show(f"Jawaban / raw answer, {took}", raw.decode(errors="replace"))
        document = read_document(raw)
        shaped = source.wire.shape(ask, document)
        if shaped is not document:
            _show("Setelah pemetaan / mapped", shaped)
        _show("Fakta / facts", to_json(understand(ask, shaped, here.clock(), source.name)))
        _show("Diabaikan / read past", " ".join(unread(ask, shaped)) or "-")
    except RegistryError as error:
        outcome = "unavailable" if isinstance(error, RegistryUnavailable) else "misunderstood"
        _show(f"Tidak dipahami / not understood: {outcome}", str(error))
    body = {"subject": subject, "by": by, "outcome": outcome}
    here.log.append("registry.tried", body, entry_id=purpose.request_id, private={}, at=here.clock())
    sys.exit(0 if outcome == "understood" else 1)


def _show(title: str, what: Any) -> None:
    text = what if isinstance(what, str) else json.dumps(what, ensure_ascii=False, indent=2)
    click.secho(f"\n— {title}", bold=True)
    click.echo(text[:20_000])
