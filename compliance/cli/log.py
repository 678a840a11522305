"""`flask log …`, `flask receipt verify`: the log from the shell."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO

import click
from ulid import ULID

from compliance.audit import erasure, keys, projection, verify, witnesses
from compliance.cli import COMMANDS, FILE, by_option, day, progress, tell
from compliance.deployment import Deployment
from compliance.errors import LogBroken
from compliance.proof import export as folders
from compliance.proof.note import Head, VerifierKey, open_head
from compliance.proof.receipt import verify_answer, verify_claims, verify_package

log = COMMANDS.noun("log", "The append-only log: verify, publish, erase, keys.")
receipt = COMMANDS.noun("receipt", "Receipts of checks.")
key_option = click.option("--key", "given", multiple=True, help="A public key of the log; default: this log's own.")
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


@log.command("init")
def init(here: Deployment) -> None:
    """Make the signing key if it is missing and the log empty; print the public key."""
    keyring = here.log.keyring
    if not keyring.path.exists() and here.log.head()[0]:
        raise click.UsageError(f"{keyring.path} is missing and the log has entries: put its key back there")
    keyring.create_if_missing()
    click.echo("\n".join(map(str, keyring.keys)))


@log.command("verify")
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--head", "heads", multiple=True, type=FILE, help="A signed head kept.")
@click.option("--tables/--no-tables", default=False, help="Also compare what pages show of checks with their entries.")
@key_option
def verify_log(
    here: Deployment, path: Path | None, heads: tuple[Path, ...], tables: bool, given: tuple[str, ...]
) -> None:
    """Recompute the database's log; or verify PATH: the folder of an export, or the file of a proof."""
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


@log.command("checkpoint")
def checkpoint(here: Deployment) -> None:
    """Sign the newest head, have it cosigned by the witnesses, keep it, print it."""
    witnesses.submit(here.log)
    click.echo(witnesses.published(here.log) or here.log.checkpoint(), nl=False)


@log.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@by_option
def export(here: Deployment, folder: Path, by: str) -> None:
    """Write all entries, tiles and the newest head into FOLDER, for outsiders; personal values stay here."""
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    audit, what = here.log, {"what": "log", "by": by}
    audit.append("access.export", what, entry_id=str(ULID()), private={}, at=here.clock())
    size, root = audit.durable_head()
    bodies = (entry.raw for entry in audit.entries(0, size, disclose=False))
    folders.write(folder, bodies, audit.keyring.head(size, root), audit.keyring.keys, progress)
    click.echo(f"{size} entries in {folder}")


@log.command("proof")
@click.argument("entry_id")
def proof(here: Deployment, entry_id: str) -> None:
    """Print the entry, its proof, the newest head and what is disclosed of it, as JSON."""
    if (package := here.log.package(entry_id)) is None:
        raise click.UsageError(f"there is no entry {entry_id}")
    tell(package)


@log.command("project")
@click.option("--fresh", is_flag=True, help="Empty the tables first and build them anew.")
def project(here: Deployment, fresh: bool) -> None:
    """Bring the tables that show the log up to it."""
    done = (projection.rebuild if fresh else projection.catch_up)(here.log, progress)
    click.echo(f"{done} entries projected")


@log.command("replay")
@click.option("--from", "first", type=day, required=True, help="First day in the regions' zone, yyyy-mm-dd.")
@click.option("--to", "last", type=day, required=True, help="Last day, inclusive.")
@by_option
def replay(here: Deployment, first: date, last: date, by: str) -> bool:
    """Decide all checks of a period again, from the log alone; ends with 1 when any differs."""
    zones = [region.zone for region in here.policy.regions.values()]  # of several, the whole day in each
    since = min(datetime.combine(first, time(), zone) for zone in zones)
    until = max(datetime.combine(last, time(), zone) for zone in zones) + timedelta(days=1)
    checks, differing, entry_id = verify.replay_checks(here.log, since, until, by=by, progress=progress)
    for found in differing:
        click.echo("\n  ".join((f"{found.position} {found.id}", *found.why)))
    click.echo(f"{checks} checks decided again, {len(differing)} differ; entry {entry_id}")
    return bool(differing)


@log.command("erase")
@click.argument("positions", nargs=-1, type=click.IntRange(0))
@click.option("--field", "fields", multiple=True, help="Only these fields, e.g. nik.")
@click.option("--ground", help="Why, e.g. a person's request; needed with POSITIONS.")
@click.option("--outlived", is_flag=True, help="All that the regions' schedules (retention_years) have outlived.")
@by_option
def erase(
    here: Deployment, positions: tuple[int, ...], fields: tuple[str, ...], ground: str, outlived: bool, by: str
) -> None:
    """Erase the personal values of entries at POSITIONS, or of all checks that a retention period has outlived."""
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


@log.command("person")
@click.argument("nik")
@by_option
def person(here: Deployment, nik: str, by: str) -> None:
    """Who asked about this person, when and why, as JSON."""
    tell(erasure.about(here.log, nik, by=by))


@log.command("rotate")
@click.option("--finish", is_flag=True, help="Stop signing with the old key.")
@by_option
def rotate(here: Deployment, finish: bool, by: str) -> None:
    """Sign with a new key beside the old one; later, with --finish, with the new one alone."""
    with _using():
        if finish:
            click.echo("\n".join(f"retired: {key}" for key in keys.finish_rotation(here.log, by=by)))
        else:
            click.echo(TOLD.format(keys.rotate(here.log, by=by)))


@log.command("incident")
@click.option("--reason", required=True, help="What happened, for everybody to read.")
@click.option("--head", type=FILE, help="The highest old head that is known.")
@by_option
def incident(here: Deployment, reason: str, head: Path | None, by: str) -> None:
    """Go on under a new LOG_ORIGIN (set it first) after a loss or a compromise."""
    with _using():
        known = Head.parse(head.read_text().partition("\n\n")[0] + "\n") if head else None
        click.echo(TOLD.format(keys.declare_incident(here.log, reason=reason, by=by, known=known)))


@receipt.command("verify")
@click.argument("file", type=click.File(encoding="utf-8"))
@key_option
def verify_receipt(here: Deployment, file: IO[str], given: tuple[str, ...]) -> None:
    """Verify a receipt offline: the JSON answer of a check, or its JWS alone; `-` reads from standard input."""
    try:
        text = file.read()
        answer = json.loads(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError) as error:
        raise LogBroken("not the answer of a check") from error
    trusted = _trusted(here, given)
    tell(verify_answer(answer, trusted) if answer else verify_claims(text, trusted))
