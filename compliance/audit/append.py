"""The append: take the turn → last row → fold → insert → commit; then project; then durable. One for both databases."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from compliance.audit.entry import Draft, Entry
from compliance.audit.projection import is_projected, project
from compliance.audit.table import audit_disclosure, audit_entry
from compliance.audit.turn import PATIENCE, UTC, file_turn, is_sqlite
from compliance.errors import LogUnavailable
from compliance.proof.merkle import grow, leaf_hash, root_of, split

Finish = Callable[[Entry], Entry]
Waiting = tuple[Draft, Finish, Future[tuple[Entry, bool]]]
MOST_TOGETHER = 32
_NEXT = "SELECT * FROM audit_append(%(id)s, %(body)s, %(fields)s::text[], %(strings)s::text[])"  # migration 0001
_LAST = "SELECT * FROM audit_entry ORDER BY pos DESC LIMIT 1"
# A commit that waits for the disk; what was committed before it is there too.
_DURABLE = "BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'audit', ''); COMMIT"
_INSERT, _DISCLOSE = insert(audit_entry).on_conflict_do_nothing(index_elements=["entry_id"]), audit_disclosure.insert()
_LIMITS = f"{UTC} -c lock_timeout={PATIENCE:.0f}s -c statement_timeout=5s -c synchronous_commit=off"


def next_row(last: Any, draft: Draft) -> dict[str, Any]:
    """The row that follows the row `last` (None: the log is empty)."""
    frontier, leaf = split(last.frontier) if last else [], leaf_hash(draft.raw)
    if last:
        grow(frontier, last.pos, last.leaf_hash)
    row = {"pos": last.pos + 1 if last else 0, "entry_id": draft.id, "body": draft.raw, "leaf_hash": leaf}
    return row | {"root": root_of([*frontier, leaf]), "frontier": b"".join(frontier)}


class Turns:
    """Appends, with connections of its own: transactions are begun and ended here, in as few messages as possible.

    PostgreSQL's commit at once, before they are on disk, so that no lock is held during an fsync; then one fsync makes
    what was committed durable, for everybody in this process who waits for it. SQLite's commit is durable by itself.
    `reading` is for single statements, which need no transaction.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._sqlite, self._flushing, self._begun, self._ended = is_sqlite(engine), threading.Lock(), 0, 0
        self._leading, self._waiting = threading.Lock(), deque[Waiting]()
        self.reading: sa.Engine = engine
        self._engine: sa.Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        if not self._sqlite:
            options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "connect_args": {"options": _LIMITS}}
            options |= {"pool_size": 12, "max_overflow": 0, "pool_timeout": 10, "hide_parameters": True}
            self.reading = self._engine = sa.create_engine(engine.url, **options)
            sa.event.listen(engine, "engine_disposed", lambda _: self._engine.dispose())

    def append(self, draft: Draft, finish: Finish) -> tuple[Entry, bool]:
        """Append and project, or find the entry of that id (then False); durable when it returns.

        `finish` makes of the stored entry the one that is projected; it may be called in another thread, and again.
        """
        if self._sqlite:
            return self._together((draft, finish, Future()))
        with self._engine.connect() as connection:
            try:
                fields, strings = list(draft.disclosures), list(draft.disclosures.values())
                given = {"id": draft.id, "body": draft.raw, "fields": fields, "strings": strings}
                pos, *rest = connection.exec_driver_sql(_NEXT, given).one()
                entry, fresh = finish(Entry(pos, draft.id, *rest)), True
                _show(connection, entry, "BEGIN", "COMMIT", "ROLLBACK")
            except IntegrityError:
                if (found := _find(connection, draft)) is None:
                    raise
                entry, fresh = finish(found), False
            self._flush(connection)
        return entry, fresh

    def _together(self, mine: Waiting) -> tuple[Entry, bool]:
        """Of the threads that wait, one does the work of all in one transaction: one fsync, one turn."""
        self._waiting.append(mine)
        if not self._leading.acquire(timeout=2 * PATIENCE):
            with suppress(ValueError):  # somebody has just taken it: then it is done or fails before this lock is free
                self._waiting.remove(mine)
                raise LogUnavailable("another append does not end")
            self._leading.acquire()
        try:
            while not mine[2].done():
                self._lead([self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))])
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
            for _, _, done in batch:
                ended = LogUnavailable(f"the append was ended ({type(error).__name__})")
                done.set_exception(error if foreseen else ended)
            if not foreseen:
                raise

    def _on_sqlite(self, connection: sa.Connection, batch: list[Waiting]) -> list[tuple[Entry, bool]]:
        made: list[tuple[Entry, bool]] = []
        with file_turn(str(self._engine.url.database)):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                last: Any = connection.exec_driver_sql(_LAST).one_or_none()
                for draft, finish, _ in batch:
                    row = next_row(last, draft)
                    if connection.execute(_INSERT, row).rowcount == 0 and (found := _find(connection, draft)):
                        made.append((finish(found), False))
                        continue
                    if said := draft.disclosures.items():
                        rows = [{"entry_id": draft.id, "field": name, "disclosure": text} for name, text in said]
                        connection.execute(_DISCLOSE, rows)
                    made.append((finish(Entry(*row.values())), True))
                    _show(connection, made[-1][0], "SAVEPOINT shown", "RELEASE shown", "ROLLBACK TO shown")
                    last = SimpleNamespace(**row)
                connection.exec_driver_sql("COMMIT")
            finally:
                connection.connection.rollback()  # nothing, after a commit
        return made

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


def _find(connection: sa.Connection, draft: Draft) -> Entry | None:
    """The entry that already has this id."""
    row = connection.execute(audit_entry.select().where(audit_entry.c.entry_id == draft.id)).one_or_none()
    return Entry(*row) if row else None


def _show(connection: sa.Connection, entry: Entry, begin: str, end: str, undo: str) -> None:
    """Project. What fails here does not touch the entry; it is logged, and made good when the tables are caught up."""
    if is_projected(entry.kind):
        connection.exec_driver_sql(begin)
        try:
            project(connection, entry.kind, entry)
            connection.exec_driver_sql(end)
        except (SQLAlchemyError, KeyError, TypeError, ValueError):
            logging.getLogger(__name__).exception("the entry is in the log, but not yet in the tables that show it")
            if not connection.invalidated:
                connection.exec_driver_sql(undo)
