"""Reading checks from their projection: one by id or code, many by filter, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Engine, Row, select

from compliance.audit.table import check_record
from compliance.audit.words import named

_later = check_record.alias("later")
_superseded_by = (
    select(_later.c.id)
    .where(_later.c.replaces == check_record.c.id)
    .order_by(_later.c.pos)
    .limit(1)
    .scalar_subquery()
    .label("superseded_by")
)
_c = check_record.c
_columns = (
    *(_c.pos, _c.id, _c.region, _c.asker_kind, _c.asker_id, _c.reference, _c.permit_type, _c.as_at, _c.checked_at),
    *(_c.verdict, _c.action, _c.enforced, _c.backdated, _c.valid_until, _c.receipt_code, _c.replaces, _c.document),
    _superseded_by,
)


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """A check as its projection shows it; `document` is the answer as it was given, JSON text."""

    pos: int
    id: str
    region: str
    asker_kind: str
    asker_id: str
    reference: str
    permit_type: str
    as_at: date
    checked_at: datetime
    verdict: str
    action: str
    enforced: bool
    backdated: bool
    valid_until: date | None
    receipt_code: str
    replaces: str | None
    document: str
    superseded_by: str | None


@dataclass(frozen=True, slots=True)
class CheckFilter:
    """What to list; None means any. `since` and `until` are moments: [since, until). `before` is a position."""

    regions: Sequence[str]
    reference: str | None = None
    nib: str | None = None
    verdict: str | None = None
    action: str | None = None
    permit_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    name: str | None = None  # how words of the business's name begin


class CheckReads:
    """Looking checks up; base of AuditLog."""

    engine: Engine

    def check(self, check_id: str) -> CheckRecord | None:
        return self._first(_c.id == check_id)

    def check_by_code(self, code: str) -> CheckRecord | None:
        """By receipt code as shown (`proof.receipt.read_code` makes it from what was typed)."""
        return self._first(_c.receipt_code == code)

    def checks(self, wanted: CheckFilter, limit: int) -> list[CheckRecord]:
        """Newest first, at most `limit`; the last one's `pos` is the next page's `before`."""
        query = select(*_columns).where(_c.region.in_(wanted.regions)).order_by(_c.pos.desc()).limit(limit)
        for name in ("reference", "nib", "verdict", "action", "permit_type"):
            value = getattr(wanted, name)
            if value is not None:
                query = query.where(_c[name] == value)
        if wanted.since:
            query = query.where(_c.checked_at >= wanted.since)
        if wanted.until:
            query = query.where(_c.checked_at < wanted.until)
        if wanted.before is not None:
            query = query.where(_c.pos < wanted.before)
        if wanted.name is not None:
            query = query.where(_c.pos.in_(named(wanted.name)))
        with self.engine.connect() as connection:
            return [_record(row) for row in connection.execute(query)]

    def _first(self, condition: object) -> CheckRecord | None:
        with self.engine.connect() as connection:
            row = connection.execute(select(*_columns).where(condition)).one_or_none()  # type: ignore[arg-type]
        return _record(row) if row else None


def _record(row: Row[*tuple[object, ...]]) -> CheckRecord:
    return CheckRecord(*row)  # type: ignore[arg-type]
