"""The one loop that does what is due. A row is due at a moment; a killed worker's rows come back when the lease ends.

To add a kind of work: a function with `@handles(kind)`, and `add` rows of it. It must be idempotent: a row may be done
twice, so the ids of the entries it writes are made from the row.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Engine, Integer, String, Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from ulid import ULID

from compliance.audit import erasure, witnesses
from compliance.audit.entry import Entry
from compliance.audit.projection import catch_up, projects
from compliance.audit.replays import replay_checks
from compliance.coverage import acts as coverage
from compliance.database import Moment, db
from compliance.deployment import Deployment
from compliance.errors import GateError, RegistryError, RegistryUnavailable
from compliance.gate import Asker, Officer, Question
from compliance.law.codec import from_json
from compliance.law.facts import Application, Ask, Evidence, Identity, Subject
from compliance.registry.port import Purpose
from compliance.reports import promises

LEASE = timedelta(minutes=2)
BATCH = 20
RETRY, LONGEST = timedelta(minutes=5), timedelta(hours=1)
SPREAD = 120  # seconds over which what waited for the agency is asked again
REASKED_FOR = timedelta(hours=24)
SENTINEL_EVERY = timedelta(minutes=10)
FOR_EVER = ("batch", "tables", "sentinel", "heads", "replay", "promises", "coverage", "retention")  # never done
FEW = 5  # institutions asked about in one turn
log = logging.getLogger(__name__)

WORK = Table(
    "work_due",
    db.metadata,
    Column("id", String(160), primary_key=True),  # kind:key
    Column("due_at", Moment, nullable=False, index=True),
    Column("tries", Integer, nullable=False, default=0),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What is due: `key` is the kind's own, `tries` counts this one."""

    kind: str
    key: str
    tries: int


Handler = Callable[[Deployment, Row], datetime | None]
_handlers: dict[str, Handler] = {}


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Register what does rows of a kind; it returns when the row is due again, or None when it is done."""
    return lambda handler: _handlers.setdefault(kind, handler)


def add(connection: Connection, kind: str, key: str, due_at: datetime) -> None:
    """Make a row, unless it is there."""
    row = insert(WORK).values(id=f"{kind}:{key}", due_at=due_at, tries=0)
    connection.execute(row.on_conflict_do_nothing(index_elements=["id"]))


def claim(engine: Engine, now: datetime, limit: int = BATCH) -> list[Row]:
    """Take rows that are due, for the time of a lease; no two workers get the same one."""
    c = WORK.c
    due = select(c.id).where(c.due_at <= now).order_by(c.due_at).limit(limit).with_for_update(skip_locked=True)
    taken = update(WORK).where(c.id.in_(due)).values(due_at=now + LEASE, tries=c.tries + 1).returning(c.id, c.tries)
    with engine.begin() as connection:
        rows = [(row.id.split(":", 1), row.tries) for row in connection.execute(taken)]
    return [Row(kind, key, tries) for (kind, key), tries in rows]


def do_due(here: Deployment) -> int:
    """Do one batch of what is due; returns how many rows. One that fails is tried again, the others go on."""
    rows = claim(here.log.engine, here.clock())
    for row in rows:
        try:
            again, change = _handlers[row.kind](here, row), {"tries": 0} if row.kind in FOR_EVER else {}
        except Exception as error:
            log.warning("%s %s: %s", row.kind, row.key, error, exc_info=not isinstance(error, GateError))
            again, change = _later(here.clock(), row), {}
        this = WORK.c.id == f"{row.kind}:{row.key}"
        with here.log.engine.begin() as connection:
            connection.execute(
                update(WORK).where(this).values(due_at=again, **change) if again else delete(WORK).where(this)
            )
    return len(rows)


def waiting(connection: Connection) -> dict[str, int]:
    """How many rows of each kind there are, due or not."""
    counts = {kind: select(func.count()).where(WORK.c.id.startswith(f"{kind}:")) for kind in _handlers}
    return {kind: connection.scalar(count) or 0 for kind, count in counts.items()}


def late_by(connection: Connection, now: datetime) -> timedelta:
    """How long the oldest due row has waited; more than some minutes means that no `flask work` runs."""
    oldest = connection.scalar(select(func.min(WORK.c.due_at)))
    return max(now - oldest, timedelta()) if oldest else timedelta()


def _later(now: datetime, row: Row) -> datetime:
    """When a row that could not be done is tried again: 5 minutes, 10, 20 … an hour, each row at its own second."""
    return now + min(RETRY * (1 << min(row.tries - 1, 10)), LONGEST) + _spread(row.key)


def _spread(key: str) -> timedelta:
    """A delay of a row's own, always the same, so that not all ask at once."""
    return timedelta(seconds=int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % SPREAD)


def standing(here: Deployment) -> None:
    """Rows that are always there."""
    with here.log.engine.begin() as connection:
        for kind in FOR_EVER[1:]:
            add(connection, kind, "all", here.clock())


@handles("tables")
def complete_tables(here: Deployment, row: Row) -> datetime:
    """Every minute: an entry whose projection failed, or was killed, waits for no restart."""
    catch_up(here.log)
    return here.clock() + timedelta(minutes=1)


