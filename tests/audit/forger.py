"""Somebody with the database and the key: rewrites the log as he likes, as superuser or with the file in his hands."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select, text

from compliance.audit.entry import Draft
from compliance.audit.log import AuditLog
from compliance.audit.table import audit_entry
from compliance.audit.turn import next_row

Rows = list[tuple[str, bytes]]


def unguard(log: AuditLog) -> None:
    with log.engine.begin() as connection:
        if log.engine.dialect.name == "sqlite":
            for name in ("next", "no_update", "no_delete"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS audit_entry_{name}"))
        else:
            connection.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER ALL"))


def overwrite(log: AuditLog, position: int, **columns: Any) -> None:
    """Change columns of one row and nothing else."""
    unguard(log)
    with log.engine.begin() as connection:
        connection.execute(audit_entry.update().where(audit_entry.c.pos == position).values(**columns))


def remove(log: AuditLog, position: int) -> None:
    unguard(log)
    with log.engine.begin() as connection:
        connection.execute(audit_entry.delete().where(audit_entry.c.pos == position))


def rewrite(log: AuditLog, change: Callable[[Rows], Rows]) -> None:
    """Change the list of entries, and compute every hash, root and frontier anew."""
    unguard(log)
    with log.engine.begin() as connection:
        query = select(audit_entry.c.entry_id, audit_entry.c.body).order_by(audit_entry.c.pos)
        entries: Rows = [(row.entry_id, row.body) for row in connection.execute(query)]
        connection.execute(audit_entry.delete())
        last: SimpleNamespace | None = None
        for entry_id, body in change(entries):
            row = next_row(last, Draft(entry_id, body))
            connection.execute(audit_entry.insert(), row)
            last = SimpleNamespace(**row)
