"""Takes a membership report into the database: all of it, or nothing that anybody would be judged by.

Rows are written in short transactions, so that checks go on; they count only once an entry of the log names them.
"""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
from compliance.registry.port import Entry
from compliance.registry.reading.notes import Kind, Note, shown
from compliance.registry.reading.report import Report, Total
from compliance.registry.snapshot import ACCOUNTS, IMPORTS, current_imports, taxpayer

ZONE = ZoneInfo("Asia/Makassar")
BATCH = 1000
ORPHANED = timedelta(days=1)  # rows that no entry names after this are left over from an import that broke off
MADE = {"id", "import_id", "divisi", "taxpayer", "programmes"}
COPIED = [column.name for column in ACCOUNTS.columns if column.name not in MADE]


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
    overruled: dict[str, Note] = field(default_factory=dict)

    def add(self, *notes: Note) -> None:
        self.file.writelines(json.dumps([note.place, note.code, note.words]) + "\n" for note in notes)

    def __iter__(self) -> Iterator[Note]:
        self.file.seek(0)
        for place, told in itertools.groupby((Note(*json.loads(line)) for line in self.file), lambda note: note.place):
            yield from [self.overruled[place]] if place in self.overruled else told


def import_report(
    engine: Engine, path: Path, remarks: Remarks, progress: Callable[[float], None], region: str, now: datetime,
    older: bool = False, dated: date | None = None,
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    """Read a file, store its rows, fill `remarks`. `region` "" is the whole deployment; `dated` overrides PER TANGGAL.

    Nothing is in force until the body that is returned is appended to the log under the id that is. `progress` is told
    0 to 1. Raises ImportRefused, and then no row stays.
    """
    with engine.connect() as connection:
        in_force = current_imports(connection)
    orphaned = ACCOUNTS.c.import_id < str(ULID.from_datetime(now - ORPHANED))
    _drop(engine, orphaned & ACCOUNTS.c.import_id.not_in([row.id for row in in_force]))
    import_id, report = str(ULID.from_datetime(now)), Report(path, now.astimezone(ZONE).date(), dated)
    own = ACCOUNTS.c.import_id == import_id
    try:
        totals = _store(engine, import_id, report, remarks, progress)
        period, as_of = _dates(report, remarks, now)
        current = next((row for row in in_force if row.region == region), None)
        if current and not older and (period, as_of) < (current.period, current.as_of):
            raise ImportRefused(
                f"it is of {period:%Y-%m} ({as_of.astimezone(ZONE):%Y-%m-%d}) and older than the report in force, of "
                f"{current.period:%Y-%m} ({current.as_of.astimezone(ZONE):%Y-%m-%d}); use --older to take it"
            )
        _settle_duplicates(engine, own, remarks)
        body = {"region": region, "period": f"{period:%Y-%m}", "as_of": moment(as_of)}
        body["rows_sha256"] = _sum_up(engine, own, remarks, totals)
        with path.open("rb") as file:
            body["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    except BaseException:
        _drop(engine, own)
        raise
    lines = itertools.groupby(remarks, lambda note: note.place)
    counts = Counter(kind for _, notes in lines for kind in {note.kind for note in notes})
    return import_id, body | {"counts": {kind.value: counts[kind] for kind in Kind}}


def _store(
    engine: Engine, import_id: str, report: Report, remarks: Remarks, progress: Callable[[float], None]
) -> list[tuple[str, Total]]:
    """Write every member; returns the total lines."""
    lines, totals = report.lines(), []
    while batch := list(itertools.islice(lines, BATCH)):
        totals += [(line.place, line.total) for line in batch if line.total]
        remarks.add(*itertools.chain.from_iterable(line.notes for line in batch))
        rows = [
            {name: getattr(member, name) for name in COPIED}
            | {"import_id": import_id, "divisi": member.divisi or "", "taxpayer": member.npwp and taxpayer(member.npwp)}
            | {"programmes": member.programmes and ",".join(each for each in Programme if each in member.programmes)}
            for member in (line.member for line in batch)
            if member
        ]
        if rows:
            with engine.begin() as connection:
                connection.execute(ACCOUNTS.insert(), rows)
        progress(batch[-1].done)
    return totals


def _dates(report: Report, remarks: Remarks, now: datetime) -> tuple[date, datetime]:
    """The month reported, and the end of the day on which the facts held (never after the import)."""
    heading, today = report.heading, now.astimezone(ZONE).date()
    period = heading.period or (heading.dated and heading.dated.replace(day=1))
    if not period:
        period = report.newest
        if period == date.min:
            raise ImportRefused("no PERIODE, no PER TANGGAL and no month paid: say the report's day with --dated")
        remarks.add(Note("", "no_period", {"month": f"{period:%Y-%m}"}))
    last = (period.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    dated = heading.dated or min(last, today)
    if dated > today or period > today:
        raise ImportRefused(f"the report is dated after today ({max(dated, period)}); say its day with --dated")
    return period, min(datetime.combine(dated, time(23, 59, 59), ZONE), now)


def _settle_duplicates(engine: Engine, own: Any, remarks: Remarks) -> None:
    """The same number twice: one row if the facts are the same; else none, for nobody can tell which is right."""
    account, gone = ACCOUNTS.c, []
    several = select(account.npp).where(own).group_by(account.npp, account.divisi).having(func.count() > 1)
    query = select(ACCOUNTS).where(own, account.npp.in_(several)).order_by(account.npp, account.divisi, account.id)
    with engine.connect() as connection:
        in_order = connection.execution_options(yield_per=BATCH).execute(query)
        for _, group in itertools.groupby(in_order, key=lambda row: (row.npp, row.divisi)):
            first, *others = rows = list(group)
            alike = {(*row[3:5], row.name and names.normal(row.name), *row[6:]) for row in rows}
            gone += [row.id for row in (others if len(alike) == 1 else rows if others else ())]
            for row in others if len(alike) == 1 else ():
                remarks.overruled[row.place] = Note(row.place, "same_again", {"other": first.place})
            for row in rows if len(alike) > 1 else ():
                places = ", ".join(other.place for other in rows if other is not row)[:80]
                remarks.overruled[row.place] = Note(row.place, "conflict", {"given": shown(row.npp), "other": places})
    for ids in (gone[start : start + BATCH] for start in range(0, len(gone), BATCH)):
        with engine.begin() as connection:
            connection.execute(delete(ACCOUNTS).where(account.id.in_(ids)))


def _sum_up(engine: Engine, own: Any, remarks: Remarks, totals: list[tuple[str, Total]]) -> str:
    """Doubt what does not add up; returns the digest of the rows that stay."""
    account, digest = ACCOUNTS.c, hashlib.sha256()
    with engine.connect() as connection:
        of_two = (
            select(account.npp).where(own).group_by(account.npp).having(func.count(account.taxpayer.distinct()) > 1)
        )
        for npp in connection.scalars(of_two):
            remarks.add(Note("", "two_taxpayers", {"given": npp}))
        workers = int(connection.scalar(select(func.coalesce(func.sum(account.workers), 0)).where(own)) or 0)
        stored = select(ACCOUNTS).where(own).order_by(account.id)
        for row in connection.execution_options(yield_per=BATCH).execute(stored):
            digest.update(json.dumps([str(value) for value in row[2:]]).encode() + b"\n")
    if digest.digest() == hashlib.sha256().digest():
        raise ImportRefused("no line of this report could be taken")
    for place, total in totals:
        words = {"given": str(total.stated), "read": str(workers)}
        remarks.add(Note(place, "total_right" if total.stated in (*total.sums, workers) else "total", words))
    return digest.hexdigest()


def _drop(engine: Engine, which: Any) -> None:
    """Delete in short transactions, so that nobody waits."""
    some = select(ACCOUNTS.c.id).where(which).limit(5 * BATCH)
    deleted = 1
    while deleted:
        with engine.begin() as connection:
            deleted = connection.execute(delete(ACCOUNTS).where(ACCOUNTS.c.id.in_(some))).rowcount
