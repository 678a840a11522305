"""Opening the log for service: the place is fit, the key is there, and the database is not behind what is known."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from compliance.audit import witnesses
from compliance.audit.catchup import catch_up
from compliance.audit.keys import undeclared
from compliance.audit.turn import check_place
from compliance.errors import LogBroken, Misconfigured
from compliance.proof.note import Head
from compliance.proof.tally import BACKWARDS

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

log = logging.getLogger(__name__)


def open_for_service(audit: AuditLog) -> None:
    """Raises Misconfigured when the service must not start. A log that is behind a head known outside is closed: it is
    read, but `closed` says why nothing is appended until an incident is declared."""
    try:
        check_place(audit.engine, audit.settings.demo)
        audit.head()
    except SQLAlchemyError as error:
        raise Misconfigured(
            f"DATABASE_URL: the database cannot be read ({type(error).__name__}); is it there, and migrated by"
            " flask db upgrade?"
        ) from error
    audit.keyring.signers  # noqa: B018 (raises)
    if undeclared(audit):
        raise Misconfigured("LOG_ORIGIN was changed, but no entry says why; end it: flask log incident")
    size, _ = audit.head()
    for newest in audit.entries(max(size - 1, 0), size):
        if newest.at - audit.clock() > BACKWARDS:
            last = f"{newest.at:%Y-%m-%dT%H:%M:%SZ}"
            raise Misconfigured(f"this machine's clock is behind the log's last entry of {last}; set it right")
    try:
        compare(audit)
    except LogBroken as error:
        audit.closed = str(error)
        log.error("the log takes no entries: %s", error)
        return
    catch_up(audit)
    audit.remember(*audit.head())


def compare(audit: AuditLog) -> None:
    """Raises LogBroken when the signer's memory or a witness knows of more, or of something else, than the database."""
    remembered = audit.keyring.remembered()
    if remembered and remembered.origin == audit.origin:
        _must_contain(audit, remembered, "the signer")
    witnesses.submit(audit)


def _must_contain(audit: AuditLog, head: Head, who: str) -> None:
    size, _ = audit.head()
    if head.size > size:
        raise LogBroken(
            f"{who} knows a head of {head.size} entries, the database has {size}; restore it, or declare the loss:"
            " flask log incident",
            size,
        )
    if audit.root_at(head.size) != head.root:
        raise LogBroken(f"{who} knows another history of the first {head.size} entries; flask log incident declares it")
