"""Projections: tables written after the entry, by functions that may run twice. The log is the only truth."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import date
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import SQLAlchemyError

from compliance.audit.entry import Entry
from compliance.audit.table import audit_mark, check_record
from compliance.database import put

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

Projector = Callable[[Connection, Entry], None]
_projectors: dict[str, list[Projector]] = {}
_tables: list[Table] = []
_BATCH = 500


def projects(*kinds: str, into: tuple[Table, ...] = ()) -> Callable[[Projector], Projector]:
    """Register a function that writes entries of these kinds into tables. It must be idempotent by the entry's
    position, and not mind when a later entry came first. `into` names the tables that hold nothing else: a rebuild
    empties them."""

    def add(function: Projector) -> Projector:
        for kind in kinds:
            _projectors.setdefault(kind, []).append(function)
        _tables.extend(table for table in into if table not in _tables)
        return function

    return add


def project(connection: Connection, kind: str, entry: Entry) -> None:
    """Write one entry into every table that shows it."""
    for function in _projectors.get(kind, ()):
        function(connection, entry)


class Gathered:
    """A connection on which rows that are put wait for each other; `together`: PostgreSQL gets them in one message.
    Whoever wants more of it begins a transaction, in which the rows that waited come first."""

    def __init__(self, connection: Connection, begin: str, together: bool) -> None:
        self._connection, self._begin, self._together, self.begun = connection, begin, together, False
        self.waiting: list[tuple[Table, list[dict[str, Any]]]] = []

    def __getattr__(self, name: str) -> Any:  # execute, scalar, scalars
        self._start()
        self.write()
        return getattr(self._connection, name)

    def _start(self) -> None:
        if not self.begun:
            self._connection.exec_driver_sql(self._begin)
            self.begun = True

    def write(self) -> None:
        """Write what waits."""
        waiting, self.waiting = self.waiting, []
        if waiting and self._together:
            statement = _inserts(tuple((table, tuple(new[0])) for table, new in waiting))
            lists = (json.dumps(new, ensure_ascii=False, default=_day_or_moment) for _, new in waiting)
            self._connection.exec_driver_sql(statement, tuple(lists))
        elif waiting:
            self._start()
            for table, new in waiting:
                put(self._connection, table, new)


def _day_or_moment(value: Any) -> str:
    if not isinstance(value, date):
        raise TypeError(f"a {type(value).__name__} is not for a table that is shown")
    return value.isoformat()


@cache
def _inserts(into: tuple[tuple[Table, tuple[str, ...]], ...]) -> str:
    """One statement of PostgreSQL that inserts rows, for each table and its columns given as a JSON list."""
    parts = []
    for number, (table, columns) in enumerate(into):
        names, key = ", ".join(columns), ", ".join(column.name for column in table.primary_key)
        rows = f"SELECT {names} FROM json_populate_recordset(NULL::{table.name}, %s)"  # noqa: S608 (names of tables)
        parts.append(f"put_{number} AS (INSERT INTO {table.name} ({names}) {rows} ON CONFLICT ({key}) DO NOTHING)")
    return f"WITH {', '.join(parts)} SELECT"


def show(connection: Connection, entry: Entry, begin: str, end: str, undo: str, *, together: bool = False) -> None:
    """Project. What fails here does not touch the entry; it is logged, and made good when the tables are caught up."""
    if entry.kind in _projectors:
        gathered: Any = Gathered(connection, begin, together)
        try:
            project(gathered, entry.kind, entry)
            gathered.write()
            if gathered.begun:
                connection.exec_driver_sql(end)
        except (SQLAlchemyError, KeyError, TypeError, ValueError):
            logging.getLogger(__name__).exception("the entry is in the log, but not yet in the tables that show it")
            if gathered.begun and not connection.invalidated:
                connection.exec_driver_sql(undo)


def clear(connection: Connection) -> None:
    """Empty the tables that are rebuilt from the log alone."""
    for table in [*reversed(_tables), audit_mark]:
        connection.execute(table.delete())


def catch_up(audit: AuditLog, progress: Callable[[int], None] = lambda size: None) -> int:
    """Write every entry since the last mark that is not in the tables yet. Returns how many entries were looked at.
    Checks that are there are passed over: their answers are not signed twice."""
    size, _ = audit.head()
    start = max((row.size for row in audit.rows(audit_mark.select())), default=0)
    entries = audit.entries(start, size)
    while batch := list(islice(entries, _BATCH)):
        done = batch[-1].position + 1
        with audit.engine.begin() as connection:
            among = check_record.c.pos.between(batch[0].position, done)
            there = set(connection.scalars(select(check_record.c.pos).where(among)))
            for entry in batch:
                if entry.position not in there and entry.kind in _projectors:
                    project(connection, entry.kind, audit.answered(entry))
            put(connection, audit_mark, {"name": "projections", "size": done}, newest="")
        progress(done)
    return max(size - start, 0)


def rebuild(audit: AuditLog, progress: Callable[[int], None] = lambda size: None) -> int:
    """Empty the tables that are made from the log alone, and write them anew."""
    with audit.engine.begin() as connection:
        clear(connection)
    return catch_up(audit, progress)
