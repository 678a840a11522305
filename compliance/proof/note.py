"""Signed notes and log heads (C2SP signed-note, tlog-checkpoint, tlog-cosignature), with Ed25519; files kept whole."""

import base64
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from compliance.errors import LogBroken

LOG_KEY, WITNESS_KEY = 1, 4
MOST = 100  # signatures of one note
_NAME, _SIZE = re.compile(r"[^\s+]+"), re.compile(r"0|[1-9][0-9]{0,18}")
_PRIVATE = "PRIVATE+KEY+"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Strict base64. Raises LogBroken."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise LogBroken("not base64") from error


def _read_key(text: str) -> tuple[str, int, bytes]:
    """Name, kind and key of name+id+base64(kind ‖ key). Raises LogBroken, without repeating the text."""
    name, _, data = [*text.strip().split("+", 2), "", ""][:3]
    raw = unb64(data)
    if not _NAME.fullmatch(name) or len(raw) != 33 or raw[0] not in (LOG_KEY, WITNESS_KEY):
        raise LogBroken("not a key of the form name+id+key")
    return name, raw[0], raw[1:]


@dataclass(frozen=True)
class VerifierKey:
    """A public key as people copy it: `name+keyid+base64(kind ‖ key)`. `kind` 1 signs heads, 4 cosigns them."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Raises LogBroken when the text is not a key, or its key id is not the key's."""
        key = cls(*_read_key(text))
        if str(key) != text.strip():
            raise LogBroken("the public key's id does not belong to it")
        return key

    @cached_property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64(bytes([self.kind]) + self.public)}"

    def accepts(self, text: str, signature: bytes) -> bool:
        """Whether `signature` (without key id) is this key's over the note `text`."""
        stamp = 8 if self.kind == WITNESS_KEY else 0  # bytes of the moment that a witness signs with
        return self.verifies(_signed(self.kind, text, int.from_bytes(signature[:stamp], "big")), signature[stamp:])

    def verifies(self, data: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, data)
        except InvalidSignature:
            return False
        return True


Keys = Sequence[VerifierKey]


def _signed(kind: int, text: str, moment: int) -> bytes:
    return (text if kind == LOG_KEY else f"cosignature/v1\ntime {moment}\n{text}").encode()


class Signer:  # a private key and the name it signs by
    def __init__(self, name: str, kind: int, seed: bytes) -> None:
        private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = VerifierKey(name, kind, private.public_key().public_bytes_raw())
        self.raw, self._seed = private.sign, seed

    @classmethod
    def generate(cls, name: str, kind: int = LOG_KEY) -> "Signer":
        return cls(name, kind, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, line: str) -> "Signer":
        """Read `PRIVATE+KEY+name+keyid+base64(kind ‖ seed)`. Raises LogBroken, without repeating the line."""
        if not line.strip().startswith(_PRIVATE):
            raise LogBroken("not a private key of the form PRIVATE+KEY+name+id+key")
        signer = cls(*_read_key(line.strip().removeprefix(_PRIVATE)))
        if signer.secret_line() != line.strip():
            raise LogBroken("the private key's id does not belong to it")
        return signer

    def secret_line(self) -> str:
        """The private key as its file holds it."""
        return f"{_PRIVATE}{self.key.name}+{self.key.key_id.hex()}+{b64(bytes([self.key.kind]) + self._seed)}"

    def line(self, text: str, moment: int = 0) -> str:
        """The signature line over a note's text; a witness signs with its `moment` (Unix seconds)."""
        stamp = moment.to_bytes(8, "big") if self.key.kind == WITNESS_KEY else b""
        signature = self.key.key_id + stamp + self.raw(_signed(self.key.kind, text, moment))
        return f"— {self.key.name} {b64(signature)}\n"


def signature_lines(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note as its text and its signatures (name, key id, signature). Raises LogBroken."""
    text, blank, tail = note.rpartition("\n\n")
    lines, found = tail[:-1].split("\n"), []
    if not blank or not tail.endswith("\n") or any(ord(char) < 32 and char != "\n" for char in note):
        raise LogBroken("not a signed note")
    if len(lines) > MOST:
        raise LogBroken("too many signatures")
    for line in lines:
        mark, name, data = line.split(" ") if line.count(" ") == 2 else ("", "", "")
        raw = unb64(data)
        if mark != "—" or not _NAME.fullmatch(name) or len(raw) < 5:
            raise LogBroken("malformed signature line")
        found.append((name, raw[:4], raw[4:]))
    return text + "\n", found


def open_note(note: str, keys: Keys) -> tuple[str, list[VerifierKey]]:
    """The text of a note and those of `keys` that signed it, at least one. Lines by unknown keys are passed over.
    Raises LogBroken when none signed, or when a known key's signature is false."""
    (text, lines), known = signature_lines(note), {(key.name, key.key_id): key for key in keys}
    if len(known) < len(keys):
        raise LogBroken("two keys share a name and an id")
    signed = [(known[name, key_id], signature) for name, key_id, signature in lines if (name, key_id) in known]
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


def open_head(note: str, keys: Keys) -> Head:
    """The head in a signed note; a key of the log of that very name must have signed. Raises LogBroken."""
    text, signed = open_note(note, keys)
    head = Head.parse(text)
    if not any(key.kind == LOG_KEY and key.name == head.origin for key in signed):
        raise LogBroken(f"the head is not signed by {head.origin} itself")
    return head


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file, whatever is killed or loses its power meanwhile, and whoever else replaces it."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    with open(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
