"""Recompute a log from its bodies alone, one after the other, in constant memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from compliance.errors import LogBroken
from compliance.proof.merkle import grow, root_of

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
