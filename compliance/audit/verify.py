"""Verify the database's log: from bodies to roots, every row against every other, naming the first bad position."""

import json
from collections.abc import Callable, Mapping

from sqlalchemy import func, select

from compliance.audit import document
from compliance.audit.projection import check_row
from compliance.audit.reads import BATCH, LogReads
from compliance.audit.table import audit_entry, check_record
from compliance.errors import LogBroken
from compliance.proof.export import Tally
from compliance.proof.merkle import root_of
from compliance.proof.receipt import disclosed_by

Progress = Callable[[int], None]
_c = audit_entry.c
_rows = select(_c.pos, _c.entry_id, _c.body, _c.leaf_hash, _c.root, _c.frontier).order_by(_c.pos).limit(BATCH)


def verify(log: LogReads, known: Mapping[int, bytes], progress: Progress) -> tuple[int, bytes]:
    """Recompute the whole log; `known` are roots held outside, by size. Returns size and root.

    Raises LogBroken with the first bad position. Says nothing about the tables that show the log: see `verify_checks`.
    """
    tally, start = Tally(known), -1
    while True:
        with log.engine.connect() as connection:
            rows = connection.execute(_rows.where(_c.pos > start)).all()
        for pos, entry_id, body, leaf_hash, root, frontier in rows:
            if pos != tally.size:
                raise LogBroken(f"position {tally.size} is missing", tally.size)
            before = b"".join(tally.frontier)
            if tally.add(body) != leaf_hash:
                raise LogBroken("the body is not the one that was hashed", pos)
            if before != frontier or root_of(tally.frontier) != root:
                raise LogBroken("the row does not continue the tree", pos)
            if f',"id":"{entry_id}","kind":"'.encode() not in body and json.loads(body).get("id") != entry_id:
                raise LogBroken("the row's id is not the entry's", pos)
        if not rows:
            tally.finish()
            return tally.size, tally.root
        start = rows[-1].pos
        progress(tally.size)


def verify_checks(log: LogReads, progress: Progress) -> int:
    """Compare what pages and lists show of each check, and what is disclosed of it, with its entry.

    Returns their number; raises LogBroken.
    """
    seen = 0
    for entry in log.entries(kinds=("check",)):
        with log.engine.connect() as connection:
            found = connection.execute(select(check_record).where(check_record.c.pos == entry.position)).mappings()
            shown = found.one_or_none()
        if shown is None:
            raise LogBroken("the check is not in the tables yet (flask log project)", entry.position)
        for string in log.disclosures([entry.id]).get(entry.id, []):
            disclosed_by(entry.body.get("sd", {}), string)
        given = json.loads(shown["document"])
        wanted = document.build(entry, given["receipt"], given["log"]["origin"])
        wrong = [name for name, value in check_row(entry).items() if name != "document" and shown[name] != value]
        wrong += [f"{name} in its answer" for name, value in given.items() if wanted.get(name) != value]
        if wrong or given["receipt"]["code"] != shown["receipt_code"]:
            raise LogBroken(f"the check is shown with another {wrong[0] if wrong else 'receipt'}", entry.position)
        seen += 1
        if seen % BATCH == 0:
            progress(seen)
    with log.engine.connect() as connection:
        if connection.scalar(select(func.count()).select_from(check_record)) != seen:
            raise LogBroken("checks are shown that no entry holds")
    return seen
