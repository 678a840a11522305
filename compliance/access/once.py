"""Once-only keys: the same key and the same body are one check, however often and from however many threads asked.
A row says who works on a key until when, and under which id the check will stand in the log. The id outlives a request
that died: if its entry was written, the entry is the answer; if not, the next request asks under a new id."""

import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from ulid import ULID

from compliance.audit.entry import canonical
from compliance.database import db, table
from compliance.deployment import deployment
from compliance.errors import AskedInProgress, AskedOtherwise
from compliance.gate import Question, Recorded

KEPT, BEYOND_TIMEOUT = timedelta(days=30), timedelta(seconds=10)
Ask = Callable[[str, str | None], Recorded]
Find = Callable[[str], Any]  # the answer of this id, with its id and document, if there is one
# `replaces` answers again if the new asking fails; `lease_until` None: done, `check_id` is the answer.
_columns = "owner:64! path:100! key:128! body_mac:64 check_id:26 replaces:26? lease_until:moment? ask_again_at:moment?"
ONCE = table("once", _columns, "expires_at:moment+")


class OnceKey(NamedTuple):  # a caller's key: `owner` is the client or user, `path` where it was used
    owner: str
    path: str
    key: str

    def row(self, **more: Any) -> sa.ColumnElement[bool]:
        return sa.and_(*(ONCE.c[name] == value for name, value in (self._asdict() | more).items()))


def check_once(key: OnceKey | None, body: Any, question: Question, **waiting: Any) -> tuple[Any, bool]:
    """Check a question once under this key, as `run` says."""
    here = deployment()

    def ask(check_id: str, replaces: str | None) -> Recorded:
        return here.gate.check(replace(question, id=check_id, replaces=replaces))

    return run(key, body, ask, here.log.check, timeout=here.settings.registry_timeout, **waiting)


def run(
    key: OnceKey | None,
    body: Any,
    ask: Ask,
    find: Find,
    *,
    timeout: float,
    wait: float = 0.0,
    patient: bool = True,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Any, bool]:
    """Ask under this key (None: just ask), or give the answer that it already has (then True).
    `ask` gets the id that the check must carry, at most `timeout` seconds, and the id of the check that it replaces;
    `find` looks a check up in the log. An UNDETERMINED answer holds until its `retry_after`; with `patient` False it is
    asked again at once. While another request works on the key, this one waits up to `wait` seconds, by `pause`s.
    Raises AskedInProgress, AskedOtherwise, and what `ask` raises; then the key is free again."""
    if key is None:
        return ask(str(ULID()), None), False
    mac = hmac.digest(deployment().settings.secret_key.encode(), canonical(body), "sha256").hex()
    ends, lease = time.monotonic() + wait, timedelta(seconds=timeout) + BEYOND_TIMEOUT
    while True:
        row, answer = _claim(key, mac, lease, find, patient)
        if answer:
            return answer, True
        if row:
            return _ask(key, row, ask), False
        if time.monotonic() >= ends:
            raise AskedInProgress("the same key is being worked on; ask again in a few seconds")
        pause(0.05)


def _claim(key: OnceKey, mac: str, lease: timedelta, find: Find, patient: bool) -> tuple[dict[str, Any] | None, Any]:
    """The row that is now ours, or the answer that is there; neither: somebody else is at it."""
    now = deployment().clock()
    new = {"check_id": str(ULID()), "replaces": None, "body_mac": mac, "lease_until": now + lease}
    new |= {"ask_again_at": None, "expires_at": now + KEPT}
    with db.engine.connect() as connection:
        row = connection.execute(sa.select(ONCE).where(key.row())).one_or_none()
    if row is None or row.expires_at <= now:
        _run(sa.delete(ONCE).where(ONCE.c.expires_at <= now))
        put = insert(ONCE).values(**key._asdict(), **new).on_conflict_do_nothing()
        with db.engine.begin() as connection:  # of those who race for a new key one gets a row back
            return (new if connection.execute(put.returning(ONCE.c.key)).first() else None), None
    died = row.lease_until is not None
    if died and row.lease_until > now:
        return None, None
    answer = find(row.check_id)
    if (answer or row.replaces or not died) and not hmac.compare_digest(row.body_mac, mac):
        raise AskedOtherwise("this key was used before with another body; use a new key")
    again_at = _again_at(answer) if died and answer else row.ask_again_at
    if answer and (again_at is None or (patient and again_at > now)):
        return None, answer
    if died and not answer:  # before its entry was written
        new |= {"replaces": row.replaces, "ask_again_at": row.ask_again_at}
    elif again_at:  # UNDETERMINED, and due
        new |= {"replaces": row.check_id, "ask_again_at": again_at}
    same = key.row(check_id=row.check_id) & ONCE.c.lease_until.is_not_distinct_from(row.lease_until)
    return (new if _run(sa.update(ONCE).where(same).values(**new)) else None), None


def _ask(key: OnceKey, row: dict[str, Any], ask: Ask) -> Recorded:
    mine = key.row(check_id=row["check_id"])
    try:
        recorded = ask(row["check_id"], row["replaces"])
    except BaseException:
        back = sa.update(ONCE).values(check_id=ONCE.c.replaces, replaces=None, lease_until=None)
        _run((back if row["replaces"] else sa.delete(ONCE)).where(mine))
        raise
    _run(sa.update(ONCE).where(mine).values(lease_until=None, ask_again_at=_again_at(recorded)))
    return recorded


def _again_at(answer: Any) -> datetime | None:
    moment = json.loads(answer.document)["retry_after"]
    return moment and datetime.fromisoformat(moment)


def _run(statement: Any) -> int:
    """One statement, one transaction, never the request's session: returns how many rows it met."""
    with db.engine.begin() as connection:
        return connection.execute(statement).rowcount
