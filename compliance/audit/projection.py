"""Projections: tables written after the entry, by functions that may run twice. The log is the only truth."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, select

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


def is_projected(kind: str) -> bool:
    return kind in _projectors


def project(connection: Connection, kind: str, entry: Entry) -> None:
    """Write one entry into every table that shows it."""
    for function in _projectors.get(kind, ()):
        function(connection, entry)


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
                if entry.position not in there and is_projected(entry.kind):
                    project(connection, entry.kind, audit.answered(entry))
            put(connection, audit_mark, {"name": "projections", "size": done}, newest="")
        progress(done)
    return max(size - start, 0)


def rebuild(audit: AuditLog, progress: Callable[[int], None] = lambda size: None) -> int:
    """Empty the tables that are made from the log alone, and write them anew."""
    with audit.engine.begin() as connection:
        clear(connection)
    return catch_up(audit, progress)
