"""Reading checks from their projection: one by id or code, many by filter, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, select

from compliance.audit.table import check_record
from compliance.audit.words import named

CheckRecord = Row[Any]  # the columns of check_record, and the id `superseded_by`; `document` is JSON text
_c, _later = check_record.c, check_record.alias("later")
_replaced_by = select(_later.c.id).where(_later.c.replaces == _c.id).order_by(_later.c.pos).limit(1)
_record = select(check_record, _replaced_by.scalar_subquery().label("superseded_by"))


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
        query = _record.where(_c.region.in_(wanted.regions)).order_by(_c.pos.desc()).limit(limit)
        for name in ("reference", "nib", "verdict", "action", "permit_type"):
            if (value := getattr(wanted, name)) is not None:
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
            return list(connection.execute(query))

    def _first(self, condition: ColumnElement[bool]) -> CheckRecord | None:
        with self.engine.connect() as connection:
            return connection.execute(_record.where(condition)).one_or_none()
