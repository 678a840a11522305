"""What asks the agency: `flask check` and `flask batch`, with the same rules, entries and receipts as over HTTP;
`flask registry …`: one call as it is, a branch office's report, the brake."""

import json
import sys
import tempfile
import time
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

import click
from ulid import ULID

from compliance.batches import reading, run
from compliance.cli import Commands, show
from compliance.errors import BadInput, GateError, RegistryError, RegistryUnavailable, TooMuch
from compliance.gate import Asker
from compliance.intake import read_question
from compliance.law import identifiers
from compliance.law.codec import to_json
from compliance.law.facts import Ask, Subject
from compliance.registry import port, snapshot, sources, watchers, wire
from compliance.registry.reading.report import LABEL, Kind
from compliance.work import Row

ASKER = Asker("operator", "operator")
FORMS = {"nib": identifiers.nib, "npwp": identifiers.npwp, "npp": identifiers.npp, "nik": identifiers.nik}
FORMS["nomor"] = identifiers.project_number


class Asking(Commands):
    def regions(self) -> tuple[str, ...]:
        """All that are served, the deployment's own first: a question's default."""
        return tuple(sorted(self.here.policy.regions, key=lambda code: code != self.here.settings.region))

    def check(self, file: IO[str] | None, raw: bool, **given: Any) -> bool:
        try:
            stated = json.load(file) if file else {}
        except ValueError as error:
            raise click.UsageError(f"the file is not JSON: {error}") from error
        if not isinstance(stated, dict):
            raise click.UsageError("the file does not hold a question (a JSON object)")
        for name in [name for name, value in given.items() if value is not None]:
            part, _, last = name.rpartition("__")
            holder = stated.setdefault(part, {}) if part else stated
            if not isinstance(holder, dict):
                raise click.UsageError(f"{part} in the file is not a JSON object")
            holder[last] = given[name]
        if not self.here.settings.region and "region" not in stated:
            raise click.UsageError("say which region: --region 73.09 (or set REGION)")
        known: dict[str, Any] = {"regions": self.regions(), "policy": self.here.policy, "now": self.here.clock()}
        recorded = self.here.gate.check(read_question(stated, **known, asker=ASKER, request_id="shell"))
        answer = json.loads(recorded.document)
        if raw:
            click.echo(recorded.document)
        else:
            show("check", **answer)
        return bool(answer["action"] != "PROCEED")

    def batch(self, file: Path, results: IO[str]) -> None:
        here, batch_id, raw = self.here, str(ULID()), file.read_bytes()
        try:
            rows = reading.read_document(json.loads(raw)) if raw.lstrip()[:1] == b"{" else reading.read_csv(raw)
            judged = list(reading.judge(here, rows, self.regions(), ASKER))
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


def _show(title: str, what: Any) -> None:
    click.secho(f"\n— {title}", bold=True)
    click.echo((what if isinstance(what, str) else json.dumps(what, ensure_ascii=False, indent=2))[:20_000])


class Registry(Commands):
    def try_(self, number: str, by: str, subject: str, region: str | None) -> bool:
        here, ask, outcome = self.here, Ask(Subject(subject), by, FORMS[by](number), region), "understood"
        source, started = sources.http(here.settings, here.clock), time.monotonic()
        purpose = port.Purpose(str(ULID()), "flask registry try", started + here.settings.registry_timeout)
        try:
            raw = source.raw(ask, purpose)
            took = f"{len(raw)} bytes, {time.monotonic() - started:.2f} s"
            _show(f"Jawaban / raw answer, {took}", raw.decode(errors="replace"))
            shaped = source.wire.shape(ask, document := wire.read_document(raw))
            if shaped is not document:
                _show("Setelah pemetaan / mapped", shaped)
            _show("Fakta / facts", to_json(wire.understand(ask, shaped, here.clock(), source.name)))
            _show("Diabaikan / read past", " ".join(wire.unread(shaped)) or "-")
        except RegistryError as error:
            outcome = "unavailable" if isinstance(error, RegistryUnavailable) else "misunderstood"
            _show(f"Tidak dipahami / not understood: {outcome}", str(error))
        body = {"subject": subject, "by": by, "outcome": outcome}
        self.log.append("registry.tried", body, entry_id=purpose.request_id)
        return outcome != "understood"

    def import_(self, file: Path, region: str | None, older: bool, dated: date | None, brief: bool) -> bool:
        here, region = self.here, self.here.settings.region if region is None else region
        try:
            if region:
                here.policy.region(region)
            with tempfile.TemporaryFile("w+", encoding="utf-8") as notes:
                remarks = snapshot.Remarks(notes)
                with click.progressbar(length=1000, label=file.name, file=sys.stderr) as bar:
                    step = lambda done: bar.update(int(done * 1000) - bar.pos)  # noqa: E731
                    stated = (region, here.clock(), older, dated)
                    import_id, body = snapshot.import_report(self.log.engine, file, remarks, step, *stated)
                for note in remarks:
                    if not (brief and note.kind is Kind.TAKEN):
                        click.echo(str(note))
            click.echo(" · ".join(f"{LABEL[kind]}: {body['counts'][kind]}" for kind in Kind))
            self.log.append("registry.imported", body, entry_id=import_id)
        except GateError as error:
            refused = f"Tidak diterima, tidak ada yang disimpan / not taken, nothing stored: {error}"
            raise click.ClickException(refused) from error
        as_of = f"{datetime.fromisoformat(body['as_of']).astimezone(snapshot.ZONE):%Y-%m-%d %H:%M} WITA"
        click.echo(f"Laporan berlaku / in force: {body['period']}, {as_of}, {body['sha256'][:12]}")
        return bool(body["counts"]["refused"])

    def brake(self, region: str | None) -> bool:
        here, brake = self.here, self.here.gate.brake
        if region and not (brake and brake.close(here.policy.region(region).code, here.clock())):
            click.echo(f"{region} · sudah tertutup / is closed already")
        states = watchers.brake_states(self.log.engine)
        show("brake", regions=sorted(here.policy.regions), states=states)
        return any(state.opened for state in states.values())
