"""Counting: how many, why, how fast. From the narrow tables alone, for the checks that a `Wanted` names."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, column, func, select, table

from compliance.database import Moment
from compliance.reports.search import CHECKS, FINDINGS, Wanted, conditions

_outages = table("registry_outage", column("source"), column("since", Moment), column("ended_at", Moment))
BY = {
    "days": ("day", "verdict"),
    "verdicts": ("verdict",),
    "reasons": ("code",),
    "permit_types": ("permit_type", "verdict"),
    "offices": ("region", "office", "verdict"),
}
FOLLOWED = {"cured": ("STOP", ("PROCEED",)), "decided": ("HOLD", ("STOP", "PROCEED"))}


def counted(connection: Connection, wanted: Wanted, *names: str) -> list[tuple[Any, ...]]:
    """Checks by these columns (of CHECKS, or `code` of their findings), each row with its number last."""
    columns = [FINDINGS.c.code if name == "code" else CHECKS.c[name] for name in names]
    query = select(*columns, func.count()).group_by(*columns).order_by(*columns)
    query = query.where(CHECKS.c.region.in_(wanted.regions), *conditions(wanted))
    if "code" in names:
        query = query.join(FINDINGS, FINDINGS.c.pos == CHECKS.c.pos)
    return [tuple(row) for row in connection.execute(query)]


def spans(connection: Connection, wanted: Wanted, first: str, then: tuple[str, ...]) -> list[timedelta | None]:
    """For each case (region, reference, permit type) that had the action `first`: until its next one of `then`."""
    start, later = CHECKS.alias(), CHECKS.alias()
    case = ("region", "reference", "permit_type")
    begun = select(func.min(CHECKS.c.pos)).where(CHECKS.c.region.in_(wanted.regions), CHECKS.c.action == first)
    begun = begun.where(*conditions(wanted)).group_by(*(CHECKS.c[name] for name in case))
    ended = select(later.c.at).where(*(later.c[name] == start.c[name] for name in case), later.c.pos > start.c.pos)
    ended = ended.where(later.c.action.in_(then)).order_by(later.c.pos).limit(1)
    rows = connection.execute(select(start.c.at, ended.scalar_subquery()).where(start.c.pos.in_(begun)))
    return [end and end - at for at, end in rows]


def outages(connection: Connection, wanted: Wanted) -> list[dict[str, Any]]:
    """Of the agency, the newest hundred that touch the period; `hours` None: it goes on."""
    query, c = select(_outages).order_by(_outages.c.since.desc()).limit(100), _outages.c
    if wanted.until:
        query = query.where(c.since <= datetime.combine(wanted.until, time.max, UTC))
    if wanted.since:
        query = query.where(c.ended_at.is_(None) | (c.ended_at > datetime.combine(wanted.since, time.min, UTC)))
    return [
        {"source": source, "since": since, "until": until, "hours": until and _hours(until - since)}
        for source, since, until in connection.execute(query)
    ]


def summary(connection: Connection, wanted: Wanted) -> dict[str, Any]:
    """All figures of a period, as `flask report` prints them and the page draws them."""
    found: dict[str, Any] = {name: counted(connection, wanted, *columns) for name, columns in BY.items()}
    for name, (first, then) in FOLLOWED.items():
        times = spans(connection, replace(wanted, verdict=None), first, then)
        done = [_hours(each) for each in times if each is not None]
        within = {str(days): sum(each <= days * 24 for each in done) for days in (1, 3, 7, 30)}
        found[name] = {"cases": len(times), "done": len(done), "within_days": within}
        found[name]["median_hours"] = median(done) if done else None
    return found | {"outages": outages(connection, wanted)}


def _hours(span: timedelta) -> float:
    return round(span.total_seconds() / 3600, 1)
