"""A log in a folder (C2SP tlog-tiles): written for outsiders, and verified by them with a public key alone.

`python -m compliance.proof.export FOLDER PUBLIC-KEY` verifies one without a database or the rest of the program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from compliance.errors import LogBroken
from compliance.proof import tiles
from compliance.proof.merkle import node_hash
from compliance.proof.note import Head, VerifierKey, open_head
from compliance.proof.tally import Tally

Progress = Callable[[int], None]


class TileWriter:
    """Makes all hash tiles of a tree from its leaf hashes, in order, holding one unfinished tile a level."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._open, self._count = folder, list[list[bytes]](), list[int]()

    def add(self, leaf: bytes, level: int = 0) -> None:
        if level == len(self._open):
            self._open.append([])
            self._count.append(0)
        self._open[level].append(leaf)
        if len(self._open[level]) == tiles.WIDTH:
            whole, self._open[level] = self._open[level], []
            self._write(level, whole)
            self._count[level] += 1
            self.add(_subtree(whole), level + 1)

    def finish(self) -> None:
        """Write the tiles that are not full."""
        for level, hashes in enumerate(self._open):
            if hashes:
                self._write(level, hashes)

    def _write(self, level: int, hashes: Sequence[bytes]) -> None:
        put(self._folder / tiles.path(level, self._count[level], len(hashes)), b"".join(hashes))


def _subtree(hashes: Sequence[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write(
    folder: Path, bodies: Iterable[bytes], checkpoint: str, keys: Sequence[VerifierKey], progress: Progress
) -> None:
    """Write the entries that `checkpoint` speaks of, their tiles and the keys. Raises LogBroken when they differ."""
    tally, writer, bundle = Tally(), TileWriter(folder), list[bytes]()
    head = open_head(checkpoint, keys)
    for body in bodies:
        writer.add(tally.add(body))
        bundle.append(body)
        if len(bundle) == tiles.WIDTH:
            put(folder / tiles.path("entries", tally.size // tiles.WIDTH - 1), tiles.bundle(bundle))
            bundle = []
            progress(tally.size)
    if bundle:
        put(folder / tiles.path("entries", tally.size // tiles.WIDTH, len(bundle)), tiles.bundle(bundle))
    writer.finish()
    if (tally.size, tally.root) != (head.size, head.root):
        raise LogBroken("the entries are not those of the head", tally.size)
    put(folder / "checkpoint", checkpoint.encode())
    put(folder / "keys", "".join(f"{key}\n" for key in keys).encode())


def bodies_in(folder: Path, size: int) -> Iterator[bytes]:
    """The entries of an export, in order. Raises LogBroken when one is missing."""
    for index in range((size + tiles.WIDTH - 1) // tiles.WIDTH):
        width = min(tiles.WIDTH, size - index * tiles.WIDTH)
        path = folder / tiles.path("entries", index, width)
        if not path.exists():
            raise LogBroken(f"{path.relative_to(folder)} is missing", index * tiles.WIDTH)
        bundle = tiles.unbundle(path.read_bytes())
        if len(bundle) != width:
            raise LogBroken("a bundle does not hold its entries", index * tiles.WIDTH)
        yield from bundle


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
            leaves = _tile(folder, tally.size, head.size)
            progress(tally.size)
        if tally.add(body) != leaves[32 * at : 32 * at + 32]:
            raise LogBroken("the body is not the one in the tree", tally.size - 1)
    tally.finish()
    if tally.root != head.root:
        raise LogBroken("the entries do not lead to the signed head")
    return head


def _tile(folder: Path, start: int, size: int) -> bytes:
    path = folder / tiles.path(0, start // tiles.WIDTH, min(tiles.WIDTH, size - start))
    if not path.exists():
        raise LogBroken(f"{path.relative_to(folder)} is missing", start)
    return path.read_bytes()


def main(folder: str, *keys: str) -> int:
    """Verify an export. Exit status 0 verified, 1 broken."""
    try:
        trusted = [VerifierKey.parse(key) for key in keys]
        head = verify(Path(folder), trusted, {}, lambda size: print(f"\r{size}", end="", file=sys.stderr))
    except LogBroken as error:
        where = "" if error.position is None else f" (position {error.position})"
        print(f"BROKEN: {error}{where}")
        return 1
    print(f"verified: {head.origin}, {head.size} entries")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python -m compliance.proof.export FOLDER PUBLIC-KEY …")
    sys.exit(main(*sys.argv[1:]))
