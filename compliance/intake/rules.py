"""The rules of a question that look at more than one field, or at the calendar."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from compliance.errors import ForeignRegion, LawNotInForce, UnknownRegion
from compliance.intake.documents import Broken, Say, say
from compliance.law.policy import Policy

IDENTIFIERS = (("business", "nib"), ("business", "npwp"), ("business", "npp"), ("owner", "nik"))
APART = ("outsourced", "foreign_short_term", "hired_last_30_days")
COUNTS = ("declared", "foreign", "over_pension_age", *APART)


def check(
    data: dict[str, Any],
    stated: Mapping[str, Any],
    broken: Broken,
    regions: tuple[str, ...],
    policy: Policy,
    now: datetime,
) -> None:
    """Fill in region and day, and complain about what contradicts; a field that could not be read (it is in `stated`,
    not in `data`) was complained about. Raises ForeignRegion."""
    given = {part: inner for part in ("business", "owner") if isinstance(inner := stated.get(part), Mapping)}
    if not any(given.get(part, {}).get(name) is not None for part, name in IDENTIFIERS):
        broken.append(("/business", say("no_identifier")))
    if data.get("workforce"):
        _counted(data["workforce"], broken)
    if stated.get("region") is not None and "region" not in data:
        return
    region = data.setdefault("region", regions[0])
    try:
        today = policy.today(region, now)
    except UnknownRegion as error:
        broken.append(("/region", say("not_served", ", ".join(error.known))))
        return
    if region not in regions:
        raise ForeignRegion(region, regions)
    if stated.get("as_at") is None:
        data["as_at"] = today
    if "as_at" in data and (wrong := _in_force(data["as_at"], today, region, policy)):
        broken.append(("/as_at", wrong))
    project = data.get("project", {})
    signed = project.get("contract_date")
    if "number" in project and signed is None:
        broken.append(("/project/contract_date", say("no_contract", "2026-10-01")))
    if signed is not None and signed > today:
        broken.append(("/project/contract_date", say("after_today", today.isoformat())))


def _counted(workforce: Mapping[str, Any], broken: Broken) -> None:
    """All counts are part of `declared` (domain.md §3)."""
    employs, declared = workforce.get("employs_workers"), workforce.get("declared")
    count = {name: workforce.get(name) or 0 for name in COUNTS}
    wrong: list[tuple[str, Say]] = []
    some = [name for name in COUNTS if count[name]]
    if employs is False and some:
        wrong += [(name, say("nobody")) for name in ("employs_workers", *some)]
    if employs is True and declared == 0:
        wrong += [(name, say("somebody")) for name in ("employs_workers", "declared")]
    for other, parts in (("foreign", ("foreign_short_term",)), ("declared", ("foreign", "over_pension_age"))):
        if (most := workforce.get(other)) is not None:
            wrong += [(name, say("part_of", other=other, most=most)) for name in parts if count[name] > most]
    if declared is not None and sum(count[name] for name in APART) > declared:
        wrong += [(name, say("too_many")) for name in ("declared", *(name for name in APART if count[name]))]
    broken += [(f"/workforce/{name}", told) for name, told in wrong]


def _in_force(day: date, today: date, region: str, policy: Policy) -> Say | None:
    if day > today:
        return say("after_today", today.isoformat())
    try:
        policy.on(day, region)
    except LawNotInForce as error:
        return say("before_law", first_day=error.first_day.isoformat())
    return None
