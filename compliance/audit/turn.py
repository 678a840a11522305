"""Whose turn it is to append, and when that is durable. The only file that knows which database it is."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from compliance.errors import LogUnavailable, Misconfigured

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
_KEY = 7_309_1962  # of the advisory lock

_LAST = "SELECT pos, leaf_hash, frontier FROM audit_entry ORDER BY pos DESC LIMIT 1"
_OPEN = (
    "BEGIN; SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '2s', true),"
    " set_config('statement_timeout', '5s', true)"
)
_TAKE = f"SELECT pg_advisory_xact_lock({_KEY}); {_LAST}"
_BARRIER = "SELECT pg_logical_emit_message(true, 'audit', '')"
_PRIVILEGED = text(
    "SELECT rolsuper OR coalesce(pg_has_role(current_user, (SELECT relowner FROM pg_class"
    " WHERE oid = to_regclass('audit_entry')), 'MEMBER'), false) FROM pg_roles WHERE rolname = current_user"
)
_local: dict[str, threading.Lock] = {}


def engine_options(database_url: str) -> dict[str, Any]:
    """SQLAlchemy's options for the service's engine: a pool for more than a hundred threads, pragmas at each connect.

    A thread that finds no free connection waits 10 s. Nobody holds a connection while the agency is asked.
    """
    pool = {"pool_size": 16, "max_overflow": 16, "pool_timeout": 10}
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
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_KEY + 1})"))


def turns(engine: Engine) -> Engine:
    """The same pool, for appending: transactions are begun and ended here, with as few messages as possible."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def turn(connection: Connection, before: Callable[[], None]) -> Iterator[Any]:
    """A transaction in which nobody else appends; yields the last row. `before` writes what needs no turn.

    It ends with the block, and what it wrote is durable then. On PostgreSQL `release` ends it earlier.
    """
    if is_sqlite(connection):
        with _file_lock(str(connection.engine.url.database)), _undone(connection):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            before()
            yield connection.exec_driver_sql(_LAST).one_or_none()
            connection.exec_driver_sql("COMMIT")
        return
    with _undone(connection):
        connection.exec_driver_sql(_OPEN)
        before()
        yield _taken(connection)
        connection.exec_driver_sql("COMMIT")


def _taken(connection: Connection) -> Any:
    """Wait for the lock and read the last row in one message; each statement sees what was committed before it."""
    cursor = connection.exec_driver_sql(_TAKE).cursor
    cursor.nextset()
    found = cursor.fetchone()
    return found and LastRow(*found)


class LastRow(NamedTuple):
    pos: int
    leaf_hash: bytes
    frontier: bytes


def release(connection: Connection) -> None:
    """PostgreSQL: commit asynchronously, so that no lock is held during an fsync, and begin the barrier: a synchronous
    transaction whose commit makes all that was appended before it durable. SQLite: the turn goes on to its end."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(f"COMMIT; BEGIN; {_BARRIER}")


def barrier(connection: Connection) -> None:
    """Outside a turn: make all that was appended before durable."""
    if not is_sqlite(connection):
        connection.exec_driver_sql(_BARRIER)


@contextmanager
def optional(connection: Connection, *errors: type[Exception]) -> Iterator[None]:
    """After `release`: writes that may fail with `errors` without touching the entry. The failure is logged."""
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
        try:
            connection.exec_driver_sql("ROLLBACK")
        except DBAPIError:
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
                time.sleep(0.0002)
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
