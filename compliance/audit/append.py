"""The append: take the turn → last row → fold → insert → commit; then project; then durable. One for both databases."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError

from compliance.audit.entry import Draft, Entry
from compliance.audit.projection import is_projected, project
from compliance.audit.table import audit_disclosure, audit_entry
from compliance.audit.turn import PATIENCE, UTC, file_turn, is_sqlite
from compliance.errors import LogUnavailable
from compliance.proof.merkle import grow, leaf_hash, root_of, split

Row = Mapping[str, Any]
_NEXT = "SELECT * FROM audit_append(%(id)s, %(body)s, %(fields)s::text[], %(strings)s::text[])"  # migration 0001
_LAST = "SELECT pos, leaf_hash, frontier FROM audit_entry ORDER BY pos DESC LIMIT 1"
# A commit that waits for the disk; what was committed before it is there too.
_DURABLE = "BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'audit', ''); COMMIT"
_INSERT, _DISCLOSE, MOST_TOGETHER = audit_entry.insert(), audit_disclosure.insert(), 32
_LIMITS = f"{UTC} -c lock_timeout={PATIENCE:.0f}s -c statement_timeout=5s -c synchronous_commit=off"


def next_row(last: Any, draft: Draft) -> dict[str, Any]:
    """The row that follows the row `last` (None: the log is empty)."""
    frontier: list[bytes] = []
    position = 0
    if last is not None:
        frontier, position = split(last.frontier), last.pos + 1
        grow(frontier, last.pos, last.leaf_hash)
    before, leaf = b"".join(frontier), leaf_hash(draft.raw)
    row = {"pos": position, "entry_id": draft.id, "body": draft.raw, "leaf_hash": leaf}
    return row | {"root": root_of([*frontier, leaf]), "frontier": before}


@dataclass(slots=True)
class _Waiting:
    """An append of a thread that waits: what it wants, then what became of it."""

    draft: Draft
    finish: Callable[[Row], Entry]
    done: tuple[Entry, bool] | BaseException | None = None


class Turns:
    """Appends, with connections of its own: transactions are begun and ended here, in as few messages as possible.

    PostgreSQL's commit at once, before they are on disk, so that no lock is held during an fsync; then one fsync makes
    what was committed durable, for everybody in this process who waits for it. SQLite's commit is durable by itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._sqlite, self._flushing = is_sqlite(engine), threading.Lock()
        self._begun = self._ended = 0
        self._leading, self._waiting = threading.Lock(), deque[_Waiting]()
        self.reading = engine  # for single statements, which need no transaction
        self._engine: Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        if not self._sqlite:
            options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "connect_args": {"options": _LIMITS}}
            options |= {"pool_size": 12, "max_overflow": 0, "pool_timeout": 10, "hide_parameters": True}
            self.reading = self._engine = create_engine(engine.url, **options)
            event.listen(engine, "engine_disposed", lambda _: self._engine.dispose())

    def append(self, draft: Draft, finish: Callable[[Row], Entry]) -> tuple[Entry, bool]:
        """Append and project, or find the entry of that id (then False); durable when it returns.

        `finish` turns the row into the entry that is projected; it may be called in another thread, and again.
        """
        if self._sqlite:
            return self._together(_Waiting(draft, finish))
        with self._engine.connect() as connection:
            try:
                fields, strings = list(draft.disclosures), list(draft.disclosures.values())
                given = {"id": draft.id, "body": draft.raw, "fields": fields, "strings": strings}
                entry, fresh = finish(dict(connection.exec_driver_sql(_NEXT, given).mappings().one())), True
                _show(connection, entry, "BEGIN", "COMMIT", "ROLLBACK")
            except IntegrityError:
                entry, fresh = self._found(connection, draft, finish), False
            self._flush(connection)
        return entry, fresh

    def _found(self, connection: Connection, draft: Draft, finish: Callable[[Row], Entry]) -> Entry:
        """The entry that already has this id. To be called while an IntegrityError is handled."""
        query = select(audit_entry).where(audit_entry.c.entry_id == draft.id)
        if (found := connection.execute(query).mappings().one_or_none()) is None:
            raise
        return finish(dict(found))

    def _together(self, mine: _Waiting) -> tuple[Entry, bool]:
        """Of the threads that wait, one does the work of all in one transaction: one fsync, one turn."""
        self._waiting.append(mine)
        if not self._leading.acquire(timeout=2 * PATIENCE):
            with suppress(ValueError):  # somebody has just taken it: then it is done or fails before this lock is free
                self._waiting.remove(mine)
                raise LogUnavailable("another append does not end")
            self._leading.acquire()
        try:
            while mine.done is None:
                self._lead([self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))])
        finally:
            self._leading.release()
        if isinstance(mine.done, BaseException):
            raise mine.done
        return mine.done

    def _lead(self, batch: list[_Waiting]) -> None:
        try:
            with self._engine.connect() as connection:
                self._on_sqlite(connection, batch)
        except (OperationalError, OSError, LogUnavailable) as error:  # of the database, not of one entry
            for one in batch:
                one.done = error
        except Exception as error:
            if len(batch) == 1:
                batch[0].done = error
            for one in batch if len(batch) > 1 else ():  # one that cannot be written must not fail the others
                self._lead([one])
        except BaseException as error:
            for one in batch:
                one.done = LogUnavailable(f"the append was ended ({type(error).__name__})")
            raise

    def _on_sqlite(self, connection: Connection, batch: list[_Waiting]) -> None:
        made: list[tuple[Entry, bool]] = []
        with file_turn(str(self._engine.url.database)):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                last: Any = connection.exec_driver_sql(_LAST).one_or_none()
                for one in batch:
                    row = next_row(last, one.draft)
                    connection.execute(_INSERT, row)
                    if said := one.draft.disclosures.items():
                        rows = [{"entry_id": one.draft.id, "field": name, "disclosure": text} for name, text in said]
                        connection.execute(_DISCLOSE, rows)
                    last = SimpleNamespace(**row)
                    made.append((one.finish(row), True))
                    _show(connection, made[-1][0], "SAVEPOINT shown", "RELEASE shown", "ROLLBACK TO shown")
                connection.exec_driver_sql("COMMIT")
            except IntegrityError:
                if len(batch) > 1:
                    raise
                connection.exec_driver_sql("ROLLBACK")
                made = [(self._found(connection, batch[0].draft, batch[0].finish), False)]
            finally:
                connection.connection.rollback()  # nothing, after a commit
        for one, done in zip(batch, made, strict=True):
            one.done = done

    def durable(self) -> None:
        """Returns when all that was committed before the call is on disk."""
        if not self._sqlite:
            with self._engine.connect() as connection:
                self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        before = self._begun
        if self._sqlite:
            return
        if not self._flushing.acquire(timeout=4 * PATIENCE):
            raise LogUnavailable("the database does not say that entries are on disk")
        try:
            if self._ended <= before:  # else somebody began one after this call, and it is done
                self._begun += 1
                connection.exec_driver_sql(_DURABLE)
                self._ended = self._begun
        finally:
            self._flushing.release()


def _show(connection: Connection, entry: Entry, begin: str, end: str, undo: str) -> None:
    """Project. What fails here does not touch the entry; it is logged, and made good when the tables are caught up."""
    if is_projected(entry.kind):
        connection.exec_driver_sql(begin)
        try:
            project(connection, entry.kind, entry)
            connection.exec_driver_sql(end)
        except (SQLAlchemyError, KeyError, TypeError, ValueError):
            message = "the entry is in the log, but not yet in the tables that show it"
            logging.getLogger(__name__).exception(message)
            if not connection.invalidated:
                connection.exec_driver_sql(undo)
