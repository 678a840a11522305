"""Receipts: the code for people, the JWS for software (RFC 7515, EdDSA), the tlog-proof for auditors (C2SP)."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from compliance.errors import LogBroken
from compliance.proof.merkle import verify_inclusion
from compliance.proof.note import Head, Signer, VerifierKey, b64, open_head, unb64

ALPHABET = "2346789ABCDEFGHJKLMNPQRTXYZ"
PRIME = 727
_MAGIC = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


def new_code() -> str:
    """A fresh code, as shown: `K7QF-2M9X-4T3P`. Ten characters are random, two check them."""
    body = [secrets.randbelow(27) for _ in range(10)]
    number = 0
    for digit in body:
        number = number * 27 + digit
    check = -number * 729 % PRIME
    text = "".join(ALPHABET[digit] for digit in [*body, check // 27, check % 27])
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def read_code(typed: str) -> str | None:
    """The code as shown, from how somebody typed it; None when a character is wrong or two are swapped.

    A right code, read as a number in base 27, is divisible by the prime 727: no single wrong character and no swap of
    two characters keeps that.
    """
    text = re.sub(r"[\s\-–—]", "", typed).upper()
    if len(text) != 12 or any(char not in ALPHABET for char in text):
        return None
    number = 0
    for char in text:
        number = number * 27 + ALPHABET.index(char)
    return f"{text[:4]}-{text[4:8]}-{text[8:]}" if number % PRIME == 0 else None


def tlog_proof(index: int, proof: Sequence[bytes], checkpoint: str) -> str:
    """An inclusion proof and the signed head it leads to, as one text."""
    hashes = "".join(b64(step) + "\n" for step in proof)
    return f"{_MAGIC}\nindex {index}\n{hashes}\n{checkpoint}"


def verify_proof(text: str, leaf: bytes, keys: Sequence[VerifierKey]) -> tuple[int, Head]:
    """Verify a tlog-proof for the entry with this leaf hash, offline. Returns position and head; raises LogBroken."""
    top, blank, checkpoint = text.partition("\n\n")
    lines = top.split("\n")
    if lines[:1] != [_MAGIC] or not blank:
        raise LogBroken("not a tlog-proof")
    if len(lines) > 2 and lines[1].startswith("extra "):
        del lines[1]
    stated = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
    if not stated:
        raise LogBroken("the tlog-proof states no position")
    head = open_head(checkpoint, keys)
    index = int(stated[1])
    verify_inclusion(index, head.size, leaf, [unb64(line) for line in lines[2:]], head.root)
    return index, head


def _segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unsegment(text: str) -> bytes:
    return unb64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


@lru_cache(maxsize=64)
def thumbprint(public: bytes) -> str:
    """The `kid` of a public key (RFC 7638 with SHA-256)."""
    return _segment(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{_segment(public)}"}}'.encode()).digest())


def jwk(key: VerifierKey) -> dict[str, str]:
    """The public key as RFC 8037 writes it."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": _segment(key.public),
        "kid": thumbprint(key.public),
        "alg": "EdDSA",
        "use": "sig",
    }


def sign_claims(claims: Mapping[str, Any], signer: Signer) -> str:
    """A compact JWS over `claims`."""
    header = f'{{"alg":"EdDSA","kid":"{thumbprint(signer.key.public)}"}}'
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":"))
    signed = f"{_segment(header.encode())}.{_segment(payload.encode())}"
    return f"{signed}.{_segment(signer.raw(signed.encode()))}"


def verify_claims(jws: str, keys: Sequence[VerifierKey]) -> dict[str, Any]:
    """The claims of a receipt's JWS, verified with one of `keys`. Raises LogBroken."""
    parts = jws.strip().split(".")
    try:
        header, payload, signature = (_unsegment(part) for part in parts)
        stated, claims = json.loads(header), json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise LogBroken("not a signed receipt") from error
    if not isinstance(stated, dict) or stated.get("alg") != "EdDSA" or not isinstance(claims, dict):
        raise LogBroken("not a signed receipt of this kind")
    for key in keys:
        if stated.get("kid") == thumbprint(key.public):
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(signature, f"{parts[0]}.{parts[1]}".encode())
            except InvalidSignature as error:
                raise LogBroken("the receipt's signature is false") from error
            return claims
    raise LogBroken("the receipt is signed by an unknown key")


def verify_answer(answer: Mapping[str, Any], keys: Sequence[VerifierKey]) -> dict[str, Any]:
    """The claims of a check's whole answer: JWS, tlog-proof and what the answer says must agree. Raises LogBroken."""
    try:
        claims = verify_claims(answer["receipt"]["jws"], keys)
        index, head = verify_proof(answer["receipt"]["proof"], unb64(claims["leaf_hash"]), keys)
        said = {**answer, **answer["log"], "jti": answer["id"], "code": answer["receipt"]["code"], "iss": head.origin}
        wrong = [name for name, value in claims.items() if name != "iat" and said[name] != value]
    except (KeyError, TypeError, ValueError) as error:
        raise LogBroken("not the answer of a check") from error
    if wrong or index != claims["index"]:
        raise LogBroken(f"the answer says something else than its receipt: {', '.join(wrong) or 'index'}")
    return claims
