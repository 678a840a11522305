"""Whose turn it is to append, and when that is durable. The only file that knows which database it is."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text

from compliance.audit.entry import Draft
from compliance.errors import LogUnavailable, Misconfigured

Row = Mapping[str, Any]

log = logging.getLogger(__name__)
PATIENCE = 2.0  # seconds that an append waits for its turn
NETWORK = re.compile(r"nfs4?|cifs|smb3|smbfs|9p|afs|ceph|lustre|glusterfs|fuse\.(sshfs|glusterfs)")
_MIGRATION = 73_091_963  # the advisory lock of migrations; the append's own stands in migration 0001
_APPEND = "SELECT * FROM audit_append(%(id)s, %(body)s, %(fields)s::text[], %(strings)s::text[])"
_LAST = "SELECT pos, leaf_hash, frontier FROM audit_entry ORDER BY pos DESC LIMIT 1"
# A commit that waits for the disk; what was committed before it is there too.
_DURABLE = "BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'audit', ''); COMMIT"
_UTC = "-c timezone=UTC"
_PRIVILEGED = text(
    "SELECT rolsuper OR coalesce(pg_has_role(current_user, (SELECT relowner FROM pg_class"
    " WHERE oid = to_regclass('audit_entry')), 'MEMBER'), false) FROM pg_roles WHERE rolname = current_user"
)
_local: dict[str, threading.Lock] = {}


def engine_options(database_url: str) -> dict[str, Any]:
    """SQLAlchemy's options for the service's engine: a pool for more than a hundred threads, pragmas at each connect.

    Errors do not repeat what was written: it may be personal. A thread that finds no free connection waits 10 s; nobody
    holds one while the agency is asked.
    """
    pool = {"pool_size": 14, "max_overflow": 10, "pool_timeout": 10, "hide_parameters": True}
    if make_url(database_url).get_backend_name() == "sqlite":
        args = {"isolation_level": "IMMEDIATE", "timeout": 10}
        return {**pool, "connect_args": args, "pool_events": [(_pragmas, "connect")]}
    return {**pool, "connect_args": {"options": _UTC}}


def _pragmas(connection: Any, record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}").close()


def is_sqlite(bind: Engine | Connection) -> bool:
    return bind.dialect.name == "sqlite"


def alone(connection: Connection) -> None:
    """Begin the migrations' transaction: DDL is part of it on both databases, and nobody else migrates meanwhile."""
    if is_sqlite(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION})"))


class Turns:
    """Connections for appending: transactions are begun and ended by what is sent, in as few messages as possible.

    PostgreSQL's commit at once, before they are on disk, so that no lock is held during an fsync; `durable` then makes
    all that was committed before durable, for everybody in this process who waits for it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine: Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._flush = threading.Lock()
        self._begun = self._ended = 0
        self.reading = engine  # for single statements, which need no transaction
        if not is_sqlite(engine):
            limits = f"-c lock_timeout={PATIENCE:.0f}s -c statement_timeout=5s -c synchronous_commit=off"
            args = {"options": f"{_UTC} {limits}"}
            self.reading = self._engine = create_engine(
                engine.url,
                pool_size=12,
                max_overflow=0,
                pool_timeout=10,
                hide_parameters=True,
                isolation_level="AUTOCOMMIT",
                connect_args=args,
            )
            event.listen(engine, "engine_disposed", lambda _: self._engine.dispose())

    def connect(self) -> Connection:
        return self._engine.connect()

    def durable(self, connection: Connection) -> None:
        """Returns when all that was committed before the call is on disk; one fsync serves all who wait."""
        if is_sqlite(connection):
            return
        before = self._begun
        with self._flush:
            if self._ended <= before:  # else somebody began one after this call, and it is done
                self._begun += 1
                connection.exec_driver_sql(_DURABLE)
                self._ended = self._begun


@contextmanager
def turn(connection: Connection) -> Iterator[None]:
    """On SQLite nobody else writes during the block, which is one transaction; PostgreSQL's append locks by itself."""
    if not is_sqlite(connection):
        yield
        return
    with _file_lock(str(connection.engine.url.database)):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        finally:
            connection.connection.rollback()  # nothing, after a commit


def step(connection: Connection, draft: Draft, write: Callable[[Any], Row]) -> Row:
    """The row that follows the last one, inserted: by PostgreSQL's function in one message, or by `write`."""
    if is_sqlite(connection):
        return write(connection.exec_driver_sql(_LAST).one_or_none())
    fields, strings = list(draft.disclosures), list(draft.disclosures.values())
    given = {"id": draft.id, "body": draft.raw, "fields": fields, "strings": strings}
    return dict(connection.exec_driver_sql(_APPEND, given).mappings().one())


@contextmanager
def aside(connection: Connection, *errors: type[Exception]) -> Iterator[None]:
    """Writes after an append that may fail with `errors` without touching the entry. The failure is logged."""
    begin, end, undo = "BEGIN", "COMMIT", "ROLLBACK"
    if is_sqlite(connection):
        begin, end, undo = "SAVEPOINT aside", "RELEASE aside", "ROLLBACK TO aside"
    connection.exec_driver_sql(begin)
    try:
        yield
        connection.exec_driver_sql(end)
    except errors:
        log.exception("the entry is in the log, but not yet in the tables that show it")
        if not connection.invalidated:
            connection.exec_driver_sql(undo)


@contextmanager
def _file_lock(database: str) -> Iterator[None]:
    """Fair between threads and processes, unlike SQLite's busy handler, which starved clients for seconds."""
    mine, ends_at = _local.setdefault(database, threading.Lock()), time.monotonic() + PATIENCE
    if not mine.acquire(timeout=PATIENCE):
        raise LogUnavailable("another append does not end")
    try:
        handle = os.open(f"{database}.turn", os.O_CREAT | os.O_RDWR, 0o660)
        try:
            pause = 0.00003
            while not _locked(handle):
                if time.monotonic() > ends_at:
                    raise LogUnavailable("another process's append does not end")
                time.sleep(pause)
                pause = min(pause * 1.02, 0.001)
            yield
        finally:
            os.close(handle)
    finally:
        mine.release()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_place(engine: Engine, demo: bool) -> None:
    """Raises Misconfigured where the log's guards would not hold: a network file system, or an owner's login."""
    if is_sqlite(engine):
        kind = _file_system(os.path.abspath(str(engine.url.database)))
        if NETWORK.fullmatch(kind):
            raise Misconfigured(f"DATABASE_URL lies on a network file system ({kind}); SQLite needs a local disk")
    elif not demo:
        with engine.connect() as connection:
            if connection.scalar(_PRIVILEGED):
                raise Misconfigured(
                    "DATABASE_URL signs in as owner or superuser; use a login that is only in the role gate_app"
                )


def _file_system(path: str) -> str:
    """The type of the file system that holds `path`, or "" where the system does not tell."""
    try:
        with open("/proc/mounts", encoding="utf-8", errors="replace") as mounts:
            mounted = [line.split(" ")[1:3] for line in mounts]
    except OSError:
        return ""
    return max((len(point), kind) for point, kind in mounted if path.startswith(point.rstrip("/") + "/"))[1]
