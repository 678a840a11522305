"""Batches: many checks at once, judged as a whole before any is asked."""

from collections.abc import Iterator
from typing import Any

from flask import g, request

from compliance.access import once
from compliance.access.clients import Scope
from compliance.api import caller, checks
from compliance.api.problems import Problem
from compliance.batches import reading, run
from compliance.database import db
from compliance.deployment import deployment
from compliance.gate import Recorded

NEVER = '{"retry_after": null}'


def start() -> checks.Told:
    """Ask many questions, as JSON or CSV (columns: paths of a question). Nothing runs if a line is wrong."""
    here, asker, key = deployment(), g.client.asker, caller.once_key()
    if request.mimetype == "text/csv":
        body: Any = caller.whole()
        rows, stated = reading.read_csv(body.raw), body.sha256
    else:
        stated = caller.read_json()
        rows = reading.read_document(stated)
    lines = list(reading.judge(here, rows, g.client.regions, asker))
    db.session.remove()

    def find(batch_id: str) -> Recorded | None:
        return Recorded(batch_id, 0, NEVER) if run.status(here.log.engine, batch_id) else None

    def begin(batch_id: str, replaces: str | None) -> Recorded:
        run.start(here, batch_id, lines, asker)
        return Recorded(batch_id, 0, NEVER)

    recorded, replayed = once.run(key, stated, begin, find, timeout=60.0)
    return _mine(recorded.id).document(), *checks.made(recorded.id, 202, replayed)


def read(batch_id: str) -> dict[str, Any]:
    """How far a batch is."""
    return _mine(batch_id).document()


def cancel(batch_id: str) -> dict[str, Any]:
    """Ask no further line of a batch; the answers that are there stay."""
    if _mine(batch_id).state in ("queued", "running"):
        run.cancel(deployment(), batch_id, g.client.asker)
    return _mine(batch_id).document()


def results(batch_id: str) -> Iterator[str]:
    """What came of every line so far, as CSV."""
    masked = g.client.scopes == {Scope.CHECK}
    return run.results(deployment().log.engine, _mine(batch_id), masked=masked)


def _mine(batch_id: str) -> run.Status:
    """The batch, if all its regions are the caller's. Raises Problem 404."""
    found = run.status(deployment().log.engine, batch_id)
    if found is None or not set(found.regions) <= set(g.client.regions):
        raise Problem(404, "there is no such batch")
    return found
