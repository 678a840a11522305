"""The tree of RFC 6962: hashing, growing, proving, verifying. Pure; knows no storage."""

from collections.abc import Sequence
from hashlib import sha256

from compliance.errors import LogBroken

EMPTY_ROOT = sha256(b"").digest()
Span = tuple[int, int]  # leaves [start, end)


def leaf_hash(body: bytes) -> bytes:
    return sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def grow(frontier: list[bytes], position: int, leaf: bytes) -> None:
    """Turn the frontier of a tree of `position` leaves into that of `position + 1`, in place. A frontier is the hashes
    of the complete subtrees that a tree consists of, largest first: one per bit of its size."""
    while position & 1:
        leaf = sha256(b"\x01" + frontier.pop() + leaf).digest()
        position >>= 1
    frontier.append(leaf)


def root_of(frontier: Sequence[bytes]) -> bytes:
    """The root of the tree whose frontier this is; or of a frontier and the leaf that comes after it."""
    root, sha = frontier[-1] if frontier else EMPTY_ROOT, sha256  # a local name: this is the verifier's inner loop
    for left in frontier[-2::-1]:
        root = sha(b"\x01" + left + root).digest()
    return root


def split(frontier: bytes) -> list[bytes]:
    """A stored frontier (hashes written one after the other) as a list."""
    return [frontier[at : at + 32] for at in range(0, len(frontier), 32)]


def subtree(start: int, end: int, leaf: bytes, frontier: bytes) -> bytes:
    """The root over a span of a proof or tile, from its last leaf and the stored frontier before that leaf."""
    inside = (end - start - 1).bit_count()  # of the frontier's subtrees, the last ones
    return root_of([*split(frontier[len(frontier) - 32 * inside :]), leaf])


def _way_up(leaf: int, size: int, stop: int = 0) -> list[Span]:
    """The subtree that is `leaf` alone or ends at `stop`, then those beside its way to the root."""
    beside, start, end = list[Span](), 0, size
    while end - start > 1 and end != stop:
        half = start + (1 << ((end - start - 1).bit_length() - 1))  # the largest power of two that leaves something
        beside.append((half, end) if leaf < half else (start, half))
        start, end = (start, half) if leaf < half else (half, end)
    return [(start, end), *reversed(beside)]


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The ranges whose hashes prove leaf `index` in the tree of `size`, lowest first (RFC 6962, PATH)."""
    if not 0 <= index < size:
        raise LogBroken(f"there is no position {index} in a log of {size} entries", index)
    return _way_up(index, size)[1:]


def consistency_spans(old: int, new: int) -> list[Span]:
    """The ranges whose hashes prove that the tree of `new` extends that of `old`, in RFC 6962's order."""
    if not 0 <= old <= new:
        raise LogBroken(f"a log of {new} entries cannot extend one of {old}")
    spans = _way_up(old - 1, new, old) if 0 < old < new else []
    return spans if spans and spans[0][0] else spans[1:]  # all of the old tree is known to whoever asks


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Raises LogBroken unless `proof` shows `leaf` at `index` of the tree of `size`."""
    spans = inclusion_spans(index, size)
    if len(spans) != len(proof):
        raise LogBroken("the proof has the wrong length", index)
    for (start, _), step in zip(spans, proof, strict=True):
        leaf = node_hash(step, leaf) if start < index else node_hash(leaf, step)
    if leaf != root:
        raise LogBroken("the proof does not lead from the entry to the head", index)


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises LogBroken unless `proof` shows that the tree of `new` begins with that of `old`."""
    steps = list(zip(spans := consistency_spans(old, new), proof, strict=False))
    first = second = old_root
    if steps and steps[0][0][0] < old:  # the smallest subtree of the old tree, which is not all of it
        first = second = steps.pop(0)[1]
    for (start, _), step in steps:
        if start < old:
            first = node_hash(step, first)
        second = node_hash(step, second) if start < old else node_hash(second, step)
    extends = {0: old_root == EMPTY_ROOT, new: old_root == new_root}.get(old, second == new_root)
    if len(spans) != len(proof) or first != old_root or not extends:
        raise LogBroken("the newer head does not extend the older one")
