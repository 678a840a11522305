"""A log as it is published (C2SP tlog-tiles), also in a folder; and recomputed from its bodies, by outsiders too.
`python -m compliance.proof.export FOLDER PUBLIC-KEY` verifies a folder without a database or the rest of the
program."""

import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from compliance.errors import LogBroken
from compliance.proof.merkle import grow, leaf_hash, root_of
from compliance.proof.note import Head, Keys, VerifierKey, open_head

Progress = Callable[[int], None]
WIDTH = 256  # hashes of a tile, entries of a bundle
BACKWARDS = timedelta(seconds=120)  # how far an entry's time may lie before an earlier entry's
_AT = b'"at":"'
_PATH = re.compile(r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def tile_path(level: int | str, index: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`; level "entries" is that of the bundles."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < WIDTH else "")


def read_path(text: str) -> tuple[int | str, int, int]:
    """Level (or "entries"), index and width of a tile's path. Raises LogBroken when it is not canonical."""
    if match := _PATH.fullmatch(text):
        level = match[1] if match[1] == "entries" else int(match[1])
        index, width = int(re.sub(r"[x/]", "", match[2])), int(match[3] or WIDTH)
        if tile_path(level, index, width) == text:
            return level, index, width
    raise LogBroken("not the path of a tile")


def bundle(bodies: Sequence[bytes]) -> bytes:
    """Entries as a bundle: each after its length in two bytes."""
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


def unbundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises LogBroken when it is cut."""
    left, bodies = io.BytesIO(data), []
    while length := left.read(2):
        bodies.append(left.read(int.from_bytes(length, "big")))
        if len(length) < 2 or len(bodies[-1]) < int.from_bytes(length, "big"):
            raise LogBroken("a bundle of entries is cut")
    return bodies


class Tally:
    """Feed it every body from position 0 on. `known` are roots held outside, by size: they must come out."""

    def __init__(self, known: Mapping[int, bytes] | None = None) -> None:
        self.size, self.frontier, self.latest = 0, list[bytes](), b""
        self._known = dict(known or {})

    def add(self, body: bytes) -> bytes:
        """Take the next body and return its leaf hash. Raises LogBroken with the position."""
        leaf, (_, once, rest) = leaf_hash(body), body.partition(_AT)
        try:  # reading JSON is needed only when the key stands more than once
            at = rest[: rest.index(b'"')] if once and _AT not in rest else str(json.loads(body)["at"]).encode()
            if at < self.latest:
                then, now = (datetime.fromisoformat(moment.decode()) for moment in (self.latest, at))
                if then - now > BACKWARDS:
                    told = f"the entry's time {at.decode()} lies before {self.latest.decode()} of an earlier entry"
                    raise LogBroken(told, self.size)
        except (ValueError, KeyError, TypeError) as error:
            raise LogBroken("the entry states no time", self.size) from error
        self.latest = max(self.latest, at)
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


def write(folder: Path, bodies: Iterable[bytes], checkpoint: str, keys: Keys, progress: Progress) -> None:
    """Write the entries that `checkpoint` speaks of, their tiles and the keys. Raises LogBroken when they differ."""

    def put(name: str, data: bytes) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    def put_tile(level: int, index: int, hashes: list[bytes]) -> list[bytes]:
        frontier = list[bytes]()
        put(tile_path(level, index, len(hashes)), b"".join(hashes))
        for position, one in enumerate(hashes):
            grow(frontier, position, one)
        return frontier if len(hashes) == WIDTH else []  # a full tile's frontier is one hash, its place a level higher

    head, tally, above, left, level = open_head(checkpoint, keys), Tally(), list[bytes](), iter(bodies), 0
    while batch := list(islice(left, WIDTH)):
        index = tally.size // WIDTH
        put(tile_path("entries", index, len(batch)), bundle(batch))
        above += put_tile(0, index, [tally.add(body) for body in batch])
        progress(tally.size)
    while above:
        level, rows = level + 1, [above[start : start + WIDTH] for start in range(0, len(above), WIDTH)]
        above = [root for index, row in enumerate(rows) for root in put_tile(level, index, row)]
    if (tally.size, tally.root) != (head.size, head.root):
        raise LogBroken("the entries are not those of the head", tally.size)
    put("checkpoint", checkpoint.encode())
    put("keys", "".join(f"{key}\n" for key in keys).encode())


def verify(folder: Path, keys: Keys, known: Mapping[int, bytes], progress: Progress) -> Head:
    """Recompute an export from its bodies and compare it with its head, its tiles and `known` heads (root by size).
    Raises LogBroken with the first bad position: the first whose leaf is not the one in the tiles, if the tiles lead to
    the head."""
    try:
        head = open_head((folder / "checkpoint").read_text(encoding="utf-8"), keys)
    except (OSError, UnicodeDecodeError) as error:
        raise LogBroken(f"{folder / 'checkpoint'} cannot be read") from error
    tally, leaves = Tally(known), b""
    for body in bodies_in(folder, head.size):
        at = tally.size % WIDTH
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
    for start in range(0, size, WIDTH):
        bodies = unbundle(_read(folder, "entries", start, size))
        if len(bodies) != min(WIDTH, size - start):
            raise LogBroken("a bundle does not hold its entries", start)
        yield from bodies


def _read(folder: Path, level: int | str, start: int, size: int) -> bytes:
    name = tile_path(level, start // WIDTH, min(WIDTH, size - start))
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
