"""Once-only keys: the same key and the same body are one check, however often and from however many threads asked.

A row says who works on a key until when, and under which id the check will stand in the log. The id outlives a request
that died: if its entry was written, the entry is the answer; if not, the next request asks under a new id.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from ulid import ULID

from compliance.audit.entry import canonical
from compliance.database import Moment, db
from compliance.deployment import deployment
from compliance.errors import AskedInProgress, AskedOtherwise
from compliance.gate import Question, Recorded

KEPT = timedelta(days=30)
BEYOND_TIMEOUT = timedelta(seconds=10)
Ask = Callable[[str, str | None], Recorded]
ONCE = sa.Table(
    "once",
    db.metadata,
    sa.Column("owner", sa.String(64), primary_key=True),
    sa.Column("path", sa.String(100), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("body_mac", sa.String(64), nullable=False),
    sa.Column("check_id", sa.String(26), nullable=False),
    sa.Column("replaces", sa.String(26)),  # the check that answered before; again the answer if the new asking fails
    sa.Column("lease_until", Moment),  # None: done, `check_id` is the answer
    sa.Column("ask_again_at", Moment),
    sa.Column("expires_at", Moment, index=True, nullable=False),
)


@dataclass(frozen=True, slots=True)
class OnceKey:
    """A caller's key: `owner` is the client or user, `path` where it was used."""

    owner: str
    path: str
    key: str

    def where(self) -> sa.ColumnElement[bool]:
        return sa.and_(ONCE.c.owner == self.owner, ONCE.c.path == self.path, ONCE.c.key == self.key)


class Once:
    """Answers a key once. `find` looks a check up in the log; `timeout` is the agency's time budget in seconds."""

    def __init__(
        self, find: Callable[[str], Recorded | None], clock: Callable[[], datetime], secret: bytes, timeout: float
    ) -> None:
        self._find, self._clock, self._secret = find, clock, secret
        self._lease = timedelta(seconds=timeout) + BEYOND_TIMEOUT

    def run(
        self,
        key: OnceKey,
        body: Any,
        ask: Ask,
        *,
        wait: float = 0.0,
        patient: bool = True,
        pause: Callable[[float], None] = time.sleep,
    ) -> tuple[Recorded, bool]:
        """Ask under this key, or give the answer that it already has (then True).

        `ask` gets the id that the check must carry and the id of the check that it replaces. An UNDETERMINED answer
        holds until its `retry_after`; with `patient` False it is asked again at once. While another request works on
        the key, this one waits up to `wait` seconds, by `pause`s. Raises AskedInProgress, AskedOtherwise, and what
        `ask` raises; then the key is free again.
        """
        mac, ends = hmac.new(self._secret, canonical(body), hashlib.sha256).hexdigest(), time.monotonic() + wait
        while True:
            claimed = self._claim(key, mac, patient)
            if isinstance(claimed, Recorded):
                return claimed, True
            if claimed is not None:
                return self._ask(key, claimed, ask), False
            if time.monotonic() >= ends:
                raise AskedInProgress("the same key is being worked on; ask again in a few seconds")
            pause(0.05)

    def _ask(self, key: OnceKey, row: dict[str, Any], ask: Ask) -> Recorded:
        mine = key.where() & (ONCE.c.check_id == row["check_id"])
        try:
            recorded = ask(row["check_id"], row["replaces"])
        except BaseException:
            back = sa.update(ONCE).values(check_id=ONCE.c.replaces, replaces=None, lease_until=None)
            _run((back if row["replaces"] else sa.delete(ONCE)).where(mine))
            raise
        _finish(mine, recorded)
        return recorded

    def _claim(self, key: OnceKey, mac: str, patient: bool) -> dict[str, Any] | Recorded | None:
        """The row that is now ours, the answer that is there, or None: somebody else is at it."""
        now = self._clock()
        new = {"check_id": str(ULID()), "replaces": None, "body_mac": mac, "lease_until": now + self._lease}
        new |= {"ask_again_at": None, "expires_at": now + KEPT}
        with db.engine.connect() as connection:
            row = connection.execute(sa.select(ONCE).where(key.where())).one_or_none()
        if row is None or row.expires_at <= now:
            try:
                with db.engine.begin() as connection:
                    connection.execute(sa.delete(ONCE).where(ONCE.c.expires_at <= now))
                    connection.execute(sa.insert(ONCE).values(owner=key.owner, path=key.path, key=key.key, **new))
            except IntegrityError:
                return None
            return new
        if row.lease_until is not None and row.lease_until > now:
            return None
        recorded = self._find(row.check_id)
        died = row.lease_until is not None
        if died and recorded:
            _finish(key.where() & (ONCE.c.check_id == row.check_id), recorded)
            return self._claim(key, mac, patient)
        if (not died or row.replaces) and not hmac.compare_digest(row.body_mac, mac):
            raise AskedOtherwise("this key was used before with another body; use a new key")
        if died:  # before its entry was written
            back = {"replaces": row.replaces, "ask_again_at": row.ask_again_at} if row.replaces else {}
            return _take(key, row, new | back)
        if row.ask_again_at is not None and (not patient or row.ask_again_at <= now):
            return _take(key, row, new | {"replaces": row.check_id, "ask_again_at": row.ask_again_at})
        return recorded or _take(key, row, new)


def check_once(key: OnceKey, body: Any, question: Question, **waiting: Any) -> tuple[Recorded, bool]:
    """Check a question once under this key, as Once.run says."""
    running = deployment()

    def find(check_id: str) -> Recorded | None:
        found = running.log.check(check_id)
        return Recorded(found.id, found.pos, found.document) if found else None

    def ask(check_id: str, replaces: str | None) -> Recorded:
        return running.gate.check(replace(question, id=check_id, replaces=replaces))

    once = Once(find, running.clock, running.settings.secret_key.encode(), running.settings.registry_timeout)
    return once.run(key, body, ask, **waiting)


def _take(key: OnceKey, row: sa.Row[Any], new: dict[str, Any]) -> dict[str, Any] | None:
    same = sa.and_(ONCE.c.check_id == row.check_id, ONCE.c.lease_until.is_not_distinct_from(row.lease_until))
    return new if _run(sa.update(ONCE).where(key.where(), same).values(**new)) else None


def _finish(mine: sa.ColumnElement[bool], recorded: Recorded) -> None:
    moment = json.loads(recorded.document)["retry_after"]
    _run(sa.update(ONCE).where(mine).values(lease_until=None, ask_again_at=moment and datetime.fromisoformat(moment)))


def _run(statement: Any) -> int:
    """One statement, one transaction, never the request's session: returns how many rows it met."""
    with db.engine.begin() as connection:
        return connection.execute(statement).rowcount
