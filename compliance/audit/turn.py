"""Whose turn it is to append, and when that is durable. The only file that knows which database it is."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from compliance.audit.entry import Draft
from compliance.errors import LogUnavailable, Misconfigured

Row = Mapping[str, Any]

log = logging.getLogger(__name__)
PATIENCE = 2.0  # seconds that an append waits for its turn
NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
}
_MIGRATION = 73_091_963  # the advisory lock of migrations; the append's own stands in migration 0001

_LAST = "SELECT pos, leaf_hash, frontier FROM audit_entry ORDER BY pos DESC LIMIT 1"
_APPEND = text("SELECT * FROM audit_append(:id, :body, CAST(:fields AS text[]), CAST(:strings AS text[]))")
_BARRIER = "SELECT pg_logical_emit_message(true, 'audit', '')"
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
    pool = {"pool_size": 16, "max_overflow": 16, "pool_timeout": 10, "hide_parameters": True}
    if make_url(database_url).get_backend_name() == "sqlite":
        args = {"isolation_level": "IMMEDIATE", "timeout": 10}
        return {**pool, "connect_args": args, "pool_events": [(_pragmas, "connect")]}
    return {**pool, "connect_args": {"options": "-c timezone=UTC"}}


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


def turns(engine: Engine) -> Engine:
    """The same pool, for appending: transactions are begun and ended here, with as few messages as possible."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def appended(connection: Connection, draft: Draft, write: Callable[[Any], Row]) -> Iterator[Row]:
    """Append while nobody else does; yields the row, which is durable when the block has ended.

    SQLite: `write` makes and inserts the row that follows the last one, in a turn that the block is part of.
    PostgreSQL: its function does the same and commits asynchronously, so that no lock is held during an fsync; the
    block is in a second transaction, the barrier, whose synchronous commit makes all that was appended before durable.
    """
    with _undone(connection):
        if is_sqlite(connection):
            with _file_lock(str(connection.engine.url.database)):
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield write(connection.exec_driver_sql(_LAST).one_or_none())
                connection.exec_driver_sql("COMMIT")
            return
        row = connection.execute(_APPEND, draft.as_arrays()).mappings().one()
        connection.exec_driver_sql(f"BEGIN; {_BARRIER}")
        yield dict(row)
        connection.exec_driver_sql("COMMIT")


def barrier(connection: Connection) -> None:
    """Make all that was appended before durable."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(_BARRIER)


@contextmanager
def optional(connection: Connection, *errors: type[Exception]) -> Iterator[None]:
    """Inside `appended`: writes that may fail with `errors` without touching the entry. The failure is logged."""
    if is_sqlite(connection):
        connection.exec_driver_sql("SAVEPOINT optional")
    try:
        yield
    except errors:
        log.exception("the entry is in the log, but not yet in the tables that show it")
        undo = "ROLLBACK TO optional" if is_sqlite(connection) else f"ROLLBACK; BEGIN; {_BARRIER}"
        connection.exec_driver_sql(undo)


@contextmanager
def _undone(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if not connection.invalidated:
            try:
                connection.exec_driver_sql("ROLLBACK")
            except SQLAlchemyError:
                connection.invalidate()
        raise


@contextmanager
def _file_lock(database: str) -> Iterator[None]:
    """Fair between threads and processes, unlike SQLite's busy handler, which starved clients for seconds."""
    mine = _local.setdefault(database, threading.Lock())
    ends_at = time.monotonic() + PATIENCE
    if not mine.acquire(timeout=PATIENCE):
        raise LogUnavailable("another append does not end")
    try:
        handle = os.open(f"{database}.turn", os.O_CREAT | os.O_RDWR, 0o660)
        try:
            while not _try_lock(handle):
                if time.monotonic() > ends_at:
                    raise LogUnavailable("another process's append does not end")
                time.sleep(0.00003 if ends_at - time.monotonic() > PATIENCE - 0.02 else 0.001)
            yield
        finally:
            os.close(handle)
    finally:
        mine.release()


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_place(engine: Engine, demo: bool) -> None:
    """Raises Misconfigured where the log's guards would not hold: a network file system, or an owner's login."""
    if is_sqlite(engine):
        kind = _file_system(os.path.abspath(str(engine.url.database)))
        if kind in NETWORK:
            raise Misconfigured(f"DATABASE_URL lies on a network file system ({kind}); SQLite needs a local disk")
    elif not demo:
        with engine.connect() as connection:
            if connection.scalar(_PRIVILEGED):
                raise Misconfigured(
                    "DATABASE_URL signs in as owner or superuser; use a login that is only in the role gate_app"
                )


def _file_system(path: str) -> str:
    """The type of the file system that holds `path`, or "" where the system does not tell."""
    best = ("", "")
    try:
        with open("/proc/mounts", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                point, kind = line.split(" ")[1:3]
                if path.startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
                    best = (point, kind)
    except OSError:
        return ""
    return best[1]
