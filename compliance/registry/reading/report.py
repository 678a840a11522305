"""A whole report, line by line: each line becomes a member or a reason why not, with every doubt said aloud."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from compliance.errors import ImportRefused
from compliance.registry.reading import values
from compliance.registry.reading.notes import Member, Note, shown
from compliance.registry.reading.sheets import HEAD, Row, sheets
from compliance.registry.reading.values import Cell, Unclear

MEANING = {written: fact for fact, names in values.NOTATIONS["columns"].items() for written in names.split()}
LEAST_COLUMNS = 3
LABEL = re.compile(r"\b(PERIODE|BULAN LAPORAN|PER[ -]?(?:TANGGAL|TGL)|POSISI|KEADAAN)\b\.?(?:\s*:)?", re.IGNORECASE)
UNTIL = re.compile(r"\bS[/.]?D\.?(?=\s|\d)|\bSAMPAI(?: DENGAN)?\b|\s[-–]\s", re.IGNORECASE)
TOTAL = re.compile(r"(GRAND |SUB[ -]?)?(TOTAL|JUMLAH)( \w+){0,3}\s*[:=]?", re.IGNORECASE)
LEAST_FACTS = 3  # a line without NPP that states fewer is a signature or a remark
# Facts without which a line is not taken when they cannot be read: wrongly "active" would be a wrong yes.
NEEDED = ("npp", "divisi", "stated_active", "inactive_since")
READERS: dict[str, Callable[[Cell], Any]] = {
    **{fact: getattr(values, fact) for fact in ("npp", "divisi", "name", "nib", "npwp", "programmes")},
    **dict.fromkeys(("inactive_since", "since", "pension_since", "paid_through"), values.month),
    **{"stated_active": values.active, "workers": values.count},
}


@dataclass(frozen=True, slots=True)
class Total:
    """A total line: what it says, and what the lines before it come to, in all and since the last such line."""

    stated: int
    sums: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Line:
    """One line as read; `done` is how much of the file is behind, 0 to 1."""

    place: str
    notes: tuple[Note, ...] = ()
    member: Member | None = None
    total: Total | None = None
    done: float = 0.0


@dataclass
class Heading:
    """What the title lines say: the month reported (its first day) and the day on which the facts held."""

    period: date | None = None
    dated: date | None = None
    unclear: list[str] = field(default_factory=list)

    def read(self, cells: tuple[Cell, ...]) -> None:
        """Take one more title line."""
        _, *parts = LABEL.split("  ".join(filter(None, map(values.text, cells))))
        for label, said in zip(map(str.upper, parts[::2]), parts[1::2], strict=True):
            words = UNTIL.split(said.strip(" :.,;()"))[-1].strip(" :.,;()").split(" ")
            day = None
            for length in range(min(len(words), 4), 0, -1):  # the longest beginning that is a day or a month
                with suppress(Unclear):
                    day = day or values.day(" ".join(words[:length]))
            if not day:
                self.unclear.append(f"{label} {' '.join(words)}".strip())
            elif label.startswith(("PERIODE", "BULAN")):
                self.period = self.period or day.replace(day=1)
            else:
                self.dated = self.dated or day


def columns(cells: tuple[Cell, ...]) -> dict[str, list[int]]:
    """Which columns of a header hold which fact (a fact may have several); empty if the row is no header."""
    found: dict[str, list[int]] = {}
    for index, cell in enumerate(cells):
        if isinstance(cell, str) and (fact := MEANING.get(re.sub(r"[\W_]", "", values.text(cell).upper()))):
            found.setdefault(fact, []).append(index)
    return found if "npp" in found and len(found) >= LEAST_COLUMNS else {}


class Report:
    """Reads one file once. `heading` is complete when the first member comes; `newest` is the latest month paid."""

    def __init__(self, path: Path, today: date, dated: date | None = None) -> None:
        self.heading, self.newest = Heading(dated=dated), date.min
        self._path, self._today, self._sums = path, today, (0, 0)

    def lines(self) -> Iterator[Line]:
        """Every line that is not blank. Raises ImportRefused when the file holds no report."""
        found = False
        for name, rows in sheets(self._path, lambda cells: len(columns(cells))):
            before = found
            for line in self._sheet(rows, ragged=not name):
                found = before = True
                yield line
            if not before and name:
                yield Line(name, (Note(name[:28], "sheet", {"given": shown(name)}),))
        if not found:
            raise ImportRefused(f"{self._path.name}: no header found; a report has at least NPP and two known columns")

    def _sheet(self, rows: Iterator[Row], ragged: bool) -> Iterator[Line]:
        """The lines below the header; nothing at all if the sheet has none. `ragged`: a short row was cut off."""
        heading, table = Heading(), None
        for number, row in enumerate(rows):
            if table and (line := table.read(row)):
                if line.member:
                    workers, paid = line.member.workers or 0, line.member.paid_through
                    self._sums = self._sums[0] + workers, self._sums[1] + workers
                    self.newest = max(self.newest, paid) if paid and paid <= self._today else self.newest
                if line.total:
                    line = replace(line, total=replace(line.total, sums=self._sums))
                    self._sums = self._sums[0], 0
                yield line
            elif not table and (found := columns(row.cells)):
                table = Table(row.cells, found, ragged, self._adopt(heading))
                notes = [Note(row.place, "title", {"given": shown(said)}) for said in heading.unclear]
                if heading.period and heading.dated and heading.period > heading.dated:
                    notes.append(Note(row.place, "period_after"))
                if not found.keys() & {"inactive_since", "stated_active"}:
                    notes.append(Note(row.place, "no_status"))
                yield Line(row.place, tuple(notes))
            elif not table and number < HEAD:
                heading.read(row.cells)

    def _adopt(self, new: Heading) -> date:
        """Take a sheet's heading; two sheets must not contradict each other. Returns the day of the facts."""
        known = self.heading
        for ours, theirs in ((known.period, new.period), (known.dated, new.dated)):
            if ours and theirs and ours != theirs and self._sums[0]:
                raise ImportRefused("the sheets of this workbook are of different periods; hand them over one by one")
        known.period, known.dated = known.period or new.period, known.dated or new.dated
        return known.dated or self._today


