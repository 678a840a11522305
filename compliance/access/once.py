"""Once-only keys: the same key and the same body are one check, however often and from however many threads asked.

A row says who works on a key until when, and under which id the check will stand in the log. The id outlives a request
that died: if its entry was written, the entry is the answer; if not, the next request asks under a new id.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import rfc8785
from sqlalchemy import ColumnElement, String, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column
from ulid import ULID

from compliance.database import Moment, db
from compliance.errors import AskedInProgress, AskedOtherwise
from compliance.gate import Recorded

KEPT = timedelta(days=30)
BEYOND_TIMEOUT = timedelta(seconds=10)
OTHERWISE = "this key was used before with another body; use a new key"


class OnceRow(db.Model):  # type: ignore[name-defined, misc]
    """One key of one owner and path. `lease_until` None: done, `check_id` is the answer.

    `replaces` is the check that answered before; it is the answer again if the new asking fails.
    """

    __tablename__ = "once"
    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    path: Mapped[str] = mapped_column(String(100), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    body_mac: Mapped[str] = mapped_column(String(64))
    check_id: Mapped[str] = mapped_column(String(26))
    replaces: Mapped[str | None] = mapped_column(String(26))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    ask_again_at: Mapped[datetime | None] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)


ONCE = OnceRow.__table__
Ask = Callable[[str, str | None], Recorded]


@dataclass(frozen=True, slots=True)
class OnceKey:
    """A caller's key: `owner` is the client or user, `path` where it was used."""

    owner: str
    path: str
    key: str

    def where(self) -> ColumnElement[bool]:
        return and_(ONCE.c.owner == self.owner, ONCE.c.path == self.path, ONCE.c.key == self.key)


class Once:
    """Answers a key once. `find` looks a check up in the log; `timeout` is the agency's time budget in seconds."""

    def __init__(
        self, find: Callable[[str], Recorded | None], clock: Callable[[], datetime], secret: bytes, timeout: float
    ) -> None:
        self._find, self._clock, self._secret = find, clock, secret
        self._lease = timedelta(seconds=timeout) + BEYOND_TIMEOUT

    def run(
        self, key: OnceKey, body: Any, ask: Ask, *, wait: float = 0.0, patient: bool = True
    ) -> tuple[Recorded, bool]:
        """Ask under this key, or give the answer that it already has (then True).

        `ask` gets the id that the check must carry and the id of the check that it replaces. An UNDETERMINED answer
        holds until its `retry_after`; with `patient` False it is asked again at once. While another request works on
        the key, this one waits up to `wait` seconds. Raises AskedInProgress, AskedOtherwise, and what `ask` raises;
        then the key is free again.
        """
        mac, ends = hmac.new(self._secret, rfc8785.dumps(body), hashlib.sha256).hexdigest(), time.monotonic() + wait
        while True:
            claimed = self._claim(key, mac, patient)
            if isinstance(claimed, Recorded):
                return claimed, True
            if claimed is not None:
                return self._ask(key, claimed, ask), False
            if time.monotonic() >= ends:
                raise AskedInProgress("the same key is being worked on; ask again in a few seconds")
            time.sleep(0.05)

    def _ask(self, key: OnceKey, row: dict[str, Any], ask: Ask) -> Recorded:
        mine = key.where() & (ONCE.c.check_id == row["check_id"])
        try:
            recorded = ask(row["check_id"], row["replaces"])
        except BaseException:
            if row["replaces"] is None:
                _run(delete(ONCE).where(mine))
            else:
                _run(update(ONCE).where(mine).values(check_id=ONCE.c.replaces, replaces=None, lease_until=None))
            raise
        self._finish(mine, recorded)
        return recorded

    def _finish(self, mine: ColumnElement[bool], recorded: Recorded) -> None:
        _run(update(ONCE).where(mine).values(lease_until=None, ask_again_at=_retry_after(recorded)))

    def _claim(self, key: OnceKey, mac: str, patient: bool) -> dict[str, Any] | Recorded | None:
        """The row that is now ours, the answer that is there, or None: somebody else is at it."""
        now = self._clock()
        new = {"check_id": str(ULID()), "replaces": None, "body_mac": mac, "lease_until": now + self._lease}
        new |= {"ask_again_at": None, "expires_at": now + KEPT}
        with db.engine.connect() as connection:
            row = connection.execute(select(ONCE).where(key.where())).one_or_none()
        if row is None or row.expires_at <= now:
            return self._first(key, new, now)
        if row.lease_until is not None:
            return self._after_death(key, row, new, now, patient)
        if not hmac.compare_digest(row.body_mac, mac):
            raise AskedOtherwise(OTHERWISE)
        if row.ask_again_at is not None and (not patient or row.ask_again_at <= now):
            return self._take(key, row, new | {"replaces": row.check_id, "ask_again_at": row.ask_again_at})
        return self._find(row.check_id) or self._take(key, row, new)

    def _first(self, key: OnceKey, new: dict[str, Any], now: datetime) -> dict[str, Any] | None:
        try:
            with db.engine.begin() as connection:
                connection.execute(delete(ONCE).where(ONCE.c.expires_at <= now))
                connection.execute(insert(ONCE).values(owner=key.owner, path=key.path, key=key.key, **new))
        except IntegrityError:
            return None
        return new

    def _after_death(
        self, key: OnceKey, row: Any, new: dict[str, Any], now: datetime, patient: bool
    ) -> dict[str, Any] | Recorded | None:
        if row.lease_until > now:
            return None
        recorded = self._find(row.check_id)
        if recorded is None and row.replaces and not hmac.compare_digest(row.body_mac, new["body_mac"]):
            raise AskedOtherwise(OTHERWISE)
        if recorded is None:
            back = row.replaces and {"replaces": row.replaces, "ask_again_at": row.ask_again_at}
            return self._take(key, row, new | (back or {}))
        self._finish(key.where() & (ONCE.c.check_id == row.check_id), recorded)
        return self._claim(key, new["body_mac"], patient)

    def _take(self, key: OnceKey, row: Any, new: dict[str, Any]) -> dict[str, Any] | None:
        same = and_(ONCE.c.check_id == row.check_id, ONCE.c.lease_until.is_not_distinct_from(row.lease_until))
        return new if _run(update(ONCE).where(key.where(), same).values(**new)) else None


def _retry_after(recorded: Recorded) -> datetime | None:
    moment = json.loads(recorded.document)["retry_after"]
    return datetime.fromisoformat(moment) if moment else None


def _run(statement: Any) -> int:
    """One statement, one transaction, never the request's session: returns how many rows it met."""
    with db.engine.begin() as connection:
        return connection.execute(statement).rowcount
