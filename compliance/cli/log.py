"""`flask log …`, `flask receipt verify`: the log from the shell."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO

import click

from compliance.audit import erasure, keys, projection, verify, witnesses
from compliance.cli import progress, tell
from compliance.deployment import Deployment
from compliance.errors import LogBroken
from compliance.proof import export as folders
from compliance.proof.note import Head, VerifierKey, open_head
from compliance.proof.receipt import verify_answer, verify_claims, verify_package

TOLD = "new public key, to be given to auditors and witnesses: {}"


@contextmanager
def _using() -> Iterator[None]:
    """What cannot be done now, or was wrongly stated, is no finding."""
    try:
        yield
    except LogBroken as error:
        raise click.UsageError(str(error)) from error


def _trusted(here: Deployment, given: tuple[str, ...]) -> list[VerifierKey]:
    keyring = here.log.keyring
    with _using():
        return [VerifierKey.parse(key) for key in given] or [*keyring.keys, *keyring.retired]


def log_init(here: Deployment) -> None:
    keyring = here.log.keyring
    if not keyring.path.exists() and here.log.head()[0]:
        raise click.UsageError(f"{keyring.path} is missing and the log has entries: put its key back there")
    keyring.create_if_missing()
    click.echo("\n".join(map(str, keyring.keys)))


def log_verify(
    here: Deployment, path: Path | None, heads: tuple[Path, ...], tables: bool, given: tuple[str, ...]
) -> None:
    trusted = _trusted(here, given)
    known = {head.size: head.root for head in (open_head(kept.read_text(), trusted) for kept in heads)}
    if path is None:
        size, root = verify.verify(here.log, witnesses.heads(here.log) | known, progress)
        checks = f", {verify.verify_checks(here.log, progress)} checks shown rightly" if tables else ""
        click.echo(f"verified: {here.log.origin}, {size} entries{checks}, root {root.hex()}")
    elif path.is_dir():
        head = folders.verify(path, trusted, known, progress)
        click.echo(f"verified: {head.origin}, {head.size} entries")
    else:
        try:
            position, head, body, _ = verify_package(json.loads(path.read_text()), trusted)
        except ValueError as error:
            raise click.UsageError(f"{path} is neither an export nor a proof") from error
        click.echo(f"verified: {body['kind']} {body['id']} at {position} of {head.origin}")


def log_checkpoint(here: Deployment) -> None:
    witnesses.submit(here.log)
    click.echo(witnesses.published(here.log) or here.log.checkpoint(), nl=False)


def log_export(here: Deployment, folder: Path, by: str) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    audit = here.log
    audit.append("access.export", {"what": "log", "by": by})
    size, root = audit.durable_head()
    bodies = (entry.raw for entry in audit.entries(0, size, disclose=False))
    folders.write(folder, bodies, audit.keyring.head(size, root), audit.keyring.keys, progress)
    click.echo(f"{size} entries in {folder}")


def log_proof(here: Deployment, entry_id: str) -> None:
    if (package := here.log.package(entry_id)) is None:
        raise click.UsageError(f"there is no entry {entry_id}")
    tell(package)


def log_project(here: Deployment, fresh: bool) -> None:
    done = (projection.rebuild if fresh else projection.catch_up)(here.log, progress)
    click.echo(f"{done} entries projected")


def log_replay(here: Deployment, first: date, last: date, by: str) -> bool:
    zones = [region.zone for region in here.policy.regions.values()]  # of several, the whole day in each
    since = min(datetime.combine(first, time(), zone) for zone in zones)
    until = max(datetime.combine(last, time(), zone) for zone in zones) + timedelta(days=1)
    checks, differing, entry_id = verify.replay_checks(here.log, since, until, by=by, progress=progress)
    for found in differing:
        click.echo("\n  ".join((f"{found.position} {found.id}", *found.why)))
    click.echo(f"{checks} checks decided again, {len(differing)} differ; entry {entry_id}")
    return bool(differing)


def log_erase(
    here: Deployment, positions: tuple[int, ...], fields: tuple[str, ...], ground: str, outlived: bool, by: str
) -> None:
    if bool(positions and ground) == outlived or (outlived and (positions or fields)):
        raise click.UsageError("give positions and --ground, or --outlived")
    if outlived:
        for region, done in erasure.retire(here.log, here.policy, by=by).items():
            click.echo(f"{region}: {done} entries erased")
        return
    wanted = here.log.entries_at(positions)
    if len(wanted) < len(set(positions)):
        raise click.UsageError("the log has no such position")
    click.echo(f"{erasure.erase(here.log, wanted, ground=ground, by=by, fields=fields or None)} entries erased")


def log_person(here: Deployment, nik: str, by: str) -> None:
    tell(erasure.about(here.log, nik, by=by))


def log_rotate(here: Deployment, finish: bool, by: str) -> None:
    with _using():
        if finish:
            click.echo("\n".join(f"retired: {key}" for key in keys.finish_rotation(here.log, by=by)))
        else:
            click.echo(TOLD.format(keys.rotate(here.log, by=by)))


def log_incident(here: Deployment, reason: str, head: Path | None, by: str) -> None:
    with _using():
        known = Head.parse(head.read_text().partition("\n\n")[0] + "\n") if head else None
        click.echo(TOLD.format(keys.declare_incident(here.log, reason=reason, by=by, known=known)))


def receipt_verify(here: Deployment, file: IO[str], given: tuple[str, ...]) -> None:
    try:
        text = file.read()
        answer = json.loads(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError) as error:
        raise LogBroken("not the answer of a check") from error
    trusted = _trusted(here, given)
    tell(verify_answer(answer, trusted) if answer else verify_claims(text, trusted))
