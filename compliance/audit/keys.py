"""The log's keys: a file of their own (0600), one private key a line; the first signs receipts, all sign heads.

Beside it lie `.retired` (public keys that signed before) and `.head` (the highest head that was signed). Key rotation,
and the incident (a new origin after a loss or a compromise), are entries first.
"""

from __future__ import annotations

import fcntl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compliance.audit.document import claims
from compliance.audit.entry import Entry
from compliance.errors import LogBroken, Misconfigured
from compliance.proof.merkle import split
from compliance.proof.note import Head, Signer, VerifierKey, b64, write_whole
from compliance.proof.receipt import jwk, sign_claims, tlog_proof

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog


class Keyring:
    """Signs heads and receipts for one origin. The file is read at first use and again when it was replaced."""

    def __init__(self, path: Path, origin: str, public_url: str) -> None:
        self.path, self.origin, self._url = path, origin, public_url
        self._retired, self._head = (path.with_name(path.name + suffix) for suffix in (".retired", ".head"))
        self._read: tuple[tuple[int, int], list[Signer]] | None = None

    @property
    def signers(self) -> list[Signer]:
        """Raises Misconfigured when the file is missing, or not the key of this origin."""
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, self.parse())
        except OSError as error:
            why = f"{self.path} cannot be read ({error.strerror}); put the log's key back there"
            raise Misconfigured(f"LOG_SIGNING_KEY: {why}") from error
        for other in (signer.key.name for signer in self._read[1] if signer.key.name != self.origin):
            why = f"{self.path} is the key of {other}, not of LOG_ORIGIN {self.origin}"
            raise Misconfigured(f"LOG_SIGNING_KEY: {why}; set it back, or declare the new origin: flask log incident")
        return self._read[1]

    def parse(self) -> list[Signer]:
        """The private keys in the file, whatever origin they are for. Raises Misconfigured, OSError."""
        try:
            lines = self.path.read_bytes().decode("ascii", "replace").splitlines()
            if signers := [Signer.parse(line) for line in lines if line.strip()]:
                return signers
            raise LogBroken("it is empty")
        except LogBroken as error:
            raise Misconfigured(f"LOG_SIGNING_KEY: {self.path} holds no key of the log ({error})") from error

    @property
    def keys(self) -> list[VerifierKey]:
        """The public keys that sign now."""
        return [signer.key for signer in self.signers]

    @property
    def retired(self) -> list[VerifierKey]:
        """The public keys that signed before, of this origin and earlier ones."""
        lines = self._retired.read_text().splitlines() if self._retired.exists() else []
        return [VerifierKey.parse(line) for line in lines]

    def create_if_missing(self) -> None:
        """Make the first key of a new log, unless its file is there."""
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.replace([Signer.generate(self.origin)])

    def replace(self, signers: Sequence[Signer]) -> None:
        """Sign with these from now on; public keys that are left out are kept as retired."""
        before, retired = self.parse() if self.path.exists() else [], self.retired
        staying = [*retired, *(signer.key for signer in signers)]
        if gone := [one.key for one in before if one.key not in staying]:
            write_whole(self._retired, "".join(f"{key}\n" for key in (*retired, *gone)))
        write_whole(self.path, "".join(signer.secret_line() + "\n" for signer in signers), 0o600)

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """All public keys, as `/.well-known/jwks.json` shows them."""
        return {"keys": [jwk(key) for key in [*self.keys, *self.retired]]}

    def head(self, size: int, root: bytes) -> str:
        """A signed head."""
        text = str(Head(self.origin, size, root))
        return f"{text}\n" + "".join(signer.line(text) for signer in self.signers)

    def receipt(self, document: Mapping[str, Any], entry: Entry) -> dict[str, str]:
        """The receipt of a check's answer, with the proof and root of the tree that ends with its entry."""
        code, proof = entry.body["receipt_code"], split(entry.frontier)[::-1]
        tlog = tlog_proof(entry.position, proof, self.head(entry.position + 1, entry.root))
        jws = sign_claims(claims(document, code), self.signers[0])
        return {"code": code, "url": f"{self._url}/r/{code}", "jws": jws, "proof": tlog}

    def remembered(self) -> Head | None:
        """The highest head that is known to have been signed. Raises LogBroken."""
        try:
            return Head.parse(self._head.read_text()) if self._head.exists() else None
        except LogBroken as error:
            what = "verify the log with a head kept outside, then remove it"
            raise LogBroken(f"{self._head} is damaged: {what}") from error

    def remember(self, size: int, root: bytes) -> None:
        """Keep a head, unless a higher one of this origin is kept; one process after the other."""
        with self.path.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            known = self.remembered()
            if known is None or known.size < size or known.origin != self.origin:
                write_whole(self._head, str(Head(self.origin, size, root)))


def rotate(audit: AuditLog, *, by: str) -> VerifierKey:
    """Announce a new key and sign with both from now on; receipts with the new one. Returns the new public key."""
    signers, new = audit.keyring.signers, Signer.generate(audit.origin)
    if len(signers) > 1:
        raise LogBroken("a rotation is under way; end it first: flask log rotate --finish")
    audit.append("log.key_rotated", {"new": str(new.key), "old": str(signers[0].key), "by": by})
    audit.keyring.replace([new, *signers])
    return new.key


def finish_rotation(audit: AuditLog, *, by: str) -> list[VerifierKey]:
    """Stop signing with the old key; it stays published, for receipts that it signed. Returns what was retired."""
    new, *old = audit.keyring.signers
    if not old:
        raise LogBroken("no rotation is under way")
    retired = [signer.key for signer in old]
    audit.append("log.key_rotated", {"retired": list(map(str, retired)), "new": str(new.key), "by": by})
    audit.keyring.replace([new])
    return retired


def declare_incident(audit: AuditLog, *, reason: str, by: str, known: Head | None = None) -> VerifierKey:
    """Go on under a new origin (LOG_ORIGIN, already changed) with a new key. The first entry of the new origin names
    the old one, the highest head known outside (`known`, else the signer's own memory) and the database's head: whoever
    holds an old head sees what was lost. Raises LogBroken when LOG_ORIGIN is still the old one. Repeat it after a
    crash."""
    if any(signer.key.name != audit.origin for signer in audit.keyring.parse()):
        audit.keyring.replace([Signer.generate(audit.origin)])
    if not undeclared(audit):
        raise LogBroken("give the log a new name first: set LOG_ORIGIN to one that was never used")
    (size, root), lost, new = audit.head(), known or audit.keyring.remembered(), audit.keyring.keys[0]
    old = [key for key in audit.keyring.retired if key.name != audit.origin]
    body = {
        "old": {"origin": old[-1].name, "keys": [str(key) for key in old if key.name == old[-1].name]},
        "known": {"size": lost.size, "root": b64(lost.root)} if lost else None,
        "database": {"size": size, "root": b64(root)},
        "new": {"origin": audit.origin, "key": str(new)},
        **{"reason": reason, "by": by},
    }
    audit.closed = ""
    audit.append("log.incident", body, entry_id=f"incident-{audit.origin}")
    return new


def undeclared(audit: AuditLog) -> bool:
    """Whether the origin was changed and the incident's entry is still missing."""
    changed = any(key.name != audit.origin for key in audit.keyring.retired)
    return changed and audit.entry(f"incident-{audit.origin}") is None
