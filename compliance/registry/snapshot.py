"""The agency's membership report as a source: it proves what it contains, never what it lacks (contract §4). Its rows
are written in short transactions, so that checks go on, and count only once an entry of the log names them."""

import calendar
import datetime as dt
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from ulid import ULID

from compliance.database import TYPES, put, rows, table
from compliance.errors import ImportRefused, RegistryMisunderstood, RegistryUnavailable
from compliance.law import identifiers
from compliance.law.codec import moment
from compliance.law.facts import Account, Answer, Ask, Employer, Programme, Subject
from compliance.registry.port import Entry, Purpose
from compliance.registry.reading.report import Kind, Note, Report, shown, taxpayer

ZONE = ZoneInfo("Asia/Makassar")
BATCH = 1000
ORPHANED = dt.timedelta(days=1)  # rows that no entry names after this are left over from an import that broke off

# Projection of the `registry.imported` entries: of each region ("" = the whole deployment), the newest is in force.
_import = "pos:pos! id:26 region:5 sha256:64 period:day as_of:moment"
IMPORTS = table("registry_import", _import, sa.UniqueConstraint("id"))
# The accounts of a report, written before its entry. `taxpayer` is what head office and branches share.
ACCOUNTS = table(
    "registry_account",
    "import_id:26 place:40 npp:20 divisi:3 name:200? nib:13? npwp:16? taxpayer:16? active:bool programmes:40?",
    "workers:int? since:day? pension_since:day? inactive_since:day? paid_through:day?",
    sa.Column("id", TYPES["pos"], primary_key=True),
    *(sa.Index(None, "import_id", name) for name in ("npp", "taxpayer", "nib")),
)
_account = ACCOUNTS.c


class SnapshotSource:
    """Answers from the current reports of all regions. Connections are held for one look-up only."""

    name = "snapshot"

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        """Look an employer up by nib, npwp (canonical 16) or npp; all else is *not found*, and never complete.
        `as_of` is of the oldest report that contributes. Raises RegistryUnavailable when no report was imported yet."""
        try:
            reports = {report.id: report for report in current_imports(self._engine)}
            found = _rows(self._engine, ask, list(reports)) if ask.subject is Subject.EMPLOYER else []
        except sa.exc.SQLAlchemyError as error:
            raise RegistryUnavailable("the imported report cannot be read") from error
        if not reports:
            raise RegistryUnavailable("no report imported")
        ages = list(reports)
        newest = {(row.npp, row.divisi): row for row in sorted(found, key=lambda row: ages.index(row.import_id))}
        used = [reports[row.import_id] for row in newest.values()] or list(reports.values())
        oldest = min(used, key=lambda report: report.as_of)
        record = _employer(list(newest.values()), ask) if newest else None
        return Answer(record, self.name, oldest.as_of, oldest.sha256[:12], complete=False)


def current_imports(engine: sa.Engine) -> Sequence[sa.Row[Any]]:
    """The reports in force, one of each region, oldest first."""
    newest = sa.select(sa.func.max(IMPORTS.c.pos)).group_by(IMPORTS.c.region)
    return rows(engine, sa.select(IMPORTS).where(IMPORTS.c.pos.in_(newest)).order_by(IMPORTS.c.as_of))


def _rows(engine: sa.Engine, ask: Ask, reports: list[str]) -> Sequence[sa.Row[Any]]:
    """Every account of the taxpayer whom the identifier names; a division without NPWP goes with its NPP."""
    query = sa.select(ACCOUNTS).where(_account.import_id.in_(reports))
    query = query.order_by(_account.npp, _account.divisi, _account.id)
    found: Sequence[sa.Row[Any]] = []
    payers = {taxpayer(ask.value)} if ask.by == "npwp" else set()
    if ask.by in ("nib", "npp"):
        found = rows(engine, query.where(_account[ask.by] == ask.value))
        payers = {row.taxpayer for row in found if row.taxpayer}
    if len(payers) > 1:
        raise RegistryMisunderstood(f"the imported report names several taxpayers for one {ask.by.upper()}")
    if not payers:
        return found
    own = rows(engine, query.where(_account.taxpayer == payers.pop()))
    strays = query.where(_account.taxpayer.is_(None), _account.npp.in_({row.npp for row in own}))
    return [*own, *rows(engine, strays)]


