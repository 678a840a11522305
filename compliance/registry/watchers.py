"""What the gate tells of the agency's answers: its outages as facts; and the brake, for a wrong or emptied database at
the agency must not refuse a whole region."""

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from compliance.database import put, rows, table
from compliance.errors import RegistryError
from compliance.law.codec import moment
from compliance.law.facts import Ask, Evidence, Identity, Subject
from compliance.registry.port import SPARED, Entry, Log, Purpose, Source, aside

LOOK_AGAIN = 5.0  # seconds that a process may believe that no outage is open
CALM = timedelta(seconds=10)  # an answer ends an outage only this long after this process's last failure
SHOWN = 10  # tries that a statement lists
RECENT = 30  # distinct businesses
HISTORY = timedelta(days=90)
ENOUGH = 200  # distinct businesses before the share of a region says anything
TOO_UNLIKELY = 1e-6
LIKELY_AGAIN = 1e-3  # closes what unlikely answers opened
SENTINEL_EVERY, SENTINEL_RETRY = timedelta(minutes=10), timedelta(seconds=10)
SHARE_KEPT = timedelta(minutes=1)
log = logging.getLogger(__name__)

OUTAGES = table("registry_outage", "id:64! source:16+ since:moment ended_at:moment?")
# One row for each check that met no answer.
FAILURES = table("registry_failure", "pos:pos! source:16 at:moment", sa.Index(None, "source", "at"))
# The newest answer on each business of a region, from the checks.
_SIGHTING = "region:5! business:40! pos:pos at:moment found:bool doubtful:bool"
SIGHTINGS = table("registry_sighting", _SIGHTING, sa.Index(None, "region", "at"))
BRAKES = table("registry_brake", "pos:pos! region:5+ opened:bool reason:16 at:moment")
_NEVER = SimpleNamespace(pos=0, opened=False, reason="", at=None)  # a region whose brake was never opened


def record_outage(connection: sa.Connection, entry: Entry) -> None:
    """Projection of `registry.outage_began` and `registry.outage_ended`, in any order."""
    body = entry.body
    row = {"id": body["outage"], "source": body["source"], "since": datetime.fromisoformat(body["since"])}
    row |= {"ended_at": datetime.fromisoformat(body["until"])} if "until" in body else {}
    put(connection, OUTAGES, row, newest="")


def record_answer(connection: sa.Connection, entry: Entry) -> None:
    """Projection of `check`: a try that met no answer; else, if the agency was asked anew and proves what it lacks,
    whether it knew the business."""
    facts, business = entry.body["facts"], _business(entry.body["business"])
    evidence, when = facts.get("evidence") or {"complete": False}, {"pos": entry.position, "at": entry.at}
    failure = evidence.get("failure", {})
    if failure.get("kind") == "unavailable" and failure["detail"] != SPARED:
        put(connection, FAILURES, when | {"source": evidence["source"]})
    if business and evidence.get("complete", True) and not evidence.keys() & {"failure", "cached", "age_hours"}:
        row = {"region": facts["application"]["region"], "business": business, "doubtful": facts.get("doubtful", False)}
        put(connection, SIGHTINGS, when | row | {"found": evidence.get("found_by") is not None}, newest="pos")


def _business(numbers: Mapping[str, str | None]) -> str:
    """By which number a business is told from another; "" when it has none."""
    return next((f"{name}:{numbers[name]}" for name in ("nib", "npwp", "npp") if numbers.get(name)), "")


def record_brake(connection: sa.Connection, entry: Entry) -> None:
    """Projection of `registry.brake_opened` and `registry.brake_closed`."""
    row = {name: entry.body[name] for name in ("region", "opened", "reason")} | {"pos": entry.position, "at": entry.at}
    put(connection, BRAKES, row)


def brake_states(engine: sa.Engine) -> dict[str, sa.Row[Any]]:
    """The newest word on each region."""
    newest = sa.select(sa.func.max(BRAKES.c.pos)).group_by(BRAKES.c.region)
    return {row.region: row for row in rows(engine, sa.select(BRAKES).where(BRAKES.c.pos.in_(newest)))}


