"""An entry: one canonical JSON document (RFC 8785), with personal values only as salted commitments (RFC 9901)."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import rfc8785

from compliance.errors import LogUnavailable
from compliance.law.codec import moment
from compliance.proof.receipt import commitment, segment

LARGEST, _EXACT = 65_535, 2**53 - 1
_write = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True)
class Entry:
    """A stored entry. `document` is a check's answer (else ""); `disclosed` what has not been erased. `root` is that of
    the tree that ends with it, `frontier` that of the tree before it, as they are stored."""

    position: int
    id: str
    raw: bytes
    leaf_hash: bytes
    root: bytes = b""
    frontier: bytes = b""
    document: str = ""
    disclosed: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def at(self) -> datetime:
        """Aware, UTC."""
        return datetime.fromisoformat(self.body["at"])


@dataclass(frozen=True, slots=True)
class Draft:  # an entry before it has a position: canonical bytes, and by field the disclosures that go with it
    id: str
    raw: bytes
    disclosures: Mapping[str, str] = field(default_factory=dict)


def draft(kind: str, body: Mapping[str, Any], *, entry_id: str, private: Mapping[str, Any], at: datetime) -> Draft:
    """Write an entry's body; each private value gets 128 bits of salt of its own. Raises LogUnavailable when it cannot
    be an entry (too large, not canonical)."""
    salted = {name: [segment(secrets.token_bytes(16)), name, value] for name, value in private.items()}
    strings = {name: segment(json.dumps(parts, ensure_ascii=False).encode()) for name, parts in salted.items()}
    whole: dict[str, Any] = {**body, "id": entry_id, "kind": kind, "at": moment(at)}
    if strings:
        whole["sd"] = {name: commitment(text) for name, text in strings.items()}
    try:
        raw = canonical(whole)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise LogUnavailable("the entry has no canonical form") from error
    if len(raw) > LARGEST:
        raise LogUnavailable(f"the entry is larger than {LARGEST} bytes")
    return Draft(entry_id, raw, strings)


def canonical(value: Any) -> bytes:
    """RFC 8785 in a seventh of the time: by Python's own writer, where it writes the same bytes. Raises
    rfc8785.CanonicalizationError or UnicodeError without a canonical form, RecursionError when deep."""
    return _write(value).encode() if _plain(value) else rfc8785.dumps(value)


def _plain(value: Any) -> bool:
    """No fraction (written in another way), no large integer (refused), no name that sorts otherwise in UTF-16."""
    kind = value.__class__
    if kind is dict:
        return all(name.__class__ is str and name.isascii() and _plain(inner) for name, inner in value.items())
    if kind is list:
        return all(map(_plain, value))
    if kind is int:
        return bool(-_EXACT <= value <= _EXACT)
    return kind is str or kind is bool or value is None
