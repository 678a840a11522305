"""A member as a line of the report states it, and what is said of the line, in Indonesian and English (notes.toml)."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

from compliance.law.facts import Programme
from compliance.registry.reading.values import text

# What became of a line. CORRECTED and DOUBTED lines are taken; PASSED ones are no members.
Kind = StrEnum("Kind", "TAKEN CORRECTED DOUBTED REFUSED PASSED")
SAID = ("diambil/taken", "diperbaiki/corrected", "diragukan/doubted", "ditolak/refused", "dilewati/read past")
LABEL = dict(zip(Kind, SAID, strict=True))
_WORDS: dict[str, dict[str, tuple[str, str]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
TEXTS = {code: texts for remarks in _WORDS.values() for code, texts in remarks.items()}
KINDS = {code: Kind(kind) for kind, remarks in _WORDS.items() for code in remarks}


@dataclass(frozen=True, slots=True)
class Note:
    """One remark on one line (`place` "" is the whole file)."""

    place: str
    code: str
    words: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return KINDS[self.code]

    def __str__(self) -> str:
        """Indonesian | English. Never begins with a cell's text, so that no spreadsheet takes it for a formula."""
        texts = " | ".join(text.format_map(self.words) for text in TEXTS[self.code] if text)
        return f"{f'baris {self.place}' if self.place else 'berkas'} · {LABEL[self.kind]} · {texts}"


def shown(cell: object) -> str:
    """A cell fit to be printed: one line, no control characters, at most 40 characters, no formula."""
    written = text(cell)[:40] or "(kosong)"
    return f"'{written}" if written[0] in "=+-@" else written


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
        status, workers = "AKTIF" if self.active else "NONAKTIF", "?" if self.workers is None else self.workers
        return f"NPP {number} {status} {programmes} TK {workers} BLTH {_month(self.paid_through)}"

    def doubts(self) -> Iterator[Note]:
        """Every contradiction inside the line."""
        since, left, paid, pension = self.since, self.inactive_since, self.paid_through, self.pension_since
        months = {"KEPS_AWAL": since, "KEPS_JP": pension, "BLTH_NA": left, "BLTH_AKHIR": paid}
        for column, value in months.items():
            words = {"column": column, "given": _month(value)}
            if value and value > self.facts_of:
                yield Note(self.place, "not_yet" if column == "BLTH_NA" and self.active else "future", words)
            if value and since and value < since:
                yield Note(self.place, "order", words | {"than": f"KEPS_AWAL {_month(since)}"})
        if left and paid and paid > left:
            words = {"column": "BLTH_NA", "given": _month(left), "than": f"BLTH_AKHIR {_month(paid)}"}
            yield Note(self.place, "order", words)
        if pension and self.programmes and Programme.JP not in self.programmes:
            yield Note(self.place, "pension")
        if self.workers and not self.active:
            yield Note(self.place, "workers_inactive", {"given": str(self.workers)})
        if self.stated_active and not self.active:
            yield Note(self.place, "status_differs")


def _month(value: date | None) -> str:
    return f"{value:%Y-%m}" if value else "?"