def _employer(rows: Sequence[sa.Row[Any]], ask: Ask) -> Employer:
    """What the report says of each account. A month paid proves the first payment; a blank proves nothing."""
    own = [row for row in rows if getattr(row, ask.by) == ask.value] or rows
    name, nib, npwp = (next(filter(None, (getattr(row, it) for row in own)), None) for it in ("name", "nib", "npwp"))
    accounts = []
    for row in rows:
        programmes = None if row.programmes is None else frozenset(map(Programme, row.programmes.split(",")))
        paid = row.paid_through
        accounts.append(Account(row.npp, row.active, programmes, row.workers, True if paid else None, paid))
    return Employer(name, nib, npwp, tuple(accounts))


def record_import(connection: sa.Connection, entry: Entry) -> None:
    """Projection of `registry.imported`: idempotent, in any order."""
    row = {name: entry.body[name] for name in ("region", "sha256")} | {"pos": entry.position, "id": entry.id}
    row["period"] = dt.date.fromisoformat(f"{entry.body['period']}-01")
    row["as_of"] = dt.datetime.fromisoformat(entry.body["as_of"])
    put(connection, IMPORTS, row)


@dataclass
class Remarks:  # an import's notes in the file's order, kept in `file`; `overruled` replaces those of a few places
    file: IO[str]
    overruled: dict[str, Note] = field(default_factory=dict)

    def add(self, *notes: Note) -> None:
        self.file.writelines(json.dumps(note) + "\n" for note in notes)

    def __iter__(self) -> Iterator[Note]:
        self.file.seek(0)
        for place, told in itertools.groupby((Note(*json.loads(line)) for line in self.file), lambda note: note.place):
            yield from [self.overruled[place]] if place in self.overruled else told


def import_report(
    engine: sa.Engine, path: Path, remarks: Remarks, progress: Callable[[float], None], region: str, now: dt.datetime,
    older: bool = False, dated: dt.date | None = None,
) -> tuple[str, dict[str, Any]]:  # fmt: skip
    """Read a file, store its rows, fill `remarks`; `dated` overrides PER TANGGAL, `progress` is told 0 to 1. It is in
    force once the returned body is logged under the returned id. Raises ImportRefused, and then no row stays."""
    in_force = current_imports(engine)
    orphaned = _account.import_id < str(ULID.from_datetime(now - ORPHANED))
    _drop(engine, orphaned & _account.import_id.not_in([row.id for row in in_force]))
    import_id, report = str(ULID.from_datetime(now)), Report(path, now.astimezone(ZONE).date(), dated)
    own, totals = _account.import_id == import_id, list[tuple[str, tuple[int, ...]]]()
    try:
        lines = report.lines()
        while batch := list(itertools.islice(lines, BATCH)):
            totals += [(line.place, line.total) for line in batch if line.total]
            remarks.add(*itertools.chain.from_iterable(line.notes for line in batch))
            if taken := [line.member | {"import_id": import_id} for line in batch if line.member]:
                with engine.begin() as connection:
                    connection.execute(ACCOUNTS.insert(), taken)
            progress(batch[-1].done)
        period, as_of = _dates(engine, own, report, remarks, now)
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
    told = itertools.groupby(remarks, lambda note: note.place)
    counts = Counter(kind for _, notes in told for kind in {note.kind for note in notes})
    return import_id, body | {"counts": {kind.value: counts[kind] for kind in Kind}}


