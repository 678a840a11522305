"""Submit heads to witnesses (C2SP tlog-witness), keep their cosignatures; notice when one knows better."""

from __future__ import annotations

import http.client
import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from compliance.audit.table import audit_head
from compliance.errors import LogBroken, Misconfigured
from compliance.proof.note import Head, VerifierKey, b64, open_note

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

_TIMEOUT, _LOOPBACK = 5.0, ("127.0.0.1", "::1", "localhost")
_newest = select(audit_head.c.note).order_by(audit_head.c.size.desc()).limit(1)


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
    except (OSError, UnicodeError, LogBroken) as error:
        raise Misconfigured(f"LOG_WITNESSES: {path}: {error}") from error
    return found


def submit(audit: AuditLog) -> int:
    """Have the newest head cosigned by every witness that can be reached, and keep it. Returns how many cosigned.

    Raises LogBroken when a witness stands ahead of the database, or at another history.
    """
    size, root = audit.durable_head()
    note, lines = audit.keyring.head(size, root), list[str]()
    for address, key in configured(audit.settings.log_witnesses):
        try:
            line = _cosign(audit, address, size, note)
            open_note(note + line, [key])
            lines.append(line)
        except (OSError, http.client.HTTPException) as error:
            told = "the witness %s cannot be reached (%s)"
            logging.getLogger(__name__).warning(told, key.name, type(error).__name__)
    if size:
        kept = insert(audit_head).values(size=size, note="".join([note, *lines]), at=audit.clock())
        with audit.engine.begin() as connection:
            connection.execute(kept.on_conflict_do_update(index_elements=["size"], set_={"note": kept.excluded.note}))
    return len(lines)


def _cosign(audit: AuditLog, address: str, size: int, note: str) -> str:
    """One witness's line. It says where it stands, if that is not where we think it does."""
    old, proof = 0, list[bytes]()
    while True:
        hashes = "".join(b64(step) + "\n" for step in proof)
        status, text = _post(address, f"old {old}\n{hashes}\n{note}")
        if status == 200:
            return text
        stands = int(text) if status == 409 and text.strip().isdecimal() else None
        if stands is not None and stands > audit.head()[0]:
            raise LogBroken(
                f"a witness has cosigned a head of {stands} entries, the database has {size}; restore it, or declare"
                " the loss: flask log incident",
                size,
            )
        if status == 422 or (stands == old and old):
            raise LogBroken("a witness has cosigned another history of this log; flask log incident declares it")
        if stands is None or not old < stands <= size:
            raise ConnectionError(f"the witness answered {status}")
        old, proof = stands, audit.consistency(stands, size)


def _post(address: str, body: str) -> tuple[int, str]:
    where = urlsplit(address)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=_TIMEOUT)
    try:
        connection.request("POST", f"{where.path}/add-checkpoint", body.encode(), {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        return answer.status, answer.read(65_536).decode("utf-8", "replace")
    finally:
        connection.close()


def published(audit: AuditLog) -> str | None:
    """The newest head that was published, with its cosignatures."""
    with audit.engine.connect() as connection:
        note: str | None = connection.scalar(_newest)
    return note


def heads(audit: AuditLog) -> dict[int, bytes]:
    """The roots of all heads published under this origin, by size."""
    with audit.engine.connect() as connection:
        notes = connection.scalars(select(audit_head.c.note)).all()
    known = [Head.parse(note[: note.index("\n\n") + 1]) for note in notes]
    return {head.size: head.root for head in known if head.origin == audit.origin}
