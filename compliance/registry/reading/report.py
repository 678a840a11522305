"""A whole report: each line becomes a member or a reason why not, with every doubt said aloud in notes.toml's words."""

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from compliance.errors import ImportRefused
from compliance.law.facts import Programme
from compliance.registry.reading import sheets as values
from compliance.registry.reading.sheets import HEAD, Cell, Row, Unclear, sheets

Kind = StrEnum("Kind", "TAKEN CORRECTED DOUBTED REFUSED PASSED")  # CORRECTED and DOUBTED lines are taken
_WORDS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("notes.toml").read_text("utf-8"))
LABEL = {Kind(kind): label for kind, label in _WORDS.pop("said").items()}
TEXTS = {code: texts for remarks in _WORDS.values() for code, texts in remarks.items()}
KINDS = {code: Kind(kind) for kind, remarks in _WORDS.items() for code in remarks}
MEANING = {written: fact for fact, names in values.NOTATIONS["columns"].items() for written in names.split()}
LEAST_COLUMNS = LEAST_FACTS = 3  # of a header; of a line without NPP that is no signature or remark
TITLE = re.compile(r"\b(PERIODE|BULAN LAPORAN|PER[ -]?(?:TANGGAL|TGL)|POSISI|KEADAAN)\b\.?(?:\s*:)?", re.IGNORECASE)
UNTIL = re.compile(r"\bS[/.]?D\.?(?=\s|\d)|\bSAMPAI(?: DENGAN)?\b|\s[-–]\s", re.IGNORECASE)
TOTAL = re.compile(r"(GRAND |SUB[ -]?)?(TOTAL|JUMLAH)( \w+){0,3}\s*[:=]?", re.IGNORECASE)
# Facts without which a line is not taken when they cannot be read: wrongly "active" would be a wrong yes.
NEEDED = ("npp", "divisi", "stated_active", "inactive_since")
READERS: dict[str, Callable[[Cell], Any]] = {
    fact: getattr(values, kind) for kind, facts in values.NOTATIONS["kinds"].items() for fact in facts.split()
}


class Note(NamedTuple):  # one remark on one line; `place` "" is the whole file
    place: str
    code: str
    words: dict[str, str] = {}  # noqa: RUF012 (nobody writes to it)

    @property
    def kind(self) -> Kind:
        return KINDS[self.code]

    def __str__(self) -> str:
        """Indonesian | English. Never begins with a cell's text, so that no spreadsheet takes it for a formula."""
        texts = " | ".join(text.format_map(self.words) for text in TEXTS[self.code] if text)
        return f"{f'baris {self.place}' if self.place else 'berkas'} · {LABEL[self.kind]} · {texts}"


def shown(cell: object) -> str:
    """A cell fit to be printed: one line, no control characters, at most 40 characters, no formula."""
    written = values.text(cell)[:40] or "(kosong)"
    return f"'{written}" if written[0] in "=+-@" else written


Member = dict[str, Any]  # one account as it is stored (snapshot.ACCOUNTS); None is unknown, a month its first day


class Line(NamedTuple):
    """As read. `total`: what a total line says, and what the lines before it come to, in all and since the last such
    line; so much of the file is `done`, 0 to 1."""

    place: str
    notes: tuple[Note, ...]
    member: Member | None = None
    total: tuple[int, ...] = ()
    done: float = 0.0


def taxpayer(npwp: str) -> str:
    """The part of a canonical NPWP that head office and branches share; a person's 16 digits are theirs alone."""
    return npwp[:13] if npwp.startswith("0") else npwp


def described(member: Member) -> str:
    """The account in one line, as the import's report shows it."""
    number = f"{member['npp']}/{member['divisi']}" if member["divisi"] else member["npp"]
    programmes = (member["programmes"] or "?").replace(",", "+")
    status, workers = "AKTIF" if member["active"] else "NONAKTIF", member["workers"]
    paid = _month(member["paid_through"])
    return f"NPP {number} {status} {programmes} TK {'?' if workers is None else workers} BLTH {paid}"


def _month(value: date | None) -> str:
    return f"{value:%Y-%m}" if value else "?"


