"""What others are told, retried for three days with growing pauses. Signed webhooks: nothing that the client could not
read over the API, only to the address that an operator set. receiveLicenseStatus (domain.md §6), off unless OSS_URL is
set: nothing is told to OSS by itself, least of all a refusal: every state is a supervisor's act."""

import hashlib
import hmac
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from compliance import work
from compliance.access.clients import JAKARTA, Client, Scope, living
from compliance.audit import document
from compliance.audit.checks import CheckFilter, CheckRecord
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
_session = cache(reach.Client)


def post(connection: sa.Connection, client_id: str, event: str, key: str, subject: str, at: datetime) -> None:
    """Tell a client of an event of a check (or batch: `subject` is its id) from `at` on; nothing if it has no address.
    To be called by a projection or a handler, in its transaction. The same client, event, subject and key (at most 60
    characters, without colon) are told once. An event is `family.word`: check.final, batch.finished, watch.…"""
    if connection.scalar(sa.select(HOOK.c.url).where(HOOK.c.client_id == client_id)):
        work.add(connection, "webhook", f"{client_id}:{event}:{subject}:{key}", at)


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
    name = f"delivery.{hashlib.sha256(row.key.encode()).hexdigest()[:26]}"
    if here.log.entry(name):
        return None  # its outcome is known: the tables were rebuilt
    with here.log.engine.connect() as connection:
        client = living(connection, client_id, here.clock())
    facts: dict[str, Any] = {"event": event, "subject": subject, "client": client_id}
    told, text = hook(here.log.engine, client_id), client and _shown(here, subject, client)
    if not (told and told.url and text):
        return settle(here, name, row, "dropped", **facts)
    t, body = int(here.clock().timestamp()), text.encode()
    signed = hmac.digest(told.secret(here.settings.secret_key).encode(), f"{t}.".encode() + body, "sha256").hex()
    headers = {"X-Gate-Event": event, "X-Gate-Delivery": name, "X-Gate-Signature": f"t={t},v1={signed}"}
    status, _ = call(here, told.url, body, headers)
    return settle(here, name, row, "sent" if 200 <= status < 300 else "later", **facts, status=status)


def _shown(here: Deployment, subject: str, client: Client) -> str | None:
    """A check, or a batch that has ended, as the API gives it to this client; None when it is not for its eyes."""
    check, shadows = here.log.check(subject), client.scopes == {Scope.CHECK}
    if check and check.region in client.regions:
        return document.text(document.masked(json.loads(check.document))) if shadows else str(check.document)
    started, ended = (here.log.entry(f"batch.{subject}.{word}") for word in ("started", "ended"))
    if not (started and ended and set(started.body["regions"]) <= set(client.regions)):
        return None
    told = {"id": subject, "state": "done", "total": ended.body["total"], "done": ended.body["total"]}
    return document.text(told | {"by_verdict": ended.body["by_verdict"]})


