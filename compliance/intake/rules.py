"""The rules of a question that look at more than one field, or at the calendar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from compliance.errors import ForeignRegion, LawNotInForce, UnknownRegion
from compliance.intake.fields import Say, say
from compliance.law.policy import Policy

Broken = tuple[str, Say]
IDENTIFIERS = (("business", "nib"), ("business", "npwp"), ("business", "npp"), ("owner", "nik"))
APART = ("outsourced", "foreign_short_term", "hired_last_30_days")
COUNTS = ("declared", "foreign", "over_pension_age", *APART)


def identified(stated: Mapping[str, Any]) -> Iterator[Broken]:
    """One identifier at least; a wrong one is complained about elsewhere."""
    if not any(isinstance(inner := stated.get(part), Mapping) and name in inner for part, name in IDENTIFIERS):
        yield "/business", say("no_identifier")


def counted(workforce: Mapping[str, Any]) -> Iterator[Broken]:
    """All counts are part of `declared` (domain.md §3)."""
    employs, declared = workforce.get("employs_workers"), workforce.get("declared")
    count = {name: workforce.get(name) or 0 for name in COUNTS}
    some = [name for name in COUNTS if count[name]]
    if employs is False and some:
        yield from ((f"/workforce/{name}", say("nobody")) for name in ("employs_workers", *some))
    if employs is True and declared == 0:
        yield from ((f"/workforce/{name}", say("somebody")) for name in ("employs_workers", "declared"))
    for other, parts in (("foreign", ("foreign_short_term",)), ("declared", ("foreign", "over_pension_age"))):
        if (most := workforce.get(other)) is not None:
            wrong = (name for name in parts if count[name] > most)
            yield from ((f"/workforce/{name}", say("part_of", other=other, most=most)) for name in wrong)
    if declared is not None and sum(count[name] for name in APART) > declared:
        named = ("declared", *(name for name in APART if count[name]))
        yield from ((f"/workforce/{name}", say("too_many")) for name in named)


def on_days(
    data: dict[str, Any], stated: Mapping[str, Any], regions: tuple[str, ...], policy: Policy, now: datetime
) -> Iterator[Broken]:
    """Fill in region and day, and judge all days by that region's calendar. Raises ForeignRegion."""
    if "region" in stated and "region" not in data:
        return  # not readable
    region = data.setdefault("region", regions[0])
    try:
        today = policy.today(region, now)
    except UnknownRegion as error:
        yield "/region", say("not_served", ", ".join(error.known))
        return
    if region not in regions:
        raise ForeignRegion(region, regions)
    if "as_at" in data or "as_at" not in stated:
        yield from _in_force(data.setdefault("as_at", today), today, region, policy)
    if isinstance(project := stated.get("project"), Mapping):
        day = data.get("project", {}).get("contract_date")
        if "number" in project and "contract_date" not in project:
            yield "/project/contract_date", say("no_contract", "2026-10-01")
        if day is not None and day > today:
            yield "/project/contract_date", say("after_today", today.isoformat())


def _in_force(day: Any, today: Any, region: str, policy: Policy) -> Iterator[Broken]:
    if day > today:
        yield "/as_at", say("after_today", today.isoformat())
        return
    try:
        policy.on(day, region)
    except LawNotInForce as error:
        yield "/as_at", say("before_law", first_day=error.first_day.isoformat())
