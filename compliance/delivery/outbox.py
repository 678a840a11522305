"""Signed webhooks: what licensing software is told, retried for three days with growing pauses.
Nothing is told from here that the client could not read over the API, and only to the address that an operator set."""

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from compliance import work
from compliance.access.clients import Client, Scope, living
from compliance.audit import document
from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.audit.table import check_record
from compliance.database import put, rows, table
from compliance.deployment import Deployment
from compliance.errors import BadInput, FieldError, Misconfigured
from compliance.registry import reach

PAUSES = (1, 2, 5, 10, 20, 30, 60, 120, 240, *[480] * 8)  # minutes between tries, three days in all
# Projection of `access.webhook_set`; an empty `url` means none.
HOOK = table("delivery_hook", "client_id:26! url:500 version:int position:big")
Document = Callable[[Deployment, str], tuple[str, tuple[str, ...]] | None]
_documents: dict[str, Document] = {}
_session = cache(reach.Client)


def post(connection: sa.Connection, client_id: str, event: str, key: str, subject: str, at: datetime) -> None:
    """Tell a client of an event of a check (or batch: `subject` is its id) from `at` on; nothing if it has no address.
    To be called by a projection or a handler, in its transaction. The same client, event, subject and key (at most 60
    characters, without colon) are told once. An event is `family.word`: check.final, batch.finished, watch.…"""
    if connection.scalar(sa.select(HOOK.c.url).where(HOOK.c.client_id == client_id)):
        work.add(connection, "webhook", f"{client_id}:{event}:{subject}:{key}", at)


def tells(family: str) -> Callable[[Document], Document]:
    """Register what gives the document and the regions of an event's subject; other families tell of checks."""
    return lambda document: _documents.setdefault(family, document)


class Hook(NamedTuple):
    """Where a client is told. What signs is made from the deployment's own secret, and kept nowhere."""

    client_id: str
    url: str
    version: int

    def secret(self, key: str) -> str:
        made = hmac.digest(key.encode(), f"webhook|{self.client_id}|{self.version}".encode(), "sha256")
        return f"whsec_{made.hex()}"


def hook(engine: sa.Engine, client_id: str) -> Hook | None:
    found = rows(engine, sa.select(HOOK).where(HOOK.c.client_id == client_id))
    return Hook(*found[0][:3]) if found else None


def set_hook(here: Deployment, client: Client, url: str, *, by: str) -> Hook:
    """Give a client's address (empty: none any more) and a new secret. Raises BadInput, LogUnavailable."""
    try:
        url = url and reach.checked_url(url, "the address")
    except Misconfigured as error:
        raise BadInput(FieldError("/url", f"{error}, e.g. https://perizinan.example/gate")) from error
    if len(url) > 500 or not url.isascii() or not url.isprintable():
        raise BadInput(FieldError("/url", "must be at most 500 printable ASCII characters"))
    known = hook(here.log.engine, client.id)
    new = Hook(client.id, url, known.version + 1 if known else 1)
    body = {"client": client.id, "url": url, "version": new.version, "by": by}
    here.log.append("access.webhook_set", body, entry_id=f"webhook.{client.id}.{new.version}")
    return new


@projects("access.webhook_set", into=(HOOK,))
def _set(connection: sa.Connection, entry: Entry) -> None:
    row = {"url": entry.body["url"], "version": entry.body["version"], "position": entry.position}
    put(connection, HOOK, row | {"client_id": entry.body["client"]}, newest="position")


@projects("check")
def tell_final(connection: sa.Connection, entry: Entry) -> None:
    """A check that replaces an UNDETERMINED one is the answer that its asker waits for; a batch tells at its end."""
    body = entry.body
    if body["asker"]["kind"] != "client" or "replaces" not in body or body["request_id"].startswith("batch:"):
        return
    before = connection.scalar(sa.select(check_record.c.verdict).where(check_record.c.id == body["replaces"]))
    if before == "UNDETERMINED" != body["decision"]["verdict"]:
        post(connection, body["asker"]["id"], "check.final", "", entry.id, entry.at)


@work.handles("webhook")
def deliver(here: Deployment, row: work.Row) -> datetime | None:
    """One try. The event's id is the same in every one, its signature's time is not."""
    client_id, event, subject, _ = row.key.split(":", 3)
    name, family = f"delivery.{hashlib.sha256(row.key.encode()).hexdigest()[:26]}", event.partition(".")[0]
    if here.log.entry(name):
        return None  # its outcome is known: the tables were rebuilt
    facts: dict[str, Any] = {"event": event, "subject": subject, "client": client_id}
    told, tell, check = hook(here.log.engine, client_id), _documents.get(family), here.log.check(subject)
    found = tell(here, subject) if tell else check and (check.document, (check.region,))
    with here.log.engine.connect() as connection:
        client = living(connection, client_id, here.clock())
    if not (told and told.url and client and found and set(found[1]) <= set(client.regions)):
        return settle(here, name, row, "dropped", **facts)
    text = found[0]
    if family != "batch" and client.scopes == {Scope.CHECK}:
        text = document.text(document.masked(json.loads(text)))
    t, body = int(here.clock().timestamp()), text.encode()
    signed = hmac.digest(told.secret(here.settings.secret_key).encode(), f"{t}.".encode() + body, "sha256").hex()
    headers = {"X-Gate-Event": event, "X-Gate-Delivery": name, "X-Gate-Signature": f"t={t},v1={signed}"}
    status, _ = call(here, told.url, body, headers)
    return settle(here, name, row, "sent" if 200 <= status < 300 else "failed", **facts, status=status)


def call(here: Deployment, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """POST a JSON body to an address that ALLOWED_HOSTS permits; the status (0: no answer) and 64 KiB of the answer."""
    return reach.send(_session(here.settings.allowed_hosts), url, body, headers, 65_536)


def settle(
    here: Deployment, name: str, row: work.Row, outcome: str, *, final: bool = False, **facts: str | int
) -> datetime | None:
    """Log a delivery's final outcome, or say when a failed one is tried again."""
    if outcome == "failed" and not final and row.tries <= len(PAUSES):
        return here.clock() + timedelta(minutes=PAUSES[row.tries - 1])
    here.log.append(f"delivery.{outcome}", {"tries": row.tries, **facts}, entry_id=name)
    return None
