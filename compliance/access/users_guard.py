"""Counting failures: sign-in names, addresses and guesses at receipt codes, in two columns.

What is counted is known only by a keyed hash. A name that nobody has is counted like one that somebody has, so that a
lock tells nothing about who exists.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Integer, String, UpdateBase, case, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from compliance.database import Moment, db


class AttemptRow(db.Model):  # type: ignore[name-defined, misc]
    """`failed` failures since the window began; the last of them at `failed_at`."""

    __tablename__ = "access_attempt"
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    failed: Mapped[int] = mapped_column(Integer)
    failed_at: Mapped[datetime] = mapped_column(Moment, index=True)


def changed(statement: UpdateBase) -> bool:
    """Run and commit one UPDATE or DELETE; whether it changed any row. Of two simultaneous ones, one is told so."""
    result = db.session.execute(statement.execution_options(synchronize_session=False))
    db.session.commit()
    return bool(cast("CursorResult[Any]", result).rowcount)


@dataclass(frozen=True, slots=True)
class Guard:
    """Locks a subject after `most` failures that are less than `window` apart, until `window` after the last one."""

    kind: str
    most: int
    window: timedelta
    secret: bytes
    clock: Callable[[], datetime]

    def locked_until(self, subject: str) -> datetime | None:
        row = db.session.execute(
            select(AttemptRow.failed, AttemptRow.failed_at).where(AttemptRow.subject == self._key(subject))
        ).one_or_none()
        if row is None or row.failed < self.most or row.failed_at + self.window <= self.clock():
            return None
        until: datetime = row.failed_at + self.window
        return until

    def failed(self, subject: str) -> bool:
        """Count one failure; True when it is the one that locks."""
        if not self._count(subject):
            try:
                db.session.add(AttemptRow(subject=self._key(subject), failed=1, failed_at=self.clock()))
                db.session.commit()
            except IntegrityError:  # counted by another process at the same moment
                db.session.rollback()
                self._count(subject)
        self._forget_old()
        return db.session.scalar(select(AttemptRow.failed).where(AttemptRow.subject == self._key(subject))) == self.most

    def succeeded(self, subject: str) -> None:
        changed(delete(AttemptRow).where(AttemptRow.subject == self._key(subject)))

    def _count(self, subject: str) -> bool:
        now = self.clock()
        old = AttemptRow.failed_at <= now - self.window
        return changed(
            update(AttemptRow)
            .where(AttemptRow.subject == self._key(subject))
            .values(failed=case((old, 1), else_=AttemptRow.failed + 1), failed_at=now)
        )

    def _forget_old(self) -> None:
        changed(delete(AttemptRow).where(AttemptRow.failed_at < self.clock() - timedelta(days=1)))

    def _key(self, subject: str) -> str:
        return hmac.new(self.secret, f"{self.kind}|{subject}".encode(), hashlib.sha256).hexdigest()
