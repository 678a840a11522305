"""The mass-refusal brake: a wrong or emptied database at the agency must not refuse a whole region."""

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Boolean, Column, Connection, Engine, Index, Row, String, Table, func, select
from sqlalchemy.dialects.postgresql import insert

from compliance.database import Moment, db
from compliance.errors import RegistryError
from compliance.law.facts import Ask, Evidence, Identity, Subject
from compliance.registry.port import Entry, Log, Purpose, Source, aside
from compliance.registry.snapshot import Position

RECENT = 30  # distinct businesses
HISTORY = timedelta(days=90)
ENOUGH = 200  # distinct businesses before the share of a region says anything
TOO_UNLIKELY = 1e-6
LIKELY_AGAIN = 1e-3  # closes what unlikely answers opened
SENTINEL_EVERY, SENTINEL_RETRY = timedelta(minutes=10), timedelta(seconds=10)
SHARE_KEPT = timedelta(minutes=1)
State = Row[tuple[int, str, bool, str, datetime]]
log = logging.getLogger(__name__)

# The newest answer on each business of a region, from the checks.
SIGHTINGS = Table(
    "registry_sighting",
    db.metadata,
    *(Column(name, String(size), primary_key=True) for name, size in (("region", 5), ("business", 40))),
    *(Column(name, kind, nullable=False) for name, kind in (("pos", Position), ("at", Moment))),
    *(Column(name, Boolean, nullable=False) for name in ("found", "doubtful")),
    Index(None, "region", "at"),
)
BRAKES = Table(
    "registry_brake",
    db.metadata,
    Column("pos", Position, primary_key=True, autoincrement=False),
    Column("region", String(5), nullable=False, index=True),
    Column("opened", Boolean, nullable=False),
    Column("reason", String(16), nullable=False),
    Column("at", Moment, nullable=False),
)
_added, _told = insert(SIGHTINGS), insert(BRAKES).on_conflict_do_nothing(index_elements=["pos"])
_newer = _added.on_conflict_do_update(
    index_elements=["region", "business"],
    set_={name: _added.excluded[name] for name in ("pos", "at", "found", "doubtful")},
    where=SIGHTINGS.c.pos < _added.excluded.pos,
)


def record_sighting(connection: Connection, entry: Entry) -> None:
    """Projection of `check`: whether the agency knew the business, if it was asked anew and proves what it lacks."""
    facts, business = entry.body["facts"], _business(entry.body["business"])
    evidence = facts.get("evidence") or {"complete": False}
    if not business or not evidence.get("complete", True) or evidence.keys() & {"failure", "cached", "age_hours"}:
        return
    row = {"region": facts["application"]["region"], "business": business, "pos": entry.position, "at": entry.at}
    row |= {"found": evidence.get("found_by") is not None, "doubtful": facts.get("doubtful", False)}
    connection.execute(_newer, row)


def _business(numbers: Mapping[str, str | None]) -> str:
    """By which number a business is told from another; "" when it has none."""
    return next((f"{name}:{numbers[name]}" for name in ("nib", "npwp", "npp") if numbers.get(name)), "")


def record_brake(connection: Connection, entry: Entry) -> None:
    """Projection of `registry.brake_opened` and `registry.brake_closed`."""
    row = {name: entry.body[name] for name in ("region", "opened", "reason")} | {"pos": entry.position, "at": entry.at}
    connection.execute(_told, row)


def brake_states(connection: Connection) -> dict[str, State]:
    """The newest word on each region."""
    newest = select(func.max(BRAKES.c.pos)).group_by(BRAKES.c.region)
    return {row.region: row for row in connection.execute(select(BRAKES).where(BRAKES.c.pos.in_(newest)))}


def at_least(count: int, of: int, share: float) -> float:
    """The probability of `count` or more among `of` independent ones."""
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1))


