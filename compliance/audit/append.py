"""The append: take the turn → last row → fold → insert → commit; then project; then durable. One for both databases."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from compliance.audit.entry import Draft, Entry
from compliance.audit.projection import is_projected, project
from compliance.audit.table import audit_disclosure, audit_entry
from compliance.audit.turn import PATIENCE, UTC, file_turn, is_sqlite
from compliance.proof.merkle import grow, leaf_hash, root_of, split

Row = Mapping[str, Any]
_NEXT = "SELECT * FROM audit_append(%(id)s, %(body)s, %(fields)s::text[], %(strings)s::text[])"  # migration 0001
_LAST = "SELECT pos, leaf_hash, frontier FROM audit_entry ORDER BY pos DESC LIMIT 1"
# A commit that waits for the disk; what was committed before it is there too.
_DURABLE = "BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'audit', ''); COMMIT"
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


class Turns:
    """Appends, with connections of its own: transactions are begun and ended here, in as few messages as possible.

    PostgreSQL's commit at once, before they are on disk, so that no lock is held during an fsync; then one fsync makes
    what was committed durable, for everybody in this process who waits for it. SQLite's commit is durable by itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._sqlite, self._flushing = is_sqlite(engine), threading.Lock()
        self._begun = self._ended = 0
        self.reading = engine  # for single statements, which need no transaction
        self._engine: Engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        if not self._sqlite:
            options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "connect_args": {"options": _LIMITS}}
            options |= {"pool_size": 12, "max_overflow": 0, "pool_timeout": 10, "hide_parameters": True}
            self.reading = self._engine = create_engine(engine.url, **options)
            event.listen(engine, "engine_disposed", lambda _: self._engine.dispose())

    def append(self, draft: Draft, finish: Callable[[Row], Entry]) -> tuple[Entry, bool]:
        """Append and project, or find the entry of that id (then False); durable when it returns.

        `finish` turns the row into the entry that is projected.
        """
        with self._engine.connect() as connection:
            try:
                entry, fresh = (self._on_sqlite if self._sqlite else self._on_postgres)(connection, draft, finish), True
            except IntegrityError:
                query = select(audit_entry).where(audit_entry.c.entry_id == draft.id)
                if (found := connection.execute(query).mappings().one_or_none()) is None:
                    raise
                entry, fresh = finish(dict(found)), False
            self._flush(connection)
        return entry, fresh

    def _on_postgres(self, connection: Connection, draft: Draft, finish: Callable[[Row], Entry]) -> Entry:
        fields, strings = list(draft.disclosures), list(draft.disclosures.values())
        given = {"id": draft.id, "body": draft.raw, "fields": fields, "strings": strings}
        entry = finish(dict(connection.exec_driver_sql(_NEXT, given).mappings().one()))
        _show(connection, entry, "BEGIN", "COMMIT", "ROLLBACK")
        return entry

    def _on_sqlite(self, connection: Connection, draft: Draft, finish: Callable[[Row], Entry]) -> Entry:
        rows = [{"entry_id": draft.id, "field": name, "disclosure": text} for name, text in draft.disclosures.items()]
        with file_turn(str(self._engine.url.database)):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                row = next_row(connection.exec_driver_sql(_LAST).one_or_none(), draft)
                connection.execute(audit_entry.insert(), row)
                if rows:
                    connection.execute(audit_disclosure.insert(), rows)
                entry = finish(row)
                _show(connection, entry, "SAVEPOINT shown", "RELEASE shown", "ROLLBACK TO shown")
                connection.exec_driver_sql("COMMIT")
            finally:
                connection.connection.rollback()  # nothing, after a commit
        return entry

    def durable(self) -> None:
        """Returns when all that was committed before the call is on disk."""
        if not self._sqlite:
            with self._engine.connect() as connection:
                self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        before = self._begun
        if not self._sqlite:
            with self._flushing:
                if self._ended <= before:  # else somebody began one after this call, and it is done
                    self._begun += 1
                    connection.exec_driver_sql(_DURABLE)
                    self._ended = self._begun


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
