"""The append: take the turn → last row → fold → insert → commit; then, durable, project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from compliance.audit.entry import Draft, Entry
from compliance.audit.projection import is_projected, project
from compliance.audit.table import audit_disclosure, audit_entry
from compliance.audit.turn import appended, barrier, optional
from compliance.proof.merkle import grow, leaf_hash, root_of, split

_columns = (audit_entry.c.pos, audit_entry.c.body, audit_entry.c.leaf_hash, audit_entry.c.root, audit_entry.c.frontier)
_by_id = select(*_columns)
_insert = audit_entry.insert()
_disclose = audit_disclosure.insert()


def next_row(last: Any, draft: Draft) -> dict[str, Any]:
    """The row that follows the row `last` (None: the log is empty)."""
    frontier: list[bytes] = []
    position = 0
    if last is not None:
        frontier = split(last.frontier)
        grow(frontier, last.pos, last.leaf_hash)
        position = last.pos + 1
    leaf = leaf_hash(draft.raw)
    before = b"".join(frontier)
    grow(frontier, position, leaf)
    return {
        "pos": position,
        "entry_id": draft.id,
        "body": draft.raw,
        "leaf_hash": leaf,
        "root": root_of(frontier),
        "frontier": before,
    }


def append(connection: Connection, draft: Draft, finish: Callable[[Mapping[str, Any]], Entry]) -> Entry:
    """Append and project, or find the entry of that id; durable when it returns.

    `finish` turns the row into the entry that is projected. Needs a connection of `turns`.
    """

    def write(last: Any) -> Mapping[str, Any]:
        row = next_row(last, draft)
        connection.execute(_insert, row)
        if draft.disclosures:
            connection.execute(_disclose, draft.disclosures)
        return row

    try:
        with appended(connection, draft, write) as row:
            entry = finish(row)
            if is_projected(entry.kind):
                with optional(connection, SQLAlchemyError, KeyError, TypeError, ValueError):
                    project(connection, entry.kind, entry)
        return entry
    except IntegrityError:
        found = connection.execute(_by_id.where(audit_entry.c.entry_id == draft.id)).mappings().one_or_none()
        if found is None:
            raise
        barrier(connection)
        return finish(dict(found))
