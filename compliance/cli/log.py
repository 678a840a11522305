"""`flask log …` and `flask receipt verify`: the log from the shell. Exit status 0, 1 (broken), 2 (wrong usage)."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup
from ulid import ULID

from compliance.audit import erasure, keys, projection, witnesses
from compliance.audit.log import AuditLog
from compliance.audit.verify import verify as verify_database
from compliance.audit.verify import verify_checks
from compliance.deployment import deployment
from compliance.errors import LogBroken
from compliance.proof import export as folders
from compliance.proof.note import Head, VerifierKey, open_head
from compliance.proof.receipt import verify_answer, verify_claims, verify_package

log = AppGroup("log", help="The append-only log: verify, publish, erase, keys.")
receipt = AppGroup("receipt", help="Receipts of checks.")
by_option = click.option("--by", required=True, help="Who orders it: an id, not a name.")
key_option = click.option("--key", "given", multiple=True, help="A public key of the log; default: this log's own.")
FILE, FOLDER = click.Path(exists=True, path_type=Path), click.Path(file_okay=False, path_type=Path)
TOLD = "new public key, to be given to auditors and witnesses: {}"


def register(app: Flask) -> None:
    app.cli.add_command(log)
    app.cli.add_command(receipt)


def _log() -> AuditLog:
    return deployment().log


@contextmanager
def _verifying() -> Iterator[None]:
    """What is broken is said with its first bad position, and ends with 1."""
    try:
        yield
    except LogBroken as error:
        click.echo(f"BROKEN: {error}" + ("" if error.position is None else f" (first bad position: {error.position})"))
        sys.exit(1)


@contextmanager
def _using() -> Iterator[None]:
    """What cannot be done now is a wrong usage."""
    try:
        yield
    except LogBroken as error:
        raise click.UsageError(str(error)) from error


def _progress(size: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{size} entries", nl=False, err=True)


def _trusted(given: tuple[str, ...]) -> list[VerifierKey]:
    with _using():
        return [VerifierKey.parse(key) for key in given] or [*_log().keyring.keys, *_log().keyring.retired]


@log.command("init")
def init() -> None:
    """Make the signing key if it is missing and the log empty; print the public key."""
    audit = _log()
    if not audit.keyring.path.exists() and audit.head()[0]:
        raise click.UsageError(f"{audit.keyring.path} is missing and the log has entries: put its key back there")
    audit.keyring.create_if_missing()
    click.echo("\n".join(map(str, audit.keyring.keys)))


@log.command("verify")
@click.argument("path", required=False, type=FILE)
@click.option("--head", "heads", multiple=True, type=FILE, help="A signed head kept.")
@click.option("--tables/--no-tables", default=False, help="Also compare what pages show of checks with their entries.")
@key_option
def verify(path: Path | None, heads: tuple[Path, ...], tables: bool, given: tuple[str, ...]) -> None:
    """Recompute the database's log; or verify PATH: the folder of an export, or the file of a proof."""
    trusted, audit = _trusted(given), _log()
    with _verifying():
        known = {head.size: head.root for head in (open_head(kept.read_text(), trusted) for kept in heads)}
        if path is None:
            own, remembered = witnesses.heads(audit), audit.keyring.remembered()
            if remembered and remembered.origin == audit.origin:
                own[remembered.size] = remembered.root
            size, root = verify_database(audit, own | known, _progress)
            checks = f", {verify_checks(audit, _progress)} checks shown rightly" if tables else ""
            click.echo(f"verified: {audit.origin}, {size} entries{checks}, root {root.hex()}")
        elif path.is_dir():
            head = folders.verify(path, trusted, known, _progress)
            click.echo(f"verified: {head.origin}, {head.size} entries")
        else:
            try:
                position, head, body, _ = verify_package(json.loads(path.read_text()), trusted)
            except ValueError as error:
                raise click.UsageError(f"{path} is neither an export nor a proof") from error
            click.echo(f"verified: {body['kind']} {body['id']} at {position} of {head.origin}")


@log.command("checkpoint")
def checkpoint() -> None:
    """Sign the newest head, have it cosigned by the witnesses, keep it, print it."""
    with _verifying():
        witnesses.submit(_log())
    click.echo(witnesses.published(_log()) or _log().checkpoint(), nl=False)


