"""Key rotation, and the incident: a new origin after a loss or a compromise. Both are entries first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ulid import ULID

from compliance.errors import LogBroken
from compliance.proof.note import Head, Signer, VerifierKey, b64

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog


def _tell(audit: AuditLog, kind: str, entry_id: str, body: Mapping[str, Any]) -> None:
    audit.append(kind, body, entry_id=entry_id, private={}, at=audit.clock())


def rotate(audit: AuditLog, *, by: str) -> VerifierKey:
    """Announce a new key and sign with both from now on; receipts with the new one. Returns the new public key."""
    signers, new = audit.keyring.signers, Signer.generate(audit.origin)
    if len(signers) > 1:
        raise LogBroken("a rotation is under way; end it first: flask log rotate --finish")
    _tell(audit, "log.key_rotated", str(ULID()), {"new": str(new.key), "old": str(signers[0].key), "by": by})
    audit.keyring.replace([new, *signers])
    return new.key


def finish_rotation(audit: AuditLog, *, by: str) -> list[VerifierKey]:
    """Stop signing with the old key; it stays published, for receipts that it signed. Returns what was retired."""
    new, *old = audit.keyring.signers
    if not old:
        raise LogBroken("no rotation is under way")
    retired = [str(signer.key) for signer in old]
    _tell(audit, "log.key_rotated", str(ULID()), {"retired": retired, "new": str(new.key), "by": by})
    audit.keyring.replace([new])
    return [signer.key for signer in old]


def declare_incident(audit: AuditLog, *, reason: str, by: str, known: Head | None = None) -> VerifierKey:
    """Go on under a new origin (LOG_ORIGIN, already changed) with a new key.

    The first entry of the new origin names the old one, the highest head known outside (`known`, else the signer's own
    memory) and the database's head: whoever holds an old head sees what was lost. Raises LogBroken when LOG_ORIGIN is
    still the old one. Repeat it after a crash.
    """
    if any(signer.key.name != audit.origin for signer in audit.keyring.parse()):
        audit.keyring.replace([Signer.generate(audit.origin)])
    if not undeclared(audit):
        raise LogBroken("give the log a new name first: set LOG_ORIGIN to one that was never used")
    (size, root), lost, new = audit.head(), known or audit.keyring.remembered(), audit.keyring.keys[0]
    old = [key for key in audit.keyring.retired if key.name != audit.origin]
    keys = [str(key) for key in old if key.name == old[-1].name]
    body = {
        "old": {"origin": old[-1].name, "keys": keys},
        "known": {"size": lost.size, "root": b64(lost.root)} if lost else None,
        "database": {"size": size, "root": b64(root)},
        "reason": reason,
        "by": by,
        "new": {"origin": audit.origin, "key": str(new)},
    }
    audit.closed = ""
    _tell(audit, "log.incident", f"incident-{audit.origin}", body)
    return new


def undeclared(audit: AuditLog) -> bool:
    """Whether the origin was changed and the incident's entry is still missing."""
    changed = any(key.name != audit.origin for key in audit.keyring.retired)
    return changed and audit.entry(f"incident-{audit.origin}") is None
