"""Bring the projections up to the log: after a crash, at start, by `flask work`, or from nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from compliance.audit.projection import clear, is_projected, project
from compliance.audit.table import audit_mark, check_record

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

_NAME, _BATCH = "projections", 500
_mark = select(audit_mark.c.size).where(audit_mark.c.name == _NAME)


def catch_up(audit: AuditLog, progress: Callable[[int], None] = lambda size: None) -> int:
    """Write every entry since the last mark that is not in the tables yet. Returns how many entries were looked at.

    Checks that are there are passed over: their answers are not signed twice.
    """
    size, _ = audit.head()
    with audit.engine.connect() as connection:
        start = connection.scalar(_mark) or 0
    entries = audit.entries(start, size)
    while batch := list(islice(entries, _BATCH)):
        with audit.engine.begin() as connection:
            among = check_record.c.pos.between(batch[0].position, batch[-1].position)
            there = set(connection.scalars(select(check_record.c.pos).where(among)))
            for entry in batch:
                if entry.position not in there and is_projected(entry.kind):
                    project(connection, entry.kind, audit.answered(entry))
            _set_mark(connection, batch[-1].position + 1)
        progress(batch[-1].position + 1)
    return max(size - start, 0)


def rebuild(audit: AuditLog, progress: Callable[[int], None] = lambda size: None) -> int:
    """Empty the tables that are made from the log alone, and write them anew."""
    with audit.engine.begin() as connection:
        clear(connection)
        _set_mark(connection, 0)
    return catch_up(audit, progress)


def _set_mark(connection: Connection, size: int) -> None:
    statement = insert(audit_mark).values(name=_NAME, size=size)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"size": size}))
