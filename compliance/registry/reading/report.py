"""A whole report, line by line: each line becomes a member or a reason why not, with every doubt said aloud."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from compliance.errors import ImportRefused
from compliance.registry.reading import values
from compliance.registry.reading.doubts import Member, doubts
from compliance.registry.reading.header import Columns, Heading, columns, columns_known, is_header
from compliance.registry.reading.sheets import HEAD, Row, Sheet, sheets
from compliance.registry.reading.values import Cell, Unclear
from compliance.registry.reading.words import Kind, Note, shown

TOTAL = re.compile(r"(GRAND |SUB[ -]?)?(TOTAL|JUMLAH)( \w+){0,3}\s*[:=]?", re.IGNORECASE)
LEAST_FACTS = 3  # a line without NPP that states fewer is a signature or a remark
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Total:
    """A total line: what it says, and what the lines before it come to, in all and since the last such line."""

    stated: int
    sums: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One line as read; `done` is how much of the file is behind, 0 to 1."""

    place: str
    notes: tuple[Note, ...]
    member: Member | None = None
    total: Total | None = None
    done: float = 0.0


class Report:
    """Reads one file once. `heading` is complete when the first member comes; `newest` is the latest month paid."""

    def __init__(self, path: Path, today: date, dated: date | None = None) -> None:
        self.heading = Heading(dated=dated)
        self.newest: date | None = None
        self._path, self._today = path, today
        self._sum = self._sum_since = 0

    def lines(self) -> Iterator[Line]:
        """Every line that is not blank. Raises ImportRefused when the file holds no report."""
        found = False
        for sheet in sheets(self._path, columns_known):
            lines = self._sheet(sheet)
            first = next(lines, None)
            if first is None:
                if sheet.name:
                    words = {"given": shown(sheet.name)}
                    yield Line(sheet.name, (Note(sheet.name[:28], Kind.PASSED, "sheet", words),))
                continue
            found = True
            yield first
            yield from lines
        if not found:
            raise ImportRefused(f"{self._path.name}: no header found; a report has at least NPP and two known columns")

    def _sheet(self, sheet: Sheet) -> Iterator[Line]:
        """The lines below the header; nothing at all if the sheet has none."""
        heading, reader = Heading(), None
        for number, row in enumerate(sheet.rows):
            if reader:
                yield from self._line(reader, row)
                continue
            found = columns(row.cells)
            if is_header(found):
                reader = LineReader(row.cells, found, sheet.ragged, self._adopt(heading))
                yield Line(row.place, tuple(_heading_notes(row.place, heading, found)))
            elif number < HEAD:
                heading = heading.read(row.cells)

    def _adopt(self, heading: Heading) -> date:
        """Take a sheet's heading; two sheets must not contradict each other. Returns the day of the facts."""
        known = self.heading
        for ours, theirs in ((known.period, heading.period), (known.dated, heading.dated)):
            if ours and theirs and ours != theirs and self._sum:
                raise ImportRefused("the sheets of this workbook are of different periods; hand them over one by one")
        self.heading = replace(known, period=known.period or heading.period, dated=known.dated or heading.dated)
        return self.heading.dated or self._today

    def _line(self, reader: LineReader, row: Row) -> Iterator[Line]:
        line = reader.read(row)
        if line is None:
            return
        if line.member:
            self._sum += line.member.workers or 0
            self._sum_since += line.member.workers or 0
            if line.member.paid_through and line.member.paid_through <= self._today:
                self.newest = max(self.newest or line.member.paid_through, line.member.paid_through)
        if line.total:
            line = replace(line, total=replace(line.total, sums=(self._sum, self._sum_since)))
            self._sum_since = 0
        yield line


def _heading_notes(place: str, heading: Heading, found: Columns) -> Iterator[Note]:
    for said in heading.unclear:
        yield Note(place, Kind.DOUBTED, "title", {"given": shown(said)})
    if heading.period and heading.dated and heading.period > heading.dated:
        yield Note(place, Kind.DOUBTED, "period_after")
    if "inactive_since" not in found and "active" not in found:
        yield Note(place, Kind.DOUBTED, "no_status")


