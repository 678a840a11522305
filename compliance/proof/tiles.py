"""How a log is laid out for publication (C2SP tlog-tiles): hash tiles of 256 and bundles of entries."""

import re
from collections.abc import Iterator, Sequence

from compliance.errors import LogBroken
from compliance.proof.merkle import Span

WIDTH = 256
_PATH = re.compile(r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def spans(level: int, index: int, width: int) -> list[Span]:
    """The complete subtrees whose hashes make up a tile, left to right."""
    size = 1 << (8 * level)
    return [((index * WIDTH + at) * size, (index * WIDTH + at + 1) * size) for at in range(width)]


def path(level: int | str, index: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`; level "entries" is that of the bundles."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < WIDTH else "")


def parse(text: str) -> tuple[int | str, int, int]:
    """Level (or "entries"), index and width of a path. Raises LogBroken when it is not canonical."""
    if match := _PATH.fullmatch(text):
        level = match[1] if match[1] == "entries" else int(match[1])
        index, width = int(re.sub(r"[x/]", "", match[2])), int(match[3] or WIDTH)
        if path(level, index, width) == text:
            return level, index, width
    raise LogBroken("not the path of a tile")


def all_of(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, index and width of every hash tile of a tree, lowest level first."""
    level, count = 0, size
    while count:
        yield from ((level, start // WIDTH, min(WIDTH, count - start)) for start in range(0, count, WIDTH))
        level, count = level + 1, count // WIDTH


def bundle(bodies: Sequence[bytes]) -> bytes:
    """Entries as a bundle: each after its length in two bytes."""
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


def unbundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises LogBroken when it is cut."""
    bodies, at = [], 0
    while at < len(data):
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin], "big")
        if at > len(data) or begin > len(data):
            raise LogBroken("a bundle of entries is cut")
        bodies.append(data[begin:at])
    return bodies
