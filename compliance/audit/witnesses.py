"""Submit heads to witnesses (C2SP tlog-witness), keep their cosignatures; notice when one knows better."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3
from sqlalchemy import select

from compliance.audit.table import audit_head
from compliance.database import put
from compliance.errors import LogBroken, Misconfigured
from compliance.proof.note import Head, VerifierKey, b64, open_note

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_pool = urllib3.PoolManager(timeout=5.0, retries=False, headers={"Content-Type": "text/plain"})


def configured(path: Path | None) -> list[tuple[str, VerifierKey]]:
    """The witnesses in the file of LOG_WITNESSES: `address public-key`, one a line. Raises Misconfigured."""
    found = []
    try:
        for line in path.read_text(encoding="ascii").splitlines() if path else ():
            if line.strip() and not line.startswith("#"):
                address, _, key = line.strip().partition(" ")
                where = urlsplit(address)
                if where.scheme != "https" and (where.scheme != "http" or where.hostname not in _LOOPBACK):
                    raise LogBroken(f"{address} is not https")
                found.append((address.rstrip("/"), VerifierKey.parse(key)))
    except (OSError, ValueError, LogBroken) as error:
        raise Misconfigured(f"LOG_WITNESSES: {path}: {error}") from error
    return found


def submit(audit: AuditLog) -> int:
    """Have the newest head cosigned by every witness that can be reached, and keep it. Returns how many cosigned.
    Raises LogBroken when a witness stands ahead of the database, or at another history."""
    size, root = audit.durable_head()
    note, lines = audit.keyring.head(size, root), list[str]()
    for address, key in configured(audit.settings.log_witnesses):
        try:
            line = _cosign(audit, address, size, note)
            open_note(note + line, [key])
            lines.append(line)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            told = str(error) if isinstance(error, ConnectionError) else type(error).__name__
            logging.getLogger(__name__).warning("the witness %s cannot be reached (%s)", key.name, told)
    if size:
        with audit.engine.begin() as connection:
            kept = {"size": size, "note": "".join([note, *lines]), "at": audit.clock()}
            put(connection, audit_head, kept, newest="")
    return len(lines)


def _cosign(audit: AuditLog, address: str, size: int, note: str) -> str:
    """One witness's line. It says where it stands, if that is not where we think it does."""
    old, proof = 0, list[bytes]()
    while True:
        body = "".join([f"old {old}\n", *(b64(step) + "\n" for step in proof), "\n", note]).encode()
        answer = _pool.request("POST", f"{address}/add-checkpoint", body=body, redirect=False, preload_content=False)
        status, text = answer.status, answer.read(65_536).decode("utf-8", "replace")
        answer.close()
        if status == 200:
            return text
        stands = int(text) if status == 409 and text.strip().isdecimal() and len(text) <= 20 else None
        if stands is not None and stands > audit.head()[0]:
            what = f"a witness has cosigned a head of {stands} entries, the database has {size}"
            raise LogBroken(f"{what}; restore it, or declare the loss: flask log incident", size)
        if status == 422 or (stands == old and old):
            raise LogBroken("a witness has cosigned another history of this log; flask log incident declares it")
        if stands is None or not old < stands <= size:
            raise ConnectionError(f"it answered {status} {text[:80].strip()}")
        old, proof = stands, audit.consistency(stands, size)


def published(audit: AuditLog) -> str | None:
    """The newest head that was published, with its cosignatures."""
    found = audit.rows(select(audit_head.c.note).order_by(audit_head.c.size.desc()).limit(1))
    return found[0].note if found else None


def heads(audit: AuditLog) -> dict[int, bytes]:
    """The roots of all heads published under this origin, by size; and of the highest that the signer remembers."""
    texts = [note[: note.index("\n\n") + 1] for (note,) in audit.rows(select(audit_head.c.note))]
    known = [head for head in (*map(Head.parse, texts), audit.keyring.remembered()) if head]
    return {head.size: head.root for head in known if head.origin == audit.origin}
