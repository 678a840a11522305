"""`flask log …` and `flask receipt verify`: the log from the shell. Exit status 0, 1 (broken), 2 (wrong usage)."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

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
from compliance.proof.package import verify_package
from compliance.proof.receipt import verify_answer, verify_claims

log = AppGroup("log", help="The append-only log: verify, publish, erase, keys.")
receipt = AppGroup("receipt", help="Receipts of checks.")
by_option = click.option("--by", required=True, help="Who orders it: an id, not a name.")
key_option = click.option("--key", "given", multiple=True, help="A public key of the log; default: this log's own.")


def register(app: Flask) -> None:
    app.cli.add_command(log)
    app.cli.add_command(receipt)


def _log() -> AuditLog:
    return deployment().log


def _broken(error: LogBroken) -> NoReturn:
    where = "" if error.position is None else f" (first bad position: {error.position})"
    click.echo(f"BROKEN: {error}{where}")
    sys.exit(1)


def _progress(size: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{size} entries", nl=False, err=True)


def _trusted(given: tuple[str, ...]) -> list[VerifierKey]:
    try:
        return [VerifierKey.parse(key) for key in given] or [*_log().keyring.keys, *_log().keyring.retired]
    except LogBroken as error:
        raise click.UsageError(f"--key: {error}") from error


@log.command("init")
def init() -> None:
    """Make the signing key if it is missing and the log empty; print the public key."""
    audit = _log()
    if not audit.keyring.path.exists() and audit.head()[0]:
        raise click.UsageError(f"{audit.keyring.path} is missing and the log has entries: put its key back there")
    audit.keyring.create_if_missing()
    for key in audit.keyring.keys:
        click.echo(str(key))


@log.command("verify")
@click.argument("path", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--head", "heads", multiple=True, type=click.Path(exists=True, path_type=Path), help="A signed head kept."
)
@click.option("--tables/--no-tables", default=False, help="Also compare what pages show of checks with their entries.")
@key_option
def verify(path: Path | None, heads: tuple[Path, ...], tables: bool, given: tuple[str, ...]) -> None:
    """Recompute the database's log; or verify PATH: the folder of an export, or the file of a proof."""
    trusted = _trusted(given)
    try:
        known = {head.size: head.root for head in (open_head(kept.read_text(), trusted) for kept in heads)}
        if path is None:
            _verify_database(known, tables)
        elif path.is_dir():
            head = folders.verify(path, trusted, known, _progress)
            click.echo(f"verified: {head.origin}, {head.size} entries")
        else:
            proved = verify_package(json.loads(path.read_text()), trusted)
            click.echo(
                f"verified: {proved.body['kind']} {proved.body['id']} at {proved.position} of {proved.head.origin}"
            )
    except LogBroken as error:
        _broken(error)
    except ValueError as error:
        raise click.UsageError(f"{path} is neither an export nor a proof") from error


def _verify_database(known: dict[int, bytes], tables: bool) -> None:
    audit = _log()
    own = witnesses.heads(audit)
    remembered = audit.keyring.remembered()
    if remembered and remembered.origin == audit.origin:
        own[remembered.size] = remembered.root
    size, root = verify_database(audit, own | known, _progress)
    checks = f", {verify_checks(audit, _progress)} checks shown rightly" if tables else ""
    click.echo(f"verified: {audit.origin}, {size} entries{checks}, root {root.hex()}")


@log.command("checkpoint")
def checkpoint() -> None:
    """Sign the newest head, have it cosigned by the witnesses, keep it, print it."""
    audit = _log()
    try:
        witnesses.submit(audit)
    except LogBroken as error:
        _broken(error)
    click.echo(witnesses.published(audit) or audit.checkpoint(), nl=False)


@log.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@by_option
def export(folder: Path, by: str) -> None:
    """Write all entries, tiles and the newest head into FOLDER, for outsiders; personal values stay here."""
    audit = _log()
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    body = {"what": "log", "by": by}
    audit.append("access.export", body, entry_id=str(ULID()), private={}, at=audit.clock())
    size, root = audit.head()
    bodies = (entry.raw for entry in audit.entries(0, size, disclose=False))
    try:
        folders.write(folder, bodies, audit.keyring.head(size, root), audit.keyring.keys, _progress)
    except LogBroken as error:
        _broken(error)
    click.echo(f"{size} entries in {folder}")


@log.command("proof")
@click.argument("entry_id")
def proof(entry_id: str) -> None:
    """Print the entry, its proof, the newest head and what is disclosed of it, as JSON."""
    package = _log().package(entry_id)
    if package is None:
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
@click.option("--region", help="With --older-than: all checks of a region.")
@click.option("--older-than", "years", type=click.IntRange(1, 100), help="Years, by the region's retention schedule.")
@click.option("--ground", required=True, help="Why, e.g. the article of the retention schedule.")
@by_option
def erase(
    positions: tuple[int, ...], fields: tuple[str, ...], region: str | None, years: int | None, ground: str, by: str
) -> None:
    """Erase the personal values of entries at POSITIONS, or of all checks that a retention period has outlived."""
    audit = _log()
    if bool(positions) == bool(years) or bool(region) != bool(years):
        raise click.UsageError("give positions, or --region with --older-than")
    if years:
        before = audit.clock() - timedelta(days=years * 365.25)
        wanted = list(erasure.outlived(audit, region or "", before))
    else:
        found = [audit.entry_at(position) for position in positions]
        wanted = [entry for entry in found if entry]
        if len(wanted) < len(positions):
            raise click.UsageError("the log has no such position")
    click.echo(f"{erasure.erase(audit, wanted, ground=ground, by=by, fields=fields or None)} entries erased")


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
    try:
        if finish:
            for key in keys.finish_rotation(_log(), by=by):
                click.echo(f"retired: {key}")
        else:
            click.echo(f"new public key, to be given to auditors and witnesses: {keys.rotate(_log(), by=by)}")
    except LogBroken as error:
        raise click.UsageError(str(error)) from error


@log.command("incident")
@click.option("--reason", required=True, help="What happened, for everybody to read.")
@click.option("--head", type=click.Path(exists=True, path_type=Path), help="The highest old head that is known.")
@by_option
def incident(reason: str, head: Path | None, by: str) -> None:
    """Go on under a new LOG_ORIGIN (set it first) after a loss or a compromise."""
    try:
        known = Head.parse(head.read_text().partition("\n\n")[0] + "\n") if head else None
        key = keys.declare_incident(_log(), reason=reason, by=by, known=known)
    except LogBroken as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"new public key, to be given to auditors and witnesses: {key}")


@receipt.command("verify")
@click.argument("path", type=click.Path(exists=True, path_type=Path, allow_dash=True))
@key_option
def verify_receipt(path: Path, given: tuple[str, ...]) -> None:
    """Verify a receipt offline: the JSON answer of a check, or its JWS alone; `-` reads from standard input."""
    text = sys.stdin.read() if str(path) == "-" else path.read_text()
    try:
        click.echo(json.dumps(_claims(text, _trusted(given)), indent=1, ensure_ascii=False))
    except LogBroken as error:
        _broken(error)


def _claims(text: str, trusted: list[VerifierKey]) -> dict[str, Any]:
    if not text.lstrip().startswith("{"):
        return verify_claims(text, trusted)
    return verify_answer(json.loads(text), trusted)
