"""Finding checks by what an auditor knows of them, newest day first. Narrow tables, so that a million rows stay fast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Date, Engine, Index, Integer, Row, String, Table
from sqlalchemy import and_, or_, select
from sqlalchemy.dialects.postgresql import insert

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import Moment, db

Position = BigInteger().with_variant(Integer, "sqlite")
BATCH = 500
FACETS = ("verdict", "permit_type", "office", "asker", "nib")

CHECKS = Table(
    "report_check",
    db.metadata,
    Column("pos", Position, primary_key=True, autoincrement=False),
    Column("id", String(128), nullable=False),
    Column("at", Moment, nullable=False),
    Column("day", Date, nullable=False),  # of asking, in the region's zone
    Column("region", String(5), nullable=False),
    Column("office", String(200), nullable=False),  # as the log says it; software has none
    Column("asker", String(90), nullable=False),  # kind:id
    Column("reference", String(64), nullable=False),
    Column("permit_type", String(200), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("action", String(8), nullable=False),
    Column("nib", String(13)),
    Index("ix_report_check_day", "region", "day", "pos"),
    Index("ix_report_check_case", "region", "reference", "permit_type", "pos"),
    *(Index(f"ix_report_check_{name}", "region", name, "day", "pos") for name in FACETS),
)
FINDINGS = Table(
    "report_finding",
    db.metadata,
    Column("pos", Position, primary_key=True, autoincrement=False),
    Column("code", String(40), primary_key=True),
    Column("region", String(5), nullable=False),
    Column("day", Date, nullable=False),
    Index("ix_report_finding_code", "region", "code", "day", "pos"),
)
_c, _f = CHECKS.c, FINDINGS.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; None means any. Days are those of the region, inclusive. `among`: positions, from a name.

    `before` is the day and position of the last row seen; `below` a log size that no row may lie beyond.
    """

    regions: tuple[str, ...]
    since: date | None = None
    until: date | None = None
    verdict: str | None = None
    permit_type: str | None = None
    office: str | None = None
    asker: str | None = None
    reference: str | None = None
    nib: str | None = None
    finding: str | None = None
    among: Sequence[int] | None = None
    before: tuple[date, int] | None = None
    below: int | None = None


@projects("check", into=(CHECKS, FINDINGS))
def remember(connection: Connection, entry: Entry) -> None:
    body = entry.body
    application, decision, asker = body["facts"]["application"], body["decision"], body["asker"]
    where = {"pos": entry.position, "region": application["region"], "day": date.fromisoformat(body["facts"]["today"])}
    row = {"id": entry.id, "at": entry.at, "office": asker.get("office", ""), "asker": f"{asker['kind']}:{asker['id']}"}
    row |= {"reference": body["reference"], "permit_type": application["permit_type"], "nib": body["business"].get("nib")}
    row |= {"verdict": decision["verdict"], "action": decision["action"]}
    connection.execute(insert(CHECKS).on_conflict_do_nothing(), where | row)
    if codes := sorted({finding["code"] for finding in decision["findings"]}):
        connection.execute(insert(FINDINGS).on_conflict_do_nothing(), [where | {"code": code} for code in codes])


def conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """What a row of CHECKS must fulfil, but for region, finding and page.

    A number or a name is rarer than anything else: the other columns are then only compared, whatever index they have.
    """
    rare = wanted.reference or wanted.nib or wanted.among is not None
    for name in ("reference", *FACETS):
        if value := getattr(wanted, name):
            column = _c[name]
            yield (column.concat("") if rare and name not in ("reference", "nib") else column) == value
    if wanted.since:
        yield _c.day >= wanted.since
    if wanted.until:
        yield _c.day <= wanted.until
    if wanted.among is not None:
        yield _c.pos.in_(wanted.among)
    if wanted.below is not None:
        yield _c.pos < wanted.below


def search(engine: Engine, wanted: Wanted, limit: int) -> list[Row[Any]]:
    """At most `limit` rows of CHECKS, newest first. One look into an index per region, then merged."""
    led = _f if wanted.finding else _c  # the table whose index gives the order
    query = select(CHECKS).where(*conditions(wanted)).order_by(led.day.desc(), led.pos.desc()).limit(limit)
    if wanted.finding:
        query = query.join(FINDINGS, _f.pos == _c.pos).where(_f.code == wanted.finding)
        query = query.where(*(_f.day >= day for day in [wanted.since] if day))
    if wanted.before:
        day, pos = wanted.before
        query = query.where(led.day <= day, or_(led.day < day, and_(led.day == day, led.pos < pos)))
    with engine.connect() as connection:
        rows = [row for region in wanted.regions for row in connection.execute(query.where(led.region == region))]
    return sorted(rows, key=lambda row: (row.day, row.pos), reverse=True)[:limit]


def stream(engine: Engine, wanted: Wanted) -> Iterator[list[Row[Any]]]:
    """All rows, in batches, newest first: constant memory, no long transaction."""
    while batch := search(engine, wanted, BATCH):
        yield batch
        wanted = replace(wanted, before=(batch[-1].day, batch[-1].pos))
