"""The one loop that does what is due. A row is due at a moment; a killed worker's rows come back when the lease ends.
To add a kind of work: a function with `@handles(kind)`, and `add` rows of it. It must be idempotent: a row may be done
twice, so the ids of the entries it writes are made from the row."""

import hashlib
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from ulid import ULID

from compliance.audit import erasure, projection, verify, witnesses
from compliance.audit.entry import Entry
from compliance.coverage import acts as coverage
from compliance.database import put, table
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
PAUSE = 5.0  # seconds between two looks at what is due
FEW = 5  # institutions asked about in one turn
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Never done: when what went well is due again, unless it says otherwise. Rows of a batch come with the first one.
EVERY = {"tables": timedelta(minutes=1), "sentinel": timedelta(minutes=10), "heads": HOUR, "coverage": HOUR}
EVERY |= {"replay": DAY, "promises": DAY, "retention": DAY}
FOR_EVER = ("batch", *EVERY)
PLAIN: dict[str, Callable[[Deployment], object]] = {
    "tables": lambda here: projection.catch_up(here.log),  # what a failure or a kill kept out waits for no restart
    "heads": lambda here: witnesses.submit(here.log),  # cosigned, and kept for those who ask
    "retention": lambda here: erasure.retire(here.log, here.policy, by="retention"),
}
log = logging.getLogger(__name__)

WORK = table("work_due", "id:160! due_at:moment+ tries:int")  # the id is kind:key


class Row(NamedTuple):  # what is due: `key` is the kind's own, `tries` counts this one
    kind: str
    key: str
    tries: int


def do_plainly(here: Deployment, row: Row) -> None:
    """What needs no more than the deployment."""
    PLAIN[row.kind](here)


Handler = Callable[[Deployment, Row], datetime | None]
_handlers: dict[str, Handler] = dict.fromkeys(PLAIN, do_plainly)


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Register what does rows of a kind; it returns when the row is due again, or None when it is done."""
    return lambda handler: _handlers.setdefault(kind, handler)


def add(connection: sa.Connection, kind: str, key: str, due_at: datetime) -> None:
    """Make a row, unless it is there."""
    put(connection, WORK, {"id": f"{kind}:{key}", "due_at": due_at, "tries": 0})


def claim(engine: sa.Engine, now: datetime, limit: int = BATCH) -> list[Row]:
    """Take rows that are due, for the time of a lease; no two workers get the same one."""
    c = WORK.c
    due = sa.select(c.id).where(c.due_at <= now).order_by(c.due_at).limit(limit).with_for_update(skip_locked=True)
    taken = sa.update(WORK).where(c.id.in_(due)).values(due_at=now + LEASE, tries=c.tries + 1).returning(c.id, c.tries)
    with engine.begin() as connection:
        rows = [(row.id.partition(":"), row.tries) for row in connection.execute(taken)]
    return [Row(kind, key, tries) for (kind, _, key), tries in rows]


def do_due(here: Deployment) -> int:
    """Do one batch of what is due; returns how many rows. One that fails is tried again, the others go on."""
    rows = claim(here.log.engine, here.clock())
    for row in rows:
        tries = row.tries
        try:
            again = _handlers[row.kind](here, row)
            if row.kind in FOR_EVER:
                again, tries = again or here.clock() + EVERY[row.kind], 0
        except Exception as error:
            log.warning("%s %s: %s", row.kind, row.key, error, exc_info=not isinstance(error, GateError))
            again = _later(here.clock(), row)
        this = WORK.c.id == f"{row.kind}:{row.key}"
        done = sa.update(WORK).where(this).values(due_at=again, tries=tries) if again else sa.delete(WORK).where(this)
        with here.log.engine.begin() as connection:
            connection.execute(done)
    return len(rows)


def standing(here: Deployment) -> None:
    """Rows that are always there."""
    with here.log.engine.begin() as connection:
        for kind in EVERY:
            add(connection, kind, "all", here.clock())


def run(here: Deployment, stop: threading.Event, *, loop: bool) -> int:
    """Do what is due until nothing is, or until `stop`; returns how many rows. In a `loop` a database may be away."""
    done = 0
    here.log.check_start()
    while not stop.is_set():
        try:
            standing(here)
            while (batch := do_due(here)) and not stop.is_set():
                done += batch
        except (GateError, sa.exc.SQLAlchemyError) as error:
            if not loop:
                raise
            log.error("the database is away (%s); what is due waits", type(error).__name__)
        if not loop:
            break
        stop.wait(PAUSE)
    return done


def waiting(connection: sa.Connection) -> dict[str, int]:
    """How many rows of each kind there are, due or not."""
    counts = {kind: sa.select(sa.func.count()).where(WORK.c.id.startswith(f"{kind}:")) for kind in _handlers}
    return {kind: connection.scalar(count) or 0 for kind, count in counts.items()}


def late_by(connection: sa.Connection, now: datetime) -> timedelta:
    """How long the oldest due row has waited; more than some minutes means that no `flask work` runs."""
    oldest = connection.scalar(sa.select(sa.func.min(WORK.c.due_at)))
    return max(now - oldest, timedelta()) if oldest else timedelta()


def _later(now: datetime, row: Row) -> datetime:
    """When a row that could not be done is tried again: 5 minutes, 10, 20 … an hour, each row at its own second."""
    return now + min(RETRY * (1 << min(row.tries - 1, 10)), LONGEST) + spread(row.key)


def spread(key: str, seconds: int = SPREAD) -> timedelta:
    """A delay of a row's own, always the same, so that not all ask at once."""
    return timedelta(seconds=int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % seconds)


