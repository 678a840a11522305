"""A batch from its acceptance to its end: its lines are shared by all workers, asked at one pace, and never twice.

A line's check id is made from batch, line and try, so a worker that was killed between a check and its note about it
finds the check in the log. While the agency is out, lines wait; an UNDETERMINED one is asked again for 24 hours.
"""

import base64
import csv
import hashlib
import hmac
import io
import json
import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Connection, Engine, bindparam, case, delete, exists, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from compliance import work
from compliance.audit import document
from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.audit.table import check_record
from compliance.batches.table import BATCH, LINE, PACE
from compliance.delivery import outbox
from compliance.deployment import Deployment
from compliance.errors import BadInput, ForeignRegion, GateError
from compliance.gate import Asker, Question
from compliance.intake import read_question
from compliance.registry.sources import breaker_state

LANES = ("1", "2")  # rows of the loop; several let several hosts take part
SLICE, AT_ONCE, THREADS = 10.0, 2.0, 32  # seconds of one turn; seconds' worth of lines taken together
IDLE, REASKED_FOR, ORPHAN = timedelta(seconds=5), timedelta(hours=24), timedelta(days=7)
PIECE = 2_000
COLUMNS = ("line", "reference", "id", "verdict", "action", "codes", "valid_until", "receipt_code", "error")
NOTE = (
    update(LINE)
    .where(LINE.c.batch_id == bindparam("b"), LINE.c.line == bindparam("l"), LINE.c.asked == bindparam("a"))
    .values(asked=LINE.c.asked + 1)  # and what _ask says
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """How far a batch is; `state` is queued, running, done or cancelled."""

    id: str
    state: str
    total: int
    done: int
    by_verdict: dict[str, int]
    asker: Asker
    regions: tuple[str, ...]
    started_at: datetime

    def document(self) -> dict[str, Any]:
        names = ("id", "state", "total", "done", "by_verdict")
        return {name: getattr(self, name) for name in names}


def start(here: Deployment, batch_id: str, lines: Sequence[tuple[int, Question, bytes]], asker: Asker) -> None:
    """Keep the lines of reading.judge, sealed, then log the batch; a second start of the same id changes nothing."""
    box, now, digest = _box(here, batch_id), here.clock(), hashlib.sha256()
    for first in range(0, len(lines), PIECE):
        rows = []
        for line, question, stated in lines[first : first + PIECE]:
            sealed = box.encrypt(stated)
            row = {"batch_id": batch_id, "line": line, "reference": question.reference, "asked": 0, "due_at": now}
            rows.append(row | {"sealed": sealed})
            digest.update(sealed)
        with here.log.engine.begin() as connection:
            connection.execute(insert(LINE).on_conflict_do_nothing(), rows)
    body = {"batch": batch_id, "asker": {"kind": asker.kind, "id": asker.id}, "total": len(lines)}
    body |= {"regions": sorted({q.application.region for _, q, _ in lines}), "sha256": digest.hexdigest()}
    here.log.append("batch.started", body, entry_id=f"batch.{batch_id}.started", private={}, at=now)


def cancel(here: Deployment, batch_id: str, by: Asker) -> None:
    """Ask no further line; the answers that are there stay."""
    body = {"batch": batch_id, "by": {"kind": by.kind, "id": by.id}}
    entry_id = f"batch.{batch_id}.cancelled"
    here.log.append("batch.cancelled", body, entry_id=entry_id, private={}, at=here.clock())
    _tidy(here.log.engine, here.clock())


@projects("batch.started", "batch.ended", "batch.cancelled", into=(BATCH,))
def _project(connection: Connection, entry: Entry) -> None:
    """A batch that was cancelled stays so."""
    body = entry.body
    if entry.kind == "batch.started":
        row = {"id": body["batch"], "asker_kind": body["asker"]["kind"], "asker_id": body["asker"]["id"]}
        row |= {"regions": body["regions"], "total": body["total"], "state": "open", "started_at": entry.at}
        connection.execute(insert(BATCH).values(**row, position=entry.position).on_conflict_do_nothing())
        for lane in LANES:  # there from the first batch on; woken by each
            put = insert(work.WORK).values(id=f"batch:{lane}", due_at=entry.at, tries=0)
            connection.execute(put.on_conflict_do_update(index_elements=["id"], set_={"due_at": entry.at}))
        return
    state = "done" if entry.kind == "batch.ended" else "cancelled"
    this = update(BATCH).where(BATCH.c.id == body["batch"], BATCH.c.state == "open")
    connection.execute(this.values(state=state, ended_at=entry.at))
    if state == "done" and body["asker"]["kind"] == "client":
        outbox.post(connection, body["asker"]["id"], "batch.finished", "", body["batch"], entry.at)


@outbox.tells("batch")
def _told(here: Deployment, batch_id: str) -> tuple[str, tuple[str, ...]] | None:
    found = status(here.log.engine, batch_id)
    return (document.text(found.document()), found.regions) if found else None


def status(engine: Engine, batch_id: str) -> Status | None:
    ended = LINE.c.due_at.is_(None)
    count = select(LINE.c.verdict, func.count(), func.count(LINE.c.error)).where(LINE.c.batch_id == batch_id, ended)
    with engine.connect() as connection:
        row = connection.execute(select(BATCH).where(BATCH.c.id == batch_id)).one_or_none()
        counts = connection.execute(count.group_by(LINE.c.verdict)).all() if row else []
    if not row:
        return None
    by_verdict = {verdict: number for verdict, number, _ in sorted(counts, key=str) if verdict}
    done = sum(by_verdict.values()) + sum(errors for verdict, _, errors in counts if not verdict)
    state = row.state if row.state != "open" else "running" if done else "queued"
    asker = Asker(row.asker_kind, row.asker_id)
    return Status(row.id, state, row.total, done, by_verdict, asker, tuple(row.regions), row.started_at)


def recent(engine: Engine, regions: Sequence[str], limit: int = 25) -> list[Status]:
    """The newest batches of these regions alone."""
    with engine.connect() as connection:
        rows = connection.execute(select(BATCH.c.id, BATCH.c.regions).order_by(BATCH.c.position.desc()).limit(500))
        ids = [row.id for row in rows if set(row.regions) <= set(regions)][:limit]
    return [found for one in ids if (found := status(engine, one))]


@work.handles("batch")
def ask_lines(here: Deployment, row: work.Row) -> datetime:
    """One turn of a lane: take lines that are due, ask them at the agency's pace, note what came of it."""
    ends, rate, again = time.monotonic() + SLICE, here.settings.batch_rate, here.clock()
    with ThreadPoolExecutor(THREADS) as pool:
        while time.monotonic() < ends:
            state = breaker_state(here.gate.source)
            if state and state.wait:
                again = here.clock() + max(IDLE, timedelta(seconds=state.wait))
                break
            with here.log.engine.begin() as connection:
                lines = _claim(connection, here.clock(), 1 if state and state.open else max(1, int(rate * AT_ONCE)))
                begin = _reserve(connection, len(lines) / rate) if lines else 0.0
            if not lines:
                again = here.clock() + IDLE
                break
            told = list(pool.map(partial(_ask, here), lines, [begin + i / rate for i in range(len(lines))]))
            with here.log.engine.begin() as connection:
                connection.execute(NOTE, told)
    _tidy(here.log.engine, here.clock())
    _end_finished(here)
    return again


def _claim(connection: Connection, now: datetime, limit: int) -> Sequence[Any]:
    """Lines that are due, for the time of a lease: no two workers get the same one."""
    c, is_open = LINE.c, select(BATCH.c.id).where(BATCH.c.state == "open")
    due = select(c.batch_id, c.line).where(c.due_at <= now, c.batch_id.in_(is_open)).order_by(c.due_at).limit(limit)
    mine = tuple_(c.batch_id, c.line).in_(due.with_for_update(skip_locked=True))
    taken = connection.execute(update(LINE).where(mine).values(due_at=now + work.LEASE).returning(LINE))
    return sorted(taken.all(), key=lambda row: (row.batch_id, row.line))


def _reserve(connection: Connection, seconds: float) -> float:
    """When the next lines may begin (seconds since 1970): all hosts share one pace; half a second is made up for."""
    now, c = time.time() - 0.5, PACE.c
    later = case((c.next_at < now, now), else_=c.next_at) + seconds
    put = insert(PACE).values(id=1, next_at=now + seconds)
    put = put.on_conflict_do_update(index_elements=["id"], set_={"next_at": later})
    return float(connection.execute(put.returning(c.next_at)).scalar_one()) - seconds


def _ask(here: Deployment, line: Any, begin: float) -> dict[str, Any]:
    """Make a line's check, unless it is in the log; what is to be noted of it. Raises LogUnavailable."""
    time.sleep(max(0.0, begin - time.time()))
    done = {"b": line.batch_id, "l": line.line, "a": line.asked, "sealed": None, "due_at": None}
    done |= {"check_id": line.check_id, "verdict": None, "error": None}
    try:
        check_id = _name(line.batch_id, line.line, line.asked)
        known = here.log.check(check_id) or here.gate.check(_question(here, line, check_id))
    except (BadInput, ForeignRegion) as error:  # what was right when the list was taken may be no more
        return done | {"error": str(error)[:200]}
    except (GateError, SQLAlchemyError):
        raise
    except Exception as error:
        log.exception("batch %s, line %s", line.batch_id, line.line)
        return done | {"error": f"not asked: {type(error).__name__}"}
    found = json.loads(known.document)
    done |= {"check_id": check_id, "verdict": found["verdict"]}
    if found["verdict"] == "UNDETERMINED":
        first, now = here.log.check(_name(line.batch_id, line.line, 0)), here.clock()
        if not first or now - first.checked_at < REASKED_FOR:
            done |= {"sealed": line.sealed, "due_at": max(datetime.fromisoformat(found["retry_after"]), now + IDLE)}
    return done


def _question(here: Deployment, line: Any, check_id: str) -> Question:
    kind, asker, stated = json.loads(_box(here, line.batch_id).decrypt(line.sealed))
    asked = read_question(
        stated,
        regions=(stated["region"],),
        policy=here.policy,
        now=here.clock(),
        asker=Asker(kind, asker),
        request_id=f"batch:{line.batch_id}:{line.line}",
    )
    return replace(asked, id=check_id, replaces=line.check_id)


def _end_finished(here: Deployment) -> None:
    """End every batch that has no line left to ask."""
    left = exists().where(LINE.c.batch_id == BATCH.c.id, LINE.c.due_at.is_not(None))
    with here.log.engine.connect() as connection:
        ended = connection.scalars(select(BATCH.c.id).where(BATCH.c.state == "open", ~left)).all()
    for found in filter(None, (status(here.log.engine, batch_id) for batch_id in ended)):
        body: dict[str, Any] = {"batch": found.id, "asker": {"kind": found.asker.kind, "id": found.asker.id}}
        body |= {"total": found.total, "by_verdict": found.by_verdict}
        here.log.append("batch.ended", body, entry_id=f"batch.{found.id}.ended", private={}, at=here.clock())


def _tidy(engine: Engine, now: datetime) -> None:
    """Forget what was stated for lines of cancelled batches, and of lists whose batch was never logged."""
    cancelled, known = select(BATCH.c.id).where(BATCH.c.state == "cancelled"), select(BATCH.c.id)
    with engine.begin() as connection:
        waiting = update(LINE).where(LINE.c.due_at.is_not(None), LINE.c.batch_id.in_(cancelled))
        connection.execute(waiting.values(due_at=None, sealed=None))
        connection.execute(delete(LINE).where(LINE.c.due_at < now - ORPHAN, LINE.c.batch_id.not_in(known)))


def results(engine: Engine, batch: Status, *, masked: bool = False) -> Iterator[str]:
    """The lines of results.csv; `masked`: for keys that only check (contract §1). Constant memory."""
    yield _csv(COLUMNS)
    c, r, last = LINE.c, check_record.c, 0
    query = select(c.line, c.reference, c.error, r.document).outerjoin(check_record, r.id == c.check_id)
    while True:
        piece = query.where(c.batch_id == batch.id, c.line > last).order_by(c.line).limit(500)
        with engine.connect() as connection:
            rows = connection.execute(piece).all()
        if not rows:
            return
        last = rows[-1].line
        yield "".join(_csv(_result(row, batch, masked)) for row in rows)


def _result(row: Any, batch: Status, masked: bool) -> tuple[Any, ...]:
    if not row.document:
        return (row.line, row.reference, *[""] * 6, row.error or ("cancelled" if batch.state == "cancelled" else ""))
    check = json.loads(row.document)
    check = document.masked(check) if masked else check
    codes = " ".join(finding["code"] for finding in check["findings"])
    known = (check["id"], check["verdict"], check["action"], codes, check["valid_until"], check["receipt"]["code"])
    return (row.line, row.reference, *known, row.error)


def _csv(cells: Sequence[Any]) -> str:
    """One line; no cell begins a formula when a spreadsheet opens it."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    out = io.StringIO()
    csv.writer(out).writerow(f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text for text in texts)
    return out.getvalue()


def _name(batch_id: str, line: int, asked: int) -> str:
    digest = hashlib.sha256(f"{batch_id}:{line}:{asked}".encode()).digest()
    return str(ULID(ULID.from_str(batch_id).bytes[:6] + digest[:10]))


def _box(here: Deployment, batch_id: str) -> Fernet:
    key = hmac.digest(here.settings.secret_key.encode(), f"batch|{batch_id}".encode(), "sha256")
    return Fernet(base64.urlsafe_b64encode(key))
