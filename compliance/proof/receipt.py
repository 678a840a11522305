"""Receipts: the code for people, the JWS for software (RFC 7515, EdDSA), the tlog-proof for auditors (C2SP).
And the package of one entry with its proof, as the API and `flask log proof` give it. All verify offline, with the
public key alone."""

import base64
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from compliance.errors import LogBroken
from compliance.proof.merkle import leaf_hash, verify_inclusion
from compliance.proof.note import Head, Keys, Signer, VerifierKey, b64, open_head, unb64

ALPHABET = "2346789ABCDEFGHJKLMNPQRTXYZ"
PRIME = 727  # a right code, as a number in base 27, is a multiple: no wrong character, no swap of two keeps that
_MAGIC = "c2sp.org/tlog-proof@v1"
_TLOG_PROOF = re.compile(rf"{re.escape(_MAGIC)}\n(?:extra .*\n)?index (0|[1-9][0-9]{{0,18}})((?:\n[^\n]+)*)")


def new_code() -> str:
    """A fresh code, as shown: `K7QF-2M9X-4T3P`. Ten characters are random, two check them."""
    number = secrets.randbelow(27**10) * 729
    number += -number % PRIME
    text = "".join(ALPHABET[number // 27**place % 27] for place in range(11, -1, -1))
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def read_code(typed: str) -> str | None:
    """The code as shown, from how somebody typed it; None when a character is wrong or two are swapped."""
    text, number = re.sub(r"[\s\-–—]", "", typed).upper(), 0
    if len(text) != 12 or any(char not in ALPHABET for char in text):
        return None
    for char in text:
        number = number * 27 + ALPHABET.index(char)
    return None if number % PRIME else f"{text[:4]}-{text[4:8]}-{text[8:]}"


def tlog_proof(index: int, proof: Sequence[bytes], checkpoint: str) -> str:
    """An inclusion proof and the signed head it leads to, as one text."""
    return f"{_MAGIC}\nindex {index}\n{''.join(b64(step) + chr(10) for step in proof)}\n{checkpoint}"


def verify_proof(text: str, leaf: bytes, keys: Keys) -> tuple[int, Head]:
    """Verify a tlog-proof for the entry with this leaf hash, offline. Returns position and head; raises LogBroken."""
    top, blank, checkpoint = text.partition("\n\n")
    stated = _TLOG_PROOF.fullmatch(top)
    if not stated or not blank:
        raise LogBroken("not a tlog-proof with a position")
    head, index = open_head(checkpoint, keys), int(stated[1])
    verify_inclusion(index, head.size, leaf, [unb64(line) for line in stated[2].split("\n")[1:]], head.root)
    return index, head


def segment(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unsegment(text: str) -> bytes:
    """Raises LogBroken."""
    return unb64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


@lru_cache(maxsize=64)
def thumbprint(public: bytes) -> str:
    """The `kid` of a public key (RFC 7638 with SHA-256)."""
    return segment(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{segment(public)}"}}'.encode()).digest())


def jwk(key: VerifierKey) -> dict[str, str]:
    """The public key as RFC 8037 writes it."""
    named = {"kid": thumbprint(key.public), "alg": "EdDSA", "use": "sig"}
    return {"kty": "OKP", "crv": "Ed25519", "x": segment(key.public), **named}


def sign_claims(claims: Mapping[str, Any], signer: Signer) -> str:
    """A compact JWS over `claims`."""
    header = f'{{"alg":"EdDSA","kid":"{thumbprint(signer.key.public)}"}}'
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":"))
    signed = f"{segment(header.encode())}.{segment(payload.encode())}"
    return f"{signed}.{segment(signer.raw(signed.encode()))}"


def verify_claims(jws: str, keys: Keys) -> dict[str, Any]:
    """The claims of a receipt's JWS, verified with one of `keys`. Raises LogBroken."""
    signed, _, last = jws.strip().rpartition(".")
    try:
        header, claims = (json.loads(unsegment(part)) for part in signed.split("."))
        signature = unsegment(last)
    except (ValueError, RecursionError) as error:
        raise LogBroken("not a signed receipt") from error
    if not isinstance(header, dict) or header.get("alg") != "EdDSA" or not isinstance(claims, dict):
        raise LogBroken("not a signed receipt of this kind")
    key = next((key for key in keys if header.get("kid") == thumbprint(key.public)), None)
    if key is None or not key.verifies(signed.encode(), signature):
        raise LogBroken("the receipt's signature is false" if key else "the receipt is signed by an unknown key")
    return claims


def verify_answer(answer: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
    """The claims of a check's whole answer: JWS, tlog-proof and what the answer says must agree. Raises LogBroken."""
    try:
        claims = verify_claims(answer["receipt"]["jws"], keys)
        index, head = verify_proof(answer["receipt"]["proof"], unb64(claims["leaf_hash"]), keys)
        said = {**answer, **answer["log"], "jti": answer["id"], "code": answer["receipt"]["code"], "iss": head.origin}
        wrong = [name for name, value in claims.items() if name != "iat" and said[name] != value]
        wrong += [] if wrong or index == claims["index"] else ["index"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LogBroken("not the answer of a check") from error
    if wrong:
        raise LogBroken(f"the answer says something else than its receipt: {', '.join(wrong)}")
    return claims


class Proved(NamedTuple):  # this body stands at this position of the log with that head; `disclosed`: personal values
    position: int
    head: Head
    body: dict[str, Any]
    disclosed: dict[str, Any]


def verify_package(package: Mapping[str, Any], keys: Keys) -> Proved:
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
