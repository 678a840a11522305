"""Batches: many checks at once, judged as a whole before any is asked."""

from typing import Any

from flask import Response, g, request
from flask_smorest import Blueprint
from ulid import ULID

from compliance.access.clients import Scope
from compliance.access.once import Once, OnceKey
from compliance.api.body import read_json, seen
from compliance.api.caller import locked
from compliance.api.checks import IDEMPOTENCY, once_key
from compliance.api.problems import Problem, failures
from compliance.api.schemas import ANSWER
from compliance.audit import document
from compliance.batches import reading, run
from compliance.database import db
from compliance.deployment import deployment
from compliance.gate import Recorded
from compliance.intake.documents import DOCUMENTS

PATH, NEVER = "/api/v1/batches", '{"retry_after": null}'
blueprint = Blueprint("batches", __name__, url_prefix=PATH, description="Many checks at once")
LIST = {"type": "object", "required": ["checks"], "additionalProperties": False}
LIST |= {"properties": {"checks": {"type": "array", "maxItems": reading.MOST, "items": DOCUMENTS["Question"].shown}}}
RESULTS: dict[Any, Any] = {
    **failures(404),
    200: {"description": "One row a line", "content": {"text/csv": {"schema": {"type": "string"}}}},
}
TAKEN = {"text/csv": {"schema": {"type": "string"}}, "application/json": {"schema": LIST}}


@blueprint.post("")
@blueprint.doc(
    requestBody={"required": True, "content": TAKEN}, parameters=[IDEMPOTENCY], responses=failures(400, 409, 413, 415)
)
@locked(Scope.CHECK)
@blueprint.response(202, ANSWER["Batch"], description="Every line is right; they are asked from now on")
@blueprint.alt_response(200, schema=ANSWER["Batch"], description="The batch that this Idempotency-Key already has")
def start() -> Response:
    """Ask many questions, as JSON or CSV (columns: paths of a question). Nothing runs if a line is wrong."""
    here, asker, key = deployment(), g.caller.asker, once_key()
    if request.mimetype == "text/csv":
        body: Any = seen(reading.MOST_BYTES)
        if body.length > reading.MOST_BYTES:
            raise Problem(413, f"the table is larger than {reading.MOST_BYTES // 1024 // 1024} MiB")
        rows, stated = reading.read_csv(body.raw), body.sha256
    else:
        stated = read_json(reading.MOST_BYTES)
        rows = reading.read_document(stated)
    lines = list(reading.judge(here, rows, g.caller.client.regions, asker))
    db.session.remove()

    def find(batch_id: str) -> Recorded | None:
        return Recorded(batch_id, 0, NEVER) if run.status(here.log.engine, batch_id) else None

    def begin(batch_id: str, replaces: str | None = None) -> Recorded:
        run.start(here, batch_id, lines, asker)
        return Recorded(batch_id, 0, NEVER)

    if key is None:
        recorded, replayed = begin(str(ULID())), False
    else:
        once = Once(find, here.clock, here.settings.secret_key.encode(), timeout=60.0)
        recorded, replayed = once.run(OnceKey(g.caller.client.id, PATH, key), stated, begin)
    headers = {"Location": f"{PATH}/{recorded.id}"} | ({"Idempotent-Replayed": "true"} if replayed else {})
    return _shown(_mine(recorded.id), 200 if replayed else 202, headers)


@blueprint.get("/<batch_id>")
@blueprint.doc(responses=failures(404))
@locked(Scope.CHECK)
@blueprint.response(200, ANSWER["Batch"])
def read(batch_id: str) -> Response:
    """How far a batch is."""
    return _shown(_mine(batch_id))


@blueprint.post("/<batch_id>/cancel")
@blueprint.doc(responses=failures(404))
@locked(Scope.CHECK)
@blueprint.response(200, ANSWER["Batch"])
def cancel(batch_id: str) -> Response:
    """Ask no further line of a batch; the answers that are there stay."""
    if _mine(batch_id).state in ("queued", "running"):
        run.cancel(deployment(), batch_id, g.caller.asker)
    return _shown(_mine(batch_id))


@blueprint.get("/<batch_id>/results.csv")
@blueprint.doc(responses=RESULTS)
@locked(Scope.CHECK)
def results(batch_id: str) -> Response:
    """What came of every line so far, as CSV."""
    masked = g.caller.client.scopes == {Scope.CHECK}
    found = run.results(deployment().log.engine, _mine(batch_id), masked=masked)
    return Response(found, content_type="text/csv; charset=utf-8")


def _mine(batch_id: str) -> run.Status:
    """The batch, if all its regions are the caller's. Raises Problem 404."""
    found = run.status(deployment().log.engine, batch_id)
    if found is None or not set(found.regions) <= set(g.caller.client.regions):
        raise Problem(404, "there is no such batch")
    return found


def _shown(batch: run.Status, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(document.text(batch.document()), status, headers, content_type="application/json")