@handles("sentinel")
def ask_sentinels(here: Deployment, row: Row) -> datetime:
    if here.gate.brake:
        here.gate.brake.look(here.clock(), Purpose(str(ULID()), "sentinel"))
    return here.clock() + SENTINEL_EVERY


@handles("heads")
def publish_head(here: Deployment, row: Row) -> datetime:
    """Every hour the witnesses cosign the newest head, and it is kept for those who ask."""
    witnesses.submit(here.log)
    return here.clock() + timedelta(hours=1)


@handles("retention")
def retire_personal(here: Deployment, row: Row) -> datetime:
    """Every day personal values leave that a region's schedule has outlived; each erasure is an entry of its own."""
    erasure.retire(here.log, here.policy, by="retention")
    return here.clock() + timedelta(days=1)


@handles("replay")
def replay_yesterday(here: Deployment, row: Row) -> datetime:
    """Every night the last 24 hours are judged again from the log alone; the result is an entry of its own."""
    now = here.clock()
    checks, differing, _ = replay_checks(here.log, now - timedelta(days=1), now, by="nightly")
    if differing:
        log.error(
            "nightly replay: %s of %s checks come out otherwise, first at %s", len(differing), checks, differing[0]
        )
    zones = [region.zone for region in here.policy.regions.values()]
    tonight = (now + timedelta(days=1)).astimezone(zones[0]).replace(hour=1, minute=0, second=0, microsecond=0)
    return tonight if tonight - now <= timedelta(days=1) else tonight - timedelta(days=1)


@handles("promises")
def keep_promises(here: Deployment, row: Row) -> datetime:
    """Every day each promise is held against the log; one that seems broken again after an hour."""
    cosigners = [key for _, key in witnesses.configured(here.settings.log_witnesses)]
    told = promises.prove(here, cosigners, by="nightly")["promises"]
    kept = all(one["kept"] for one in told.values())
    if not kept:
        log.error("promises not kept: %s", {name: one["broken"] for name, one in told.items() if not one["kept"]})
    return here.clock() + timedelta(hours=24 if kept else 1)


@handles("coverage")
def ask_about_institutions(here: Deployment, row: Row) -> datetime:
    """A few institutions a minute, each once a week; while the agency is out, the others wait."""
    waiting = [(region, one) for region in here.policy.regions for one in coverage.due(here, region)]
    for region, one in waiting[:FEW]:
        if coverage.ask(here, region, one, Asker("work", row.kind)) == "unavailable":
            return _later(here.clock(), row)
    return here.clock() + (timedelta(minutes=1) if len(waiting) > FEW else timedelta(hours=1))


@projects("check")
def queue(connection: Connection, entry: Entry) -> None:
    """A check that got no answer is due when it said; one that replaces it takes its place. A batch asks its own."""
    body = entry.body
    if body["request_id"].startswith("batch:"):
        return
    failure = (body["facts"].get("evidence") or {}).get("failure", {})
    if body["decision"]["verdict"] == "UNDETERMINED" and failure.get("kind") == "unavailable":
        retry_at = datetime.fromisoformat(body["decision"]["retry_at"])
        add(connection, "reask", entry.id, retry_at + _spread(entry.id))
    if "replaces" in body:
        connection.execute(delete(WORK).where(WORK.c.id == f"reask:{body['replaces']}"))


@handles("reask")
def reask(here: Deployment, row: Row) -> datetime | None:
    """Ask again for a check that is UNDETERMINED; the new check replaces it. While the agency is out, only probe."""
    known, entry, now = here.log.check(row.key), here.log.entry(row.key), here.clock()
    if known is None or entry is None or known.superseded_by or now - entry.at > REASKED_FOR:
        return None
    if not (question := again(entry)):
        return None
    if not answers(here, question):
        return _later(now, row)
    here.gate.check(question)
    return None


def answers(here: Deployment, question: Question) -> bool:
    """Whether the agency answers now, by a call of this question; the check itself will say what was not understood."""
    source, by = here.gate.source, question.application.given[0]
    purpose = Purpose(question.request_id, question.reference)
    try:
        source.ask(Ask(Subject.EMPLOYER, by, getattr(question.identity, by)), purpose)
        if here.gate.outages:
            here.gate.outages.saw(Evidence(source.name, here.clock()), here.clock())
    except RegistryUnavailable:
        return False
    except RegistryError as error:
        log.info("asked again %s: %s", question.replaces, error)
    return True


def again(entry: Entry) -> Question | None:
    """The question of a stored check, as it was asked; None when what it needs has been erased."""
    body, private = entry.body, entry.disclosed
    numbers: dict[str, Any] = {**body["business"], **{k: private[k] for k in ("npwp", "nik") if k in private}}
    application: Application = from_json(Application, body["facts"]["application"])
    if any(name not in numbers for name in application.given):
        return None
    stamp = int(entry.at.timestamp() * 1000).to_bytes(6, "big")
    return Question(
        reference=body["reference"],
        application=application,
        identity=Identity(name=private.get("name"), owner_name=private.get("owner_name"), **numbers),
        asker=Asker(**body["asker"]),
        officer=Officer(private.get("officer_nip"), private.get("officer_name")),
        replaces=entry.id,
        request_id=body["request_id"],
        id=str(ULID(stamp + hashlib.sha256(entry.id.encode()).digest()[:10])),
    )
