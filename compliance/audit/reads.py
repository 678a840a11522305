"""Reading the log: entries, heads and proofs; every proof comes from a few rows by primary key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, Select, select

from compliance.audit.entry import Entry, disclosed
from compliance.audit.signing import Keyring
from compliance.audit.table import audit_disclosure, audit_entry
from compliance.audit.turn import Turns
from compliance.errors import LogBroken
from compliance.proof import tiles
from compliance.proof.merkle import EMPTY_ROOT, Span, consistency_spans, fold_complete, inclusion_spans, prove, split
from compliance.proof.note import b64

BATCH = 2_000
LARGEST = 2**62  # no position is higher
_entry = select(audit_entry.c.pos, audit_entry.c.entry_id, audit_entry.c.body, audit_entry.c.leaf_hash)


class LogReads:
    """What anybody may read of a log; base of AuditLog."""

    engine: Engine
    keyring: Keyring
    turns: Turns

    def head(self) -> tuple[int, bytes]:
        """Size and root now."""
        newest = select(audit_entry.c.pos, audit_entry.c.root).order_by(audit_entry.c.pos.desc()).limit(1)
        with self.engine.connect() as connection:
            row = connection.execute(newest).one_or_none()
        return (row.pos + 1, row.root) if row else (0, EMPTY_ROOT)

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` entries. Raises LogBroken when there are fewer."""
        if size == 0:
            return EMPTY_ROOT
        with self.engine.connect() as connection:
            root: bytes | None = connection.scalar(select(audit_entry.c.root).where(audit_entry.c.pos == size - 1))
        if root is None:
            raise LogBroken(f"the log has fewer than {size} entries")
        return root

    def durable_head(self) -> tuple[int, bytes]:
        """Size and root of what no crash can take back: only such a head is signed, remembered or published."""
        head = self.head()
        with self.turns.connect() as connection:
            self.turns.durable(connection)
        return head

    def checkpoint(self) -> str:
        """The newest head, signed now."""
        return self.keyring.head(*self.durable_head())

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that entry `index` is in the tree of `size`. Raises LogBroken when it is not."""
        return prove(inclusion_spans(index, size), self._subtrees)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of `new` entries begins with that of `old`. Raises LogBroken."""
        return prove(consistency_spans(old, new), self._subtrees)

    def tile(self, level: int, index: int, width: int) -> bytes:
        """A hash tile (C2SP tlog-tiles). Raises LogBroken when the log does not reach so far."""
        spans = tiles.spans(level, index, width)
        known = self._subtrees(spans)
        return b"".join(known[span] for span in spans)

    def bundle(self, index: int, width: int) -> bytes:
        """An entry bundle: up to 256 bodies, each after its length. For auditors only."""
        first = min(index * tiles.WIDTH, LARGEST)
        bodies = [entry.raw for entry in self.entries(first, first + width)]
        if len(bodies) != width:
            raise LogBroken("the log does not reach so far")
        return tiles.bundle(bodies)

    def _subtrees(self, spans: Iterable[Span]) -> dict[Span, bytes]:
        wanted = list(spans)
        if any(end > LARGEST for _, end in wanted):
            raise LogBroken("the log does not reach so far")
        rows = select(audit_entry.c.pos, audit_entry.c.leaf_hash, audit_entry.c.frontier)
        with self.engine.connect() as connection:
            found = connection.execute(rows.where(audit_entry.c.pos.in_({end - 1 for _, end in wanted})))
            last = {pos: (leaf, frontier) for pos, leaf, frontier in found}
        try:
            return {span: self._complete(span, *last[span[1] - 1]) for span in wanted}
        except KeyError as error:
            raise LogBroken("the log does not reach so far") from error

    @staticmethod
    def _complete(span: Span, leaf: bytes, frontier: bytes) -> bytes:
        return fold_complete(leaf, split(frontier), (span[1] - span[0]).bit_length() - 1)

    def entry(self, entry_id: str) -> Entry | None:
        """One entry by its id, with what has not been erased of it."""
        return self._one(_entry.where(audit_entry.c.entry_id == entry_id))

    def entry_at(self, position: int) -> Entry | None:
        return self._one(_entry.where(audit_entry.c.pos == position))

    def entries_at(self, positions: Iterable[int]) -> list[Entry]:
        """The entries at some positions, few enough for one query, in order."""
        query = _entry.where(audit_entry.c.pos.in_(list(positions))).order_by(audit_entry.c.pos)
        with self.engine.connect() as connection:
            found = [Entry(*row) for row in connection.execute(query)]
        return self._with_disclosures(found)

    def _one(self, query: Select[int, str, bytes, bytes]) -> Entry | None:
        with self.engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            return self._with_disclosures([Entry(*row)])[0] if row else None

    def package(self, entry_id: str) -> dict[str, Any] | None:
        """An entry with its proof against the newest head, as `proof.package` verifies it."""
        entry = self.entry(entry_id)
        if entry is None:
            return None
        size, root = self.durable_head()
        return {
            "body": b64(entry.raw),
            "index": entry.position,
            "leaf_hash": b64(entry.leaf_hash),
            "proof": [b64(step) for step in self.inclusion(entry.position, size)],
            "checkpoint": self.keyring.head(size, root),
            "disclosures": self.disclosures([entry_id]).get(entry_id, []),
        }

    def entries(
        self, start: int = 0, stop: int | None = None, *, kinds: tuple[str, ...] = (), disclose: bool = True
    ) -> Iterator[Entry]:
        """Entries from position `start` until before `stop`, with their disclosures; of some kinds (`x.`: all x).

        Read in batches by key: constant memory, no long transaction.
        """
        while stop is None or start < stop:
            query = _entry.where(audit_entry.c.pos >= start).order_by(audit_entry.c.pos).limit(BATCH)
            if stop is not None:
                query = query.where(audit_entry.c.pos < stop)
            with self.engine.connect() as connection:
                batch = [Entry(*row) for row in connection.execute(query)]
            if not batch:
                return
            start = batch[-1].position + 1
            wanted = [entry for entry in batch if not kinds or _is_of(entry.kind, kinds)]
            yield from self._with_disclosures(wanted) if disclose else wanted

    def _with_disclosures(self, entries: list[Entry]) -> list[Entry]:
        """Add the disclosures that are left, one query for all."""
        ids = {entry.id for entry in entries if b'"sd":{' in entry.raw}
        if not ids:
            return entries
        strings = self.disclosures(ids)
        values = {key: dict(disclosed(text) for text in texts) for key, texts in strings.items()}
        return [replace(entry, disclosed=values.get(entry.id, {})) for entry in entries]

    def disclosures(self, entry_ids: Iterable[str]) -> dict[str, list[str]]:
        """The disclosure strings (RFC 9901) that have not been erased, by entry."""
        query = select(audit_disclosure.c.entry_id, audit_disclosure.c.disclosure)
        found: dict[str, list[str]] = {}
        with self.engine.connect() as connection:
            for entry_id, text in connection.execute(query.where(audit_disclosure.c.entry_id.in_(list(entry_ids)))):
                found.setdefault(entry_id, []).append(text)
        return found


def _is_of(kind: str, kinds: tuple[str, ...]) -> bool:
    return any(kind.startswith(wanted) if wanted.endswith(".") else kind == wanted for wanted in kinds)
