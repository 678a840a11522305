"""Signed notes and log heads (C2SP signed-note, tlog-checkpoint, tlog-cosignature), with Ed25519."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from compliance.errors import LogBroken

LOG_KEY, WITNESS_KEY = 1, 4
MOST = 100  # signatures of one note
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Strict base64. Raises LogBroken."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise LogBroken("not base64") from error


def _read_key(name: str, data: str) -> tuple[int, bytes]:
    """Kind and key of base64(kind ‖ key). Raises LogBroken, without repeating it."""
    raw = unb64(data)
    if not _NAME.fullmatch(name) or len(raw) != 33 or raw[0] not in (LOG_KEY, WITNESS_KEY):
        raise LogBroken("not a key of the form name+id+key")
    return raw[0], raw[1:]


def _cosigned(text: str, moment: int) -> bytes:
    return f"cosignature/v1\ntime {moment}\n{text}".encode()


@dataclass(frozen=True)
class VerifierKey:
    """A public key as people copy it: `name+keyid+base64(kind ‖ key)`. `kind` 1 signs heads, 4 cosigns them."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Raises LogBroken when the text is not a key, or its key id is not the key's."""
        name, stated, data = [*text.strip().split("+", 2), "", ""][:3]
        key = cls(name, *_read_key(name, data))
        if stated != key.key_id.hex():
            raise LogBroken("the public key's id does not belong to it")
        return key

    @cached_property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    def accepts(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (without key id) is this key's over the note `text`."""
        signed = text.encode()
        if self.kind == WITNESS_KEY:
            moment, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            signed = _cosigned(text, moment)
        return self.verifies(signed, signature)

    def verifies(self, data: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, data)
        except InvalidSignature:
            return False
        return True


class Signer:
    """A private key and the name it signs by."""

    def __init__(self, name: str, seed: bytes, kind: int = LOG_KEY) -> None:
        private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key, self.raw, self._seed = (
            VerifierKey(name, kind, private.public_key().public_bytes_raw()),
            private.sign,
            seed,
        )

    @classmethod
    def generate(cls, name: str, kind: int = LOG_KEY) -> "Signer":
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw(), kind)

    @classmethod
    def parse(cls, line: str) -> "Signer":
        """Read `PRIVATE+KEY+name+keyid+base64(kind ‖ seed)`. Raises LogBroken, without repeating the line."""
        parts = line.strip().split("+", 4)
        if len(parts) < 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise LogBroken("not a private key of the form PRIVATE+KEY+name+id+key")
        kind, seed = _read_key(parts[2], parts[4])
        signer = cls(parts[2], seed, kind)
        if signer.key.key_id.hex() != parts[3]:
            raise LogBroken("the private key's id does not belong to it")
        return signer

    def secret_line(self) -> str:
        """The private key as its file holds it."""
        return f"PRIVATE+KEY+{self.key.name}+{self.key.key_id.hex()}+{b64(bytes([self.key.kind]) + self._seed)}"

    def line(self, text: str, moment: int = 0) -> str:
        """The signature line over a note's text; a witness signs with its `moment` (Unix seconds)."""
        signature = self.raw(text.encode())
        if self.key.kind == WITNESS_KEY:
            signature = moment.to_bytes(8, "big") + self.raw(_cosigned(text, moment))
        return f"— {self.key.name} {b64(self.key.key_id + signature)}\n"

    def sign(self, text: str) -> str:
        return f"{text}\n{self.line(text)}"


def signature_lines(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note as its text and its signatures (name, key id, signature). Raises LogBroken."""
    text, blank, tail = note.rpartition("\n\n")
    lines = tail[:-1].split("\n")
    if not blank or not tail.endswith("\n") or any(ord(char) < 32 and char != "\n" for char in note):
        raise LogBroken("not a signed note")
    if len(lines) > MOST:
        raise LogBroken("too many signatures")
    found = []
    for line in lines:
        mark, name, data = [*line.split(" "), "", ""][:3]
        raw = unb64(data)
        if mark != "—" or not _NAME.fullmatch(name) or len(raw) < 5 or line.count(" ") != 2:
            raise LogBroken("malformed signature line")
        found.append((name, raw[:4], raw[4:]))
    return text + "\n", found


def open_note(note: str, keys: Sequence[VerifierKey]) -> tuple[str, list[VerifierKey]]:
    """The text of a note and those of `keys` that signed it, at least one. Lines by unknown keys are passed over.

    Raises LogBroken when none signed, or when a known key's signature is false.
    """
    text, lines = signature_lines(note)
    known = {(key.name, key.key_id): key for key in keys}
    if len(known) < len(keys):
        raise LogBroken("two keys share a name and an id")
    signed = [(known[line[:2]], line[2]) for line in lines if line[:2] in known]
    for key, signature in signed:
        if not key.accepts(text, signature):
            raise LogBroken(f"the signature of {key.name} is false")
    if not signed:
        raise LogBroken("no known key signed this")
    return text, [key for key, _ in signed]


@dataclass(frozen=True, slots=True)
class Head:
    """What a log states about itself at one size. `str()` is the text that is signed."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{b64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Extension lines after the root are allowed and passed over. Raises LogBroken."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not lines[0] or not _SIZE.fullmatch(lines[1]):
            raise LogBroken("not a log head")
        if len(root := unb64(lines[2])) != 32:
            raise LogBroken("not a log head: the root has the wrong length")
        return cls(lines[0], int(lines[1]), root)


def open_head(note: str, keys: Sequence[VerifierKey]) -> Head:
    """The head in a signed note; a key of the log of that very name must have signed. Raises LogBroken."""
    text, signed = open_note(note, keys)
    head = Head.parse(text)
    if not any(key.kind == LOG_KEY and key.name == head.origin for key in signed):
        raise LogBroken(f"the head is not signed by {head.origin} itself")
    return head
