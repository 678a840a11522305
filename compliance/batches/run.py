"""A batch from its acceptance to its end: its lines are shared by all workers, asked at one pace, and never twice: a
check id is made from batch, line and try. While the agency is out, lines wait; UNDETERMINED ones for a day."""

import csv
import hashlib
import io
import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from ulid import ULID

from compliance import work
from compliance.audit import document
from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.audit.table import check_record
from compliance.database import put, rows, table
from compliance.delivery import outbox
from compliance.deployment import Deployment
from compliance.errors import BadInput, ForeignRegion, GateError
from compliance.gate import Asker, Question
from compliance.intake import read_question
from compliance.law.facts import Fact
from compliance.registry.sources import breaker_state

LANES = ("1", "2")  # rows of the loop; several let several hosts take part
SLICE, AT_ONCE, THREADS = 10.0, 2.0, 32  # seconds of one turn; seconds' worth of lines taken together
IDLE, REASKED_FOR, ORPHAN = timedelta(seconds=5), timedelta(hours=24), timedelta(days=7)
PIECE = 2_000
COLUMNS = ("line", "reference", "id", "verdict", "action", "codes", "valid_until", "receipt_code", "error")
BATCH = table(  # the projection of `batch.*`; `state` is open, done or cancelled
    "batch",
    "id:26! asker_kind:16 asker_id:64 regions:json total:int state:10 started_at:moment ended_at:moment? position:big",
)
LINE = table(  # sealed until its answer is final (UU 27/2022); `asked`: its checks; no `due_at`: nothing more is done
    "batch_line",
    "batch_id:26! line:int! reference:64 sealed:bytes? asked:int check_id:26? verdict:16? error:200? due_at:moment?+",
)
PACE = table("batch_pace", "id:int! next_at:float")  # one row: until when (since 1970) the agency's time is given away
_noted = [LINE.c[name] == sa.bindparam(name[0]) for name in ("batch_id", "line", "asked")]
NOTE = sa.update(LINE).where(*_noted).values(asked=LINE.c.asked + 1)  # and what _ask says
log = logging.getLogger(__name__)


class Status(Fact):  # how far a batch is; `state` is queued, running, done or cancelled
    id: str
    state: str
    total: int
    done: int
    by_verdict: dict[str, int]
    regions: tuple[str, ...]
    started_at: datetime

    def document(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("id", "state", "total", "done", "by_verdict")}


def _say(here: Deployment, what: str, batch_id: str, **body: Any) -> None:
    here.log.append(f"batch.{what}", {"batch": batch_id, **body}, entry_id=f"batch.{batch_id}.{what}")


def start(here: Deployment, batch_id: str, lines: Sequence[tuple[int, Question, bytes]], asker: Asker) -> None:
    """Keep the lines of reading.judge, sealed, then log the batch; a second start of the same id changes nothing."""
    box, digest = here.box(f"batch|{batch_id}"), hashlib.sha256()
    shared: dict[str, Any] = {"batch_id": batch_id, "asked": 0, "due_at": here.clock()}
    for first in range(0, len(lines), PIECE):
        kept = []
        for line, question, stated in lines[first : first + PIECE]:
            kept.append(shared | {"line": line, "reference": question.reference, "sealed": box.encrypt(stated)})
            digest.update(kept[-1]["sealed"])
        with here.log.engine.begin() as connection:
            put(connection, LINE, kept)
    about = {"regions": sorted({q.application.region for _, q, _ in lines}), "sha256": digest.hexdigest()}
    _say(here, "started", batch_id, asker={"kind": asker.kind, "id": asker.id}, total=len(lines), **about)


def cancel(here: Deployment, batch_id: str, by: Asker) -> None:
    """Ask no further line; the answers that are there stay."""
    _say(here, "cancelled", batch_id, by={"kind": by.kind, "id": by.id})
    _tidy(here)


@projects("batch.started", "batch.ended", "batch.cancelled", into=(BATCH,))
def _project(connection: sa.Connection, entry: Entry) -> None:
    """A batch that was cancelled stays so."""
    body, state = entry.body, "done" if entry.kind == "batch.ended" else "cancelled"
    if entry.kind == "batch.started":
        row = {"asker_kind": body["asker"]["kind"], "asker_id": body["asker"]["id"], "regions": body["regions"]}
        row |= {"id": body["batch"], "total": body["total"], "started_at": entry.at, "position": entry.position}
        put(connection, BATCH, row | {"state": "open"})
        for lane in LANES:  # there from the first batch on; woken by each
            put(connection, work.WORK, {"id": f"batch:{lane}", "due_at": entry.at, "tries": 0}, newest="")
        return
    this = sa.update(BATCH).where(BATCH.c.id == body["batch"], BATCH.c.state == "open")
    connection.execute(this.values(state=state, ended_at=entry.at))
    if state == "done" and body["asker"]["kind"] == "client":
        outbox.post(connection, body["asker"]["id"], "batch.finished", "", body["batch"], entry.at)


