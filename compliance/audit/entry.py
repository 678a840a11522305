"""An entry: one canonical JSON document (RFC 8785), with personal values only as salted commitments (RFC 9901)."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any

import rfc8785

from compliance.errors import LogUnavailable
from compliance.law.codec import moment

LARGEST = 65_535


@dataclass(frozen=True)
class Entry:
    """A stored entry. `document` is a check's answer (else ""); `disclosed` what has not been erased."""

    position: int
    id: str
    raw: bytes
    leaf_hash: bytes
    document: str = ""
    disclosed: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found

    def answered(self, document: str) -> Entry:
        """The same entry with its answer."""
        entry = replace(self, document=document)
        entry.__dict__["body"] = self.body  # spares reading the JSON again
        return entry

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def at(self) -> datetime:
        """Aware, UTC."""
        return datetime.fromisoformat(self.body["at"])


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry before it has a position: canonical bytes, and the disclosures that go with it."""

    id: str
    raw: bytes
    disclosures: list[dict[str, str]]

    def as_arrays(self) -> dict[str, Any]:
        """The parameters of PostgreSQL's own append."""
        fields, strings = [row["field"] for row in self.disclosures], [row["disclosure"] for row in self.disclosures]
        return {"id": self.id, "body": self.raw, "fields": fields, "strings": strings}


def draft(kind: str, body: Mapping[str, Any], *, entry_id: str, private: Mapping[str, Any], at: datetime) -> Draft:
    """Write an entry's body. Raises LogUnavailable when it cannot be an entry (too large, not canonical)."""
    strings = {name: _disclosure(name, value) for name, value in private.items()}
    whole: dict[str, Any] = {**body, "id": entry_id, "kind": kind, "at": moment(at)}
    if strings:
        whole["sd"] = {name: commitment(text) for name, text in strings.items()}
    try:
        raw = rfc8785.dumps(whole)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise LogUnavailable("the entry has no canonical form") from error
    if len(raw) > LARGEST:
        raise LogUnavailable(f"the entry is larger than {LARGEST} bytes")
    rows = [{"entry_id": entry_id, "field": name, "disclosure": text} for name, text in strings.items()]
    return Draft(entry_id, raw, rows)


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _disclosure(name: str, value: Any) -> str:
    salted = json.dumps([_segment(secrets.token_bytes(16)), name, value], ensure_ascii=False)
    return _segment(salted.encode())


def commitment(disclosure: str) -> str:
    """The digest of a disclosure string, as the entry's `sd` holds it."""
    return _segment(sha256(disclosure.encode()).digest())


def disclosed(text: str) -> tuple[str, Any]:
    """Field and value of a disclosure string."""
    _, name, value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return str(name), value
