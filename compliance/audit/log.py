"""The audit log: everything that was decided, in order, and the receipts that prove it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from compliance.audit import document
from compliance.audit.append import append, settle
from compliance.audit.checks import CheckReads
from compliance.audit.entry import Entry, draft
from compliance.audit.reads import LogReads
from compliance.audit.signing import Keyring
from compliance.audit.table import audit_entry, check_record
from compliance.errors import LogUnavailable
from compliance.gate import Recorded
from compliance.law.codec import from_json
from compliance.law.facts import Evidence
from compliance.proof.merkle import split
from compliance.proof.receipt import new_code

if TYPE_CHECKING:
    from config import Settings


class AuditLog(LogReads, CheckReads):
    """The log of one deployment; implements the gate's `Log`. Thread-safe. Needs no tables until it is used."""

    def __init__(self, engine: Engine, settings: Settings, clock: Callable[[], datetime]) -> None:
        self.engine, self.settings, self.clock = engine, settings, clock
        self.keyring = Keyring(settings.log_signing_key, settings.log_origin, settings.public_url)

    @property
    def origin(self) -> str:
        return self.settings.log_origin

    def append(
        self, kind: str, body: Mapping[str, Any], *, entry_id: str, private: Mapping[str, Any], at: datetime
    ) -> Recorded:
        """Make an entry durable, then return it; a second append of the same id returns the first.

        For kind `check`, `document` is the answer (contract §2); for others "". Raises LogUnavailable: no answer then.
        """
        if kind == "check":
            body = {**body, "receipt_code": new_code()}
        written = draft(kind, body, entry_id=entry_id, private=private, at=at)
        try:
            with self.engine.connect() as connection:
                row = append(connection, written)
                entry = self._entry(row, entry_id, kind, private)
                settle(connection, kind, entry)
        except (SQLAlchemyError, OSError) as error:
            raise LogUnavailable(f"the log cannot be written ({type(error).__name__})") from error
        return Recorded(entry_id, entry.position, entry.document)

    def _entry(self, row: Mapping[str, Any], entry_id: str, kind: str, disclosed: Mapping[str, Any]) -> Entry:
        """A row as an entry; a check gets its signed answer."""
        entry = Entry(row["pos"], entry_id, row["body"], row["leaf_hash"], "", disclosed)
        if kind != "check":
            return entry
        receipt = self.keyring.receipt(entry, split(row["frontier"])[::-1], row["root"])
        answer = document.text(document.build(entry, receipt, self.origin))
        return Entry(entry.position, entry_id, entry.raw, entry.leaf_hash, answer, disclosed)

    def last_evidence(self, question_key: str, since: datetime) -> Evidence | None:
        """The last understood fresh answer to the same question that was received at or after `since`."""
        newest = (
            select(audit_entry.c.body)
            .join(check_record, check_record.c.pos == audit_entry.c.pos)
            .where(check_record.c.question == question_key, check_record.c.received_at >= since)
            .order_by(check_record.c.received_at.desc(), check_record.c.pos.desc())
            .limit(1)
        )
        with self.engine.connect() as connection:
            raw = connection.scalar(newest)
        if raw is None:
            return None
        evidence: Evidence = from_json(Evidence, Entry(0, "", raw, b"").body["facts"]["evidence"])
        return evidence
