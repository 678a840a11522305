"""Personal values leave the log without disturbing a proof: the disclosure goes, the commitment stays."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import select, tuple_

from compliance.audit.entry import Entry
from compliance.audit.log import AuditLog
from compliance.audit.table import audit_disclosure, check_record
from compliance.law.policy import Policy
from compliance.proof.receipt import disclosed

_BATCH, _READ = 300, 5000  # entries named by one log.erasure, so that it stays within its size; rows read at once
_d, _c = audit_disclosure.c, check_record.c
_numbers = select(_d.entry_id, _d.field, _d.disclosure).where(_d.field.in_(("nik", "npwp")))
_numbers = _numbers.order_by(_d.entry_id, _d.field).limit(_READ)


def erase(audit: AuditLog, entries: Iterable[Entry], *, ground: str, by: str, fields: Sequence[str] = ()) -> int:
    """Erase the personal values (all, or those in `fields`) of entries, for a stated ground. Returns how many entries.
    `by` is the id of who ordered it. The erasure is itself an entry, which names positions and fields, never values."""
    named = ((entry, sorted(entry.disclosed.keys() & fields if fields else entry.disclosed)) for entry in entries)
    wanted = ({"position": entry.position, "id": entry.id, "fields": gone} for entry, gone in named if gone)
    done = 0
    while erased := list(islice(wanted, _BATCH)):
        audit.append("log.erasure", {"erased": erased, "ground": ground, "by": by})
        done += len(erased)
    return done


def outlived(audit: AuditLog, region: str, before: datetime) -> Iterator[Entry]:
    """The checks of a region, made before a moment, of which personal values are left: what retention erases."""
    left = select(_d.entry_id).where(_d.entry_id == _c.id).exists()
    query = select(_c.pos).where(_c.region == region, _c.checked_at < before, left).order_by(_c.pos)
    positions = (row.pos for row in audit.rows(query))
    while batch := list(islice(positions, _BATCH)):
        yield from audit.entries_at(batch)


def retire(audit: AuditLog, policy: Policy, *, by: str) -> dict[str, int]:
    """Erase what each region has kept as long as its schedule says (`retention_years`). Returns entries by region."""
    done, now = {}, audit.clock()
    for region in policy.regions:
        years = policy.on(policy.today(region, now), region).values["retention_years"]
        old = outlived(audit, region, now - timedelta(days=years * 365.25))
        done[region] = erase(audit, old, ground=f"retention_years: {years}", by=by)
    return done


def about(audit: AuditLog, nik: str, *, by: str) -> list[dict[str, Any]]:
    """Who asked about this person, when and why: for the answer within 3 x 24 hours. The look is an entry itself."""
    ids, found, last = set[str](), [], ("", "")  # a salted value has no index: all are read, a few at once
    while rows := audit.rows(_numbers.where(tuple_(_d.entry_id, _d.field) > last)):
        ids |= {row.entry_id for row in rows if disclosed(row.disclosure)[1] == nik}
        last = (rows[-1].entry_id, rows[-1].field)
    for entry in filter(None, map(audit.entry, ids)):
        if entry.kind == "check":
            told = {"position": entry.position, **{name: entry.body[name] for name in ("at", "asker", "reference")}}
            told |= {name: entry.body["facts"]["application"][name] for name in ("region", "permit_type")}
            recorded = sorted(entry.disclosed.keys() - {"question"})
            found.append(told | {"verdict": entry.body["decision"]["verdict"], "recorded": recorded})
    found.sort(key=lambda row: int(row["position"]))
    body = {"by": by, "positions": [row["position"] for row in found][:5000]}
    audit.append("access.person_report", body, private={"nik": nik})
    return found
