"""The audit log: everything that was decided, in order, and the receipts that prove it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from compliance.audit import document
from compliance.audit.append import append
from compliance.audit.checks import CheckReads
from compliance.audit.entry import Draft, Entry, draft
from compliance.audit.opening import open_for_service
from compliance.audit.reads import LogReads
from compliance.audit.signing import Keyring
from compliance.audit.table import audit_entry, check_record
from compliance.audit.turn import turns
from compliance.errors import LogUnavailable, Misconfigured
from compliance.gate import Recorded
from compliance.law.codec import from_json
from compliance.law.facts import Evidence
from compliance.proof.merkle import split
from compliance.proof.receipt import new_code

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger(__name__)


class AuditLog(LogReads, CheckReads):
    """The log of one deployment; implements the gate's `Log`. Thread-safe. Needs no tables until it is used.

    `closed` says why nothing is appended, else "". The signer's memory is kept once `check_start` has passed.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Callable[[], datetime],
        seen: Callable[[str, Mapping[str, Any]], None] = lambda kind, body: None,
    ) -> None:
        self.engine, self.settings, self.clock, self.seen = engine, settings, clock, seen
        self.keyring = Keyring(settings.log_signing_key, settings.log_origin, settings.public_url)
        self._turns = turns(engine)
        self.closed = ""
        self._remember_at: float | None = None

    @property
    def origin(self) -> str:
        return self.settings.log_origin

    def check_start(self) -> None:
        """To be called by each process that serves or works, before its first append; `opening` says what it does."""
        self._remember_at = 0.0
        open_for_service(self)

    def check_ready(self) -> None:
        """Read the newest entry and sign it: database, tables and key are there. Raises LogUnavailable when closed."""
        if self.closed:
            raise LogUnavailable(f"the log takes no entries: {self.closed}")
        self.checkpoint()

    def remember(self, size: int, root: bytes) -> None:
        """Tell the signer's memory of a head, at most once a second."""
        now = time.monotonic()
        if self._remember_at is not None and now >= self._remember_at and size:
            self._remember_at = now + 1.0
            self.keyring.remember(size, root)

    def append(
        self, kind: str, body: Mapping[str, Any], *, entry_id: str, private: Mapping[str, Any], at: datetime
    ) -> Recorded:
        """Make an entry durable, then return it; a second append of the same id returns the first.

        For kind `check`, `document` is the answer (contract §2); for others "". Raises LogUnavailable: no answer then.
        """
        if self.closed:
            raise LogUnavailable(f"the log takes no entries: {self.closed}")
        if kind == "check":
            body = {**body, "receipt_code": new_code()}
        written = draft(kind, body, entry_id=entry_id, private=private, at=at)
        last: Mapping[str, Any] = {}

        def finish(row: Mapping[str, Any]) -> Entry:
            nonlocal last
            last = row
            return self._answered(Entry(row["pos"], entry_id, row["body"], row["leaf_hash"], "", private), row)

        try:
            self.keyring.signers  # noqa: B018 (raises before anything is written)
            entry = self._write(written, finish)
            self.remember(last["pos"] + 1, last["root"])
        except (SQLAlchemyError, OSError, Misconfigured) as error:
            log.exception("the log cannot be written")
            raise LogUnavailable(f"the log cannot be written ({type(error).__name__})") from error
        self.seen(kind, body)
        return Recorded(entry_id, entry.position, entry.document)

    def _write(self, written: Draft, finish: Callable[[Mapping[str, Any]], Entry]) -> Entry:
        """Once more when the server went away: the entry's id makes that harmless."""
        try:
            with self._turns.connect() as connection:
                return append(connection, written, finish)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        with self._turns.connect() as connection:
            return append(connection, written, finish)

    def _answered(self, entry: Entry, row: Mapping[str, Any]) -> Entry:
        """A check with its signed answer; `row` holds the tree that ends with it."""
        if entry.kind != "check":
            return entry
        receipt = self.keyring.receipt(entry, split(row["frontier"])[::-1], row["root"])
        return entry.answered(document.text(document.build(entry, receipt, self.origin)))

    def answered(self, entry: Entry) -> Entry:
        """The entry with the answer that belongs to it, signed by today's key."""
        if entry.kind != "check":
            return entry
        tree = select(audit_entry.c.frontier, audit_entry.c.root).where(audit_entry.c.pos == entry.position)
        with self.engine.connect() as connection:
            return self._answered(entry, dict(connection.execute(tree).mappings().one()))

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
