"""The rules of a question that look at more than one field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from compliance.intake.fields import Say

Broken = tuple[str, Say]
COUNTS = ("declared", "foreign", "foreign_short_term", "outsourced", "over_pension_age", "hired_last_30_days")
APART = ("outsourced", "foreign_short_term", "hired_last_30_days")
TOGETHER = {"declared", *APART}

NO_IDENTIFIER = Say(
    "needs one of business.nib, business.npwp, business.npp, owner.nik, e.g. 8120001234567 as business.nib",
    "memerlukan salah satu dari NIB, NPWP, NPP, atau NIK pemilik, mis. NIB 8120001234567",
)
NO_CONTRACT = Say(
    "is needed beside a project number, e.g. 2026-10-01", "wajib diisi bila ada nomor proyek, mis. 2026-10-01"
)
NOBODY = Say(
    "contradicts: with employs_workers false every count is 0 or left out",
    "bertentangan: bila tidak mempekerjakan orang, semua jumlah 0 atau kosong",
)
SOMEBODY = Say(
    "contradicts: with employs_workers true declared is at least 1, or left out",
    "bertentangan: bila mempekerjakan orang, jumlah tenaga kerja paling sedikit 1, atau kosong",
)
TOO_MANY = Say(
    "outsourced, foreign_short_term and hired_last_30_days together must not exceed declared",
    "alih daya, asing jangka pendek dan rekrutan 30 hari terakhir bersama-sama tidak boleh melebihi jumlah seluruhnya",
)


def identified(stated: Mapping[str, Any]) -> Iterator[Broken]:
    """One identifier at least; a wrong one is complained about elsewhere."""
    names = (("business", "nib"), ("business", "npwp"), ("business", "npp"), ("owner", "nik"))
    if not any(_at(stated, part, name) for part, name in names):
        yield "/business", NO_IDENTIFIER


def counted(workforce: Mapping[str, Any]) -> Iterator[Broken]:
    """All counts are part of `declared` (domain.md §3)."""
    count = {name: workforce.get(name) for name in COUNTS}
    declared, some = count["declared"], [name for name in COUNTS if count[name]]
    if workforce.get("employs_workers") is False and some:
        yield from ((f"/workforce/{name}", NOBODY) for name in ("employs_workers", *some))
    if workforce.get("employs_workers") is True and declared == 0:
        yield from ((f"/workforce/{name}", SOMEBODY) for name in ("employs_workers", "declared"))
    if count["foreign"] is not None and (count["foreign_short_term"] or 0) > count["foreign"]:
        yield "/workforce/foreign_short_term", _at_most("foreign", count["foreign"])
    if declared is None:
        return
    for name in ("foreign", "over_pension_age"):
        if (count[name] or 0) > declared:
            yield f"/workforce/{name}", _at_most("declared", declared)
    if sum(count[name] or 0 for name in APART) > declared:
        yield from ((f"/workforce/{name}", TOO_MANY) for name in dict.fromkeys(["declared", *some]) if name in TOGETHER)


def contracted(project: Mapping[str, Any], stated: Mapping[str, Any], today: date) -> Iterator[Broken]:
    """A project number needs its contract's day; that day has come."""
    day = project.get("contract_date")
    if day is None and "contract_date" not in stated and "number" in stated:
        yield "/project/contract_date", NO_CONTRACT
    if day is not None and day > today:
        yield "/project/contract_date", not_after(today)


def not_after(today: date) -> Say:
    return Say(
        f"must not be after today in the region, e.g. {today.isoformat()}",
        f"tidak boleh sesudah hari ini di daerah itu, mis. {today.isoformat()}",
    )


def not_before(first_day: date) -> Say:
    return Say(
        f"must not be before the first day of the region's policy, {first_day.isoformat()}",
        f"tidak boleh sebelum hari pertama aturan daerah itu, {first_day.isoformat()}",
    )


def _at(stated: Mapping[str, Any], part: str, name: str) -> bool:
    inner = stated.get(part)
    return isinstance(inner, Mapping) and name in inner


def _at_most(other: str, most: int) -> Say:
    return Say(f"is part of {other} and must be at most {most}", f"bagian dari {other}, paling banyak {most}")
