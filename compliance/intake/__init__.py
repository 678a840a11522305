"""What a caller stated becomes a Question, or every wrong field is named. For the API, the pages and the commands."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from compliance.errors import ForeignRegion, LawNotInForce, UnknownRegion
from compliance.gate import Asker, Log, Officer, Question
from compliance.intake.documents import DOCUMENTS, Broken, Say, bad_input, say
from compliance.law.facts import Application, Contract, Identity, Workforce
from compliance.law.policy import Policy

INDEX = re.compile(r"[0-9]{1,6}")
KNOWN = frozenset(name for document in DOCUMENTS.values() for name in document.fields) | {"", "checks"}
IDENTIFIERS = (("business", "nib"), ("business", "npwp"), ("business", "npp"), ("owner", "nik"))
APART = ("outsourced", "foreign_short_term", "hired_last_30_days")
COUNTS = ("declared", "foreign", "over_pension_age", *APART)


def read_question(
    stated: Any, *, regions: tuple[str, ...], policy: Policy, now: datetime, language: str = "en", **asked: Any
) -> Question:
    """Read the document of contract §2 for a caller who may ask for `regions` (the first is the default); `asked` is
    the Question's asker and request_id. Raises BadInput with every wrong field, its texts in `language` ("en" or "id"),
    and ForeignRegion for a region that is served here but not to this caller."""
    broken: Broken = []
    data = DOCUMENTS["Question"].load(stated, broken)
    if isinstance(stated, dict):
        _check(data, stated, broken, regions, policy, now)
    if broken:
        raise bad_input(broken, language)
    business, owner, project = (data.get(part, {}) for part in ("business", "owner", "project"))
    numbers = {name: business.get(name) for name in ("nib", "npwp", "npp")} | {"nik": owner.get("nik")}
    signed, place = project.get("contract_date"), project.get("region", data["region"])
    application = Application(
        **{name: data[name] for name in ("permit_type", "region", "as_at", "stage") if name in data},
        **{name: business.get(name) for name in ("scale", "legal_form", "nib_status")},
        workforce=Workforce(**data.get("workforce", {})),
        contract=Contract(signed, place, project.get("number")) if signed else None,
        given=tuple(name for name, value in numbers.items() if value),
    )
    identity = Identity(name=business.get("name"), owner_name=owner.get("name"), **numbers)
    officer = Officer(**data["officer"]) if data.get("officer") else None
    return Question(data["reference"], application, identity, officer=officer, **asked)


def _check(
    data: dict[str, Any], stated: Any, broken: Broken, regions: tuple[str, ...], policy: Policy, now: datetime
) -> None:
    """Fill in region and day, and complain about what contradicts; a field that could not be read (it is in `stated`,
    not in `data`) was complained about. Raises ForeignRegion."""
    given = {part: inner for part in ("business", "owner") if isinstance(inner := stated.get(part), Mapping)}
    if not any(given.get(part, {}).get(name) is not None for part, name in IDENTIFIERS):
        broken.append(("/business", say("no_identifier")))
    _count(data.get("workforce", {}), broken)
    if stated.get("region") is not None and "region" not in data:
        return
    region, project = data.setdefault("region", regions[0]), data.get("project", {})
    try:
        today = policy.today(region, now)
    except UnknownRegion as error:
        broken.append(("/region", say("not_served", ", ".join(error.known))))
        return
    if region not in regions:
        raise ForeignRegion(f"region {region} is not among yours ({', '.join(regions)})")
    if stated.get("as_at") is None:
        data["as_at"] = today
    try:
        if data.get("as_at", today) > today:
            broken.append(("/as_at", say("after_today", today.isoformat())))
        else:
            policy.on(data.get("as_at", today), region)
    except LawNotInForce as error:
        broken.append(("/as_at", say("before_law", first_day=error.first_day.isoformat())))
    signed = project.get("contract_date")
    if "number" in project and signed is None:
        broken.append(("/project/contract_date", say("no_contract", "2026-10-01")))
    if signed is not None and signed > today:
        broken.append(("/project/contract_date", say("after_today", today.isoformat())))


def _count(workforce: Mapping[str, Any], broken: Broken) -> None:
    """All counts are part of `declared` (domain.md §3)."""
    employs, declared = workforce.get("employs_workers"), workforce.get("declared")
    count = {name: workforce.get(name, 0) for name in COUNTS}
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


def refused(log: Log, asker: Asker, at: datetime, *, pointers: Iterable[str], **request: str | int | None) -> None:
    """Log a refused request (contract §3): where it was wrong, never what it said. Names of fields are the caller's
    words too, so unknown ones are left out of the pointers. `request` is request_id, path, status, body_length and
    body_sha256 (None when the body was too long to be read to its end)."""
    tokens = {tuple(t if t in KNOWN or INDEX.fullmatch(t) else "?" for t in one.split("/")) for one in pointers}
    known = sorted("/".join(one) for one in tokens)[:100]
    entry = {"asker": {"kind": asker.kind, "id": asker.id}, "pointers": known, **request}
    log.append("check.refused", entry, at=at)
