"""One entry with its proof, as the API and `flask log proof` give it: verified offline, with the public key alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from compliance.errors import LogBroken
from compliance.proof.merkle import leaf_hash, verify_inclusion
from compliance.proof.note import Head, VerifierKey, open_head, unb64
from compliance.proof.receipt import segment, unsegment


class Proved(NamedTuple):
    """What a proof shows: this body stands at this position of the log with that head. `disclosed`: personal values."""

    position: int
    head: Head
    body: dict[str, Any]
    disclosed: dict[str, Any]


def verify_package(package: Mapping[str, Any], keys: Sequence[VerifierKey]) -> Proved:
    """Verify `{body, index, leaf_hash, proof, checkpoint, disclosures}`. Raises LogBroken."""
    try:
        raw, index, steps = unb64(package["body"]), package["index"], [unb64(step) for step in package["proof"]]
        if unb64(package["leaf_hash"]) != leaf_hash(raw):
            raise LogBroken("the leaf hash is not that of the body", index)
        head = open_head(package["checkpoint"], keys)
        verify_inclusion(index, head.size, leaf_hash(raw), steps, head.root)
        body = json.loads(raw)
        values = dict(disclosed_by(body.get("sd", {}), text) for text in package.get("disclosures", []))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise LogBroken("not a proof of an entry") from error
    return Proved(index, head, body, values)


def commitment(disclosure: str) -> str:
    """The digest of a disclosure string (RFC 9901), as an entry's `sd` holds it."""
    return segment(sha256(disclosure.encode()).digest())


def disclosed(text: str) -> tuple[str, Any]:
    """Field and value of a disclosure string."""
    _, name, value = json.loads(unsegment(text))
    return str(name), value


def disclosed_by(commitments: Mapping[str, str], text: str) -> tuple[str, Any]:
    """Field and value of a disclosure string that an entry commits to. Raises LogBroken."""
    name, value = disclosed(text)
    if commitments.get(name) != commitment(text):
        raise LogBroken(f"the entry commits to another {name}")
    return name, value
