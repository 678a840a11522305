"""Checks by what an auditor knows of them, found or counted: narrow tables, fast with a million rows."""

import datetime as dt
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import ge, le, lt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.operators import in_op

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import Moment, put, table
from compliance.law.facts import Fact

BATCH = 500
FACETS = ("reference", "verdict", "permit_type", "office", "asker", "nib")
CHECKS = table(  # `day` of asking, in the region's zone; `asker` is kind:id; `office` as the log says it, or ""
    "report_check",
    "pos:pos! id:128 at:moment day:day region:5 office:200 asker:90 reference:64 permit_type:200 verdict:16 action:8",
    "nib:13?",
    sa.Index("ix_report_check_day", "region", "day", "pos"),
    *(sa.Index(f"ix_report_check_{name}", "region", name, "day", "pos") for name in FACETS),
)
_by_code = sa.Index("ix_report_finding_code", "region", "code", "day", "pos")
FINDINGS = table("report_finding", "pos:pos! code:40! region:5 day:day", _by_code)
NAMED = table("report_named", "name:80! position:pos")  # where the newest entry of a name stands
_outages = sa.table("registry_outage", sa.column("source"), sa.column("since", Moment), sa.column("ended_at", Moment))
_c, _f = CHECKS.c, FINDINGS.c
BY = {"days": ("day", "verdict"), "verdicts": ("verdict",), "reasons": ("code",)}
BY |= {"permit_types": ("permit_type", "verdict"), "offices": ("region", "office", "verdict")}
FOLLOWED = {"cured": ("STOP", ("PROCEED",)), "decided": ("HOLD", ("STOP", "PROCEED"))}


class Wanted(Fact):
    """What to look for; None means any. Days are the region's, inclusive. `among`: positions, from a name; `before`:
    day and position of the last row seen; `below`: a log size that no row may lie beyond."""

    regions: tuple[str, ...]
    since: dt.date | None = None
    until: dt.date | None = None
    verdict: str | None = None
    permit_type: str | None = None
    office: str | None = None
    asker: str | None = None
    reference: str | None = None
    nib: str | None = None
    finding: str | None = None
    among: Sequence[int] | None = None
    before: tuple[dt.date, int] | None = None
    below: int | None = None


@projects("check", into=(CHECKS, FINDINGS))
def remember(connection: sa.Connection, entry: Entry) -> None:
    """A check as it can be searched and counted."""
    body, facts, decision, asker = entry.body, entry.body["facts"], entry.body["decision"], entry.body["asker"]
    application, day = facts["application"], dt.date.fromisoformat(facts["today"])
    where = {"pos": entry.position, "region": application["region"], "day": day}
    row = {"id": entry.id, "at": entry.at, "office": asker.get("office", ""), "asker": f"{asker['kind']}:{asker['id']}"}
    row |= {"verdict": decision["verdict"], "action": decision["action"], "nib": body["business"].get("nib")}
    row |= {"reference": body["reference"], "permit_type": application["permit_type"]}
    put(connection, CHECKS, where | row)
    if codes := sorted({finding["code"] for finding in decision["findings"]}):
        put(connection, FINDINGS, [where | {"code": code} for code in codes])


@projects("access.sample_committed", "access.sample_drawn", "access.sample_judged", "log.promises", into=(NAMED,))
def name(connection: sa.Connection, entry: Entry) -> None:
    """The newest entry of a name; the entry itself says what it says."""
    row = {"name": f"{entry.kind}:{entry.body.get('sample', '')}", "position": entry.position}
    put(connection, NAMED, row, newest="position")


def conditions(wanted: Wanted, led: Any = _c) -> Iterator[sa.ColumnElement[bool]]:
    """What a row of CHECKS must fulfil, but for region, finding and page. `led`: the table whose days are compared.
    Where a rare number or name is wanted, the other columns are only compared, whatever index they have."""
    rare = wanted.reference or wanted.nib or wanted.among is not None
    for facet in FACETS:
        if value := getattr(wanted, facet):
            yield (_c[facet].concat("") if rare and facet not in ("reference", "nib") else _c[facet]) == value
    days: list[Any] = [(wanted.since, ge, led.day), (wanted.until, le, led.day)]
    for limit, holds, column in (*days, (wanted.among, in_op, _c.pos), (wanted.below, lt, _c.pos)):
        if limit is not None:
            yield holds(column, limit)


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
    found = log.rows(sa.select(NAMED.c.position).where(NAMED.c.name == name))
    return log.entry_at(found[0].position) if found else None


def summary(connection: sa.Connection, wanted: Wanted) -> dict[str, Any]:
    """All figures of a period, as `flask report` prints them and the page draws them: checks BY columns (of CHECKS, or
    `code` of their findings), cases FOLLOWED, and the newest hundred outages (`hours` None: one goes on)."""

    def hours(span: dt.timedelta) -> float:
        return round(span.total_seconds() / 3600, 1)

    found: dict[str, Any] = {}
    for name, names in BY.items():
        columns = [_f.code if each == "code" else _c[each] for each in names]
        query = sa.select(*columns, sa.func.count()).group_by(*columns).order_by(*columns)
        query = query.where(_c.region.in_(wanted.regions), *conditions(wanted))
        query = query.join(FINDINGS, _f.pos == _c.pos) if "code" in names else query
        found[name] = [tuple(row) for row in connection.execute(query)]
    start, later, wider = CHECKS.alias(), CHECKS.alias(), replace(wanted, verdict=None)
    case = ("region", "reference", "permit_type")
    for name, (first, then) in FOLLOWED.items():  # of each case the first such check, and its next one of the others
        begun = sa.select(sa.func.min(_c.pos)).where(_c.region.in_(wanted.regions), _c.action == first)
        begun = begun.where(*conditions(wider)).group_by(*(_c[each] for each in case))
        ended = sa.select(later.c.at).where(*(later.c[each] == start.c[each] for each in case))
        ended = ended.where(later.c.pos > start.c.pos, later.c.action.in_(then)).order_by(later.c.pos).limit(1)
        times = connection.execute(sa.select(start.c.at, ended.scalar_subquery()).where(start.c.pos.in_(begun))).all()
        done = [hours(end - at) for at, end in times if end]
        within = {str(days): sum(each <= days * 24 for each in done) for days in (1, 3, 7, 30)}
        found[name] = {"cases": len(times), "done": len(done), "within_days": within}
        found[name]["median_hours"] = statistics.median(done) if done else None
    o, since, until = _outages.c, wanted.since or dt.date.min, wanted.until or dt.date.max
    query = sa.select(_outages).where(o.since <= dt.datetime.combine(until, dt.time.max, dt.UTC))
    query = query.where(o.ended_at.is_(None) | (o.ended_at > dt.datetime.combine(since, dt.time.min, dt.UTC)))
    query = query.order_by(o.since.desc()).limit(100)
    told = [(*row, row.ended_at and hours(row.ended_at - row.since)) for row in connection.execute(query)]
    named = ("source", "since", "until", "hours")
    return found | {"outages": [dict(zip(named, row, strict=True)) for row in told]}
