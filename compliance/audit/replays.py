"""Deciding the logged checks of a period again, from the log alone; what differs is reported and is itself an entry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select
from ulid import ULID

from compliance.audit.entry import Entry
from compliance.audit.table import check_record
from compliance.errors import BadPolicy
from compliance.law.codec import moment
from compliance.law.replay import Policies, replay

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

STEP, NAMED = 1_000, 200  # progress is told every so often; so many differing checks are named in the entry
_at, _pos = check_record.c.checked_at, check_record.c.pos


class Differing(NamedTuple):
    """A check that no longer comes out as it was recorded; `why` names the places, with what was and what is."""

    position: int
    id: str
    why: tuple[str, ...]


def past_policies(log: AuditLog) -> Policies:
    """The policies that decisions of this log name, read from its own entries."""

    def text_of(sha256: str) -> str | None:
        entry = log.entry(f"policy.text.{sha256}")
        return str(entry.body["text"]) if entry else None

    return Policies(text_of)


def replay_checks(
    log: AuditLog, since: datetime, until: datetime, *, by: str, progress: Callable[[int], None] = lambda done: None
) -> tuple[int, list[Differing], str]:
    """Replay all checks of [since, until), aware moments: their number, those that differ, the id of its own entry."""
    policies, done, differing = past_policies(log), 0, []
    with log.engine.connect() as connection:
        span = select(func.min(_pos), func.max(_pos)).where(_at >= since, _at < until)
        first, last = connection.execute(span).one()
    for entry in log.entries(first, last + 1, kinds=("check",), disclose=False) if last is not None else ():
        if since <= entry.at < until:
            done += 1
            if why := _differences(entry, policies):
                differing.append(Differing(entry.position, entry.id, why))
            if done % STEP == 0:
                progress(done)
    named = [{"position": found.position, "id": found.id} for found in differing[:NAMED]]
    told = {"since": moment(since), "until": moment(until), "by": by, "named": named}
    body = told | {"checks": done, "differing": len(differing)}
    recorded = log.append("log.replayed", body, entry_id=str(ULID()), private={}, at=log.clock())
    return done, differing, recorded.id


def _differences(entry: Entry, policies: Policies) -> tuple[str, ...]:
    try:
        found = replay(entry.body, policies).differences
    except (BadPolicy, KeyError, TypeError, ValueError) as error:
        return (f"cannot be decided again: {type(error).__name__}: {error}",)
    return tuple(f"{one.path}: was {one.then!r}, is {one.now!r}" for one in found)
