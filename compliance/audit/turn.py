"""The append and whose turn it is: the only file that knows which database it is, and what each needs to be safe."""

import fcntl
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from compliance.audit.entry import Draft, Entry
from compliance.audit.projection import show
from compliance.audit.table import audit_entry
from compliance.errors import LogUnavailable, Misconfigured
from compliance.proof.merkle import grow, leaf_hash, root_of, split

Finish = Callable[[Entry], Entry]
Waiting = tuple[Draft, Finish, Future[tuple[Entry, bool]]]
PATIENCE, MOST_TOGETHER = 2.0, 32  # seconds that an append waits for its turn; appends of one transaction
NETWORK = re.compile(r"nfs4?|cifs|smb3|smbfs|9p|afs|ceph|lustre|glusterfs|fuse\.(sshfs|glusterfs)")
_POOL = {"pool_timeout": 10, "hide_parameters": True}  # errors do not repeat what was written: it may be personal
# A pooler may drop the options: then no answer is another, some wait longer.
_UTC = {"options": "-c timezone=UTC", "prepare_threshold": None}
_TIMES = f"-c lock_timeout={PATIENCE:.0f}s -c statement_timeout=5s -c synchronous_commit=off"
_PRIVILEGED = """SELECT rolsuper OR coalesce(pg_has_role(current_user, (SELECT relowner FROM pg_class
 WHERE oid = to_regclass('audit_entry')), 'MEMBER'), false) FROM pg_roles WHERE rolname = current_user"""
_MIGRATION = "SELECT pg_advisory_xact_lock(73091963)"  # the append's own lock stands in migration 0001
_NEXT = """SELECT pos, leaf_hash, root, frontier
 FROM audit_append(%(id)s, %(body)s, %(fields)s::text[], %(strings)s::text[])"""  # migration 0001
_LAST = "SELECT * FROM audit_entry ORDER BY pos DESC LIMIT 1"
# A commit that waits for the disk; what was committed before it is there too.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'audit', '')"
_DISCLOSE = "INSERT INTO audit_disclosure VALUES (?, ?, ?)"
_INSERT = "INSERT INTO audit_entry VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (entry_id) DO NOTHING"


def is_sqlite(bind: sa.Engine | sa.Connection) -> bool:
    return bind.dialect.name == "sqlite"


