"""Key rotation, and the incident: a new origin after a loss or a compromise. Both are entries first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ulid import ULID

from compliance.errors import LogBroken
from compliance.proof.note import Head, Signer, VerifierKey, b64

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog


def rotate(audit: AuditLog, *, by: str) -> VerifierKey:
    """Announce a new key and sign with both from now on; receipts with the new one. Returns the new public key."""
    signers = audit.keyring.signers
    if len(signers) > 1:
        raise LogBroken("a rotation is under way; end it first: flask log rotate --finish")
    new = Signer.generate(audit.origin)
    body = {"new": str(new.key), "old": str(signers[0].key), "by": by}
    audit.append("log.key_rotated", body, entry_id=str(ULID()), private={}, at=audit.clock())
    audit.keyring.replace([new, *signers])
    return new.key


def finish_rotation(audit: AuditLog, *, by: str) -> list[VerifierKey]:
    """Stop signing with the old key; it stays published, for receipts that it signed. Returns what was retired."""
    new, *old = audit.keyring.signers
    if not old:
        raise LogBroken("no rotation is under way")
    body = {"retired": [str(signer.key) for signer in old], "new": str(new.key), "by": by}
    audit.append("log.key_rotated", body, entry_id=str(ULID()), private={}, at=audit.clock())
    audit.keyring.replace([new])
    return [signer.key for signer in old]


def declare_incident(audit: AuditLog, *, reason: str, by: str, known: Head | None = None) -> VerifierKey:
    """Go on under a new origin (LOG_ORIGIN, already changed) with a new key.

    The first entry of the new origin names the old one, the highest head known outside (`known`, else the signer's own
    memory) and the database's head: whoever holds an old head sees what was lost. Raises LogBroken when LOG_ORIGIN is
    still the old one. Repeat it after a crash.
    """
    entry_id, held = f"incident-{audit.origin}", audit.keyring.parse()
    if any(signer.key.name != audit.origin for signer in held):
        audit.keyring.replace([Signer.generate(audit.origin)])
    old = [key for key in audit.keyring.retired if key.name != audit.origin]
    if not old or audit.entry(entry_id):
        raise LogBroken("give the log a new name first: set LOG_ORIGIN to one that was never used")
    size, root = audit.head()
    lost = known or audit.keyring.remembered()
    new = audit.keyring.keys[0]
    body = {
        "old": {"origin": old[-1].name, "keys": [str(key) for key in old if key.name == old[-1].name]},
        "known": {"size": lost.size, "root": b64(lost.root)} if lost else None,
        "database": {"size": size, "root": b64(root)},
        "reason": reason,
        "by": by,
        "new": {"origin": audit.origin, "key": str(new)},
    }
    audit.closed = ""
    audit.append("log.incident", body, entry_id=entry_id, private={}, at=audit.clock())
    return new


def undeclared(audit: AuditLog) -> bool:
    """Whether the origin was changed and the incident's entry is still missing."""
    changed = any(key.name != audit.origin for key in audit.keyring.retired)
    return changed and audit.entry(f"incident-{audit.origin}") is None
