"""Outages of the agency as facts: since when, which tries, until when. Built from what every question met."""

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Engine, Index, String, Table, func, select
from sqlalchemy.dialects.postgresql import insert

from compliance.database import Moment, db
from compliance.law.codec import moment
from compliance.law.facts import Evidence
from compliance.registry.port import SPARED, Entry, Log
from compliance.registry.snapshot import Position

LOOK_AGAIN = 5.0  # seconds that a process may believe what it last read of an outage
CALM = timedelta(seconds=10)  # an answer ends an outage only this long after this process's last failure
SHOWN = 10  # tries that a statement lists

OUTAGES = Table(
    "registry_outage",
    db.metadata,
    Column("id", String(64), primary_key=True),
    Column("source", String(16), nullable=False, index=True),
    Column("since", Moment, nullable=False),
    Column("ended_at", Moment),
)
# One row for each check that met no answer.
FAILURES = Table(
    "registry_failure",
    db.metadata,
    Column("pos", Position, primary_key=True, autoincrement=False),
    Column("source", String(16), nullable=False),
    Column("at", Moment, nullable=False),
    Index(None, "source", "at"),
)


def record_outage(connection: Connection, entry: Entry) -> None:
    """Projection of `registry.outage_began` and `registry.outage_ended`, in any order."""
    body = entry.body
    row = {"id": body["outage"], "source": body["source"], "since": datetime.fromisoformat(body["since"])}
    row |= {"ended_at": datetime.fromisoformat(body["until"])} if "until" in body else {}
    connection.execute(insert(OUTAGES).values(row).on_conflict_do_update(index_elements=["id"], set_=row))


def record_failure(connection: Connection, entry: Entry) -> None:
    """Projection of `check`: the tries that met no answer."""
    evidence = entry.body["facts"].get("evidence") or {}
    failure = evidence.get("failure", {})
    if failure.get("kind") == "unavailable" and failure["detail"] != SPARED:
        row = {"pos": entry.position, "source": evidence["source"], "at": entry.at}
        connection.execute(insert(FAILURES).values(**row).on_conflict_do_nothing(index_elements=["pos"]))


class Outages:
    """Thread-safe; the processes of a deployment agree through the log, whose entry ids make one outage one entry."""

    def __init__(self, engine: Engine, log: Log) -> None:
        self._engine, self._log, self._lock = engine, log, threading.Lock()
        # By source: when it was last read (monotonic), the name of the open outage and since when.
        self._known: dict[str, tuple[float, str, datetime | None]] = {}
        self._failed_at: dict[str, datetime] = {}

    def saw(self, evidence: Evidence, now: datetime) -> Evidence:
        """Take note of a question's outcome; a failure comes back with the outage that it is part of.

        A misunderstood answer is neither end nor beginning. Raises LogUnavailable.
        """
        source, failure = evidence.source, evidence.failure
        if not evidence.complete or source == "snapshot":
            return evidence  # an imported report does not answer or fail to answer for the agency
        if failure is None:
            if self.since(source) and now - self._failed_at.get(source, now - CALM) >= CALM:
                self._end(source, now)
            return evidence
        if failure.kind != "unavailable":
            return evidence
        self._failed_at[source] = now
        since = self.since(source, begin=now, detail=failure.detail) or now
        c = FAILURES.c
        query = select(c.at).where(c.source == source, c.at >= since).order_by(c.at.desc(), c.pos.desc())
        with self._engine.connect() as connection:
            tries = connection.scalars(query.limit(SHOWN)).all()[::-1]
        if failure.detail != SPARED:
            tries = [*tries, now]
        return replace(evidence, failure=replace(failure, since=since, tries=tuple(tries[-SHOWN:])))

    def since(self, source: str, begin: datetime | None = None, detail: str = "") -> datetime | None:
        """Since when a source has not answered; `begin` opens an outage if there is none."""
        with self._lock:
            read_at, _, since = self._known.get(source, (-LOOK_AGAIN, "", None))
            if time.monotonic() - read_at >= LOOK_AGAIN or (begin and not since):
                name, since = self._read(source)
                if begin and not since:
                    self._write(
                        "began", begin, {"outage": name, "source": source, "since": moment(begin), "detail": detail}
                    )
                    name, since = self._read(source)
            return since

    def _read(self, source: str) -> tuple[str, datetime | None]:
        """The oldest open outage; else how the next one is called, so that several processes begin it once."""
        c = OUTAGES.c
        query = select(c.id, c.since).where(c.source == source, c.ended_at.is_(None)).order_by(c.since)
        with self._engine.connect() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
            count = 0 if row else connection.scalar(select(func.count()).where(c.source == source)) or 0
        name, since = (row.id, row.since) if row else (f"outage.{source}.{count + 1}", None)
        self._known[source] = (time.monotonic(), name, since)
        return name, since

    def _end(self, source: str, now: datetime) -> None:
        with self._lock:
            name, since = self._read(source)
            if since:
                body = {"outage": name, "source": source, "since": moment(since), "until": moment(now)}
                self._write("ended", now, body)
                self._known[source] = (time.monotonic(), "", None)

    def _write(self, what: str, now: datetime, body: dict[str, str]) -> None:
        entry_id = f"{body['outage']}.{what}"
        self._log.append(f"registry.outage_{what}", body, entry_id=entry_id, private={}, at=now)
