"""`flask work`: do what is due. `flask backup`: a copy of the database, verified. `flask report …`: figures, promises
and samples, as JSON."""

import hashlib
import json
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import click
from sqlalchemy import create_engine, make_url

from compliance import work
from compliance.audit.log import AuditLog
from compliance.audit.turn import is_sqlite
from compliance.audit.verify import verify
from compliance.cli import Commands, progress, tell
from compliance.proof.export import bodies_in
from compliance.proof.note import open_head
from compliance.reports import sample

ESCAPED = str.maketrans({":": r"\:", "\\": r"\\"})  # in a password file of PostgreSQL


class Operation(Commands):
    def work(self, loop: bool) -> None:
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        click.echo(f"{work.run(self.here, stop, loop=loop)} dikerjakan / done")

    def backup(self, folder: Path) -> None:
        size, root = self.log.durable_head()
        whole = folder / f"gate-{self.here.clock():%Y%m%dT%H%M%SZ}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{whole.name}.partial-"  # what a kill leaves looks like no backup
            with tempfile.TemporaryDirectory(prefix=name, dir=folder, ignore_cleanup_errors=True) as partial:
                made = Path(partial)
                (made / "checkpoint").write_text(self.log.keyring.head(size, root), encoding="utf-8")
                copy, log = self._copied(made)
                verify(log, {size: root} if size else {}, progress)
                with copy.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                (made / "SHA256SUMS").write_text(f"{digest}  {copy.name}\n", encoding="utf-8")
                made.rename(whole)
        except OSError as error:
            raise click.ClickException(f"{whole}: {error.strerror}; nothing was backed up") from error
        copy = whole / copy.name
        click.echo(f"{copy}: {copy.stat().st_size} bytes, {size} entries of the log, verified")

    def _copied(self, into: Path) -> tuple[Path, AuditLog]:
        """A copy of the database, and the log to be verified: the copy's own, where it can be read."""
        if not is_sqlite(self.log.engine):
            _dump(self.here.settings.database_admin_url or self.here.settings.database_url, into / "gate.dump")
            return into / "gate.dump", self.log
        copy = into / "gate.db"
        with self.log.engine.connect() as connection:  # consistent, and no writer waits for it
            connection.exec_driver_sql("VACUUM INTO ?", (str(copy),))
        copy.chmod(0o600)
        engine = create_engine(f"sqlite:///file:{copy}?mode=ro&immutable=1&uri=true")
        return copy, AuditLog(engine, self.log.settings, self.log.clock)


def _dump(url: str, copy: Path) -> None:
    """A password never stands among a program's arguments."""
    plain = make_url(url)
    with tempfile.NamedTemporaryFile("w", prefix="gate-") as passfile:  # readable by its owner alone
        passfile.write(f"*:*:*:*:{(plain.password or '').translate(ESCAPED)}")
        passfile.flush()
        bare = plain._replace(drivername="postgresql", password=None)  # `set` would keep it
        address = bare.update_query_dict({"passfile": passfile.name}).render_as_string()
        command = ["pg_dump", "--format=custom", f"--file={copy}", f"--dbname={address}"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise click.ClickException("pg_dump is not there: install PostgreSQL's client programs") from error
        except subprocess.CalledProcessError as error:
            raise click.ClickException(f"pg_dump: {error.stderr.strip().splitlines()[0]}") from error


class Report(Commands):
    def promises(self) -> bool:
        tell(found := work.proved(self.here, by="operator"))
        return not all(one["kept"] for one in found["promises"].values())

    def draw(self, folder: Path, sample_id: str) -> bool:
        keyring = self.log.keyring
        size = open_head((folder / "checkpoint").read_text(encoding="utf-8"), [*keyring.keys, *keyring.retired]).size
        said: dict[str, Any] = {}
        for body in map(json.loads, bodies_in(folder, size)):
            said |= body if body.get("sample") == sample_id else {}
        if "seed" not in said:
            raise click.UsageError("the log has no such sample, or its seed is not revealed yet")
        checks = sample.pairs(map(json.loads, bodies_in(folder, size)), said)
        tell(again := sample.draw(checks, said["seed"], said["per_office"]))
        return bool(again != said["drawn"])
