"""The audit log: everything that was decided, in order; entries, heads, and the receipts and proofs that show it."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from ulid import ULID

from compliance.audit import document, keys, turn, witnesses
from compliance.audit.checks import CheckReads
from compliance.audit.entry import Entry, draft
from compliance.audit.projection import catch_up
from compliance.audit.table import audit_disclosure, audit_entry, check_record
from compliance.errors import LogBroken, LogUnavailable, Misconfigured
from compliance.gate import Recorded
from compliance.law.codec import from_json
from compliance.law.facts import Evidence
from compliance.proof import export, merkle
from compliance.proof.note import b64
from compliance.proof.receipt import disclosed, new_code

if TYPE_CHECKING:
    from config import Settings

Body = Mapping[str, Any]
Seen = Callable[[str, Body], None]
BATCH, LARGEST = 2_000, 2**62  # entries read at once; no position is higher
log = logging.getLogger(__name__)
_e, _c, _d = audit_entry.c, check_record.c, audit_disclosure.c
_newest = sa.select(_e.pos, _e.root).order_by(_e.pos.desc()).limit(1)
_same_question = _c.question == sa.bindparam("question"), _c.received_at >= sa.bindparam("since")
_evidence = sa.select(_e.body).join(check_record, _c.pos == _e.pos).where(*_same_question)
_evidence = _evidence.order_by(_c.received_at.desc(), _c.pos.desc()).limit(1)
_hash, _strings = sa.select(_e.pos, _e.leaf_hash, _e.frontier), sa.select(_d.entry_id, _d.disclosure)


class AuditLog(CheckReads):
    """The log of one deployment; implements the gate's `Log`. Thread-safe. Needs no tables until it is used. `closed`
    says why nothing is appended, else "". The signer's memory is kept once `check_start` has passed. `seen` is told of
    every entry made durable."""

    def __init__(
        self, engine: sa.Engine, settings: Settings, clock: Callable[[], datetime], seen: Seen = lambda kind, body: None
    ) -> None:
        self.engine, self.settings, self.clock, self.seen = engine, settings, clock, seen
        self.origin, self.turns, self.closed = settings.log_origin, turn.Turns(engine), ""
        self.keyring = keys.Keyring(settings.log_signing_key, settings.log_origin, settings.public_url)
        self._look_at, self._remember_at, self._newest = 0.0, float("inf"), (0, merkle.EMPTY_ROOT)
        self._looking, self._remembering = threading.Lock(), threading.Lock()
        self._later = threading.Timer(0, self.remember_now)

    def check_start(self) -> None:
        """To be called by each process that serves or works, before its first append; `_open` says what it looks at.
        Raises Misconfigured when the service must not start. Whatever else is wrong closes the log: it is read, and it
        is looked at again, at most once a second, until it is as it must be."""
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
            turn.check_place(self.engine, self.settings.demo)
            size, _ = self.head()
        except SQLAlchemyError as error:
            why = f"cannot be read ({type(error).__name__}); is it there, and migrated by flask db upgrade?"
            raise Misconfigured(f"DATABASE_URL: the database {why}") from error
        self.keyring.signers  # noqa: B018 (raises)
        if keys.undeclared(self):
            raise Misconfigured("LOG_ORIGIN was changed, but no entry says why; end it: flask log incident")
        for newest in self.entries_at([size - 1]):
            if newest.at - self.clock() > export.BACKWARDS:
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
        self, kind: str, body: Body, *, entry_id: str = "", private: Body | None = None, at: datetime | None = None
    ) -> Recorded:
        """Make an entry durable, then return it; a second append of the same id (default: a new one) returns the first.
        `document` is a check's answer (contract §2), else "". Raises LogUnavailable: no answer then."""
        self.check_open()
        if kind == "check":
            body = {**body, "receipt_code": new_code()}
        entry_id, private = entry_id or str(ULID()), private or {}
        written = draft(kind, body, entry_id=entry_id, private=private, at=at or self.clock())

        def finish(stored: Entry) -> Entry:
            return self.answered(replace(stored, disclosed=private))

        newest = self._newest
        try:
            self.keyring.signers  # noqa: B018 (raises before anything is written)
            try:
                entry, fresh = self.turns.append(written, finish)
            except DBAPIError as error:  # once more when the server went away: the entry's id makes that harmless
                if not error.connection_invalidated:
                    raise
                entry, fresh = self.turns.append(written, finish)
            if fresh and entry.position < newest[0]:  # an older copy, a replica that was behind: no answer leaves
                self.keyring.remember(*newest)
                self.closed, self._newest = f"the database has lost entries, it had {newest[0]}", (0, merkle.EMPTY_ROOT)
                raise LogBroken(self.closed)
            with self._remembering:
                self._newest = max(self._newest, (entry.position + 1, entry.root))
                if time.monotonic() >= self._remember_at:
                    self.keyring.remember(*self._newest)
                    self._remember_at = time.monotonic() + 1.0
                elif self._remember_at < float("inf") and not self._later.is_alive():
                    self._later = threading.Timer(1.0, self.remember_now)
                    self._later.start()
        except (SQLAlchemyError, OSError, LogBroken, Misconfigured) as error:
            log.exception("the log cannot be written")
            raise LogUnavailable(f"the log cannot be written ({type(error).__name__})") from error
        self.seen(kind, body)
        return Recorded(entry_id, entry.position, entry.document)

    def remember_now(self) -> None:
        """Keep the newest head that was appended here; a second after it at the latest, and no process ends before."""
        try:
            with self._remembering:
                if self._newest[0] and self.keyring.signers:
                    self.keyring.remember(*self._newest)
        except (OSError, LogBroken, Misconfigured):
            log.exception("the signer's memory cannot be written")

    def answered(self, entry: Entry) -> Entry:
        """The entry; a check with the answer that belongs to it, signed by today's key."""
        if entry.kind != "check":
            return entry
        made = document.build(entry, {}, self.origin)
        answered = replace(entry, document=document.text(made | {"receipt": self.keyring.receipt(made, entry)}))
        answered.__dict__["body"] = entry.body  # spares reading the JSON again
        return answered

    def last_evidence(self, question_key: str, since: datetime) -> Evidence | None:
        """The last understood fresh answer to the same question that was received at or after `since`."""
        with self.turns.reading.connect() as connection:
            raw = connection.scalar(_evidence, {"question": question_key, "since": since})
        return None if raw is None else from_json(Evidence, json.loads(raw)["facts"]["evidence"])

    def head(self) -> tuple[int, bytes]:
        """Size and root now."""
        found = self.rows(_newest)
        return (found[0].pos + 1, found[0].root) if found else (0, merkle.EMPTY_ROOT)

    def durable_head(self) -> tuple[int, bytes]:
        """Size and root of what no crash can take back: only such a head is signed, remembered or published."""
        head = self.head()
        self.turns.durable()
        return head

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` entries. Raises LogBroken when there are fewer."""
        found = self.rows(sa.select(_e.root).where(_e.pos == size - 1))
        if size and not found:
            raise LogBroken(f"the log has fewer than {size} entries")
        return found[0].root if found else merkle.EMPTY_ROOT

    def checkpoint(self) -> str:
        """The newest head, signed now."""
        return self.keyring.head(*self.durable_head())

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that entry `index` is in the tree of `size`. Raises LogBroken when it is not."""
        return self.inclusions([index], size)[0]

    def inclusions(self, indexes: Iterable[int], size: int) -> list[list[bytes]]:
        """The proofs of some entries, few enough for one query: what they share is looked up once. Raises LogBroken."""
        spans = [merkle.inclusion_spans(index, size) for index in indexes]
        needed = list(dict.fromkeys(itertools.chain(*spans)))
        hashes = dict(zip(needed, self._hashes(needed), strict=True))
        return [[hashes[span] for span in each] for each in spans]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of `new` entries begins with that of `old`. Raises LogBroken."""
        return self._hashes(merkle.consistency_spans(old, new))

    def tile(self, level: int, index: int, width: int) -> bytes:
        """A hash tile (C2SP tlog-tiles). Raises LogBroken when the log does not reach so far."""
        size, first = 1 << (8 * level), index * export.WIDTH
        return b"".join(self._hashes([(at * size, at * size + size) for at in range(first, first + width)]))

    def bundle(self, index: int, width: int) -> bytes:
        """An entry bundle: up to 256 bodies, each after its length. For auditors only. Raises LogBroken as `tile`."""
        first = min(index * export.WIDTH, LARGEST)
        bodies = [entry.raw for entry in self.entries(first, first + width, disclose=False)]
        if len(bodies) != width:
            raise LogBroken("the log does not reach so far")
        return export.bundle(bodies)

    def _hashes(self, spans: list[merkle.Span]) -> list[bytes]:
        """Each span ends with a row whose frontier holds the rest of it."""
        last = {end - 1 for _, end in spans if end <= LARGEST}
        ends = {pos + 1: tree for pos, *tree in self.rows(_hash.where(_e.pos.in_(last)))}
        if any(end not in ends for _, end in spans):
            raise LogBroken("the log does not reach so far")
        return [merkle.subtree(start, end, *ends[end]) for start, end in spans]

    def package(self, entry_id: str) -> dict[str, Any] | None:
        """An entry with its proof against the newest head, as `proof.receipt` verifies it."""
        if (entry := self.entry(entry_id)) is None:
            return None
        size, root = self.durable_head()
        return {
            **{"body": b64(entry.raw), "index": entry.position, "leaf_hash": b64(entry.leaf_hash)},
            "proof": [b64(step) for step in self.inclusion(entry.position, size)],
            "checkpoint": self.keyring.head(size, root),
            "disclosures": self.disclosures([entry_id]).get(entry_id, []),
        }

    def entry(self, entry_id: str) -> Entry | None:
        """One entry by its id, with what has not been erased of it."""
        return next(iter(self._read(audit_entry.select().where(_e.entry_id == entry_id))), None)

    def entry_at(self, position: int) -> Entry | None:
        return next(iter(self.entries_at([position])), None)

    def entries_at(self, positions: Iterable[int]) -> list[Entry]:
        """The entries at some positions, few enough for one query, in order."""
        return self._read(audit_entry.select().where(_e.pos.in_(list(positions))).order_by(_e.pos))

    def entries(
        self, start: int = 0, stop: int = LARGEST, *, kinds: tuple[str, ...] = (), disclose: bool = True
    ) -> Iterator[Entry]:
        """Entries from position `start` until before `stop`, with their disclosures; of some kinds (`x.`: all x). Read
        in batches by key: constant memory, no long transaction."""
        whole = tuple(kind for kind in kinds if kind.endswith("."))
        query = audit_entry.select().where(_e.pos < stop).order_by(_e.pos).limit(BATCH)
        while batch := self._read(query.where(_e.pos >= start), disclose=False) if start < stop else []:
            start = batch[-1].position + 1
            wanted = [one for one in batch if not kinds or one.kind in kinds or one.kind.startswith(whole)]
            yield from self._disclosed(wanted) if disclose else wanted

    def _read(self, query: sa.Select[Any], disclose: bool = True) -> list[Entry]:
        found = [Entry(*row) for row in self.rows(query)]
        return self._disclosed(found) if disclose else found

    def _disclosed(self, entries: list[Entry]) -> list[Entry]:
        """Add the disclosures that are left, one query for all."""
        strings = self.disclosures(entry.id for entry in entries if b'"sd":{' in entry.raw)
        values = {entry_id: dict(disclosed(text) for text in texts) for entry_id, texts in strings.items()}
        return [replace(entry, disclosed=values[entry.id]) if entry.id in values else entry for entry in entries]

    def disclosures(self, entry_ids: Iterable[str]) -> dict[str, list[str]]:
        """The disclosure strings (RFC 9901) that have not been erased, by entry."""
        found, ids = defaultdict[str, list[str]](list), list(entry_ids)
        for entry_id, text in self.rows(_strings.where(_d.entry_id.in_(ids))) if ids else ():
            found[entry_id].append(text)
        return found
