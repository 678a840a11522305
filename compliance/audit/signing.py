"""The log's keys: a file of their own (0600), one private key a line; the first signs receipts, all sign heads.

Beside it lie `.retired` (public keys that signed before) and `.head` (the highest head that was signed).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from compliance.audit.document import claims
from compliance.audit.entry import Entry
from compliance.errors import LogBroken, Misconfigured
from compliance.proof.note import Head, Signer, VerifierKey
from compliance.proof.receipt import jwk, sign_claims, tlog_proof


class Keyring:
    """Signs heads and receipts for one origin. The file is read at first use and again when it was replaced."""

    def __init__(self, path: Path, origin: str, public_url: str) -> None:
        self.path, self.origin, self._url = path, origin, public_url
        self._read: tuple[tuple[int, int], list[Signer]] | None = None

    @property
    def signers(self) -> list[Signer]:
        """Raises Misconfigured when the file is missing, or not the key of this origin."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, self._load())
        except OSError as error:
            raise Misconfigured(
                f"LOG_SIGNING_KEY: {self.path} cannot be read ({error.strerror}); put the log's key back there"
            ) from error
        return self._read[1]

    def _load(self) -> list[Signer]:
        signers = self.parse()
        if any(signer.key.name != self.origin for signer in signers):
            raise Misconfigured(
                f"LOG_SIGNING_KEY: {self.path} is the key of {signers[0].key.name}, not of LOG_ORIGIN {self.origin};"
                " set it back, or declare the new origin: flask log incident"
            )
        return signers

    def parse(self) -> list[Signer]:
        """The private keys in the file, whatever origin they are for."""
        lines = self.path.read_bytes().decode("ascii", "replace").splitlines()
        try:
            signers = [Signer.parse(line) for line in lines if line.strip()]
        except LogBroken as error:
            raise Misconfigured(f"LOG_SIGNING_KEY: {self.path} holds no key of the log ({error})") from error
        if not signers:
            raise Misconfigured(f"LOG_SIGNING_KEY: {self.path} is empty")
        return signers

    @property
    def keys(self) -> list[VerifierKey]:
        """The public keys that sign now."""
        return [signer.key for signer in self.signers]

    @property
    def retired(self) -> list[VerifierKey]:
        """The public keys that signed before, of this origin and earlier ones."""
        path = self._beside(".retired")
        return [VerifierKey.parse(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def create_if_missing(self) -> None:
        """Make the first key of a new log, unless its file is there."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write([Signer.generate(self.origin)])

    def replace(self, signers: Sequence[Signer]) -> None:
        """Sign with these from now on; public keys that are left out are kept as retired."""
        staying = [signer.key for signer in signers]
        gone = [signer.key for signer in self.parse() if signer.key not in staying]
        retired = [*self.retired, *(key for key in gone if key not in self.retired)]
        _write_whole(self._beside(".retired"), "".join(f"{key}\n" for key in retired), 0o644)
        self._write(signers)

    def _write(self, signers: Sequence[Signer]) -> None:
        _write_whole(self.path, "".join(signer.secret_line() + "\n" for signer in signers), 0o600)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """All public keys, as `/.well-known/jwks.json` shows them."""
        return {"keys": [jwk(key) for key in [*self.keys, *self.retired]]}

    def head(self, size: int, root: bytes) -> str:
        """A signed head."""
        text = str(Head(self.origin, size, root))
        return f"{text}\n" + "".join(signer.line(text) for signer in self.signers)

    def receipt(self, entry: Entry, proof: Sequence[bytes], root: bytes) -> dict[str, str]:
        """The receipt of a check: `root` and `proof` are those of the tree that ends with it."""
        code = entry.body["receipt_code"]
        return {
            "code": code,
            "url": f"{self._url}/r/{code}",
            "jws": sign_claims(claims(entry, self.origin), self.signers[0]),
            "proof": tlog_proof(entry.position, proof, self.head(entry.position + 1, root)),
        }

    def remembered(self) -> Head | None:
        """The highest head that is known to have been signed. Raises LogBroken."""
        path = self._beside(".head")
        try:
            return Head.parse(path.read_text()) if path.exists() else None
        except LogBroken as error:
            raise LogBroken(
                f"the signer's memory {path} is damaged: verify with a head kept outside, remove it"
            ) from error

    def remember(self, size: int, root: bytes) -> None:
        """Keep a head, unless a higher one of this origin is kept. One thread of a process at a time."""
        known = self.remembered()
        if known is None or known.size < size or known.origin != self.origin:
            _write_whole(self._beside(".head"), str(Head(self.origin, size, root)), 0o644)


def _write_whole(path: Path, text: str, mode: int) -> None:
    """Write a file at once or not at all, whatever is killed or loses its power, and whoever else writes it."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
