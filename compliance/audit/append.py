"""The append: take the turn → last row → fold → insert → commit; then project; then durable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from compliance.audit.entry import Draft, Entry
from compliance.audit.projection import is_projected, project
from compliance.audit.table import audit_disclosure, audit_entry
from compliance.audit.turn import Row, Turns, aside, step, turn
from compliance.proof.merkle import grow, leaf_hash, root_of, split


def next_row(last: Any, draft: Draft) -> dict[str, Any]:
    """The row that follows the row `last` (None: the log is empty)."""
    frontier: list[bytes] = []
    position = 0
    if last is not None:
        frontier, position = split(last.frontier), last.pos + 1
        grow(frontier, last.pos, last.leaf_hash)
    before, leaf = b"".join(frontier), leaf_hash(draft.raw)
    root = root_of([*frontier, leaf])
    row = {"pos": position, "entry_id": draft.id, "body": draft.raw}
    return row | {"leaf_hash": leaf, "root": root, "frontier": before}


def append(turns: Turns, connection: Connection, draft: Draft, finish: Callable[[Row], Entry]) -> tuple[Entry, bool]:
    """Append and project, or find the entry of that id (then False); durable when it returns.

    `finish` turns the row into the entry that is projected. Needs a connection of `turns`.
    """

    def write(last: Any) -> Row:
        row = next_row(last, draft)
        connection.execute(audit_entry.insert(), row)
        if draft.disclosures:
            rows = [
                {"entry_id": draft.id, "field": name, "disclosure": text} for name, text in draft.disclosures.items()
            ]
            connection.execute(audit_disclosure.insert(), rows)
        return row

    fresh = True
    try:
        with turn(connection):
            entry = finish(step(connection, draft, write))
            if is_projected(entry.kind):
                with aside(connection, SQLAlchemyError, KeyError, TypeError, ValueError):
                    project(connection, entry.kind, entry)
    except IntegrityError:
        found = (
            connection.execute(select(audit_entry).where(audit_entry.c.entry_id == draft.id)).mappings().one_or_none()
        )
        if found is None:
            raise
        entry, fresh = finish(dict(found)), False
    turns.durable(connection)
    return entry, fresh