def _doubts(member: Member, stated_active: bool | None, today: date) -> Iterator[tuple[str, dict[str, str]]]:
    """Every contradiction inside the line; `today` is the day of the report."""
    since, left, paid = member["since"], member["inactive_since"], member["paid_through"]
    months = {"KEPS_AWAL": since, "KEPS_JP": member["pension_since"], "BLTH_NA": left, "BLTH_AKHIR": paid}
    for column, value in months.items():
        words = {"column": column, "given": _month(value)}
        if value and value > today:
            yield "not_yet" if column == "BLTH_NA" and member["active"] else "future", words
        if value and since and value < since:
            yield "order", words | {"than": f"KEPS_AWAL {_month(since)}"}
    if left and paid and paid > left:
        yield "order", {"column": "BLTH_NA", "given": _month(left), "than": f"BLTH_AKHIR {_month(paid)}"}
    if member["pension_since"] and member["programmes"] and "JP" not in member["programmes"].split(","):
        yield "pension", {}
    if member["workers"] and not member["active"]:
        yield "workers_inactive", {"given": str(member["workers"])}
    if stated_active and not member["active"]:
        yield "status_differs", {}


@dataclass
class Heading:  # what the title lines say: the month reported (its first day) and the day on which the facts held
    period: date | None = None
    dated: date | None = None
    unclear: list[str] = field(default_factory=list)

    def read(self, cells: tuple[Cell, ...]) -> None:
        """Take one more title line."""
        _, *parts = TITLE.split("  ".join(filter(None, map(values.text, cells))))
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
    """Reads one file once. `heading` is complete when the first member comes."""

    def __init__(self, path: Path, today: date, dated: date | None = None) -> None:
        self.heading, self._path, self._today = Heading(dated=dated), path, today
        self._members, self._sums = 0, (0, 0)  # read so far; their workers, in all and since the last total line

    def lines(self) -> Iterator[Line]:
        """Every line that is not blank. Raises ImportRefused when the file holds no report."""
        found = False
        for name, rows in sheets(self._path, lambda cells: len(columns(cells))):
            empty = True
            for line in self._sheet(name, rows):
                found, empty = True, False
                yield line
            if empty and name:
                yield Line(name, (Note(name[:28], "sheet", {"given": shown(name)}),))
        if not found:
            raise ImportRefused(f"{self._path.name}: no header found; a report has at least NPP and two known columns")

    def _sheet(self, name: str, rows: Iterator[Row]) -> Iterator[Line]:
        """The header, and the lines below it; nothing at all if the sheet has none."""
        heading = Heading()
        for number, header in enumerate(rows):
            if found := columns(header.cells):
                break
            if number < HEAD:
                heading.read(header.cells)
        else:
            return
        table = _Table(header, found, self._adopt(heading), may_be_cut=not name)
        yield Line(header.place, tuple(table.doubts(heading)))
        for row in rows:
            if line := table.line(row, self._sums):
                workers = line.member["workers"] or 0 if line.member else 0
                self._members += line.member is not None
                self._sums = self._sums[0] + workers, 0 if line.total else self._sums[1] + workers
                yield line

    def _adopt(self, new: Heading) -> date:
        """Take a sheet's heading; two sheets must not contradict each other. Returns the day of the facts."""
        known = self.heading
        for ours, theirs in ((known.period, new.period), (known.dated, new.dated)):
            if ours and theirs and ours != theirs and self._members:
                raise ImportRefused("the sheets of this workbook are of different periods; hand them over one by one")
        known.period, known.dated = known.period or new.period, known.dated or new.dated
        return known.dated or self._today


