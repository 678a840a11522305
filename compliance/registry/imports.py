"""Takes a membership report into the database: all of it, or nothing that anybody would be judged by.

Rows are written in short transactions, so that checks go on; they count only once an entry of the log names them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from ulid import ULID

from compliance.errors import ImportRefused
from compliance.law import names
from compliance.law.codec import moment
from compliance.law.facts import Programme
from compliance.registry.outages import Entry
from compliance.registry.reading.members import Member
from compliance.registry.reading.report import Report, Total
from compliance.registry.reading.words import Kind, Note, shown
from compliance.registry.snapshot import ACCOUNTS, IMPORTS, current_imports, taxpayer

ZONE = ZoneInfo("Asia/Makassar")
BATCH = 1000
ORPHANED = timedelta(days=1)  # rows that no entry names after this are left over from an import that broke off
MADE = {"id", "import_id", "divisi", "taxpayer", "programmes"}
COPIED = [column.name for column in ACCOUNTS.columns if column.name not in MADE]


@dataclass(frozen=True, slots=True)
class Imported:
    """A report whose rows are stored and wait for their entry. `rows_sha256` is the digest of the rows as stored."""

    id: str
    region: str
    sha256: str
    rows_sha256: str
    period: date
    as_of: datetime
    counts: dict[str, int]

    def body(self) -> dict[str, Any]:
        """The entry that puts the report in force."""
        told = asdict(self) | {"period": f"{self.period:%Y-%m}", "as_of": moment(self.as_of)}
        del told["id"]
        return told


def record_import(connection: Connection, entry: Entry) -> None:
    """Projection of `registry.imported`: idempotent, in any order."""
    body = entry.body
    row = {"pos": entry.position, "id": entry.id, "region": body["region"], "sha256": body["sha256"]}
    period, as_of = date.fromisoformat(f"{body['period']}-01"), datetime.fromisoformat(body["as_of"])
    statement = insert(IMPORTS).values(**row, period=period, as_of=as_of)
    connection.execute(statement.on_conflict_do_nothing(index_elements=["pos"]))


@dataclass
class Remarks:
    """The notes of an import in the order of the file, kept in `file`; `overruled` replaces those of a few places."""

    file: IO[str]
    counts: Counter[str] = field(default_factory=Counter)
    overruled: dict[str, Note] = field(default_factory=dict)

    def add(self, *notes: Note) -> None:
        for note in notes:
            self.file.write(json.dumps([note.place, note.code, note.words]) + "\n")

    def __iter__(self) -> Iterator[Note]:
        """Every note; counts the lines of each kind on the way."""
        self.file.seek(0)
        self.counts.clear()
        notes = (Note(*json.loads(line)) for line in self.file)
        for place, group in itertools.groupby(notes, key=lambda note: note.place):
            told = [self.overruled[place]] if place in self.overruled else list(group)
            self.counts.update({note.kind.value for note in told})
            yield from told


def import_report(
    engine: Engine,
    path: Path,
    remarks: Remarks,
    progress: Callable[[float], None],
    *,
    region: str,
    now: datetime,
    older: bool = False,
    dated: date | None = None,
) -> Imported:
    """Read a file, store its rows, fill `remarks`. `region` "" is the whole deployment; `dated` overrides PER TANGGAL.

    Nothing is in force until `Imported.body()` is appended to the log. `progress` is told 0 to 1. Raises ImportRefused,
    and then no row stays.
    """
    with engine.connect() as connection:
        in_force = current_imports(connection)
    orphaned = ACCOUNTS.c.import_id < str(ULID.from_datetime(now - ORPHANED))
    _drop(engine, orphaned & ACCOUNTS.c.import_id.not_in([row.id for row in in_force]))
    import_id = str(ULID.from_datetime(now))
    report = Report(path, now.astimezone(ZONE).date(), dated)
    try:
        totals = _store(engine, import_id, report, remarks, progress)
        period, as_of = _dates(report, remarks, now)
        current = next((row for row in in_force if row.region == region), None)
        if current and not older and (period, as_of) < (current.period, current.as_of):
            raise ImportRefused(
                f"it is of {period:%Y-%m} ({as_of.astimezone(ZONE):%Y-%m-%d}) and older than the report in force, of "
                f"{current.period:%Y-%m} ({current.as_of.astimezone(ZONE):%Y-%m-%d}); use --older to take it"
            )
        rows_sha256 = _finish(engine, import_id, remarks, totals)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except BaseException:
        _drop(engine, ACCOUNTS.c.import_id == import_id)
        raise
    for _ in remarks:  # counts
        pass
    counts = {kind.value: remarks.counts[kind] for kind in Kind}
    return Imported(import_id, region, sha256, rows_sha256, period, as_of, counts)


def _store(
    engine: Engine, import_id: str, report: Report, remarks: Remarks, progress: Callable[[float], None]
) -> list[tuple[str, Total]]:
    """Write every member; returns the total lines."""
    lines, totals = report.lines(), []
    while batch := list(itertools.islice(lines, BATCH)):
        totals += [(line.place, line.total) for line in batch if line.total]
        remarks.add(*itertools.chain.from_iterable(line.notes for line in batch))
        if rows := [_row(import_id, line.member) for line in batch if line.member]:
            with engine.begin() as connection:
                connection.execute(ACCOUNTS.insert(), rows)
        progress(batch[-1].done)
    return totals


def _row(import_id: str, member: Member) -> dict[str, Any]:
    known = member.programmes
    return {name: getattr(member, name) for name in COPIED} | {
        "import_id": import_id,
        "divisi": member.divisi or "",
        "taxpayer": taxpayer(member.npwp) if member.npwp else None,
        "programmes": None if known is None else ",".join(word for word in Programme if word in known),
    }


def _dates(report: Report, remarks: Remarks, now: datetime) -> tuple[date, datetime]:
    """The month reported, and the end of the day on which the facts held (never after the import)."""
    heading, today = report.heading, now.astimezone(ZONE).date()
    period = heading.period or (heading.dated and heading.dated.replace(day=1))
    if not period:
        if not report.newest:
            raise ImportRefused("no PERIODE, no PER TANGGAL and no month paid: say the report's day with --dated")
        period = report.newest
        remarks.add(Note("", "no_period", {"month": f"{period:%Y-%m}"}))
    last = (period.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    dated = heading.dated or min(last, today)
    if dated > today or period > today:
        raise ImportRefused(f"the report is dated after today ({max(dated, period)}); say its day with --dated")
    return period, min(datetime.combine(dated, time(23, 59, 59), ZONE), now)


def _finish(engine: Engine, import_id: str, remarks: Remarks, totals: list[tuple[str, Total]]) -> str:
    """Settle duplicates and totals; returns the digest of the rows that stay."""
    _settle_duplicates(engine, import_id, remarks)
    own, digest, line = ACCOUNTS.c.import_id == import_id, hashlib.sha256(), b""
    with engine.connect() as connection:
        query = select(ACCOUNTS.c.npp).where(own).group_by(ACCOUNTS.c.npp)
        for npp in connection.scalars(query.having(func.count(ACCOUNTS.c.taxpayer.distinct()) > 1)):
            remarks.add(Note("", "two_taxpayers", {"given": npp}))
        distinct = int(connection.scalar(select(func.coalesce(func.sum(ACCOUNTS.c.workers), 0)).where(own)) or 0)
        stored = select(ACCOUNTS).where(own).order_by(ACCOUNTS.c.id)
        for row in connection.execution_options(yield_per=BATCH).execute(stored):
            line = json.dumps([str(value) for value in row[2:]]).encode() + b"\n"
            digest.update(line)
    if not line:
        raise ImportRefused("no line of this report could be taken")
    for place, total in totals:
        words = {"given": str(total.stated), "read": str(distinct)}
        remarks.add(Note(place, "total_right" if total.stated in (*total.sums, distinct) else "total", words))
    return digest.hexdigest()


def _settle_duplicates(engine: Engine, import_id: str, remarks: Remarks) -> None:
    """The same number twice: one row if the facts are the same; else none, for nobody can tell which is right."""
    account, gone = ACCOUNTS.c, []
    own = account.import_id == import_id
    several = select(account.npp).where(own).group_by(account.npp, account.divisi).having(func.count() > 1)
    query = select(ACCOUNTS).where(own, account.npp.in_(several)).order_by(account.npp, account.divisi, account.id)
    with engine.connect() as connection:
        in_order = connection.execution_options(yield_per=BATCH).execute(query)
        for _, same in itertools.groupby(in_order, key=lambda row: (row.npp, row.divisi)):
            rows = list(same)
            if len({_facts(row) for row in rows}) == 1:
                gone += [row.id for row in rows[1:]]
                remarks.overruled |= {r.place: Note(r.place, "same_again", {"other": rows[0].place}) for r in rows[1:]}
                continue
            gone += [row.id for row in rows]
            for row in rows:
                others = ", ".join(other.place for other in rows if other is not row)[:80]
                remarks.overruled[row.place] = Note(row.place, "conflict", {"given": shown(row.npp), "other": others})
    for start in range(0, len(gone), BATCH):
        with engine.begin() as connection:
            connection.execute(delete(ACCOUNTS).where(account.id.in_(gone[start : start + BATCH])))


def _facts(row: Any) -> tuple[Any, ...]:
    """What must be the same: everything but the place, and the name as names are compared."""
    facts = row._asdict() | {"id": None, "place": None, "name": row.name and names.normal(row.name)}
    return tuple(facts.values())


def _drop(engine: Engine, which: Any) -> None:
    """Delete in short transactions, so that nobody waits."""
    some = select(ACCOUNTS.c.id).where(which).limit(5 * BATCH)
    while True:
        with engine.begin() as connection:
            if not connection.execute(delete(ACCOUNTS).where(ACCOUNTS.c.id.in_(some))).rowcount:
                return