class Brake:
    """`sentinels`: by region, the NIB of an employer who is surely registered. Thread-safe.

    Nothing is asked or read unless a refusal is due, so that every other check costs nothing. No process trusts what it
    remembers when it refuses a business as unknown: the log says whether the brake is open, and the sentinel is asked
    after the agency's answer has come. So it holds for all workers and hosts alike.
    """

    def __init__(self, engine: Engine, log: Log, source: Source, sentinels: Mapping[str, str]) -> None:
        self._engine, self._log, self._source, self.sentinels = engine, log, source, sentinels
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        # The last word on a sentinel: when, when by the monotonic clock, and found, not found or None (not answered).
        self._asked: dict[str, tuple[datetime, float, bool | None]] = {}
        self._shares: dict[str, tuple[datetime, int, int]] = {}

    def doubtful(self, region: str, identity: Identity, evidence: Evidence, purpose: Purpose, now: datetime) -> bool:
        """Whether a refusal that is due must wait for an officer. Opens and closes the brake. Raises LogUnavailable."""
        arrived, missing = time.monotonic(), evidence.found_by is None
        with aside(), self._locks[region]:  # in this order: who holds the lock must never wait for a turn
            state = self._state(region)
            opened = bool(state and state.opened)
            if not evidence.complete or evidence.cached:
                return opened
            sentinel = self._ask(region, purpose, now, SENTINEL_EVERY, arrived if missing or opened else 0.0)
            odds = self._odds(region, _business(asdict(identity)), state, missing, now)
            if state and opened:
                by_share = odds >= LIKELY_AGAIN and sentinel is not False
                right = bool(sentinel) if state.reason == "sentinel" else by_share
                if right:
                    self._write(region, state, state.reason, now)
                return not right
            reason = "sentinel" if sentinel is False else "share" if odds < TOO_UNLIKELY and missing else ""
            if reason:
                self._write(region, state, reason, now)
            return bool(reason) or (sentinel is None and region in self.sentinels)

    def look(self, now: datetime, purpose: Purpose) -> None:
        """Ask every sentinel that is due; the work loop does so every ten minutes."""
        for region in self.sentinels:
            with self._locks[region]:
                found, state = self._ask(region, purpose, now, SENTINEL_EVERY, 0.0), self._state(region)
                opened = bool(state and state.opened)
                if (found is False and not opened) or (found and state and opened and state.reason == "sentinel"):
                    self._write(region, state, "sentinel", now)

    def close(self, region: str, now: datetime) -> bool:
        """An operator's word that the answers are right; what was seen before counts no more. False: it is closed."""
        with self._locks[region]:
            state = self._state(region)
            if state and state.opened:
                self._write(region, state, "operator", now)
            return bool(state and state.opened)

    def _write(self, region: str, before: State | None, reason: str, now: datetime) -> None:
        """Open a closed brake or close an open one; who says so after the same word says it once."""
        opened = not (before and before.opened)
        word = "opened" if opened else "closed"
        log.warning("brake %s: region %s, reason %s", word, region, reason)
        body = {"region": region, "opened": opened, "reason": reason}
        entry_id = f"brake.{region}.{before.pos if before else 0}.{word}"
        self._log.append(f"registry.brake_{word}", body, entry_id=entry_id, private={}, at=now)

    def _state(self, region: str) -> State | None:
        with self._engine.connect() as connection:
            return brake_states(connection).get(region)

    def _ask(self, region: str, purpose: Purpose, now: datetime, kept: timedelta, arrived: float) -> bool | None:
        """The sentinel's last word, if it was asked for since `arrived` (0: in the time `kept`); else asked anew.

        A silent or emptied agency is not asked by everybody in turn: such a word holds for some seconds.
        """
        if region not in self.sentinels:
            return True
        started = time.monotonic()
        if last := self._asked.get(region):
            at, began, found = last
            if began >= arrived > 0 or now - at < (SENTINEL_RETRY if not found else timedelta() if arrived else kept):
                return found
        try:
            answer = self._source.ask(Ask(Subject.EMPLOYER, "nib", self.sentinels[region]), purpose)
            found = True if answer.record else False if answer.complete else None
        except RegistryError:
            found = None
        self._asked[region] = (now, started, found)
        return found

    def _odds(self, region: str, business: str, state: State | None, missing: bool, now: datetime) -> float:
        """How likely so many *not found* among the last distinct businesses are, this one included."""
        c = SIGHTINGS.c
        query = select(c.found).where(c.region == region, c.business != business, c.at > now - HISTORY)
        query = query.order_by(c.at.desc(), c.pos.desc())
        if state and not state.opened:
            query = query.where(c.at > state.at)
        with self._engine.connect() as connection:
            recent = connection.scalars(query.limit(RECENT - 1)).all()
            kept = self._shares.get(region)
            if not kept or now - kept[0] >= SHARE_KEPT:  # of the last 90 days, doubtful answers left out
                query = select(func.count(), func.count().filter(c.found.is_(False)))
                query = query.where(c.region == region, c.at > now - HISTORY, c.doubtful.is_(False))
                kept = self._shares[region] = (now, *connection.execute(query).one())
        total, unknown = kept[1] - len(recent), kept[2] - recent.count(False)
        if total + RECENT < ENOUGH:
            return 1.0
        # Laplace's rule: a region that never met an unknown business does not think the first one impossible.
        return at_least(recent.count(False) + missing, len(recent) + 1, (max(unknown, 0) + 1) / (total + 2))
