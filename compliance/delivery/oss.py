"""receiveLicenseStatus: what an officer confirms is told to OSS, retried until OSS has it (domain.md §6).
Off unless OSS_URL is set. Nothing is told by itself, least of all a refusal: every state is a supervisor's act."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from compliance import work
from compliance.access.clients import JAKARTA
from compliance.audit.checks import CheckFilter, CheckRecord
from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import put, table
from compliance.delivery import outbox
from compliance.deployment import Deployment
from compliance.errors import BadInput, FieldError

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
    check = newest(here, nib, id_izin)
    if status not in STATES or not check or STATES[status] not in (None, check.action) or not here.settings.oss_url:
        raise BadInput(FieldError("/status", "does not fit the newest check of this permit"))
    if status == "93" and not check.enforced:
        raise BadInput(FieldError("/status", "a rule that is not in force refuses nothing"))
    body = {"nib": nib, "id_izin": id_izin, "status": status, "check": check.id, "by": by}
    here.log.append("officer.oss_status", body, entry_id=f"oss.{once}", private=private)


def newest(here: Deployment, nib: str, id_izin: str) -> CheckRecord | None:
    """Of the region that OSS named: others may check under the same numbers."""
    regions = tuple(row.region for row in here.log.rows(sa.select(OSS.c.region).where(_is(nib, id_izin))))
    return next(iter(here.log.checks(CheckFilter(regions, reference=id_izin, nib=nib), 1)), None)


def permits(here: Deployment, regions: Iterable[str], limit: int = 50) -> list[tuple[Any, CheckRecord]]:
    """OSS's newest permits of these regions, each with its newest check."""
    query = sa.select(OSS).where(OSS.c.region.in_(list(regions))).order_by(OSS.c.position.desc()).limit(limit)
    return [(row, check) for row in here.log.rows(query) if (check := newest(here, row.nib, row.id_izin))]


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
    told = about | (known[0].named if known else {}) | {"kd_status": entry.body["status"]}
    told["kd_instansi"] = here.settings.oss_kd_instansi
    told |= {"tgl_status": f"{entry.at.astimezone(JAKARTA):%Y-%m-%d %H:%M:%S}", "nip_status": who.get("nip", "")}
    told |= {"nama_status": who.get("name", ""), "keterangan": who.get("note", "")}
    url, headers = f"{here.settings.oss_url}/receiveLicenseStatus", {"user_key": here.settings.oss_user_key}
    kode, answer = outbox.call(here, url, json.dumps({"IZINSTATUS": told}).encode(), headers)
    if kode == 200:
        try:  # OSS's own code; 0 when its answer is none
            kode = int(json.loads(answer)["responreceiveLicenseStatus"]["kode"])
        except (ValueError, KeyError, TypeError, RecursionError):
            kode = 0
    final = kode == 200 or (400 <= kode < 500 and kode not in (401, 403, 408, 429))
    facts = about | {"event": "oss.status", "oss": kode}
    return outbox.settle(here, name, row, "sent" if kode == 200 else "failed", final=final, **facts)