@handles("sentinel")
def ask_sentinels(here: Deployment, row: Row) -> None:
    if here.gate.brake:
        here.gate.brake.look(here.clock(), Purpose(str(ULID()), row.kind))


@handles("replay")
def replay_yesterday(here: Deployment, row: Row) -> datetime:
    """Every night at one the last 24 hours are judged again from the log alone; the result is an entry of its own."""
    now = here.clock()
    checks, differing, _ = verify.replay_checks(here.log, now - DAY, now, by="nightly")
    if differing:
        told = "nightly replay: %s of %s checks come out otherwise, first at %s"
        log.error(told, len(differing), checks, differing[0])
    zone = next(iter(here.policy.regions.values())).zone
    tonight = (now + DAY).astimezone(zone).replace(hour=1, minute=0, second=0, microsecond=0)
    return tonight if tonight - now <= DAY else tonight - DAY


def proved(here: Deployment, *, by: str) -> dict[str, Any]:
    """Every promise held against the log now, the cosigning of the deployment's witnesses among them."""
    return promises.prove(here, [key for _, key in witnesses.configured(here.settings.log_witnesses)], by=by)


@handles("promises")
def keep_promises(here: Deployment, row: Row) -> datetime | None:
    """Each promise is held against the log; one that seems broken again after an hour."""
    told = proved(here, by="nightly")["promises"]
    broken = {name: one["broken"] for name, one in told.items() if not one["kept"]}
    if broken:
        log.error("promises not kept: %s", broken)
    return here.clock() + HOUR if broken else None


@handles("coverage")
def ask_about_institutions(here: Deployment, row: Row) -> datetime | None:
    """A few institutions a minute, each once a week; while the agency is out, the others wait."""
    waiting = [(region, one) for region in here.policy.regions for one in coverage.due(here, region)]
    for region, one in waiting[:FEW]:
        if coverage.ask(here, region, one, Asker("work", row.kind)) == "unavailable":
            return _later(here.clock(), row)
    return here.clock() + timedelta(minutes=1) if len(waiting) > FEW else None


@projection.projects("check")
def queue(connection: sa.Connection, entry: Entry) -> None:
    """A check that got no answer is due when it said; one that replaces it takes its place. A batch asks its own."""
    body = entry.body
    if body["request_id"].startswith("batch:"):
        return
    failure = (body["facts"].get("evidence") or {}).get("failure", {})
    if body["decision"]["verdict"] == "UNDETERMINED" and failure.get("kind") == "unavailable":
        retry_at = datetime.fromisoformat(body["decision"]["retry_at"])
        add(connection, "reask", entry.id, retry_at + spread(entry.id))
    if "replaces" in body:
        connection.execute(sa.delete(WORK).where(WORK.c.id == f"reask:{body['replaces']}"))


@handles("reask")
def reask(here: Deployment, row: Row) -> datetime | None:
    """Ask again, for a day, for a check that is UNDETERMINED; the new one replaces it. While the agency is out, only
    probe: by one call of the question itself; what of it was not understood, the check will say."""
    known, entry, now = here.log.check(row.key), here.log.entry(row.key), here.clock()
    if not known or not entry or known.superseded_by or now - entry.at > DAY or not (question := again(entry)):
        return None
    source, by = here.gate.source, question.application.given[0]
    purpose = Purpose(question.request_id, question.reference)
    try:
        source.ask(Ask(Subject.EMPLOYER, by, getattr(question.identity, by)), purpose)
        if here.gate.outages:
            here.gate.outages.saw(Evidence(source.name, here.clock()), here.clock())
    except RegistryUnavailable:
        return _later(now, row)
    except RegistryError as error:
        log.info("asked again %s: %s", question.replaces, error)
    here.gate.check(question)
    return None


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
