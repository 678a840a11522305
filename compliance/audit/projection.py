"""Projections: tables written after the entry, by functions that may run twice. The log is the only truth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from compliance.audit.entry import Entry
from compliance.audit.table import audit_disclosure, audit_mark, check_record

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

Projector = Callable[[Connection, Entry], None]
_projectors: dict[str, list[Projector]] = {}
_tables: list[Table] = []
_MARK, _BATCH = "projections", 500
_mark = select(audit_mark.c.size).where(audit_mark.c.name == _MARK)
_insert_check = insert(check_record).on_conflict_do_nothing(index_elements=["pos"])


def projects(*kinds: str, into: tuple[Table, ...] = ()) -> Callable[[Projector], Projector]:
    """Register a function that writes entries of these kinds into tables.

    It must be idempotent by the entry's position, and not mind when a later entry came first. `into` names the tables
    that hold nothing else: a rebuild empties them.
    """

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


def is_projected(kind: str) -> bool:
    return kind in _projectors


def clear(connection: Connection) -> None:
    """Empty the tables that are rebuilt from the log alone."""
    for table in reversed(_tables):
        connection.execute(table.delete())


@projects("check", into=(check_record,))
def project_check(connection: Connection, entry: Entry) -> None:
    connection.execute(_insert_check, check_row(entry))


@projects("log.erasure")
def project_erasure(connection: Connection, entry: Entry) -> None:
    """The entry is the act; the rows follow, also after a restore or a rebuild."""
    for erased in entry.body["erased"]:
        of_it = audit_disclosure.c.entry_id == erased["id"]
        connection.execute(delete(audit_disclosure).where(of_it, audit_disclosure.c.field.in_(erased["fields"])))
        if "question" in erased["fields"]:
            connection.execute(update(check_record).where(check_record.c.id == erased["id"]).values(question=None))


def check_row(entry: Entry) -> dict[str, Any]:
    body, facts, decision = entry.body, entry.body["facts"], entry.body["decision"]
    until, evidence = decision["valid_until"], facts.get("evidence") or {"failure": {}}
    # Only an answer that was fresh and understood may serve again.
    fresh = not ("failure" in evidence or evidence.get("cached") or evidence.get("age_hours") is not None)
    return {
        "pos": entry.position,
        "id": entry.id,
        "region": facts["application"]["region"],
        "asker_kind": body["asker"]["kind"],
        "asker_id": body["asker"]["id"],
        "nib": body["business"].get("nib"),
        "permit_type": facts["application"]["permit_type"],
        "as_at": date.fromisoformat(facts["application"]["as_at"]),
        "checked_at": entry.at,
        **{name: decision[name] for name in ("verdict", "action", "enforced")},
        **{name: body[name] for name in ("reference", "backdated", "receipt_code")},
        "valid_until": until and date.fromisoformat(until),
        "question": entry.disclosed.get("question"),
        "received_at": datetime.fromisoformat(evidence["received_at"]) if fresh else None,
        "replaces": body.get("replaces"),
        "document": entry.document,
    }


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
    statement = insert(audit_mark).values(name=_MARK, size=size)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"size": size}))
