"""A member as a line states it, and what in it contradicts itself: doubted, and taken all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from compliance.law.facts import Programme
from compliance.registry.reading.words import Kind, Note


@dataclass(frozen=True, slots=True)
class Member:
    """One account. Months are their first day; None is unknown. `facts_of` is the day of the report."""

    place: str
    npp: str
    divisi: str
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
    facts_of: date

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


def doubts(member: Member, facts_of: date) -> Iterator[Note]:
    """Every contradiction inside one line."""
    months = {
        "KEPS_AWAL": member.since,
        "KEPS_JP": member.pension_since,
        "BLTH_NA": member.inactive_since,
        "BLTH_AKHIR": member.paid_through,
    }
    for column, value in months.items():
        if value and value > facts_of:
            yet_to_leave = column == "BLTH_NA" and member.active
            yield _doubt(member, "not_yet" if yet_to_leave else "future", column=column, given=_month(value))
        if value and member.since and value < member.since:
            than = f"KEPS_AWAL {_month(member.since)}"
            yield _doubt(member, "order", column=column, given=_month(value), than=than)
    if member.inactive_since and member.paid_through and member.paid_through > member.inactive_since:
        than = f"BLTH_AKHIR {_month(member.paid_through)}"
        yield _doubt(member, "order", column="BLTH_NA", given=_month(member.inactive_since), than=than)
    if member.pension_since and member.programmes and Programme.JP not in member.programmes:
        yield _doubt(member, "pension")
    if member.workers and not member.active:
        yield _doubt(member, "workers_inactive", given=str(member.workers))
    if member.stated_active and not member.active:
        yield _doubt(member, "status_differs")


def _doubt(member: Member, code: str, **words: str) -> Note:
    return Note(member.place, Kind.DOUBTED, code, words)
