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
from compliance.database import db, rows, table
from compliance.deployment import deployment
from compliance.errors import AskedInProgress, AskedOtherwise
from compliance.gate import Question, Recorded

KEPT, BEYOND_TIMEOUT = timedelta(days=30), timedelta(seconds=10)
Ask = Callable[[str, str | None], Any]
Due = Callable[[Any], datetime | None]
# `replaces` answers again if the new asking fails; `lease_until` None: done, `check_id` is the answer.
# `ask_again_at` is what earlier releases go by, which may serve beside this one.
_columns = "owner:64! path:100! key:128! body_mac:64 check_id:26 replaces:26? lease_until:moment? ask_again_at:moment?"
ONCE = table("once", _columns, "expires_at:moment+")


class OnceKey(NamedTuple):  # a caller's key: `owner` is the client or user, `path` where it was used
    owner: str
    path: str
    key: str


def check_once(key: OnceKey | None, body: Any, question: Question, **waiting: Any) -> tuple[Any, bool]:
    """Check a question once under this key, as `run` says. An UNDETERMINED answer holds until its `retry_after`."""
    here = deployment()

    def ask(check_id: str, replaces: str | None) -> Recorded:
        return here.gate.check(replace(question, id=check_id, replaces=replaces))

    def due(answer: Any) -> datetime | None:
        moment = json.loads(answer.document)["retry_after"]
        return moment and datetime.fromisoformat(moment)

    def find(check_id: str) -> Any:  # by the log where the table is behind
        return here.log.check(check_id) or ((entry := here.log.entry(check_id)) and here.log.answered(entry))

    return run(key, body, ask, find, due, timeout=here.settings.registry_timeout, **waiting)


def run(
    key: OnceKey | None,
    body: Any,
    ask: Ask,
    find: Callable[[str], Any],
    due: Due = lambda answer: None,
    *,
    timeout: float,
    wait: float = 0.0,
    patient: bool = True,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Any, bool]:
    """Ask under this key (None: just ask), or give the answer that it already has (then True).
    `ask` gets the id that the check must carry, at most `timeout` seconds, and the id of the check that it replaces;
    `find` looks up what was made under an id. An answer holds until it is `due` (None: it stays); with `patient` False
    one that will be due is asked again at once. While another request works on the key, this one waits up to `wait`
    seconds, by `pause`s. Raises AskedInProgress, AskedOtherwise, and what `ask` raises; then the key is free again."""
    if key is None:
        return ask(str(ULID()), None), False
    mac = hmac.digest(deployment().settings.secret_key.encode(), canonical(body), "sha256").hex()
    ends, lease = time.monotonic() + wait, timedelta(seconds=timeout) + BEYOND_TIMEOUT
    while True:
        now = deployment().clock()
        found = rows(db.engine, sa.select(ONCE).where(*_is(key), ONCE.c.expires_at > now))
        row: Any = found[0] if found else None
        if row is None or row.lease_until is None or row.lease_until <= now:  # nobody is at it
            answer = row and find(row.check_id)
            bound = row and (answer or row.replaces or row.lease_until is None)  # what died unanswered binds nobody
            if bound and not hmac.compare_digest(row.body_mac, mac):
                raise AskedOtherwise("this key was used before with another body; use a new key")
            again_at = due(answer) if answer else None
            if answer and (again_at is None or (patient and again_at > now)):
                return answer, True
            new = {"check_id": str(ULID()), "body_mac": mac, "lease_until": now + lease, "expires_at": now + KEPT}
            new |= {"replaces": row and (row.check_id if answer else row.replaces), "ask_again_at": None}
            if _take(key, row, new, now):
                return _ask(key, new, ask, due), False
        if time.monotonic() >= ends:
            raise AskedInProgress("the same key is being worked on; ask again in a few seconds")
        pause(0.05)


def _is(key: OnceKey, **more: Any) -> list[sa.ColumnElement[bool]]:
    return [ONCE.c[name] == value for name, value in (key._asdict() | more).items()]


def _take(key: OnceKey, row: Any, new: dict[str, Any], now: datetime) -> bool:
    """Write the new row, over this one if there is one. Of those who race for the key one does."""
    if row:
        put: Any = sa.update(ONCE).where(*_is(key, check_id=row.check_id, lease_until=row.lease_until)).values(**new)
    else:
        put = insert(ONCE).values(**key._asdict(), **new).on_conflict_do_nothing()
    return _run(sa.delete(ONCE).where(ONCE.c.expires_at <= now), put)


def _ask(key: OnceKey, row: dict[str, Any], ask: Ask, due: Due) -> Any:
    mine, before = _is(key, check_id=row["check_id"]), row["replaces"]
    try:
        made = ask(row["check_id"], before)
    except BaseException:
        back = sa.update(ONCE).values(check_id=before, replaces=None, lease_until=None) if before else sa.delete(ONCE)
        _run(back.where(*mine))
        raise
    _run(sa.update(ONCE).where(*mine).values(lease_until=None, ask_again_at=due(made)))
    return made


def _run(*statements: Any) -> bool:
    """In one transaction, never the request's session; whether the last one met a row."""
    with db.engine.begin() as connection:
        for statement in statements:
            met = connection.execute(statement.returning(ONCE.c.key)).first()
    return met is not None