def call(here: Deployment, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """POST a JSON body to an address that ALLOWED_HOSTS permits; the status (0: no answer) and 64 KiB of the answer."""
    return reach.send(_session(here.settings.allowed_hosts), url, body, headers, 65_536)


def settle(here: Deployment, name: str, row: work.Row, outcome: str, **facts: str | int) -> datetime | None:
    """Log what came of a delivery in the end, or say when (`later`) it is tried again."""
    if outcome == "later" and row.tries <= len(PAUSES):
        return here.clock() + timedelta(minutes=PAUSES[row.tries - 1])
    here.log.append(f"delivery.{outcome.replace('later', 'failed')}", {"tries": row.tries, **facts}, entry_id=name)
    return None


# What each state of OSS asks of the newest check; None: nothing.
STATES: dict[str, str | None] = {"45": "PROCEED", "93": "STOP", "41": "HOLD", "42": None}
NAMED = ("oss_id", "kd_izin", "id_proyek", "id_produk")
# Projection of `oss.received` and `officer.oss_status`: OSS's permits, what OSS calls each (NAMED), the last state told
# of it; `state` is waiting, sent or failed.
OSS = table("delivery_oss", "nib:13! id_izin:64! region:5 check_id:26 named:json status:2? state:8? position:big+")


def received(here: Deployment, document: Any, checks: list[dict[str, Any]], regions: Iterable[str]) -> None:
    """Keep what OSS calls each permit that receive-nib checked for a client of `regions`, to tell its state later."""
    if not here.settings.oss_url or not checks:
        return
    data = document["dataNIB"]
    items = {str(item.get("id_izin")).strip(): item for item in data["data_checklist"] if isinstance(item, dict)}
    for id_izin, check in ((one["id_izin"], one["check"]) for one in checks if one["check"]):
        item = items[id_izin] | {"oss_id": data.get("oss_id")}
        body = {"check": check["id"], "region": check["region"], "nib": data["nib"].strip(), "id_izin": id_izin}
        body |= {"named": {name: str(item.get(name) or "")[:64] for name in NAMED}, "regions": list(regions)}
        here.log.append("oss.received", body, entry_id=f"oss.{check['id']}")


def tell(here: Deployment, nib: str, id_izin: str, status: str, *, once: str, by: str, private: dict[str, str]) -> None:
    """A supervisor's word on a permit: it is logged, then sent. `private`: nip, name, note; the same `once` is one act.
    Raises BadInput when the newest check does not bear it out, LogUnavailable."""
    check = next((check for _, check in permits(here, here.policy.regions, _is(nib, id_izin))), None)
    if status not in STATES or not check or STATES[status] not in (None, check.action) or not here.settings.oss_url:
        raise BadInput(FieldError("/status", "does not fit the newest check of this permit"))
    if status == "93" and not check.enforced:
        raise BadInput(FieldError("/status", "a rule that is not in force refuses nothing"))
    body = {"nib": nib, "id_izin": id_izin, "status": status, "check": check.id, "by": by}
    here.log.append("officer.oss_status", body, entry_id=f"oss.{once}", private=private)


def permits(here: Deployment, regions: Iterable[str], *which: Any) -> list[tuple[Any, CheckRecord]]:
    """OSS's newest permits of these regions, each with its newest check there: others may check the same numbers."""
    found = sa.select(OSS).where(OSS.c.region.in_(list(regions)), *which).order_by(OSS.c.position.desc()).limit(50)
    same = [(row, CheckFilter((row.region,), reference=row.id_izin, nib=row.nib)) for row in here.log.rows(found)]
    return [(row, check) for row, wanted in same for check in here.log.checks(wanted, 1)]


def _is(nib: str, id_izin: str) -> sa.ColumnElement[bool]:
    return sa.and_(OSS.c.nib == nib, OSS.c.id_izin == id_izin)


@projects("oss.received", into=(OSS,))
def _received(connection: sa.Connection, entry: Entry) -> None:
    """A permit of a region that is not the client's stays there, whatever the client says of it."""
    body, known = entry.body, _is(entry.body["nib"], entry.body["id_izin"])
    foreign = OSS.c.region.not_in(body.get("regions", [body["region"]]))
    if connection.execute(sa.select(OSS.c.region).where(known, foreign)).first():
        return
    row = {name: body[name] for name in ("nib", "id_izin", "region", "named")}
    put(connection, OSS, row | {"check_id": body["check"], "position": entry.position}, newest="")


@projects("officer.oss_status", "delivery.sent", "delivery.failed")
def _told(connection: sa.Connection, entry: Entry) -> None:
    if "id_izin" not in (body := entry.body):
        return
    change = {"state": entry.kind.partition(".")[2]}
    if entry.kind == "officer.oss_status":
        work.add(connection, "oss", entry.id, entry.at)
        change = {"status": body["status"], "state": "waiting"}
    connection.execute(sa.update(OSS).where(_is(body["nib"], body["id_izin"])).values(**change))


@work.handles("oss")
def send(here: Deployment, row: work.Row) -> datetime | None:
    """One try; what OSS refuses for good is not sent again."""
    entry, name = here.log.entry(row.key), f"{row.key}.told"
    if entry is None or here.log.entry(name):
        return None
    about, who = {name: entry.body[name] for name in ("nib", "id_izin")}, entry.disclosed
    known = here.log.rows(sa.select(OSS.c.named).where(_is(**about)))
    told = (
        about
        | (known[0].named if known else {})
        | {"kd_status": entry.body["status"], "kd_instansi": here.settings.oss_kd_instansi}
    )
    told |= {"tgl_status": f"{entry.at.astimezone(JAKARTA):%Y-%m-%d %H:%M:%S}", "nip_status": who.get("nip", "")}
    told |= {"nama_status": who.get("name", ""), "keterangan": who.get("note", "")}
    url, headers = f"{here.settings.oss_url}/receiveLicenseStatus", {"user_key": here.settings.oss_user_key}
    kode, answer = call(here, url, json.dumps({"IZINSTATUS": told}).encode(), headers)
    if kode == 200:
        try:  # OSS's own code; 0 when its answer is none
            kode = int(json.loads(answer)["responreceiveLicenseStatus"]["kode"])
        except (ValueError, KeyError, TypeError, RecursionError):
            kode = 0
    refused = 400 <= kode < 500 and kode not in (401, 403, 408, 429)
    outcome = "sent" if kode == 200 else "failed" if refused else "later"
    return settle(here, name, row, outcome, **about, event="oss.status", oss=kode)