def _dates(
    engine: sa.Engine, own: Any, report: Report, remarks: Remarks, now: dt.datetime
) -> tuple[dt.date, dt.datetime]:
    """The month reported, and the end of the day on which the facts held (never after the import)."""
    heading, today = report.heading, now.astimezone(ZONE).date()
    period = heading.period or (heading.dated and heading.dated.replace(day=1))
    if not period:
        newest = sa.select(sa.func.max(_account.paid_through)).where(own, _account.paid_through <= today)
        period = rows(engine, newest)[0][0]
        if not period:
            raise ImportRefused("no PERIODE, no PER TANGGAL and no month paid: say the report's day with --dated")
        remarks.add(Note("", "no_period", {"month": f"{period:%Y-%m}"}))
    last = calendar.monthrange(period.year, period.month)[1]
    dated = heading.dated or min(period.replace(day=last), today)
    if dated > today or period > today:
        raise ImportRefused(f"the report is dated after today ({max(dated, period)}); say its day with --dated")
    return period, min(dt.datetime.combine(dated, dt.time(23, 59, 59), ZONE), now)


def _settle_duplicates(engine: sa.Engine, own: Any, remarks: Remarks) -> None:
    """The same number twice: one row if the facts are the same; else none, for nobody can tell which is right."""
    number, gone = (_account.npp, _account.divisi), list[int]()
    several = sa.select(_account.npp).where(own).group_by(*number).having(sa.func.count() > 1)
    query = sa.select(ACCOUNTS).where(own, _account.npp.in_(several)).order_by(*number, _account.id)
    with engine.connect() as connection:
        in_order = connection.execution_options(yield_per=BATCH).execute(query)
        for _, group in itertools.groupby(in_order, key=lambda row: (row.npp, row.divisi)):
            first, *others = rows = list(group)
            facts = {(row.name and identifiers.normal(row.name), *row[5:-1]) for row in rows}
            for row in others if len(facts) == 1 else rows:
                gone.append(row.id)
                note = Note(row.place, "same_again", {"other": first.place})
                if len(facts) > 1:
                    some = itertools.islice((other.place for other in rows if other is not row), 40)  # fill 80 letters
                    note = Note(row.place, "conflict", {"given": shown(row.npp), "other": ", ".join(some)[:80]})
                remarks.overruled[row.place] = note
    for start in range(0, len(gone), BATCH):
        _drop(engine, _account.id.in_(gone[start : start + BATCH]))


def _sum_up(engine: sa.Engine, own: Any, remarks: Remarks, totals: list[tuple[str, tuple[int, ...]]]) -> str:
    """Doubt what does not add up; returns the digest of the rows that stay."""
    digest, workers, count = hashlib.sha256(), 0, 0
    payers = sa.func.count(_account.taxpayer.distinct())
    with engine.connect() as connection:
        for npp in connection.scalars(sa.select(_account.npp).where(own).group_by(_account.npp).having(payers > 1)):
            remarks.add(Note("", "two_taxpayers", {"given": npp}))
        stored = sa.select(ACCOUNTS).where(own).order_by(_account.id)
        for count, row in enumerate(connection.execution_options(yield_per=BATCH).execute(stored), 1):  # noqa: B007
            digest.update(json.dumps([str(value) for value in row[1:-1]]).encode() + b"\n")
            workers += row.workers or 0
    if not count:
        raise ImportRefused("no line of this report could be taken")
    for place, (stated, *sums) in totals:
        words = {"given": str(stated), "read": str(workers)}
        remarks.add(Note(place, "total_right" if stated in (*sums, workers) else "total", words))
    return digest.hexdigest()


def _drop(engine: sa.Engine, which: Any) -> None:  # delete in short transactions, so that nobody waits
    some = sa.select(_account.id).where(which).limit(5 * BATCH)
    deleted = 1
    while deleted:
        with engine.begin() as connection:
            deleted = connection.execute(sa.delete(ACCOUNTS).where(_account.id.in_(some))).rowcount
