"""The log's keys: a file of their own (0600), one private key a line; the first signs receipts, all sign heads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from compliance.audit.document import claims
from compliance.audit.entry import Entry
from compliance.errors import LogBroken, Misconfigured
from compliance.proof.note import Head, Signer, VerifierKey
from compliance.proof.receipt import sign_claims, tlog_proof


class Keyring:
    """Signs heads and receipts for one origin. The file is read at first use; raises Misconfigured when it is unfit."""

    def __init__(self, path: Path, origin: str, public_url: str) -> None:
        self.path, self.origin, self._url = path, origin, public_url

    @cached_property
    def signers(self) -> list[Signer]:
        try:
            lines = self.path.read_text(encoding="ascii").splitlines()
        except OSError as error:
            raise Misconfigured(
                f"LOG_SIGNING_KEY: {self.path} cannot be read ({error.strerror}); put the log's key back there"
            ) from error
        try:
            signers = [Signer.parse(line) for line in lines if line.strip()]
        except (LogBroken, UnicodeError) as error:
            raise Misconfigured(f"LOG_SIGNING_KEY: {self.path} holds no key of the log ({error})") from error
        if not signers or any(signer.key.name != self.origin for signer in signers):
            raise Misconfigured(f"LOG_SIGNING_KEY: {self.path} is not the key of LOG_ORIGIN {self.origin}")
        return signers

    @property
    def keys(self) -> list[VerifierKey]:
        return [signer.key for signer in self.signers]

    def create(self) -> VerifierKey:
        """Make the first key. Raises FileExistsError."""
        signer = Signer.generate(self.origin)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(signer.secret_line() + "\n")
            file.flush()
            os.fsync(file.fileno())
        return signer.key

    def create_if_missing(self) -> None:
        """Make the first key of a new log, unless its file is there."""
        if not self.path.exists():
            self.create()

    def replace(self, signers: Sequence[Signer]) -> None:
        """Put other keys in the file's place, at once or not at all."""
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        other = Keyring(fresh, self.origin, self._url)
        other.create()
        with fresh.open("w", encoding="ascii") as file:
            file.writelines(signer.secret_line() + "\n" for signer in signers)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self.__dict__.pop("signers", None)

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
