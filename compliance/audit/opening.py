"""Opening the log for service: the place is fit, the key is there, and the database is not behind what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from compliance.audit import witnesses
from compliance.audit.catchup import catch_up
from compliance.audit.keys import undeclared
from compliance.audit.turn import check_place
from compliance.errors import LogBroken, Misconfigured
from compliance.proof.tally import BACKWARDS

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog


def open_for_service(audit: AuditLog) -> None:
    """Raises Misconfigured when the service must not start, LogBroken when the database is behind a head known outside:
    then nothing is appended until it is restored, or an incident is declared."""
    try:
        check_place(audit.engine, audit.settings.demo)
        size, _ = audit.head()
    except SQLAlchemyError as error:
        why = f"the database cannot be read ({type(error).__name__}); is it there, and migrated by flask db upgrade?"
        raise Misconfigured(f"DATABASE_URL: {why}") from error
    audit.keyring.signers  # noqa: B018 (raises)
    if undeclared(audit):
        raise Misconfigured("LOG_ORIGIN was changed, but no entry says why; end it: flask log incident")
    for newest in audit.entries(max(size - 1, 0), size):
        if newest.at - audit.clock() > BACKWARDS:
            last = f"{newest.at:%Y-%m-%dT%H:%M:%SZ}"
            raise Misconfigured(f"this machine's clock is behind the log's last entry of {last}; set it right")
    known = audit.keyring.remembered()
    size, root = audit.durable_head()  # read after the memory, which other processes write
    if known and known.origin == audit.origin:
        if known.size > size:
            what = f"the signer knows a head of {known.size} entries, the database has {size}"
            raise LogBroken(f"{what}; restore it, or declare the loss: flask log incident", size)
        if audit.root_at(known.size) != known.root:
            what = f"the signer knows another history of the first {known.size} entries"
            raise LogBroken(f"{what}; flask log incident declares it")
    witnesses.submit(audit)
    if size:
        audit.keyring.remember(size, root)
    catch_up(audit)