class _Table:  # the lines below one header; `day` is that of the facts
    def __init__(self, header: Row, found: dict[str, list[int]], day: date, may_be_cut: bool) -> None:
        self._place, self._names = header.place, [values.text(cell) for cell in header.cells]
        self._width = max(index for index, name in enumerate(self._names, 1) if name)
        self._least = max(map(max, found.values())) + 1 if may_be_cut else 0
        self._found, self._day = found, day

    def doubts(self, heading: Heading) -> Iterator[Note]:
        """What is unclear before the first line."""
        yield from (Note(self._place, "title", {"given": shown(said)}) for said in heading.unclear)
        if heading.period and heading.dated and heading.period > heading.dated:
            yield Note(self._place, "period_after")
        if not self._found.keys() & {"inactive_since", "stated_active"}:
            yield Note(self._place, "no_status")

    def line(self, row: Row, sums: tuple[int, int]) -> Line | None:
        """The line, or None when it is blank."""
        texts = [values.text(cell) for cell in row.cells]
        if not any(texts):
            return None
        said = {}
        for fact, indexes in self._found.items():
            said[fact] = next((texts[index] for index in indexes if index < len(texts) and texts[index]), "")
        label = next(filter(TOTAL.fullmatch, texts), None)
        if label and said["npp"] in ("", label):
            stated = None
            with suppress(Unclear):
                stated = self._value(row, "workers", [])
            return Line(row.place, (), total=() if stated is None else (stated, *sums), done=row.done)
        if why := self._no_member(row.cells, texts, said):
            return Line(row.place, (Note(row.place, why),), done=row.done)
        member, notes = self._member(row)
        return Line(row.place, tuple(notes), member, done=row.done)

    def _no_member(self, cells: tuple[Cell, ...], texts: list[str], said: dict[str, str]) -> str:
        npp = said["npp"]
        first = [indexes[0] for indexes in self._found.values() if indexes[0] < len(texts)]
        numbered = all(texts[index].strip("()") in (str(index), str(index + 1)) for index in first)
        if (not npp.isdigit() and columns(cells)) or (len(npp) < 5 and numbered):
            return "header"  # again, or a line that only numbers the columns
        if not npp:
            return "no_npp" if sum(map(bool, said.values())) >= LEAST_FACTS else "footer"
        return "long" if any(texts[self._width :]) else "short" if len(texts) < self._least else ""

    def _member(self, row: Row) -> tuple[Member | None, list[Note]]:
        facts, notes = dict[str, Any](), list[Note]()
        for fact in READERS:
            try:
                facts[fact] = self._value(row, fact, notes)
            except Unclear as error:
                words = {"column": self._names[self._found[fact][0]], "given": shown(str(error))}
                if fact in NEEDED:
                    return None, [Note(row.place, "bad", words)]
                notes.append(Note(row.place, "unclear", words))
                facts[fact] = None
            if not facts["npp"]:
                return None, [Note(row.place, "no_npp")]
        stated, left, npwp = facts.pop("stated_active"), facts["inactive_since"], facts["npwp"]
        programmes = facts["programmes"] and ",".join(word for word in Programme if word in facts["programmes"])
        member = facts | {"place": row.place, "divisi": facts["divisi"] or "", "programmes": programmes}
        # A month of leaving that is yet to come has not ended the membership; the status word may have.
        member["active"] = stated is not False and not (left and left <= self._day)
        member["taxpayer"] = npwp and taxpayer(npwp)
        doubts = [Note(row.place, code, words) for code, words in _doubts(member, stated, self._day)]
        return member, [Note(row.place, "taken", {"facts": described(member)}), *notes, *doubts]

    def _value(self, row: Row, fact: str, notes: list[Note]) -> Any:
        """The first of the fact's columns that is filled. Notes what was rewritten, and when two columns differ."""
        given = [row.cells[index] for index in self._found.get(fact, ()) if index < len(row.cells)]
        read = [(cell, value) for cell in given if (value := READERS[fact](cell)) is not None]
        if not read:
            return None
        (cell, value), *others = read
        words = {"column": self._names[self._found[fact][0]]}
        if any(other != value for _, other in others):
            notes.append(Note(row.place, "two_columns", words | {"read": shown(cell)}))
        is_text = isinstance(cell, str)
        changed = fact in ("npp", "divisi", "workers") and is_text and values.text(cell).upper() != str(value)
        if changed or (not is_text and fact in ("npp", "divisi", "nib", "npwp")):
            given_as = shown(cell) if is_text else f"{shown(cell)} (angka/number)"
            notes.append(Note(row.place, "rewritten", words | {"given": given_as, "read": shown(value)}))
        return value
