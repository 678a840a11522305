"""Verify the database's log, naming the first bad position: bodies to roots, what is shown of checks, decisions."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select

from compliance.audit import document
from compliance.audit.checks import check_row
from compliance.audit.log import AuditLog
from compliance.audit.table import audit_entry, check_record
from compliance.errors import BadPolicy, LogBroken
from compliance.law.codec import moment
from compliance.law.decide import Policies, replay
from compliance.proof import export, merkle, receipt

BATCH, NAMED = 2_000, 200  # rows read at once, and progress is told as often; so many checks are named
_e, _c = audit_entry.c, check_record.c


def verify(log: AuditLog, known: Mapping[int, bytes], progress: export.Progress) -> tuple[int, bytes]:
    """Recompute the whole log; `known` are roots held outside, by size. Returns size and root. Raises LogBroken with
    the first bad position. Says nothing about the tables that show the log: see `verify_checks`."""
    tally, query = export.Tally(known), audit_entry.select().order_by(_e.pos).limit(BATCH)
    while rows := log.rows(query.where(_e.pos >= tally.size)):
        for pos, entry_id, body, leaf_hash, root, frontier in rows:
            if pos != tally.size:
                raise LogBroken(f"position {tally.size} is missing", tally.size)
            before = b"".join(tally.frontier)
            if tally.add(body) != leaf_hash:
                raise LogBroken("the body is not the one that was hashed", pos)
            if before != frontier or merkle.root_of(tally.frontier) != root:
                raise LogBroken("the row does not continue the tree", pos)
            if f',"id":"{entry_id}","kind":"'.encode() not in body and json.loads(body).get("id") != entry_id:
                raise LogBroken("the row's id is not the entry's", pos)
        progress(tally.size)
    tally.finish()
    return tally.size, tally.root


def verify_checks(log: AuditLog, progress: export.Progress) -> int:
    """Compare what pages and lists show of each check, and what is disclosed of it, with its entry. Returns their
    number; raises LogBroken."""
    seen = 0
    for seen, entry in enumerate(log.entries(kinds=("check",)), 1):
        if not (found := log.rows(check_record.select().where(_c.pos == entry.position))):
            raise LogBroken("the check is not in the tables yet (flask log project)", entry.position)
        for string in log.disclosures([entry.id]).get(entry.id, []):
            receipt.disclosed_by(entry.body.get("sd", {}), string)
        shown = found[0]._mapping
        given = json.loads(shown["document"])
        wanted = document.build(entry, given["receipt"], given["log"]["origin"])
        wrong = [name for name, value in check_row(entry).items() if name != "document" and shown[name] != value]
        wrong += [f"{name} in its answer" for name, value in given.items() if wanted.get(name) != value]
        if wrong or given["receipt"]["code"] != shown["receipt_code"]:
            raise LogBroken(f"the check is shown with another {wrong[0] if wrong else 'receipt'}", entry.position)
        if seen % BATCH == 0:
            progress(seen)
    if log.rows(select(func.count()).select_from(check_record))[0][0] != seen:
        raise LogBroken("checks are shown that no entry holds")
    return seen


class Differing(NamedTuple):  # a check that comes out otherwise than recorded; `why`: where, what was and what is
    position: int
    id: str
    why: tuple[str, ...]


def past_policies(log: AuditLog) -> Policies:
    """The policies that decisions of this log name, read from its own entries."""
    return Policies(lambda sha256: named.body["text"] if (named := log.entry(f"policy.text.{sha256}")) else None)


def replay_checks(
    log: AuditLog, since: datetime, until: datetime, *, by: str, progress: export.Progress = lambda done: None
) -> tuple[int, list[Differing], str]:
    """Decide all checks of [since, until), aware moments, again, from the log alone: their number, those that differ,
    the id of the entry that tells so."""
    policies, done, differing = past_policies(log), 0, []
    span = select(func.min(_c.pos), func.max(_c.pos)).where(_c.checked_at >= since, _c.checked_at < until)
    first, last = log.rows(span)[0]
    for entry in log.entries(first, last + 1, kinds=("check",), disclose=False) if last is not None else ():
        if since <= entry.at < until:
            done += 1
            try:
                found = replay(entry.body, policies).differences
                why = tuple(f"{one.path}: was {one.then!r}, is {one.now!r}" for one in found)
            except (BadPolicy, KeyError, TypeError, ValueError) as error:
                why = (f"cannot be decided again: {type(error).__name__}: {error}",)
            if why:
                differing.append(Differing(entry.position, entry.id, why))
            if done % BATCH == 0:
                progress(done)
    named = [{"position": one.position, "id": one.id} for one in differing[:NAMED]]
    body = {"since": moment(since), "until": moment(until), "by": by, "named": named}
    recorded = log.append("log.replayed", body | {"checks": done, "differing": len(differing)})
    return done, differing, recorded.id
