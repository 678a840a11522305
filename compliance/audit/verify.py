"""Verify the database's log: from bodies to roots, every row against every other, naming the first bad position."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from compliance.audit.entry import Entry
from compliance.audit.projection import check_row
from compliance.audit.reads import BATCH, LogReads
from compliance.audit.table import audit_entry, check_record
from compliance.errors import LogBroken
from compliance.proof.package import disclosed_by
from compliance.proof.tally import Tally

Progress = Callable[[int], None]
_row = select(
    *(audit_entry.c.pos, audit_entry.c.entry_id, audit_entry.c.body, audit_entry.c.leaf_hash),
    *(audit_entry.c.root, audit_entry.c.frontier),
)


def verify(log: LogReads, known: Mapping[int, bytes], progress: Progress) -> tuple[int, bytes]:
    """Recompute the whole log; `known` are roots held outside, by size. Returns size and root.

    Raises LogBroken with the first bad position. Says nothing about the tables that show the log: see `verify_checks`.
    """
    tally = Tally(known)
    for rows in _batches(log):
        for pos, entry_id, body, leaf_hash, root, frontier in rows:
            if pos != tally.size:
                raise LogBroken(f"position {tally.size} is missing", tally.size)
            before = b"".join(tally.frontier)
            if tally.add(body) != leaf_hash:
                raise LogBroken("the body is not the one that was hashed", pos)
            if before != frontier or tally.root != root:
                raise LogBroken("the row does not continue the tree", pos)
            if b',"id":"%s","kind":"' % entry_id.encode() not in body and json.loads(body).get("id") != entry_id:
                raise LogBroken("the row's id is not the entry's", pos)
        progress(tally.size)
    tally.finish()
    return tally.size, tally.root


def _batches(log: LogReads) -> Iterator[list[Row[int, str, bytes, bytes, bytes, bytes]]]:
    start = -1
    while True:
        with log.engine.connect() as connection:
            query = _row.where(audit_entry.c.pos > start).order_by(audit_entry.c.pos).limit(BATCH)
            rows = list(connection.execute(query))
        if not rows:
            return
        yield rows
        start = rows[-1].pos


def verify_checks(log: LogReads, progress: Progress) -> int:
    """Compare what pages and lists show of each check, and what is disclosed of it, with its entry.

    Returns their number; raises LogBroken.
    """
    seen = 0
    for entry in log.entries(kinds=("check",)):
        for string in log.disclosures([entry.id]).get(entry.id, []):
            disclosed_by(entry.body.get("sd", {}), string)
        with log.engine.connect() as connection:
            _compare(connection, entry)
        seen += 1
        if seen % BATCH == 0:
            progress(seen)
    with log.engine.connect() as connection:
        shown = connection.execute(select(check_record.c.pos).order_by(check_record.c.pos)).scalars()
        if sum(1 for _ in shown) != seen:
            raise LogBroken("checks are shown that no entry holds")
    return seen


def _compare(connection: Connection, entry: Entry) -> None:
    shown = (
        connection.execute(select(check_record).where(check_record.c.pos == entry.position)).mappings().one_or_none()
    )
    if shown is None:
        raise LogBroken("the check is not in the tables yet (flask log project)", entry.position)
    wanted = check_row(entry)
    document: dict[str, Any] = json.loads(shown["document"])
    for name in wanted.keys() - {"document"}:
        if shown[name] != wanted[name]:
            raise LogBroken(f"the check is shown with another {name}", entry.position)
    if document["verdict"] != wanted["verdict"] or document["receipt"]["code"] != wanted["receipt_code"]:
        raise LogBroken("the check is shown with another answer", entry.position)
