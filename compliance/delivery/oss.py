"""receiveLicenseStatus: what an officer confirms is told to OSS, retried until OSS has it (domain.md §6).

Off unless OSS_URL is set. Nothing is told by itself, least of all a refusal: every state is a supervisor's act.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from compliance import work
from compliance.audit.checks import CheckFilter, CheckRecord
from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import db
from compliance.delivery import outbox
from compliance.deployment import Deployment
from compliance.errors import BadInput, FieldError

# What each state of OSS asks of the newest check; None: nothing.
STATES: Mapping[str, str | None] = {"45": "PROCEED", "93": "STOP", "41": "HOLD", "42": None}
JAKARTA = ZoneInfo("Asia/Jakarta")
OSS = sa.Table(  # projection of `oss.received` and `officer.oss_status`: OSS's permits, the last state told of each
    "delivery_oss",
    db.metadata,
    sa.Column("nib", sa.String(13), primary_key=True),
    sa.Column("id_izin", sa.String(64), primary_key=True),
    sa.Column("region", sa.String(5), nullable=False),
    sa.Column("check_id", sa.String(26), nullable=False),
    sa.Column("named", sa.JSON, nullable=False),  # what OSS calls it: oss_id, kd_izin, id_proyek, id_produk
    sa.Column("status", sa.String(2)),
    sa.Column("state", sa.String(8)),  # waiting, sent or failed
    sa.Column("position", sa.BigInteger, nullable=False, index=True),
)


def received(here: Deployment, document: Any, checks: list[dict[str, Any]]) -> None:
    """Keep what OSS calls each permit that receive-nib checked, so that its state can be told."""
    if not here.settings.oss_url or not checks:
        return
    data = document["dataNIB"]
    items = {str(item.get("id_izin")).strip(): item for item in data["data_checklist"] if isinstance(item, dict)}
    for one in checks:
        if check := one["check"]:
            item = items[one["id_izin"]] | {"oss_id": data.get("oss_id")}
            named = {name: str(item.get(name) or "")[:64] for name in ("oss_id", "kd_izin", "id_proyek", "id_produk")}
            body = {"check": check["id"], "region": check["region"], "nib": data["nib"].strip(), "named": named}
            body["id_izin"], entry_id = one["id_izin"], f"oss.{check['id']}"
            here.log.append("oss.received", body, entry_id=entry_id, private={}, at=here.clock())


def tell(here: Deployment, nib: str, id_izin: str, status: str, *, once: str, by: str, private: dict[str, str]) -> None:
    """A supervisor's word on a permit: it is logged, then sent. `private`: nip, name, note; the same `once` is one act.

    Raises BadInput when the newest check does not bear it out, LogUnavailable.
    """
    check = newest(here, nib, id_izin)
    if status not in STATES or not check or STATES[status] not in (None, check.action) or not here.settings.oss_url:
        raise BadInput(FieldError("/status", "does not fit the newest check of this permit"))
    if status == "93" and not check.enforced:
        raise BadInput(FieldError("/status", "a rule that is not in force refuses nothing"))
    body = {"nib": nib, "id_izin": id_izin, "status": status, "check": check.id, "by": by}
    here.log.append("officer.oss_status", body, entry_id=f"oss.{once}", private=private, at=here.clock())


def newest(here: Deployment, nib: str, id_izin: str) -> CheckRecord | None:
    """Of the region that OSS named: others may check under the same numbers."""
    with here.log.engine.connect() as connection:
        regions = tuple(connection.scalars(sa.select(OSS.c.region).where(OSS.c.nib == nib, OSS.c.id_izin == id_izin)))
    return next(iter(here.log.checks(CheckFilter(regions, reference=id_izin, nib=nib), 1)), None)


def permits(here: Deployment, regions: Iterable[str], limit: int = 50) -> list[tuple[Any, CheckRecord]]:
    """OSS's newest permits of these regions, each with its newest check."""
    query = sa.select(OSS).where(OSS.c.region.in_(list(regions))).order_by(OSS.c.position.desc()).limit(limit)
    with here.log.engine.connect() as connection:
        rows = connection.execute(query).all()
    return [(row, check) for row in rows if (check := newest(here, row.nib, row.id_izin))]


@projects("oss.received", into=(OSS,))
def _received(connection: sa.Connection, entry: Entry) -> None:
    body = entry.body
    row = {"region": body["region"], "check_id": body["check"], "named": body["named"], "position": entry.position}
    put = insert(OSS).values(nib=body["nib"], id_izin=body["id_izin"], **row)
    connection.execute(put.on_conflict_do_update(index_elements=["nib", "id_izin"], set_=row))


@projects("officer.oss_status", "delivery.sent", "delivery.failed")
def _told(connection: sa.Connection, entry: Entry) -> None:
    body = entry.body
    if "id_izin" in body:
        this = sa.update(OSS).where(OSS.c.nib == body["nib"], OSS.c.id_izin == body["id_izin"])
        if entry.kind == "officer.oss_status":
            work.add(connection, "oss", entry.id, entry.at)
            connection.execute(this.values(status=body["status"], state="waiting"))
        else:
            connection.execute(this.values(state=entry.kind.partition(".")[2]))


@work.handles("oss")
def send(here: Deployment, row: work.Row) -> datetime | None:
    """One try; what OSS refuses for good is not sent again."""
    entry, name = here.log.entry(row.key), f"{row.key}.told"
    if entry is None or here.log.entry(name):
        return None
    body, who = entry.body, entry.disclosed
    about = {name: body[name] for name in ("nib", "id_izin")}
    with here.log.engine.connect() as connection:
        named = connection.scalar(sa.select(OSS.c.named).where(*(OSS.c[key] == about[key] for key in about)))
    told = about | (named or {}) | {"kd_instansi": here.settings.oss_kd_instansi, "kd_status": body["status"]}
    told |= {"tgl_status": f"{entry.at.astimezone(JAKARTA):%Y-%m-%d %H:%M:%S}", "nip_status": who.get("nip", "")}
    told |= {"nama_status": who.get("name", ""), "keterangan": who.get("note", "")}
    headers = {"user_key": here.settings.oss_user_key}
    url = f"{here.settings.oss_url}/receiveLicenseStatus"
    status, answer = outbox.call(here, url, json.dumps({"IZINSTATUS": told}).encode(), headers)
    kode = _kode(answer) if status == 200 else status
    final = kode == 200 or (400 <= kode < 500 and kode not in (401, 403, 408, 429))
    facts = about | {"event": "oss.status", "oss": kode}
    return outbox.settle(here, name, row, "sent" if kode == 200 else "failed", final=final, **facts)


def _kode(answer: bytes) -> int:
    """OSS's own code; 0 when its answer is none."""
    try:
        return int(json.loads(answer)["responreceiveLicenseStatus"]["kode"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
