"""The audit log: everything that was decided, in order, and the receipts that prove it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, bindparam, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from compliance.audit import document, witnesses
from compliance.audit.append import Row, Turns
from compliance.audit.checks import CheckReads
from compliance.audit.entry import Draft, Entry, draft
from compliance.audit.keys import Keyring, undeclared
from compliance.audit.projection import catch_up
from compliance.audit.reads import LogReads
from compliance.audit.table import audit_entry, check_record
from compliance.audit.turn import check_place
from compliance.errors import LogBroken, LogUnavailable, Misconfigured
from compliance.gate import Recorded
from compliance.law.codec import from_json
from compliance.law.facts import Evidence
from compliance.proof.export import BACKWARDS
from compliance.proof.merkle import EMPTY_ROOT, split
from compliance.proof.receipt import new_code

if TYPE_CHECKING:
    from config import Settings

log = logging.getLogger(__name__)
_c = check_record.c
_evidence = (
    select(audit_entry.c.body)
    .join(check_record, _c.pos == audit_entry.c.pos)
    .where(_c.question == bindparam("question"), _c.received_at >= bindparam("since"))
    .order_by(_c.received_at.desc(), _c.pos.desc())
    .limit(1)
)


class AuditLog(LogReads, CheckReads):
    """The log of one deployment; implements the gate's `Log`. Thread-safe. Needs no tables until it is used.

    `closed` says why nothing is appended, else "". The signer's memory is kept once `check_start` has passed. `seen` is
    told of every entry made durable.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        clock: Callable[[], datetime],
        seen: Callable[[str, Mapping[str, Any]], None] = lambda kind, body: None,
    ) -> None:
        self.engine, self.settings, self.clock, self.seen = engine, settings, clock, seen
        self.origin, self.turns, self.closed = settings.log_origin, Turns(engine), ""
        self.keyring = Keyring(settings.log_signing_key, settings.log_origin, settings.public_url)
        self._look_at, self._remember_at, self._newest = 0.0, float("inf"), (0, EMPTY_ROOT)
        self._looking, self._remembering = threading.Lock(), threading.Lock()

    def check_start(self) -> None:
        """To be called by each process that serves or works, before its first append; `_open` says what it looks at.

        Raises Misconfigured when the service must not start. Whatever else is wrong closes the log: it is read, and it
        is looked at again, at most once a second, until it is as it must be.
        """
        self._look_at = time.monotonic() + 1.0
        try:
            self._open()
        except Misconfigured as error:
            self.closed = str(error)
            raise
        except (LogBroken, OSError, SQLAlchemyError, KeyError, TypeError, ValueError) as error:
            self.closed = str(error) if isinstance(error, LogBroken) else f"{type(error).__name__} at the start"
            log.error("the log takes no entries: %s", self.closed, exc_info=not isinstance(error, LogBroken))
        else:
            self.closed, self._remember_at = "", 0.0

    def _open(self) -> None:
        """Raises Misconfigured when the service must not start, LogBroken when the database is behind a head known
        outside: then nothing is appended until it is restored, or an incident is declared."""
        try:
            check_place(self.engine, self.settings.demo)
            size, _ = self.head()
        except SQLAlchemyError as error:
            why = (
                f"the database cannot be read ({type(error).__name__}); is it there, and migrated by flask db upgrade?"
            )
            raise Misconfigured(f"DATABASE_URL: {why}") from error
        self.keyring.signers  # noqa: B018 (raises)
        if undeclared(self):
            raise Misconfigured("LOG_ORIGIN was changed, but no entry says why; end it: flask log incident")
        for newest in self.entries(max(size - 1, 0), size):
            if newest.at - self.clock() > BACKWARDS:
                last = f"{newest.at:%Y-%m-%dT%H:%M:%SZ}"
                raise Misconfigured(f"this machine's clock is behind the log's last entry of {last}; set it right")
        known = self.keyring.remembered()
        size, root = self.durable_head()  # read after the memory, which other processes write
        if known and known.origin == self.origin:
            if known.size > size:
                what = f"the signer knows a head of {known.size} entries, the database has {size}"
                raise LogBroken(f"{what}; restore it, or declare the loss: flask log incident", size)
            if self.root_at(known.size) != known.root:
                what = f"the signer knows another history of the first {known.size} entries"
                raise LogBroken(f"{what}; flask log incident declares it")
        witnesses.submit(self)
        if size:
            self.keyring.remember(size, root)
        catch_up(self)

    def check_open(self) -> None:
        """Raises LogUnavailable while the log takes no entries."""
        if self.closed and time.monotonic() > self._look_at and self._looking.acquire(blocking=False):
            try:
                with suppress(Misconfigured):
                    self.check_start()
            finally:
                self._looking.release()
        if self.closed:
            raise LogUnavailable(f"the log takes no entries: {self.closed}")

    def check_ready(self) -> None:
        """Read the newest entry, make it durable and sign it: database and key are there. Raises LogUnavailable."""
        self.check_open()
        self.checkpoint()

    def append(
        self, kind: str, body: Mapping[str, Any], *, entry_id: str, private: Mapping[str, Any], at: datetime
    ) -> Recorded:
        """Make an entry durable, then return it; a second append of the same id returns the first.

        For kind `check`, `document` is the answer (contract §2); for others "". Raises LogUnavailable: no answer then.
        """
        self.check_open()
        if kind == "check":
            body = {**body, "receipt_code": new_code()}
        written, newest = draft(kind, body, entry_id=entry_id, private=private, at=at), self._newest
        tree: Row = {}

        def finish(row: Row) -> Entry:
            nonlocal tree
            tree = row
            return self._answered(Entry(row["pos"], entry_id, row["body"], row["leaf_hash"], "", private), row)

        try:
            self.keyring.signers  # noqa: B018 (raises before anything is written)
            entry, fresh = self._write(written, finish)
            if fresh and entry.position < newest[0]:
                self._fallen_back(newest)
            self._newest = max(self._newest, (entry.position + 1, tree["root"]))
            if time.monotonic() >= self._remember_at and self._remembering.acquire(blocking=False):
                try:
                    self.keyring.remember(*self._newest)
                    self._remember_at = time.monotonic() + 1.0
                finally:
                    self._remembering.release()
        except (SQLAlchemyError, OSError, LogBroken, Misconfigured) as error:
            log.exception("the log cannot be written")
            raise LogUnavailable(f"the log cannot be written ({type(error).__name__})") from error
        self.seen(kind, body)
        return Recorded(entry_id, entry.position, entry.document)

    def _write(self, written: Draft, finish: Callable[[Row], Entry]) -> tuple[Entry, bool]:
        """Once more when the server went away: the entry's id makes that harmless."""
        try:
            return self.turns.append(written, finish)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return self.turns.append(written, finish)

    def _fallen_back(self, newest: tuple[int, bytes]) -> None:
        """The database lost entries that were durable (an older copy, a replica that was behind): no answer leaves."""
        self.keyring.remember(*newest)
        self.closed, self._newest = f"the database has lost entries, it had {newest[0]}", (0, EMPTY_ROOT)
        raise LogBroken(self.closed)

    def _answered(self, entry: Entry, row: Row) -> Entry:
        """A check with its signed answer; `row` holds the tree that ends with it."""
        if entry.kind != "check":
            return entry
        made, proof = document.build(entry, {}, self.origin), split(row["frontier"])[::-1]
        made["receipt"] = self.keyring.receipt(made, entry.body["receipt_code"], proof, row["root"])
        return entry.answered(document.text(made))

    def answered(self, entry: Entry) -> Entry:
        """The entry with the answer that belongs to it, signed by today's key."""
        if entry.kind != "check":
            return entry
        tree = select(audit_entry.c.frontier, audit_entry.c.root).where(audit_entry.c.pos == entry.position)
        with self.engine.connect() as connection:
            return self._answered(entry, dict(connection.execute(tree).mappings().one()))

    def last_evidence(self, question_key: str, since: datetime) -> Evidence | None:
        """The last understood fresh answer to the same question that was received at or after `since`."""
        with self.turns.reading.connect() as connection:
            raw = connection.scalar(_evidence, {"question": question_key, "since": since})
        if raw is None:
            return None
        evidence: Evidence = from_json(Evidence, Entry(0, "", raw, b"").body["facts"]["evidence"])
        return evidence
