"""A member as a line states it, and what in it contradicts itself: doubted, and taken all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from compliance.law.facts import Programme
from compliance.registry.reading.words import Note


@dataclass(frozen=True, slots=True)
class Member:
    """One account. Months are their first day; None is unknown. `facts_of` is the day of the report."""

    place: str
    facts_of: date
    npp: str
    divisi: str | None
    name: str | None
    nib: str | None
    npwp: str | None
    stated_active: bool | None
    inactive_since: date | None
    programmes: frozenset[Programme] | None
    workers: int | None
    since: date | None
    pension_since: date | None
    paid_through: date | None

    @property
    def active(self) -> bool:
        """A month of leaving that is yet to come has not ended the membership; the status word may have."""
        left = self.inactive_since is not None and self.inactive_since <= self.facts_of
        return not left and self.stated_active is not False

    def __str__(self) -> str:
        number = f"{self.npp}/{self.divisi}" if self.divisi else self.npp
        programmes = "+".join(word for word in Programme if word in self.programmes) if self.programmes else "?"
        workers = "?" if self.workers is None else self.workers
        status = "AKTIF" if self.active else "NONAKTIF"
        return f"NPP {number} {status} {programmes} TK {workers} BLTH {_month(self.paid_through)}"


def _month(value: date | None) -> str:
    return f"{value:%Y-%m}" if value else "?"


def doubts(member: Member) -> Iterator[Note]:
    """Every contradiction inside one line."""
    since, left, paid = member.since, member.inactive_since, member.paid_through
    for column, value in (
        ("KEPS_AWAL", since),
        ("KEPS_JP", member.pension_since),
        ("BLTH_NA", left),
        ("BLTH_AKHIR", paid),
    ):
        words = {"column": column, "given": _month(value)}
        if value and value > member.facts_of:
            yield Note(member.place, "not_yet" if column == "BLTH_NA" and member.active else "future", words)
        if value and since and value < since:
            yield Note(member.place, "order", words | {"than": f"KEPS_AWAL {_month(since)}"})
    if left and paid and paid > left:
        words = {"column": "BLTH_NA", "given": _month(left), "than": f"BLTH_AKHIR {_month(paid)}"}
        yield Note(member.place, "order", words)
    if member.pension_since and member.programmes and Programme.JP not in member.programmes:
        yield Note(member.place, "pension")
    if member.workers and not member.active:
        yield Note(member.place, "workers_inactive", {"given": str(member.workers)})
    if member.stated_active and not member.active:
        yield Note(member.place, "status_differs")
