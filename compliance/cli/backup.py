"""`flask backup FOLDER`: a copy of the whole database taken while the gate works, and the head that it must contain."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

import click
from flask import Flask
from sqlalchemy import Engine, create_engine, make_url

from compliance.audit.log import AuditLog
from compliance.audit.turn import is_sqlite
from compliance.audit.verify import verify
from compliance.deployment import deployment
from compliance.errors import LogBroken

ESCAPED = str.maketrans({":": r"\:", "\\": r"\\"})  # in a password file of PostgreSQL


@click.command("backup")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def backup(folder: Path) -> None:
    """Write the database and a signed head into a new folder below FOLDER, and verify the log that was copied.

    The signing key is not part of it: keep it apart, on paper or a medium of its own (docs/operations.md).
    """
    here = deployment()
    size, root = here.log.head()
    made = folder / f"gate-{here.clock():%Y%m%dT%H%M%SZ}"
    try:
        made.mkdir(parents=True, mode=0o700)
        (made / "checkpoint").write_text(here.log.keyring.head(size, root), encoding="utf-8")
        copy = _copy(here.log.engine, here.settings.database_admin_url or here.settings.database_url, made)
        verify(_copied(here.log, copy), {size: root} if size else {}, lambda done: None)
    except OSError as error:
        raise click.ClickException(f"{made}: {error.strerror}; nothing was backed up") from error
    except LogBroken as error:
        raise click.ClickException(f"the log is not whole: {error}; see flask log verify") from error
    digest = hashlib.sha256()
    with copy.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    (made / "SHA256SUMS").write_text(f"{digest.hexdigest()}  {copy.name}\n", encoding="utf-8")
    click.echo(f"{copy}: {copy.stat().st_size} bytes, {size} entries of the log, verified")


def _copy(engine: Engine, url: str, folder: Path) -> Path:
    """A consistent copy that no writer waits for. A password never stands among a program's arguments."""
    if is_sqlite(engine):
        with engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(folder / "gate.db"),))
        (folder / "gate.db").chmod(0o600)
        return folder / "gate.db"
    plain = make_url(url)
    with tempfile.NamedTemporaryFile("w", prefix="gate-") as passfile:  # readable by its owner alone
        passfile.write(f"*:*:*:*:{(plain.password or '').translate(ESCAPED)}")
        passfile.flush()
        address = plain.set(drivername="postgresql", password=None).update_query_dict({"passfile": passfile.name})
        command = ["pg_dump", "--format=custom", f"--file={folder / 'gate.dump'}"]
        command.append(f"--dbname={address.render_as_string()}")
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise click.ClickException("pg_dump is not there: install PostgreSQL's client programs") from error
        except subprocess.CalledProcessError as error:
            raise click.ClickException(f"pg_dump: {error.stderr.strip().splitlines()[0]}") from error
    return folder / "gate.dump"


def _copied(log: AuditLog, copy: Path) -> AuditLog:
    """The log to verify: the copy's own where it can be opened, else the one that was copied."""
    if copy.suffix == ".db":
        return AuditLog(create_engine(f"sqlite:///file:{copy}?mode=ro&immutable=1&uri=true"), log.settings, log.clock)
    return log


def register(app: Flask) -> None:
    app.cli.add_command(backup)