def status(engine: sa.Engine, batch_id: str) -> Status | None:
    """How far a batch is, None if there is none."""
    c, ended = LINE.c, sa.or_(LINE.c.verdict.is_not(None), LINE.c.error.is_not(None))
    for batch in rows(engine, sa.select(BATCH).where(BATCH.c.id == batch_id)):
        count = sa.select(c.verdict, sa.func.count()).where(c.batch_id == batch_id, c.due_at.is_(None), ended)
        by_verdict = dict(tuple(row) for row in sorted(rows(engine, count.group_by(c.verdict)), key=str))
        done = sum(by_verdict.values())
        by_verdict.pop(None, None)  # lines that could not be asked any more
        state = batch.state if batch.state != "open" else "running" if done else "queued"
        return Status(batch_id, state, batch.total, done, by_verdict, tuple(batch.regions), batch.started_at)
    return None


def recent(engine: sa.Engine, regions: Sequence[str], limit: int = 25) -> list[Status]:
    """The newest batches of these regions alone."""
    newest = rows(engine, sa.select(BATCH.c.id, BATCH.c.regions).order_by(BATCH.c.position.desc()).limit(500))
    ids = [row.id for row in newest if set(row.regions) <= set(regions)][:limit]
    return [found for one in ids if (found := status(engine, one))]


@work.handles("batch")
def ask_lines(here: Deployment, row: work.Row) -> datetime:
    """One turn of a lane: take lines that are due, ask them at the agency's pace, note what came of it."""
    ends, rate, again, c = time.monotonic() + SLICE, here.settings.batch_rate, here.clock(), LINE.c
    is_open = BATCH.c.state == "open"
    due = sa.select(c.batch_id).join(BATCH, BATCH.c.id == c.batch_id).where(is_open, c.due_at <= again)
    waiting = here.log.rows(due.group_by(c.batch_id).order_by(sa.func.random()))
    reached = {batch.batch_id: 0 for batch in waiting}  # by batch, the last line that was taken in this turn
    with ThreadPoolExecutor(THREADS) as pool:
        while time.monotonic() < ends:
            state = breaker_state(here.gate.source)
            if state and state.wait:
                again = here.clock() + max(IDLE, timedelta(seconds=state.wait))
                break
            most = 1 if state and state.open else max(1, int(rate * AT_ONCE))
            with here.log.engine.begin() as connection:
                lines = _take(connection, reached, most, here.clock())
                begin = _reserve(connection, len(lines) / rate) if lines else 0.0
            if not lines:
                again = here.clock() + IDLE
                break
            told = list(pool.map(partial(_ask, here), lines, [begin + i / rate for i in range(len(lines))]))
            with here.log.engine.begin() as connection:
                connection.execute(NOTE, told)
    _tidy(here)
    left = sa.exists().where(c.batch_id == BATCH.c.id, c.due_at.is_not(None))
    for batch in here.log.rows(sa.select(BATCH).where(is_open, ~left)):
        asker, found = {"kind": batch.asker_kind, "id": batch.asker_id}, status(here.log.engine, batch.id)
        _say(here, "ended", batch.id, asker=asker, total=batch.total, by_verdict=found.by_verdict if found else {})
    return again


def _take(connection: sa.Connection, reached: dict[str, int], most: int, now: datetime) -> list[Any]:
    """Lines that are due, for the time of a lease: no two workers get the same one. Batches take turns: each gives as
    many as any other and goes to the end; one that has no more leaves."""
    c, lines = LINE.c, list[Any]()
    for left in range(len(reached), 0, -1):
        if not (share := math.ceil((most - len(lines)) / left)):
            break
        batch_id = next(iter(reached))
        due = sa.select(c.line).where(c.batch_id == batch_id, c.line > reached.pop(batch_id), c.due_at <= now)
        share_due = due.order_by(c.line).limit(share).with_for_update(skip_locked=True).cte()  # looked up once
        mine = c.line.in_(sa.select(share_due.c.line))
        take = sa.update(LINE).where(c.batch_id == batch_id, mine).values(due_at=now + work.LEASE)
        if found := sorted(connection.execute(take.returning(LINE)).all()):
            reached[batch_id] = found[-1].line
            lines += found
    return lines


