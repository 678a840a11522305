"""A log recomputed from its bodies; a log in a folder (C2SP tlog-tiles), verified by outsiders with a public key alone.

`python -m compliance.proof.export FOLDER PUBLIC-KEY` verifies one without a database or the rest of the program.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path

from compliance.errors import LogBroken
from compliance.proof import tiles
from compliance.proof.merkle import grow, root_of
from compliance.proof.note import Head, VerifierKey, open_head

Progress = Callable[[int], None]
BACKWARDS = timedelta(seconds=120)  # how far an entry's time may lie before an earlier entry's
_AT = b'"at":"'


class Tally:
    """Feed it every body from position 0 on. `known` are roots held outside, by size: they must come out."""

    def __init__(self, known: Mapping[int, bytes] | None = None) -> None:
        self.size, self.frontier, self.latest = 0, list[bytes](), b""
        self._known = dict(known or {})

    def add(self, body: bytes) -> bytes:
        """Take the next body and return its leaf hash. Raises LogBroken with the position."""
        leaf = sha256(b"\x00" + body).digest()
        stated = self._stated(body)
        if stated >= self.latest:
            self.latest = stated
        elif _moment(self.latest) - _moment(stated) > BACKWARDS:
            late, at = self.latest.decode(), stated.decode()
            raise LogBroken(f"the entry's time {at} lies before {late} of an earlier entry", self.size)
        grow(self.frontier, self.size, leaf)
        self.size += 1
        if self.size in self._known and self._known[self.size] != self.root:
            raise LogBroken("the log differs from a head that is known outside, here or before", self.size - 1)
        return leaf

    @property
    def root(self) -> bytes:
        return root_of(self.frontier)

    def finish(self) -> None:
        """Raises LogBroken when a known head is ahead of what there was."""
        ahead = max(self._known, default=0)
        if ahead > self.size:
            raise LogBroken(f"the log has {self.size} entries, but a head of {ahead} is known outside", self.size)

    def _stated(self, body: bytes) -> bytes:
        """The entry's time. Reading JSON is needed only when the key stands more than once."""
        _, once, rest = body.partition(_AT)
        if once and _AT not in rest:
            return rest[: rest.index(b'"')]
        try:
            return str(json.loads(body)["at"]).encode()
        except (ValueError, KeyError, TypeError) as error:
            raise LogBroken("the entry states no time", self.size) from error


def _moment(text: bytes) -> datetime:
    return datetime.fromisoformat(text.decode())


def write(
    folder: Path, bodies: Iterable[bytes], checkpoint: str, keys: Sequence[VerifierKey], progress: Progress
) -> None:
    """Write the entries that `checkpoint` speaks of, their tiles and the keys. Raises LogBroken when they differ."""
    head, tally, subtrees, left = open_head(checkpoint, keys), Tally(), list[bytes](), iter(bodies)
    while bundle := list(islice(left, tiles.WIDTH)):
        at = tally.size // tiles.WIDTH
        _put(folder / tiles.path("entries", at, len(bundle)), tiles.bundle(bundle))
        subtrees += _put_tile(folder, 0, at, [tally.add(body) for body in bundle])
        progress(tally.size)
    level = 1
    while subtrees:
        rows = [subtrees[start : start + tiles.WIDTH] for start in range(0, len(subtrees), tiles.WIDTH)]
        subtrees = [root for at, row in enumerate(rows) for root in _put_tile(folder, level, at, row)]
        level += 1
    if (tally.size, tally.root) != (head.size, head.root):
        raise LogBroken("the entries are not those of the head", tally.size)
    _put(folder / "checkpoint", checkpoint.encode())
    _put(folder / "keys", "".join(f"{key}\n" for key in keys).encode())


def _put_tile(folder: Path, level: int, index: int, hashes: list[bytes]) -> list[bytes]:
    """Write a tile; the root over it when it is full."""
    _put(folder / tiles.path(level, index, len(hashes)), b"".join(hashes))
    frontier = list[bytes]()
    for position, one in enumerate(hashes):
        grow(frontier, position, one)
    return [root_of(frontier)] if len(hashes) == tiles.WIDTH else []


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def verify(folder: Path, keys: Sequence[VerifierKey], known: Mapping[int, bytes], progress: Progress) -> Head:
    """Recompute an export from its bodies and compare it with its head, its tiles and `known` heads (root by size).

    Raises LogBroken with the first bad position: the first whose leaf is not the one in the tiles, if the tiles lead to
    the head.
    """
    try:
        head = open_head((folder / "checkpoint").read_text(encoding="utf-8"), keys)
    except OSError as error:
        raise LogBroken(f"{error.filename} cannot be read") from error
    tally, leaves = Tally(known), b""
    for body in bodies_in(folder, head.size):
        at = tally.size % tiles.WIDTH
        if at == 0:
            leaves = _read(folder, 0, tally.size, head.size)
            progress(tally.size)
        if tally.add(body) != leaves[32 * at : 32 * at + 32]:
            raise LogBroken("the body is not the one in the tree", tally.size - 1)
    tally.finish()
    if tally.root != head.root:
        raise LogBroken("the entries do not lead to the signed head")
    return head


def bodies_in(folder: Path, size: int) -> Iterator[bytes]:
    """The entries of an export, in order. Raises LogBroken when one is missing."""
    for start in range(0, size, tiles.WIDTH):
        bundle = tiles.unbundle(_read(folder, "entries", start, size))
        if len(bundle) != min(tiles.WIDTH, size - start):
            raise LogBroken("a bundle does not hold its entries", start)
        yield from bundle


def _read(folder: Path, level: int | str, start: int, size: int) -> bytes:
    name = tiles.path(level, start // tiles.WIDTH, min(tiles.WIDTH, size - start))
    if not (folder / name).exists():
        raise LogBroken(f"{name} is missing", start)
    return (folder / name).read_bytes()


def main(folder: str, *keys: str) -> int:
    """Verify an export. Exit status 0 verified, 1 broken."""
    try:
        trusted = [VerifierKey.parse(key) for key in keys]
        head = verify(Path(folder), trusted, {}, lambda size: print(f"\r{size}", end="", file=sys.stderr))
    except LogBroken as error:
        print(f"BROKEN: {error}" + ("" if error.position is None else f" (position {error.position})"))
        return 1
    print(f"verified: {head.origin}, {head.size} entries")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m compliance.proof.export FOLDER PUBLIC-KEY …")
    sys.exit(main(*sys.argv[1:]))
