"""The append: take the turn → last row → fold → insert → commit; then, durable, project."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from compliance.audit.entry import Draft, Entry
from compliance.audit.projection import is_projected, project
from compliance.audit.table import audit_disclosure, audit_entry
from compliance.audit.turn import barrier, turn
from compliance.proof.merkle import grow, leaf_hash, root_of, split

log = logging.getLogger(__name__)

_last = (
    select(audit_entry.c.pos, audit_entry.c.leaf_hash, audit_entry.c.frontier)
    .order_by(audit_entry.c.pos.desc())
    .limit(1)
)
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


def append(connection: Connection, draft: Draft) -> Mapping[str, Any]:
    """Append, or find the entry of that id. It is durable only after `settle`."""

    def disclose() -> None:
        if draft.disclosures:
            connection.execute(_disclose, draft.disclosures)

    try:
        with turn(connection, disclose):
            row = next_row(connection.execute(_last).one_or_none(), draft)
            connection.execute(_insert, row)
        return row
    except IntegrityError:
        found = connection.execute(_by_id.where(audit_entry.c.entry_id == draft.id)).mappings().one_or_none()
        connection.rollback()
        if found is None:
            raise
        return cast(Mapping[str, Any], found)


def settle(connection: Connection, kind: str, entry: Entry) -> None:
    """Make the entry durable and project it, in one transaction; a failed projection is caught up later."""
    if is_projected(kind):
        try:
            with connection.begin():
                barrier(connection)
                project(connection, kind, entry)
            return
        except (SQLAlchemyError, KeyError, TypeError, ValueError):
            log.exception("entry %s is in the log, but not yet in the tables that show it", entry.position)
    with connection.begin():
        barrier(connection)
