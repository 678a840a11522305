"""The tree of RFC 6962: hashing, growing, proving, verifying. Pure; knows no storage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from compliance.errors import LogBroken

EMPTY_ROOT = sha256(b"").digest()
Span = tuple[int, int]
Subtree = Callable[[Iterable[Span]], dict[Span, bytes]]


def leaf_hash(body: bytes) -> bytes:
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def grow(frontier: list[bytes], position: int, leaf: bytes) -> None:
    """Turn the frontier of a tree of `position` leaves into that of `position + 1`, in place.

    A frontier is the hashes of the complete subtrees that a tree consists of, largest first: one per bit of its size.
    """
    while position & 1:
        leaf = sha256(b"\x01" + frontier.pop() + leaf).digest()
        position >>= 1
    frontier.append(leaf)


def root_of(frontier: Sequence[bytes]) -> bytes:
    """The root of the tree whose frontier this is."""
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for left in frontier[-2::-1]:
        root = sha256(b"\x01" + left + root).digest()
    return root


def split(frontier: bytes) -> list[bytes]:
    """A stored frontier (hashes written one after the other) as a list."""
    return [frontier[at : at + 32] for at in range(0, len(frontier), 32)]


def fold_complete(leaf: bytes, frontier: Sequence[bytes], level: int) -> bytes:
    """The complete subtree of 2**level leaves that ends with `leaf`, from the frontier before that leaf."""
    for left in list(frontier)[: -level - 1 : -1] if level else ():
        leaf = node_hash(left, leaf)
    return leaf


def complete(start: int, end: int) -> list[Span]:
    """The complete subtrees that [start, end) consists of, left to right; `start` is aligned as in a tree."""
    spans = []
    while start < end:
        size = 1 << ((end - start).bit_length() - 1)
        spans.append((start, start + size))
        start += size
    return spans


def _largest_half(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The ranges whose hashes prove leaf `index` in the tree of `size`, lowest first (RFC 6962, PATH)."""
    if not 0 <= index < size:
        raise LogBroken(f"there is no position {index} in a log of {size} entries")
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        half = start + _largest_half(end - start)
        if index < half:
            spans.append((half, end))
            end = half
        else:
            spans.append((start, half))
            start = half
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The ranges whose hashes prove that the tree of `new` extends that of `old`, in RFC 6962's order."""
    if not 0 <= old <= new:
        raise LogBroken(f"a log of {new} entries cannot extend one of {old}")
    if old in (0, new):
        return []
    spans: list[Span] = []
    start, end, whole = 0, new, True
    while old != end:
        half = start + _largest_half(end - start)
        if old <= half:
            spans.append((half, end))
            end = half
        else:
            spans.append((start, half))
            start, whole = half, False
    return ([] if whole else [(start, end)]) + spans[::-1]


def prove(spans: Sequence[Span], subtrees: Subtree) -> list[bytes]:
    """The hashes of `spans`; `subtrees` gives those of all complete subtrees asked for, in one go."""
    parts = [complete(*span) for span in spans]
    known = subtrees({part for row in parts for part in row})
    return [root_of([known[part] for part in row]) for row in parts]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raises LogBroken unless `proof` shows `leaf` at `index` of the tree of `size` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise LogBroken("the position lies outside the tree", index)
    here, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise LogBroken("the proof is too long", index)
        if here & 1 or here == last:
            found = node_hash(step, found)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            found = node_hash(found, step)
        here, last = here >> 1, last >> 1
    if last or found != root:
        raise LogBroken("the proof does not lead from the entry to the head", index)


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises LogBroken unless `proof` shows that the tree of `new` begins with that of `old` (RFC 9162, 2.1.4.2)."""
    if old > new or old < 0:
        raise LogBroken("the newer head is smaller than the older one")
    if old in (0, new):
        if proof or (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
            raise LogBroken("the two heads contradict each other")
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise LogBroken("the proof is empty")
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    first = second = path[0]
    for step in path[1:]:
        if last == 0:
            raise LogBroken("the proof is too long")
        if here & 1 or here == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            second = node_hash(second, step)
        here, last = here >> 1, last >> 1
    if last or first != old_root or second != new_root:
        raise LogBroken("the newer head does not extend the older one")
