"""Which database it is: its options, whether it lies where the log's guards hold, whose turn it is to write."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, make_url

from compliance.errors import LogUnavailable, Misconfigured

PATIENCE = 2.0  # seconds that an append waits for its turn
UTC = "-c timezone=UTC"
NETWORK = re.compile(r"nfs4?|cifs|smb3|smbfs|9p|afs|ceph|lustre|glusterfs|fuse\.(sshfs|glusterfs)")
_PRIVILEGED = """SELECT rolsuper OR coalesce(pg_has_role(current_user, (SELECT relowner FROM pg_class
 WHERE oid = to_regclass('audit_entry')), 'MEMBER'), false) FROM pg_roles WHERE rolname = current_user"""
_MIGRATION = "SELECT pg_advisory_xact_lock(73091963)"  # the append's own lock stands in migration 0001


def engine_options(database_url: str) -> dict[str, Any]:
    """SQLAlchemy's options for the service's engine: a pool for more than a hundred threads, pragmas at each connect.

    Errors do not repeat what was written: it may be personal. A thread that finds no free connection waits 10 s; nobody
    holds one while the agency is asked.
    """
    pool = {"pool_size": 14, "max_overflow": 10, "pool_timeout": 10, "hide_parameters": True}
    if make_url(database_url).get_backend_name() == "sqlite":
        args = {"isolation_level": "IMMEDIATE", "timeout": 10}
        return {**pool, "connect_args": args, "pool_events": [(_pragmas, "connect")]}
    return {**pool, "connect_args": {"options": UTC}}


def _pragmas(connection: Any, record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}").close()


def is_sqlite(bind: Engine | Connection) -> bool:
    return bind.dialect.name == "sqlite"


def alone(connection: Connection) -> None:
    """Begin the migrations' transaction: DDL is part of it on both databases, and nobody else migrates meanwhile."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_sqlite(connection) else _MIGRATION)


@contextmanager
def file_turn(database: str) -> Iterator[None]:
    """Fair between processes, unlike SQLite's busy handler, which starved clients for seconds."""
    ends_at, pause = time.monotonic() + PATIENCE, 0.00003
    handle = os.open(f"{database}.turn", os.O_CREAT | os.O_RDWR, 0o660)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > ends_at:
                    raise LogUnavailable("another process's append does not end") from error
            time.sleep(pause)
            pause = min(pause * 1.02, 0.001)
        yield
    finally:
        os.close(handle)


def check_place(engine: Engine, demo: bool) -> None:
    """Raises Misconfigured where the log's guards would not hold: a network file system, or an owner's login."""
    if is_sqlite(engine):
        path, mounted = os.path.abspath(str(engine.url.database)), [("", "")]
        if os.path.exists("/proc/mounts"):  # elsewhere the system does not tell
            with open("/proc/mounts", encoding="utf-8", errors="replace") as mounts:
                mounted += [(place, kind) for _, place, kind, *_ in (line.split(" ") for line in mounts)]
        _, kind = max((len(place), kind) for place, kind in mounted if path.startswith(place.rstrip("/") + "/"))
        if NETWORK.fullmatch(kind):
            raise Misconfigured(f"DATABASE_URL lies on a network file system ({kind}); SQLite needs a local disk")
    elif not demo:
        with engine.connect() as connection:
            if connection.exec_driver_sql(_PRIVILEGED).scalar():
                wrong = "DATABASE_URL signs in as owner or superuser"
                raise Misconfigured(f"{wrong}; use a login that is only in the role gate_app")
