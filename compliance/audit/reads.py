"""Reading the log: entries, heads and proofs; every proof comes from a few rows by primary key."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, Select, select

from compliance.audit.append import Turns
from compliance.audit.entry import Entry
from compliance.audit.keys import Keyring
from compliance.audit.table import audit_disclosure, audit_entry
from compliance.errors import LogBroken
from compliance.proof.export import WIDTH, bundle
from compliance.proof.merkle import EMPTY_ROOT, Span, consistency_spans, inclusion_spans, subtree
from compliance.proof.note import b64
from compliance.proof.receipt import disclosed

BATCH = 2_000
LARGEST = 2**62  # no position is higher
_c, _d = audit_entry.c, audit_disclosure.c
_entry = select(_c.pos, _c.entry_id, _c.body, _c.leaf_hash)
_newest = select(_c.pos, _c.root).order_by(_c.pos.desc()).limit(1)


class LogReads:
    """What anybody may read of a log; base of AuditLog."""

    engine: Engine
    keyring: Keyring
    turns: Turns

    def head(self) -> tuple[int, bytes]:
        """Size and root now."""
        with self.engine.connect() as connection:
            row = connection.execute(_newest).one_or_none()
        return (row.pos + 1, row.root) if row else (0, EMPTY_ROOT)

    def durable_head(self) -> tuple[int, bytes]:
        """Size and root of what no crash can take back: only such a head is signed, remembered or published."""
        head = self.head()
        self.turns.durable()
        return head

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` entries. Raises LogBroken when there are fewer."""
        with self.engine.connect() as connection:
            root: bytes | None = connection.scalar(select(_c.root).where(_c.pos == size - 1))
        if size and root is None:
            raise LogBroken(f"the log has fewer than {size} entries")
        return root or EMPTY_ROOT

    def checkpoint(self) -> str:
        """The newest head, signed now."""
        return self.keyring.head(*self.durable_head())

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that entry `index` is in the tree of `size`. Raises LogBroken when it is not."""
        return self._hashes(inclusion_spans(index, size))

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of `new` entries begins with that of `old`. Raises LogBroken."""
        return self._hashes(consistency_spans(old, new))

    def tile(self, level: int, index: int, width: int) -> bytes:
        """A hash tile (C2SP tlog-tiles). Raises LogBroken when the log does not reach so far."""
        size = 1 << (8 * level)
        first = index * WIDTH * size
        return b"".join(self._hashes([(first + at * size, first + at * size + size) for at in range(width)]))

    def bundle(self, index: int, width: int) -> bytes:
        """An entry bundle: up to 256 bodies, each after its length. For auditors only."""
        first = min(index * WIDTH, LARGEST)
        bodies = [entry.raw for entry in self.entries(first, first + width, disclose=False)]
        if len(bodies) != width:
            raise LogBroken("the log does not reach so far")
        return bundle(bodies)

    def _hashes(self, spans: list[Span]) -> list[bytes]:
        """Each span ends with a row whose frontier holds the rest of it."""
        last = {end - 1 for _, end in spans if end <= LARGEST}
        with self.engine.connect() as connection:
            rows = connection.execute(select(_c.pos, _c.leaf_hash, _c.frontier).where(_c.pos.in_(last)))
            ends = {pos + 1: (leaf, frontier) for pos, leaf, frontier in rows}
        if any(end not in ends for _, end in spans):
            raise LogBroken("the log does not reach so far")
        return [subtree(start, end, *ends[end]) for start, end in spans]

    def entry(self, entry_id: str) -> Entry | None:
        """One entry by its id, with what has not been erased of it."""
        return next(iter(self._disclosed(self._read(_entry.where(_c.entry_id == entry_id)))), None)

    def entry_at(self, position: int) -> Entry | None:
        return next(iter(self.entries_at([position])), None)

    def entries_at(self, positions: Iterable[int]) -> list[Entry]:
        """The entries at some positions, few enough for one query, in order."""
        return self._disclosed(self._read(_entry.where(_c.pos.in_(list(positions))).order_by(_c.pos)))

    def _read(self, query: Select[int, str, bytes, bytes]) -> list[Entry]:
        with self.engine.connect() as connection:
            return [Entry(*row) for row in connection.execute(query)]

    def package(self, entry_id: str) -> dict[str, Any] | None:
        """An entry with its proof against the newest head, as `proof.receipt` verifies it."""
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
        self, start: int = 0, stop: int = LARGEST, *, kinds: tuple[str, ...] = (), disclose: bool = True
    ) -> Iterator[Entry]:
        """Entries from position `start` until before `stop`, with their disclosures; of some kinds (`x.`: all x).

        Read in batches by key: constant memory, no long transaction.
        """
        while start < stop:
            query = _entry.where(_c.pos >= start, _c.pos < stop).order_by(_c.pos).limit(BATCH)
            if not (batch := self._read(query)):
                return
            start = batch[-1].position + 1
            wanted = [entry for entry in batch if not kinds or _is_of(entry.kind, kinds)]
            yield from self._disclosed(wanted) if disclose else wanted

    def _disclosed(self, entries: list[Entry]) -> list[Entry]:
        """Add the disclosures that are left, one query for all."""
        strings = self.disclosures(entry.id for entry in entries if b'"sd":{' in entry.raw)
        values = {entry_id: dict(disclosed(text) for text in texts) for entry_id, texts in strings.items()}
        return [replace(entry, disclosed=values[entry.id]) if entry.id in values else entry for entry in entries]

    def disclosures(self, entry_ids: Iterable[str]) -> dict[str, list[str]]:
        """The disclosure strings (RFC 9901) that have not been erased, by entry."""
        found: dict[str, list[str]] = {}
        if ids := list(entry_ids):
            with self.engine.connect() as connection:
                query = select(_d.entry_id, _d.disclosure).where(_d.entry_id.in_(ids))
                for entry_id, text in connection.execute(query):
                    found.setdefault(entry_id, []).append(text)
        return found


def _is_of(kind: str, kinds: tuple[str, ...]) -> bool:
    return any(kind.startswith(wanted) if wanted.endswith(".") else kind == wanted for wanted in kinds)