@log.command("export")
@click.argument("folder", type=FOLDER)
@by_option
def export(folder: Path, by: str) -> None:
    """Write all entries, tiles and the newest head into FOLDER, for outsiders; personal values stay here."""
    audit = _log()
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    what = {"what": "log", "by": by}
    audit.append("access.export", what, entry_id=str(ULID()), private={}, at=audit.clock())
    size, root = audit.durable_head()
    bodies = (entry.raw for entry in audit.entries(0, size, disclose=False))
    with _verifying():
        folders.write(folder, bodies, audit.keyring.head(size, root), audit.keyring.keys, _progress)
    click.echo(f"{size} entries in {folder}")


@log.command("proof")
@click.argument("entry_id")
def proof(entry_id: str) -> None:
    """Print the entry, its proof, the newest head and what is disclosed of it, as JSON."""
    if (package := _log().package(entry_id)) is None:
        raise click.UsageError(f"there is no entry {entry_id}")
    click.echo(json.dumps(package, indent=1, ensure_ascii=False))


@log.command("project")
@click.option("--fresh", is_flag=True, help="Empty the tables first and build them anew.")
def project(fresh: bool) -> None:
    """Bring the tables that show the log up to it."""
    done = (projection.rebuild if fresh else projection.catch_up)(_log(), _progress)
    click.echo(f"{done} entries projected")


@log.command("erase")
@click.argument("positions", nargs=-1, type=click.IntRange(0))
@click.option("--field", "fields", multiple=True, help="Only these fields, e.g. nik.")
@click.option("--ground", help="Why, e.g. a person's request; needed with POSITIONS.")
@click.option(
    "--outlived", is_flag=True, help="All that the regions' retention schedules (retention_years) have outlived."
)
@by_option
def erase(positions: tuple[int, ...], fields: tuple[str, ...], ground: str | None, outlived: bool, by: str) -> None:
    """Erase the personal values of entries at POSITIONS, or of all checks that a retention period has outlived."""
    audit = _log()
    if bool(positions and ground) == outlived or (outlived and (positions or fields)):
        raise click.UsageError("give positions and --ground, or --outlived")
    if outlived:
        for region, done in erasure.retire(audit, deployment().policy, by=by).items():
            click.echo(f"{region}: {done} entries erased")
        return
    wanted = audit.entries_at(positions)
    if len(wanted) < len(set(positions)):
        raise click.UsageError("the log has no such position")
    click.echo(f"{erasure.erase(audit, wanted, ground=ground or '', by=by, fields=fields or None)} entries erased")


@log.command("person")
@click.argument("nik")
@by_option
def person(nik: str, by: str) -> None:
    """Who asked about this person, when and why, as JSON."""
    click.echo(json.dumps(erasure.about(_log(), nik, by=by), indent=1))


@log.command("rotate")
@click.option("--finish", is_flag=True, help="Stop signing with the old key.")
@by_option
def rotate(finish: bool, by: str) -> None:
    """Sign with a new key beside the old one; later, with --finish, with the new one alone."""
    with _using():
        told = [f"retired: {key}" for key in keys.finish_rotation(_log(), by=by)] if finish else []
        click.echo("\n".join(told) if finish else TOLD.format(keys.rotate(_log(), by=by)))


@log.command("incident")
@click.option("--reason", required=True, help="What happened, for everybody to read.")
@click.option("--head", type=FILE, help="The highest old head that is known.")
@by_option
def incident(reason: str, head: Path | None, by: str) -> None:
    """Go on under a new LOG_ORIGIN (set it first) after a loss or a compromise."""
    with _using():
        known = Head.parse(head.read_text().partition("\n\n")[0] + "\n") if head else None
        click.echo(TOLD.format(keys.declare_incident(_log(), reason=reason, by=by, known=known)))


@receipt.command("verify")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True))
@key_option
def verify_receipt(path: Path, given: tuple[str, ...]) -> None:
    """Verify a receipt offline: the JSON answer of a check, or its JWS alone; `-` reads from standard input."""
    with _verifying():
        try:
            text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
            answer = json.loads(text) if text.lstrip().startswith("{") else None
        except (ValueError, RecursionError) as error:
            raise LogBroken("not the answer of a check") from error
        claims = verify_answer(answer, _trusted(given)) if answer else verify_claims(text, _trusted(given))
    click.echo(json.dumps(claims, indent=1, ensure_ascii=False))