class Outages:
    """Since when, which tries, until when. Thread-safe; processes agree through the log: one begins there but once."""

    def __init__(self, engine: sa.Engine, log: Log) -> None:
        self._engine, self._log, self._lock = engine, log, threading.Lock()
        self._fine_until = 0.0  # (monotonic) until then no outage is looked for
        self._failed_at: datetime | None = None

    def saw(self, evidence: Evidence, now: datetime) -> Evidence:
        """Take note of a question's outcome; a failure comes back with its outage. Raises LogUnavailable.
        A misunderstood answer is neither end nor beginning."""
        source, failure, c = evidence.source, evidence.failure, FAILURES.c
        if not evidence.complete or source == "snapshot" or (failure and failure.kind != "unavailable"):
            return evidence  # an imported report does not answer or fail to answer for the agency
        if failure is None:
            calm = self._failed_at is None or now - self._failed_at >= CALM
            if calm and time.monotonic() >= self._fine_until:
                self._fine_until = time.monotonic() + LOOK_AGAIN
                if outage := self._open(source):
                    self._write("ended", outage.id, source, outage.since, now, until=moment(now))
            return evidence
        self._failed_at, self._fine_until = now, 0.0
        since = self.since(source, begin=now, detail=failure.detail) or now
        query = sa.select(c.at).where(c.source == source, c.at >= since).order_by(c.at.desc(), c.pos.desc())
        tries = [row.at for row in rows(self._engine, query.limit(SHOWN))[::-1]]
        tries = tries if failure.detail == SPARED else [*tries, now]
        return replace(evidence, failure=replace(failure, since=since, tries=tuple(tries[-SHOWN:])))

    def since(self, source: str, begin: datetime | None = None, detail: str = "") -> datetime | None:
        """Since when a source has not answered; `begin` opens an outage if there is none."""
        with self._lock:
            outage = self._open(source)
            if begin and not outage:
                ended = rows(self._engine, sa.select(sa.func.count()).where(OUTAGES.c.source == source))[0][0]
                self._write("began", f"outage.{source}.{ended + 1}", source, begin, begin, detail=detail)
                outage = self._open(source)
            return outage.since if outage else None

    def _open(self, source: str) -> sa.Row[Any] | None:
        c = OUTAGES.c
        query = sa.select(c.id, c.since).where(c.source == source, c.ended_at.is_(None)).order_by(c.since)
        return next(iter(rows(self._engine, query.limit(1))), None)

    def _write(self, what: str, name: str, source: str, since: datetime, at: datetime, **more: str) -> None:
        body = {"outage": name, "source": source, "since": moment(since)} | more
        self._log.append(f"registry.outage_{what}", body, entry_id=f"{name}.{what}", at=at)


def at_least(count: int, of: int, share: float) -> float:
    """The probability of `count` or more among `of` independent ones."""
    return sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1))


class Brake:
    """`sentinels`: by region, the NIB of an employer who is surely registered. It is asked only if a refusal is due.
    To hold for all workers and hosts alike, no process trusts what it remembers when it refuses a business as unknown:
    the log says whether the brake is open, and the sentinel is asked after the agency's answer has come."""

    def __init__(self, engine: sa.Engine, log: Log, source: Source, sentinels: Mapping[str, str]) -> None:
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
            if not evidence.complete or evidence.cached:
                return bool(state.opened)
            sentinel = self._ask(region, purpose, now, arrived if missing or state.opened else 0.0)
            odds = self._odds(region, _business(asdict(identity)), state, missing, now)
            if state.opened:
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
                found, state = self._ask(region, purpose, now, 0.0), self._state(region)
                if (found and state.reason == "sentinel") if state.opened else found is False:
                    self._write(region, state, "sentinel", now)

    def close(self, region: str, now: datetime) -> bool:
        """An operator's word that the answers are right; what was seen before counts no more. False: it is closed."""
        with self._locks[region]:
            if (state := self._state(region)).opened:
                self._write(region, state, "operator", now)
            return bool(state.opened)

    def _write(self, region: str, before: Any, reason: str, now: datetime) -> None:
        """Open a closed brake or close an open one; who says so after the same word says it once."""
        word = "closed" if before.opened else "opened"
        log.warning("brake %s: region %s, reason %s", word, region, reason)
        body = {"region": region, "opened": not before.opened, "reason": reason}
        self._log.append(f"registry.brake_{word}", body, entry_id=f"brake.{region}.{before.pos}.{word}", at=now)

    def _state(self, region: str) -> Any:
        return brake_states(self._engine).get(region, _NEVER)

    def _ask(self, region: str, purpose: Purpose, now: datetime, arrived: float) -> bool | None:
        """The sentinel's last word, if it was asked for since `arrived` (0: in the last minutes); else asked anew.
        A silent or emptied agency is not asked by everybody in turn: such a word holds for some seconds."""
        if region not in self.sentinels:
            return True
        started = time.monotonic()
        if last := self._asked.get(region):
            at, began, found = last
            kept = SENTINEL_RETRY if not found else timedelta() if arrived else SENTINEL_EVERY
            if began >= arrived > 0 or now - at < kept:
                return found
        try:
            answer = self._source.ask(Ask(Subject.EMPLOYER, "nib", self.sentinels[region]), purpose)
            found = True if answer.record else False if answer.complete else None
        except RegistryError:
            found = None
        self._asked[region] = (now, started, found)
        return found

    def _odds(self, region: str, business: str, state: Any, missing: bool, now: datetime) -> float:
        """How likely so many *not found* among the last distinct businesses are, this one included."""
        c = SIGHTINGS.c
        since = state.at if state.at and not state.opened else now - HISTORY
        query = sa.select(c.found).where(c.region == region, c.business != business, c.at > max(since, now - HISTORY))
        last = rows(self._engine, query.order_by(c.at.desc(), c.pos.desc()).limit(RECENT - 1))
        recent, kept = [row.found for row in last], self._shares.get(region)
        if not kept or now - kept[0] >= SHARE_KEPT:  # of the last 90 days, doubtful answers left out
            query = sa.select(sa.func.count(), sa.func.count().filter(c.found.is_(False)))
            query = query.where(c.region == region, c.at > now - HISTORY, c.doubtful.is_(False))
            kept = self._shares[region] = (now, *rows(self._engine, query)[0])
        total, unknown = kept[1] - len(recent), kept[2] - recent.count(False)
        if total + RECENT < ENOUGH:
            return 1.0
        # Laplace's rule: a region that never met an unknown business does not think the first one impossible.
        return at_least(recent.count(False) + missing, len(recent) + 1, (max(unknown, 0) + 1) / (total + 2))
