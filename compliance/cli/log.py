"""`flask log …`, `flask receipt verify`: the log from the shell."""

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO

import click

from compliance.audit import erasure, keys, projection, verify, witnesses
from compliance.audit.log import AuditLog
from compliance.cli import Commands, progress, show, tell
from compliance.errors import LogBroken
from compliance.proof import export, receipt
from compliance.proof.note import Head, VerifierKey, open_head

TOLD = "new public key, to be given to auditors and witnesses: {}"


def _trusted(log: AuditLog, given: tuple[str, ...]) -> list[VerifierKey]:
    try:
        return [VerifierKey.parse(key) for key in given] or [*log.keyring.keys, *log.keyring.retired]
    except LogBroken as error:  # what was wrongly stated is no finding
        raise click.UsageError(str(error)) from error


class Receipt(Commands):
    def verify(self, file: IO[str], given: tuple[str, ...]) -> None:
        try:
            text = file.read()
            answer = json.loads(text) if text.lstrip().startswith("{") else None
        except (ValueError, RecursionError) as error:
            raise LogBroken("not the answer of a check") from error
        trusted = _trusted(self.log, given)
        tell(receipt.verify_answer(answer, trusted) if answer else receipt.verify_claims(text, trusted))


class Log(Commands):
    def init(self) -> None:
        keyring = self.log.keyring
        if not keyring.path.exists() and self.log.head()[0]:
            raise click.UsageError(f"{keyring.path} is missing and the log has entries: put its key back there")
        keyring.create_if_missing()
        click.echo("\n".join(map(str, keyring.keys)))

    def verify(self, path: Path | None, heads: tuple[Path, ...], tables: bool, given: tuple[str, ...]) -> None:
        trusted = _trusted(self.log, given)
        known = {head.size: head.root for head in (open_head(kept.read_text(), trusted) for kept in heads)}
        if path is None:
            size, root = verify.verify(self.log, witnesses.heads(self.log) | known, progress)
            checks = f", {verify.verify_checks(self.log, progress)} checks shown rightly" if tables else ""
            click.echo(f"verified: {self.log.origin}, {size} entries{checks}, root {root.hex()}")
        elif path.is_dir():
            head = export.verify(path, trusted, known, progress)
            click.echo(f"verified: {head.origin}, {head.size} entries")
        else:
            try:
                found = receipt.verify_package(json.loads(path.read_text()), trusted)
            except ValueError as error:
                raise click.UsageError(f"{path} is neither an export nor a proof") from error
            body = found.body
            click.echo(f"verified: {body['kind']} {body['id']} at {found.position} of {found.head.origin}")

    def checkpoint(self) -> None:
        witnesses.submit(self.log)
        click.echo(witnesses.published(self.log) or self.log.checkpoint(), nl=False)

    def export(self, folder: Path, by: str) -> None:
        if folder.exists() and any(folder.iterdir()):
            raise click.UsageError(f"{folder} is not empty")
        self.log.append("access.export", {"what": "log", "by": by})
        size, root = self.log.durable_head()
        bodies = (entry.raw for entry in self.log.entries(0, size, disclose=False))
        keyring = self.log.keyring
        export.write(folder, bodies, keyring.head(size, root), keyring.keys, progress)
        click.echo(f"{size} entries in {folder}")

    def proof(self, entry_id: str) -> None:
        if (package := self.log.package(entry_id)) is None:
            raise click.UsageError(f"there is no entry {entry_id}")
        tell(package)

    def project(self, fresh: bool) -> None:
        done = (projection.rebuild if fresh else projection.catch_up)(self.log, progress)
        click.echo(f"{done} entries projected")

    def replay(self, first: date, last: date, by: str) -> bool:
        zones = [region.zone for region in self.here.policy.regions.values()]  # of several, the whole day in each
        since = min(datetime.combine(first, time(), zone) for zone in zones)
        until = max(datetime.combine(last, time(), zone) for zone in zones) + timedelta(days=1)
        checks, differing, entry_id = verify.replay_checks(self.log, since, until, by=by, progress=progress)
        show("replay", checks=checks, differing=differing, entry_id=entry_id)
        return bool(differing)

    def erase(self, positions: tuple[int, ...], fields: tuple[str, ...], ground: str, outlived: bool, by: str) -> None:
        if bool(positions and ground) == outlived or (outlived and (positions or fields)):
            raise click.UsageError("give positions and --ground, or --outlived")
        if outlived:
            for region, done in erasure.retire(self.log, self.here.policy, by=by).items():
                click.echo(f"{region}: {done} entries erased")
            return
        wanted = self.log.entries_at(positions)
        if len(wanted) < len(set(positions)):
            raise click.UsageError("the log has no such position")
        click.echo(f"{erasure.erase(self.log, wanted, ground=ground, by=by, fields=fields)} entries erased")

    def person(self, nik: str, by: str) -> None:
        tell(erasure.about(self.log, nik, by=by))

    def rotate(self, finish: bool, by: str) -> None:
        try:
            done = keys.finish_rotation(self.log, by=by) if finish else TOLD.format(keys.rotate(self.log, by=by))
        except LogBroken as error:
            raise click.UsageError(str(error)) from error
        click.echo(done if isinstance(done, str) else "\n".join(f"retired: {key}" for key in done))

    def incident(self, reason: str, head: Path | None, by: str) -> None:
        try:
            known = Head.parse(head.read_text().partition("\n\n")[0] + "\n") if head else None
            click.echo(TOLD.format(keys.declare_incident(self.log, reason=reason, by=by, known=known)))
        except LogBroken as error:
            raise click.UsageError(str(error)) from error