def _reserve(connection: sa.Connection, seconds: float) -> float:
    """When the next lines may begin (seconds since 1970): all hosts share one pace; half a second is made up for."""
    now, c = time.time() - 0.5, PACE.c
    later = sa.case((c.next_at < now, now), else_=c.next_at) + seconds
    put = insert(PACE).values(id=1, next_at=now + seconds)
    put = put.on_conflict_do_update(index_elements=["id"], set_={"next_at": later})
    return float(connection.execute(put.returning(c.next_at)).scalar_one()) - seconds


def _ask(here: Deployment, line: Any, begin: float) -> dict[str, Any]:
    """Make a line's check, unless it is in the log; what is to be noted of it. Raises LogUnavailable."""
    time.sleep(max(0.0, begin - time.time()))
    done = {"b": line.batch_id, "l": line.line, "a": line.asked, "sealed": None, "due_at": None}
    done |= {"check_id": line.check_id, "verdict": None, "error": None}
    names = [hashlib.sha256(f"{line.batch_id}:{line.line}:{asked}".encode()).digest() for asked in (0, line.asked)]
    first, this = (str(ULID(ULID.from_str(line.batch_id).bytes[:6] + name[:10])) for name in names)
    try:
        known: Any = here.log.check(this)
        if not known:
            kind, asker, stated = json.loads(here.box(f"batch|{line.batch_id}").decrypt(line.sealed))
            who: dict[str, Any] = {"regions": (stated["region"],), "asker": Asker(kind, asker), "policy": here.policy}
            name = f"batch:{line.batch_id}:{line.line}"
            question = read_question(stated, now=here.clock(), request_id=name, **who)
            known = here.gate.check(replace(question, id=this, replaces=line.check_id))
    except (BadInput, ForeignRegion) as error:  # what was right when the list was taken may be no more
        return done | {"error": str(error)[:200]}
    except (GateError, sa.exc.SQLAlchemyError):
        raise
    except Exception as error:
        log.exception("batch %s, line %s", line.batch_id, line.line)
        return done | {"error": f"not asked: {type(error).__name__}"}
    found = json.loads(known.document)
    done |= {"check_id": this, "verdict": found["verdict"]}
    if found["verdict"] == "UNDETERMINED":
        begun, now = here.log.check(first), here.clock()
        if not begun or now - begun.checked_at < REASKED_FOR:
            done |= {"sealed": line.sealed, "due_at": max(datetime.fromisoformat(found["retry_after"]), now + IDLE)}
    return done


def _tidy(here: Deployment) -> None:
    """Forget what was stated for lines of cancelled batches, and of lists whose batch was never logged."""
    c, cancelled, known = LINE.c, sa.select(BATCH.c.id).where(BATCH.c.state == "cancelled"), sa.select(BATCH.c.id)
    with here.log.engine.begin() as connection:
        waiting = sa.update(LINE).where(c.due_at.is_not(None), c.batch_id.in_(cancelled))
        connection.execute(waiting.values(due_at=None, sealed=None))
        connection.execute(sa.delete(LINE).where(c.due_at < here.clock() - ORPHAN, c.batch_id.not_in(known)))


def results(engine: sa.Engine, batch: Status, *, masked: bool = False) -> Iterator[str]:
    """The lines of results.csv, none of whose cells a spreadsheet takes for a formula; `masked`: for keys that only
    check (contract §1). Constant memory."""
    c, r, made, last = LINE.c, check_record.c, [COLUMNS], 0
    query = sa.select(c.line, c.reference, c.error, r.document).outerjoin(check_record, r.id == c.check_id)
    query = query.where(c.batch_id == batch.id).order_by(c.line).limit(500)
    while made:
        out = io.StringIO()
        for cells in made:
            texts = ["" if cell is None else str(cell) for cell in cells]
            safe = [f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text for text in texts]
            csv.writer(out).writerow(safe)
        yield out.getvalue()
        piece = rows(engine, query.where(c.line > last))
        made, last = [], piece[-1].line if piece else last
        for line in piece:
            check = json.loads(line.document) if line.document else {}
            check = document.masked(check) if check and masked else check
            codes = " ".join(finding["code"] for finding in check.get("findings", ()))
            known = [*map(check.get, ("id", "verdict", "action")), codes, check.get("valid_until")]
            error = line.error or ("cancelled" if batch.state == "cancelled" and not check else "")
            made.append((line.line, line.reference, *known, check.get("receipt", {}).get("code"), error))
