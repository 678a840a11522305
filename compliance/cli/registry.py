"""`flask registry …`: the agency seen from the shell: one question, a branch office's report, the brake."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from ulid import ULID

from compliance.database import db
from compliance.deployment import Deployment
from compliance.errors import GateError, RegistryError, RegistryUnavailable
from compliance.law import identifiers
from compliance.law.codec import to_json
from compliance.law.facts import Ask, Subject
from compliance.registry.port import Purpose
from compliance.registry.reading.report import LABEL, Kind
from compliance.registry.snapshot import ZONE, Remarks, import_report
from compliance.registry.sources import http
from compliance.registry.watchers import brake_states
from compliance.registry.wire import read_document, understand, unread

FORMS = {"nib": identifiers.nib, "npwp": identifiers.npwp, "npp": identifiers.npp, "nik": identifiers.nik}
FORMS["nomor"] = identifiers.project_number


def _show(title: str, what: Any) -> None:
    click.secho(f"\n— {title}", bold=True)
    click.echo((what if isinstance(what, str) else json.dumps(what, ensure_ascii=False, indent=2))[:20_000])


def registry_try(here: Deployment, number: str, by: str, subject: str, region: str | None) -> bool:
    ask, source = Ask(Subject(subject), by, FORMS[by](number), region), http(here.settings, here.clock)
    outcome, started = "understood", time.monotonic()
    purpose = Purpose(str(ULID()), "flask registry try", started + here.settings.registry_timeout)
    try:
        raw = source.raw(ask, purpose)
        took = f"{len(raw)} bytes, {time.monotonic() - started:.2f} s"
        _show(f"Jawaban / raw answer, {took}", raw.decode(errors="replace"))
        shaped = source.wire.shape(ask, document := read_document(raw))
        if shaped is not document:
            _show("Setelah pemetaan / mapped", shaped)
        _show("Fakta / facts", to_json(understand(ask, shaped, here.clock(), source.name)))
        _show("Diabaikan / read past", " ".join(unread(shaped)) or "-")
    except RegistryError as error:
        outcome = "unavailable" if isinstance(error, RegistryUnavailable) else "misunderstood"
        _show(f"Tidak dipahami / not understood: {outcome}", str(error))
    body = {"subject": subject, "by": by, "outcome": outcome}
    here.log.append("registry.tried", body, entry_id=purpose.request_id, private={}, at=here.clock())
    return outcome != "understood"


def registry_import(
    here: Deployment, file: Path, region: str | None, older: bool, dated: date | None, brief: bool
) -> bool:
    region = here.settings.region if region is None else region
    try:
        if region:
            here.policy.region(region)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as notes:
            remarks = Remarks(notes)
            with click.progressbar(length=1000, label=file.name, file=sys.stderr) as bar:
                tell: Callable[[float], None] = lambda done: bar.update(int(done * 1000) - bar.pos)  # noqa: E731
                import_id, body = import_report(db.engine, file, remarks, tell, region, here.clock(), older, dated)
            for note in remarks:
                if not (brief and note.kind is Kind.TAKEN):
                    click.echo(str(note))
        click.echo(" · ".join(f"{LABEL[kind]}: {body['counts'][kind]}" for kind in Kind))
        here.log.append("registry.imported", body, entry_id=import_id, private={}, at=here.clock())
    except GateError as error:
        refused = f"Tidak diterima, tidak ada yang disimpan / not taken, nothing stored: {error}"
        raise click.ClickException(refused) from error
    as_of = f"{datetime.fromisoformat(body['as_of']).astimezone(ZONE):%Y-%m-%d %H:%M} WITA"
    click.echo(f"Laporan berlaku / in force: {body['period']}, {as_of}, {body['sha256'][:12]}")
    return bool(body["counts"]["refused"])


def registry_brake(here: Deployment, region: str | None) -> bool:
    if region and not (here.gate.brake and here.gate.brake.close(here.policy.region(region).code, here.clock())):
        click.echo(f"{region} · sudah tertutup / is closed already")
    with db.engine.connect() as connection:
        states = brake_states(connection)
    for code in sorted(here.policy.regions):
        state = states.get(code)
        word = "terbuka/open" if state and state.opened else "tertutup/closed"
        click.echo(f"{code} · {word}" + (f" · {state.at:%Y-%m-%d %H:%M} UTC · {state.reason}" if state else ""))
    return any(state.opened for state in states.values())