class Table:
    """Reads the lines below one header."""

    def __init__(self, header: tuple[Cell, ...], found: dict[str, list[int]], ragged: bool, facts_of: date) -> None:
        self._names = [values.text(cell) for cell in header]
        self._width = max(index for index, name in enumerate(self._names, 1) if name)
        self._least = max(map(max, found.values())) + 1 if ragged else 0
        self._found, self._facts_of = found, facts_of

    def read(self, row: Row) -> Line | None:
        """The line, or None when it is blank."""
        texts = [values.text(cell) for cell in row.cells]
        if not any(texts):
            return None
        said = {
            fact: next((texts[i] for i in at if i < len(texts) and texts[i]), "") for fact, at in self._found.items()
        }
        label = next((text for text in texts if TOTAL.fullmatch(text)), None)
        if label and said["npp"] in ("", label):
            with suppress(Unclear):
                if (stated := self._value(row, "workers", [])) is not None:
                    return Line(row.place, total=Total(stated), done=row.done)
            return Line(row.place, done=row.done)
        if why := self._no_member(row.cells, texts, said):
            return Line(row.place, (Note(row.place, why),), done=row.done)
        facts: dict[str, Any] = {}
        notes: list[Note] = []
        for fact in READERS:
            try:
                facts[fact] = self._value(row, fact, notes)
            except Unclear as error:
                words = {"column": self._names[self._found[fact][0]], "given": shown(str(error))}
                if fact in NEEDED:
                    return Line(row.place, (Note(row.place, "bad", words),), done=row.done)
                notes.append(Note(row.place, "unclear", words))
                facts[fact] = None
            if not facts["npp"]:
                return Line(row.place, (Note(row.place, "no_npp"),), done=row.done)
        member = Member(row.place, self._facts_of, **facts)
        taken = Note(row.place, "taken", {"facts": str(member)})
        return Line(row.place, (taken, *notes, *member.doubts()), member, done=row.done)

    def _no_member(self, cells: tuple[Cell, ...], texts: list[str], said: dict[str, str]) -> str:
        """Why a line is no member's, if so."""
        npp = said["npp"]
        first = [indexes[0] for indexes in self._found.values() if indexes[0] < len(texts)]
        numbered = all(texts[index].strip("()") in (str(index), str(index + 1)) for index in first)
        if (not npp.isdigit() and columns(cells)) or (len(npp) < 5 and numbered):
            return "header"  # again, or a line that only numbers the columns
        if not npp:
            return "no_npp" if sum(map(bool, said.values())) >= LEAST_FACTS else "footer"
        return "long" if any(texts[self._width :]) else "short" if len(texts) < self._least else ""

    def _value(self, row: Row, fact: str, notes: list[Note]) -> Any:
        """The first of the fact's columns that is filled. Notes what was rewritten, and when two columns differ."""
        given = [row.cells[index] for index in self._found.get(fact, ()) if index < len(row.cells)]
        read = [(cell, value) for cell in given if (value := READERS[fact](cell)) is not None]
        if not read:
            return None
        cell, value = read[0]
        words = {"column": self._names[self._found[fact][0]]}
        if any(other != value for _, other in read[1:]):
            notes.append(Note(row.place, "two_columns", words | {"read": shown(cell)}))
        if _rewritten(fact, cell, value):
            given_as = shown(cell) if isinstance(cell, str) else f"{shown(cell)} (angka/number)"
            notes.append(Note(row.place, "rewritten", words | {"given": given_as, "read": shown(value)}))
        return value


def _rewritten(fact: str, cell: Cell, value: object) -> bool:
    """Whether a number was repaired: text as number, number as text, separators, lost zeros."""
    if fact in ("npp", "divisi"):
        return not isinstance(cell, str) or values.text(cell).upper() != value
    if fact in ("nib", "npwp"):
        return not isinstance(cell, str)
    return fact == "workers" and isinstance(cell, str) and values.text(cell) != str(value)
