"""Finding checks by what an auditor knows of them, newest day first: narrow tables, fast with a million rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import Moment, db

BATCH = 500
FACETS = ("reference", "verdict", "permit_type", "office", "asker", "nib")
TEXTS = {
    "region": 5,
    "office": 200,
    "asker": 90,
    "reference": 64,
    "permit_type": 200,
    "verdict": 16,
    "action": 8,
    "nib": 13,
}
Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")

CHECKS = sa.Table(  # `day` of asking, in the region's zone; `asker` is kind:id; `office` as the log says it, or ""
    "report_check",
    db.metadata,
    sa.Column("pos", Position, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(128), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    *(sa.Column(name, sa.String(most), nullable=name == "nib") for name, most in TEXTS.items()),
    sa.Index("ix_report_check_day", "region", "day", "pos"),
    *(sa.Index(f"ix_report_check_{name}", "region", name, "day", "pos") for name in FACETS),
)
FINDINGS = sa.Table(
    "report_finding",
    db.metadata,
    sa.Column("pos", Position, primary_key=True, autoincrement=False),
    sa.Column("code", sa.String(40), primary_key=True),
    sa.Column("region", sa.String(5), nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Index("ix_report_finding_code", "region", "code", "day", "pos"),
)
NAMED = sa.Table(  # where the newest entry of a name stands; the entry itself says what it says
    "report_named",
    db.metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("position", Position, nullable=False),
)
_c, _f = CHECKS.c, FINDINGS.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; None means any. Days are the region's, inclusive. `among`: positions, from a name.

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
def remember(connection: sa.Connection, entry: Entry) -> None:
    body, facts, decision = entry.body, entry.body["facts"], entry.body["decision"]
    application, asker = facts["application"], body["asker"]
    where = {"pos": entry.position, "region": application["region"], "day": date.fromisoformat(facts["today"])}
    row = {"id": entry.id, "at": entry.at, "office": asker.get("office", ""), "asker": f"{asker['kind']}:{asker['id']}"}
    row |= {name: decision[name] for name in ("verdict", "action")} | {"nib": body["business"].get("nib")}
    row |= {"reference": body["reference"], "permit_type": application["permit_type"]}
    connection.execute(insert(CHECKS).on_conflict_do_nothing(), where | row)
    if codes := sorted({finding["code"] for finding in decision["findings"]}):
        connection.execute(insert(FINDINGS).on_conflict_do_nothing(), [where | {"code": code} for code in codes])


@projects("access.sample_committed", "access.sample_drawn", "access.sample_judged", "log.promises", into=(NAMED,))
def name(connection: sa.Connection, entry: Entry) -> None:
    put = insert(NAMED).values(name=f"{entry.kind}:{entry.body.get('sample', '')}", position=entry.position)
    newer = put.on_conflict_do_update(
        index_elements=["name"], set_={"position": entry.position}, where=NAMED.c.position < entry.position
    )
    connection.execute(newer)


def conditions(wanted: Wanted, led: Any = _c) -> Iterator[sa.ColumnElement[bool]]:
    """What a row of CHECKS must fulfil, but for region, finding and page. `led`: the table whose days are compared.

    A number or a name is rarer than anything else: the other columns are then only compared, whatever index they have.
    """
    rare = wanted.reference or wanted.nib or wanted.among is not None
    for facet in FACETS:
        if value := getattr(wanted, facet):
            yield (_c[facet].concat("") if rare and facet not in ("reference", "nib") else _c[facet]) == value
    if wanted.since:
        yield led.day >= wanted.since
    if wanted.until:
        yield led.day <= wanted.until
    if wanted.among is not None:
        yield _c.pos.in_(wanted.among)
    if wanted.below is not None:
        yield _c.pos < wanted.below


def search(engine: sa.Engine, wanted: Wanted, limit: int) -> list[sa.Row[Any]]:
    """At most `limit` rows of CHECKS, newest first. One look into an index per region, then merged."""
    led = _f if wanted.finding else _c  # the table whose index gives the order
    query = sa.select(CHECKS).where(*conditions(wanted, led)).order_by(led.day.desc(), led.pos.desc()).limit(limit)
    if wanted.finding:
        query = query.join(FINDINGS, _f.pos == _c.pos).where(_f.code == wanted.finding)
    if wanted.before:
        day, pos = wanted.before
        query = query.where(led.day <= day, sa.or_(led.day < day, led.pos < pos))
    here = led.region if wanted.among is None else led.region.concat("")  # positions are what leads then
    with engine.connect() as connection:
        rows = [row for region in wanted.regions for row in connection.execute(query.where(here == region))]
    return sorted(rows, key=lambda row: (row.day, row.pos), reverse=True)[:limit]


def stream(engine: sa.Engine, wanted: Wanted) -> Iterator[list[sa.Row[Any]]]:
    """All rows, in batches, newest first: constant memory, no long transaction."""
    while batch := search(engine, wanted, BATCH):
        yield batch
        wanted = replace(wanted, before=(batch[-1].day, batch[-1].pos))


def named(log: Any, name: str) -> Entry | None:
    """The newest entry of a name, e.g. `log.promises:`."""
    with log.engine.connect() as connection:
        position = connection.scalar(sa.select(NAMED.c.position).where(NAMED.c.name == name))
    return None if position is None else log.entry_at(position)
