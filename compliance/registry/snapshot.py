"""The agency's membership report as a source: it proves what it contains, never what it lacks (contract §4)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, Row, String, Table, func, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from compliance.database import Moment, db
from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import Account, Answer, Ask, Employer, Programme, Subject
from compliance.registry.port import Purpose

Position = BigInteger().with_variant(Integer, "sqlite")

# Projection of the `registry.imported` entries: of each region, the newest is in force.
IMPORTS = Table(
    "registry_import",
    db.metadata,
    Column("pos", Position, primary_key=True, autoincrement=False),
    Column("id", String(26), nullable=False, unique=True),
    Column("region", String(5), nullable=False),  # "" = the whole deployment
    Column("sha256", String(64), nullable=False),
    Column("period", Date, nullable=False),
    Column("as_of", Moment, nullable=False),
)
# The accounts of a report, written before its entry. `taxpayer` is what head office and branches share.
ACCOUNTS = Table(
    "registry_account",
    db.metadata,
    Column("id", Position, primary_key=True),
    Column("import_id", String(26), nullable=False),
    Column("place", String(40), nullable=False),
    Column("npp", String(20), nullable=False),
    Column("divisi", String(3), nullable=False),
    *(Column(name, String(size)) for name, size in (("name", 200), ("nib", 13), ("npwp", 16), ("taxpayer", 16))),
    Column("active", Boolean, nullable=False),
    Column("programmes", String(40)),
    Column("workers", Integer),
    *(Column(name, Date) for name in ("since", "pension_since", "inactive_since", "paid_through")),
    *(Index(None, "import_id", name) for name in ("npp", "taxpayer", "nib")),
)


def taxpayer(npwp: str) -> str:
    """The part of a canonical NPWP that head office and branches share; a person's 16 digits are theirs alone."""
    return npwp[:13] if npwp.startswith("0") else npwp


class SnapshotSource:
    """Answers from the current reports of all regions. Connections are held for one look-up only."""

    name = "snapshot"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        """Look an employer up by nib, npwp (canonical 16) or npp. All else is *not found*, and never complete.

        `as_of` is the report's date, of the oldest report that contributes. Raises RegistryUnavailable when no report
        was imported yet, RegistryMisunderstood when the report gives one NPP to two taxpayers.
        """
        try:
            with self._engine.connect() as connection:
                reports = {report.id: report for report in current_imports(connection)}
                rows = _rows(connection, ask, list(reports)) if ask.subject is Subject.EMPLOYER else []
        except SQLAlchemyError as error:
            raise RegistryUnavailable("the imported report cannot be read") from error
        if not reports:
            raise RegistryUnavailable("no report imported")
        ages = list(reports)
        newest = {(row.npp, row.divisi): row for row in sorted(rows, key=lambda row: ages.index(row.import_id))}
        used = [reports[row.import_id] for row in newest.values()] or list(reports.values())
        oldest = min(used, key=lambda report: report.as_of)
        record = _employer(list(newest.values()), ask) if newest else None
        return Answer(record, self.name, oldest.as_of, oldest.sha256[:12], complete=False)


def current_imports(connection: Connection) -> Sequence[Row[Any]]:
    """The reports in force, one of each region, oldest first."""
    newest = select(func.max(IMPORTS.c.pos)).group_by(IMPORTS.c.region)
    return connection.execute(select(IMPORTS).where(IMPORTS.c.pos.in_(newest)).order_by(IMPORTS.c.as_of)).all()


def _rows(connection: Connection, ask: Ask, reports: list[str]) -> Sequence[Row[Any]]:
    """Every account of the taxpayer whom the identifier names; a division without NPWP goes with its NPP."""
    account = ACCOUNTS.c
    query = select(ACCOUNTS).where(account.import_id.in_(reports)).order_by(account.npp, account.divisi, account.id)
    found: Sequence[Row[Any]] = []
    payers = {taxpayer(ask.value)} if ask.by == "npwp" else set()
    if ask.by in ("nib", "npp"):
        found = connection.execute(query.where(account[ask.by] == ask.value)).all()
        payers = {row.taxpayer for row in found if row.taxpayer}
    if len(payers) > 1:
        raise RegistryMisunderstood(f"the imported report names several taxpayers for one {ask.by.upper()}")
    if not payers:
        return found
    own = connection.execute(query.where(account.taxpayer == payers.pop())).all()
    strays = query.where(account.taxpayer.is_(None), account.npp.in_({row.npp for row in own}))
    return [*own, *connection.execute(strays)]


def _employer(rows: Sequence[Row[Any]], ask: Ask) -> Employer:
    """What the report says of each account. A month paid proves the first payment; a blank proves nothing."""
    own = [row for row in rows if getattr(row, ask.by) == ask.value] or rows
    name, nib, npwp = (next(filter(None, (getattr(row, it) for row in own)), None) for it in ("name", "nib", "npwp"))
    accounts = []
    for row in rows:
        programmes = None if row.programmes is None else frozenset(map(Programme, row.programmes.split(",")))
        paid = row.paid_through
        accounts.append(Account(row.npp, row.active, programmes, row.workers, True if paid else None, paid))
    return Employer(name, nib, npwp, tuple(accounts))
