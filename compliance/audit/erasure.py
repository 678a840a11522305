"""Personal values leave the log without disturbing a proof: the disclosure goes, the commitment stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from ulid import ULID

from compliance.audit.entry import Entry, disclosed
from compliance.audit.table import audit_disclosure, check_record

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

_BATCH = 300  # entries named by one log.erasure, so that it stays within its size


def erase(
    audit: AuditLog, entries: Sequence[Entry], *, ground: str, by: str, fields: Sequence[str] | None = None
) -> int:
    """Erase the personal values (all, or those in `fields`) of entries, for a stated ground. Returns how many entries.

    `by` is the id of who ordered it. The erasure is itself an entry, which names positions and fields, never values.
    """
    wanted = iter(entries)
    done = 0
    while batch := list(islice(wanted, _BATCH)):
        erased = []
        for entry in batch:
            gone = sorted(name for name in entry.disclosed if fields is None or name in fields)
            if gone:
                erased.append({"position": entry.position, "id": entry.id, "fields": gone})
        if erased:
            body = {"erased": erased, "ground": ground, "by": by}
            audit.append("log.erasure", body, entry_id=str(ULID()), private={}, at=audit.clock())
        done += len(erased)
    return done


def outlived(audit: AuditLog, region: str, before: datetime) -> Iterator[Entry]:
    """The checks of a region, made before a moment, of which personal values are left: what retention erases."""
    left = select(audit_disclosure.c.entry_id).where(audit_disclosure.c.entry_id == check_record.c.id).exists()
    query = select(check_record.c.pos).where(check_record.c.region == region, check_record.c.checked_at < before, left)
    with audit.engine.connect() as connection:
        positions = connection.scalars(query.order_by(check_record.c.pos)).all()
    for position in positions:
        entry = audit.entry_at(position)
        if entry:
            yield entry


def about(audit: AuditLog, nik: str, *, by: str) -> list[dict[str, Any]]:
    """Who asked about this person, when and why: for the answer within 3 x 24 hours. The look is an entry itself."""
    found = []
    for entry_id in dict.fromkeys(_naming(audit, nik)):
        entry = audit.entry(entry_id)
        if entry and entry.kind == "check":
            application = entry.body["facts"]["application"]
            found.append(
                {
                    "position": entry.position,
                    "at": entry.body["at"],
                    "asker": entry.body["asker"],
                    "region": application["region"],
                    "permit_type": application["permit_type"],
                    "reference": entry.body["reference"],
                    "verdict": entry.body["decision"]["verdict"],
                    "recorded": sorted(name for name in entry.disclosed if name != "question"),
                }
            )
    found.sort(key=lambda row: int(row["position"]))
    body = {"by": by, "positions": [row["position"] for row in found][:5000]}
    audit.append("access.person_report", body, entry_id=str(ULID()), private={"nik": nik}, at=audit.clock())
    return found


def _naming(audit: AuditLog, nik: str) -> Iterator[str]:
    """The entries that disclose this NIK, found by reading all: a salted value has no index. Constant memory."""
    table = audit_disclosure.c
    for field in ("nik", "npwp"):
        last = ""
        while True:
            query = select(table.entry_id, table.disclosure).where(table.field == field, table.entry_id > last)
            with audit.engine.connect() as connection:
                rows = connection.execute(query.order_by(table.entry_id).limit(5000)).all()
            if not rows:
                break
            yield from (entry_id for entry_id, text in rows if disclosed(text)[1] == nik)
            last = rows[-1].entry_id