def _prepare(connection: Any, record: Any) -> None:
    """Statements are prepared where the server itself is at the other end: a pooler mixes up what clients prepare."""
    (server,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.prepare_threshold = 5 if server == connection.info.backend_pid else None


def engine_options(database_url: str) -> dict[str, Any]:
    """SQLAlchemy's options for the service's engine: a pool for more than a hundred threads, pragmas at each connect.
    A thread that finds no free connection waits 10 s; nobody holds one while the agency is asked."""

    def set_pragmas(connection: Any, record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}").close()

    pool = _POOL | {"pool_size": 14, "max_overflow": 10}
    if sa.make_url(database_url).get_backend_name() == "sqlite":
        args = {"isolation_level": "IMMEDIATE", "timeout": 10}
        return pool | {"connect_args": args, "pool_events": [(set_pragmas, "connect")]}
    return pool | {"connect_args": _UTC}


def alone(connection: sa.Connection) -> None:
    """Begin the migrations' transaction: DDL is part of it on both databases, and nobody else migrates meanwhile."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_sqlite(connection) else _MIGRATION)


def check_place(engine: sa.Engine, demo: bool) -> None:
    """Raises Misconfigured where the log's guards would not hold: a network file system, or an owner's login."""
    if is_sqlite(engine):
        path, mounted = os.path.abspath(str(engine.url.database)), [("/", "")]
        with suppress(FileNotFoundError), open("/proc/mounts", encoding="utf-8", errors="replace") as mounts:
            mounted += [(place, kind) for _, place, kind, *_ in (line.split(" ") for line in mounts)]
        _, kind = max((len(place), kind) for place, kind in mounted if path.startswith(place.rstrip("/") + "/"))
        if NETWORK.fullmatch(kind):
            raise Misconfigured(f"DATABASE_URL lies on a network file system ({kind}); SQLite needs a local disk")
    elif not demo:
        with engine.connect() as connection:
            if connection.exec_driver_sql(_PRIVILEGED).scalar():
                wrong = "DATABASE_URL signs in as owner or superuser"
                raise Misconfigured(f"{wrong}; use a login that is only in the role gate_app")


@contextmanager
def _file_turn(database: str) -> Iterator[None]:
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


def next_row(last: Any, draft: Draft) -> dict[str, Any]:
    """The row that follows the row `last` (None: the log is empty)."""
    frontier, leaf = split(last.frontier) if last else [], leaf_hash(draft.raw)
    if last:
        grow(frontier, last.pos, last.leaf_hash)
    row = {"pos": last.pos + 1 if last else 0, "entry_id": draft.id, "body": draft.raw, "leaf_hash": leaf}
    return row | {"root": root_of([*frontier, leaf]), "frontier": b"".join(frontier)}


class Turns:
    """Appends: take the turn → last row → fold → insert → commit; then project; then durable. With connections of its
    own: transactions are begun and ended here, in as few messages as possible. PostgreSQL's commit at once, before they
    are on disk, so that no lock is held during an fsync; then one fsync makes what was committed durable, for everybody
    in this process who waits for it. SQLite's commit is durable by itself. `reading` is for single statements, which
    need no transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._sqlite, self._flushing, self._begun, self._ended = is_sqlite(engine), threading.Lock(), 0, 0
        self._leading, self._waiting = threading.Lock(), deque[Waiting]()
        self.reading: sa.Engine = engine
        self._engine: sa.Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        if not self._sqlite:
            args = {"connect_args": _UTC | {"options": f"{_UTC['options']} {_TIMES}"}}
            options: dict[str, Any] = _POOL | {"pool_size": 12, "max_overflow": 0} | args
            self.reading = self._engine = sa.create_engine(engine.url, isolation_level="AUTOCOMMIT", **options)
            sa.event.listen(self._engine, "connect", _prepare)
            sa.event.listen(engine, "engine_disposed", lambda _: self._engine.dispose())

    def append(self, draft: Draft, finish: Finish) -> tuple[Entry, bool]:
        """Append and project, or find the entry of that id (then False); durable when it returns. `finish` makes of the
        stored entry the one that is projected; it may be called in another thread, and again."""
        if self._sqlite:
            return self._together((draft, finish, Future()))
        fields, strings = list(draft.disclosures), list(draft.disclosures.values())
        with self._engine.connect() as connection:
            try:
                given = {"id": draft.id, "body": draft.raw, "fields": fields, "strings": strings}
                pos, *hashes = connection.exec_driver_sql(_NEXT, given).one()
                entry, fresh = finish(Entry(pos, draft.id, draft.raw, *hashes)), True
                show(connection, entry, "BEGIN", "COMMIT", "ROLLBACK", together=True)
            except IntegrityError:
                if (found := _find(connection, draft)) is None:
                    raise
                entry, fresh = finish(found), False
            self._flush(connection)
        return entry, fresh

    def durable(self) -> None:
        """Returns when all that was committed before the call is on disk."""
        if not self._sqlite:
            with self._engine.connect() as connection:
                self._flush(connection)

    def _flush(self, connection: sa.Connection) -> None:
        before = self._begun
        if not self._flushing.acquire(timeout=4 * PATIENCE):
            raise LogUnavailable("the database does not say that entries are on disk")
        try:
            if self._ended <= before:  # else somebody began one after this call, and it is done
                self._begun += 1
                connection.exec_driver_sql(_DURABLE)
                self._ended = self._begun
        finally:
            self._flushing.release()

    def _together(self, mine: Waiting) -> tuple[Entry, bool]:
        """Of the threads that wait, one does the work of all in one transaction: one fsync, one turn."""
        self._waiting.append(mine)
        if not self._leading.acquire(timeout=2 * PATIENCE):
            if mine[2].cancel():
                raise LogUnavailable("another append does not end")
            self._leading.acquire()  # somebody has just taken it: then it is done or fails before this lock is free
        try:
            while not mine[2].done():
                taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
                self._lead([one for one in taken if one[2].set_running_or_notify_cancel()])
        finally:
            self._leading.release()
        return mine[2].result()

    def _lead(self, batch: list[Waiting]) -> None:
        try:
            with self._engine.connect() as connection:
                made = self._on_sqlite(connection, batch)
            for (_, _, done), result in zip(batch, made, strict=True):
                done.set_result(result)
        except BaseException as error:
            foreseen = isinstance(error, Exception)
            of_one = foreseen and not isinstance(error, (OperationalError, OSError, LogUnavailable))
            if of_one and len(batch) > 1:  # one that cannot be written must not fail the others
                for waiting in batch:
                    self._lead([waiting])
                return
            ended = error if foreseen else LogUnavailable(f"the append was ended ({type(error).__name__})")
            for _, _, done in batch:
                done.set_exception(ended)
            if not foreseen:
                raise

    def _on_sqlite(self, connection: sa.Connection, batch: list[Waiting]) -> list[tuple[Entry, bool]]:
        made: list[tuple[Entry, bool]] = []
        with _file_turn(str(self._engine.url.database)):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                last: Any = connection.exec_driver_sql(_LAST).one_or_none()
                for draft, finish, _ in batch:
                    row = next_row(last, draft)
                    stored = connection.exec_driver_sql(_INSERT, tuple(row.values())).rowcount
                    if not stored and (found := _find(connection, draft)):
                        made.append((finish(found), False))
                        continue
                    if draft.disclosures:
                        said = [(draft.id, name, text) for name, text in draft.disclosures.items()]
                        connection.exec_driver_sql(_DISCLOSE, said)
                    made.append((finish(Entry(*row.values())), True))
                    show(connection, made[-1][0], "SAVEPOINT shown", "RELEASE shown", "ROLLBACK TO shown")
                    last = SimpleNamespace(**row)
                connection.exec_driver_sql("COMMIT")
            finally:
                connection.connection.rollback()  # nothing, after a commit
        return made


def _find(connection: sa.Connection, draft: Draft) -> Entry | None:
    row = connection.execute(audit_entry.select().where(audit_entry.c.entry_id == draft.id)).one_or_none()
    return Entry(*row) if row else None
