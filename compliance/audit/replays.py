"""Deciding the logged checks of a period again, from the log alone; what differs is reported and is itself an entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from ulid import ULID

from compliance.audit.entry import Entry
from compliance.audit.table import check_record
from compliance.errors import BadPolicy
from compliance.law.codec import moment
from compliance.law.replay import Policies, replay

if TYPE_CHECKING:
    from compliance.audit.log import AuditLog

STEP = 1_000
NAMED = 200  # of the differing checks, this many are named in the entry


@dataclass(frozen=True, slots=True)
class Differing:
    """A check that no longer comes out as it was recorded; `why` names the places, with what was and what is."""

    position: int
    id: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome of a replay, and the id of its own entry."""

    checks: int
    differing: tuple[Differing, ...]
    entry_id: str


def past_policies(log: AuditLog) -> Policies:
    """The policies that decisions of this log name, read from its own entries."""

    def text_of(sha256: str) -> str | None:
        entry = log.entry(f"policy.text.{sha256}")
        return str(entry.body["text"]) if entry else None

    return Policies(text_of)


def replay_checks(
    log: AuditLog, since: datetime, until: datetime, *, by: str, progress: Callable[[int], None] = lambda done: None
) -> Replayed:
    """Replay all checks of [since, until), aware moments, and record the outcome as `log.replayed`."""
    policies, done, differing = past_policies(log), 0, []
    for entry in _checks(log, since, until):
        why = _differences(entry, policies)
        if why:
            differing.append(Differing(entry.position, entry.id, why))
        done += 1
        if done % STEP == 0:
            progress(done)
    body = {
        "since": moment(since),
        "until": moment(until),
        "checks": done,
        "differing": len(differing),
        "named": [{"position": found.position, "id": found.id} for found in differing[:NAMED]],
        "by": by,
    }
    recorded = log.append("log.replayed", body, entry_id=str(ULID()), private={}, at=log.clock())
    return Replayed(done, tuple(differing), recorded.id)


def _checks(log: AuditLog, since: datetime, until: datetime) -> Iterator[Entry]:
    within = select(func.min(check_record.c.pos), func.max(check_record.c.pos)).where(
        check_record.c.checked_at >= since, check_record.c.checked_at < until
    )
    with log.engine.connect() as connection:
        first, last = connection.execute(within).one()
    if first is None:
        return
    for entry in log.entries(first, last + 1, kinds=("check",), disclose=False):
        if since <= entry.at < until:
            yield entry


def _differences(entry: Entry, policies: Policies) -> tuple[str, ...]:
    try:
        found = replay(entry.body, policies).differences
    except (BadPolicy, KeyError, TypeError, ValueError) as error:
        return (f"cannot be decided again: {type(error).__name__}: {error}",)
    return tuple(f"{one.path}: was {one.then!r}, is {one.now!r}" for one in found)