class LineReader:
    """Reads the lines below one header."""

    def __init__(self, header: tuple[Cell, ...], found: Columns, ragged: bool, facts_of: date) -> None:
        self._names = [values.text(cell) for cell in header]
        self._width = max((i for i, name in enumerate(self._names, 1) if name), default=0)
        self._found, self._ragged, self._facts_of = found, ragged, facts_of
        self._last = max(index for indexes in found.values() for index in indexes)
        self._notes: list[Note] = []
        self._place = ""

    def read(self, row: Row) -> Line | None:
        """The line, or None when it is blank."""
        self._notes, self._place = [], row.place
        texts = [values.text(cell) for cell in row.cells]
        if not any(texts):
            return None
        total = self._total(row.cells, texts)
        if total is not None:
            return Line(row.place, (), total=Total(total, (0, 0)) if total >= 0 else None, done=row.done)
        reason = self._no_member(row.cells, texts)
        if reason:
            return Line(row.place, (reason,), done=row.done)
        try:
            member = self._member(row.cells)
        except _Refused as refused:
            return Line(row.place, (refused.note,), done=row.done)
        taken = Note(row.place, Kind.TAKEN, "taken", {"facts": str(member)})
        return Line(row.place, (taken, *self._notes, *doubts(member, self._facts_of)), member, done=row.done)

    def _total(self, cells: tuple[Cell, ...], texts: list[str]) -> int | None:
        """The workers that a total line states (-1: none that can be read), or None if this is no such line."""
        label = next((text for text in texts if TOTAL.fullmatch(text)), None)
        if label is None or self._text(texts, "npp") not in ("", label):
            return None
        try:
            stated = self._value(cells, "workers", values.count)
        except Unclear:
            return -1
        return -1 if stated is None else stated

    def _no_member(self, cells: tuple[Cell, ...], texts: list[str]) -> Note | None:
        """Why a line is no member's, if so."""
        npp = self._text(texts, "npp")
        if (not npp.isdigit() and is_header(columns(cells))) or (len(npp) < 5 and self._is_numbering(texts)):
            return Note(self._place, Kind.PASSED, "header")
        if not npp:
            stated = sum(bool(self._text(texts, fact)) for fact in self._found)
            kind, code = (Kind.REFUSED, "no_npp") if stated >= LEAST_FACTS else (Kind.PASSED, "footer")
            return Note(self._place, kind, code)
        if any(texts[self._width :]):
            return Note(self._place, Kind.REFUSED, "long")
        if self._ragged and len(texts) <= self._last:
            return Note(self._place, Kind.REFUSED, "short")
        return None

    def _is_numbering(self, texts: list[str]) -> bool:
        """A line below the header that only numbers the columns."""
        wanted = [(index, texts[index].strip("()")) for indexes in self._found.values() for index in indexes[:1]
                  if index < len(texts)]  # fmt: skip
        return all(text in (str(index), str(index + 1)) for index, text in wanted)

    def _member(self, cells: tuple[Cell, ...]) -> Member:
        npp = self._needed(cells, "npp", values.npp)
        if npp is None:
            raise _Refused(Note(self._place, Kind.REFUSED, "no_npp"))
        return Member(
            place=self._place,
            npp=npp,
            divisi=self._needed(cells, "divisi", values.divisi) or "",
            name=self._known(cells, "name", _name),
            nib=self._known(cells, "nib", values.nib),
            npwp=self._known(cells, "npwp", values.npwp),
            stated_active=self._needed(cells, "active", values.active),
            inactive_since=self._needed(cells, "inactive_since", values.month),
            programmes=self._known(cells, "programmes", values.programmes),
            workers=self._known(cells, "workers", values.count),
            since=self._known(cells, "since", values.month),
            pension_since=self._known(cells, "pension_since", values.month),
            paid_through=self._known(cells, "paid_through", values.month),
            facts_of=self._facts_of,
        )

    def _needed(self, cells: tuple[Cell, ...], fact: str, parse: Callable[[Cell], Value | None]) -> Value | None:
        """A fact without which the line is not taken when it cannot be read; wrongly "active" would be a wrong yes."""
        try:
            return self._value(cells, fact, parse)
        except Unclear as error:
            raise _Refused(self._note(Kind.REFUSED, "bad", fact, given=shown(error))) from error

    def _known(self, cells: tuple[Cell, ...], fact: str, parse: Callable[[Cell], Value | None]) -> Value | None:
        try:
            return self._value(cells, fact, parse)
        except Unclear as error:
            self._notes.append(self._note(Kind.DOUBTED, "unclear", fact, given=shown(error)))
            return None

    def _value(self, cells: tuple[Cell, ...], fact: str, parse: Callable[[Cell], Value | None]) -> Value | None:
        """The first of the fact's columns that is filled. Says what was rewritten, and when two columns differ."""
        given = [cells[index] for index in self._found.get(fact, ()) if index < len(cells)]
        read = [(cell, value) for cell in given if (value := parse(cell)) not in (None, "")]
        if not read:
            return None
        cell, value = read[0]
        if any(other != value for _, other in read[1:]):
            self._notes.append(self._note(Kind.DOUBTED, "two_columns", fact, read=shown(cell)))
        if _rewritten(fact, cell, value):
            given_as = shown(cell) if isinstance(cell, str) else f"{shown(cell)} (angka/number)"
            self._notes.append(self._note(Kind.CORRECTED, "rewritten", fact, given=given_as, read=shown(value)))
        return value

    def _note(self, kind: Kind, code: str, fact: str, **words: str) -> Note:
        return Note(self._place, kind, code, {"column": self._names[self._found[fact][0]], **words})

    def _text(self, texts: list[str], fact: str) -> str:
        return next((texts[i] for i in self._found.get(fact, ()) if i < len(texts) and texts[i]), "")


class _Refused(Exception):
    def __init__(self, note: Note) -> None:
        super().__init__(note.code)
        self.note = note


def _name(cell: Cell) -> str | None:
    written = values.text(cell)
    if written.startswith("#"):  # a spreadsheet's error value
        raise Unclear(written)
    return written[:200] or None


def _rewritten(fact: str, cell: Cell, value: object) -> bool:
    """Whether a number was repaired: text as number, number as text, separators, lost zeros."""
    if fact in ("npp", "divisi"):
        return not isinstance(cell, str) or values.text(cell).upper() != value
    if fact in ("nib", "npwp"):
        return not isinstance(cell, str)
    return fact == "workers" and isinstance(cell, str) and values.text(cell) != str(value)
