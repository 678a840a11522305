"""The checks: ask, read, list, prove, explain, replay."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from typing import Any

from flask import Response, current_app, g, request
from flask_smorest import Blueprint
from ulid import ULID

from compliance.access.clients import Scope
from compliance.access.once import OnceKey, check_once
from compliance.api.body import read_json
from compliance.api.caller import locked
from compliance.api.problems import Problem, failures
from compliance.api.schemas import ANSWER
from compliance.audit import document
from compliance.audit.checks import CheckFilter, CheckRecord
from compliance.audit.entry import Entry
from compliance.audit.replays import past_policies
from compliance.casework.office import decision_shown
from compliance.database import db
from compliance.deployment import deployment
from compliance.gate import Question
from compliance.intake import read_question
from compliance.intake.documents import DOCUMENTS
from compliance.law import explain as law_explain
from compliance.law import replay as law_replay
from compliance.law.codec import from_json, to_json
from compliance.law.facts import Facts

PATH = "/api/v1/checks"
LONGEST_KEY = 128
blueprint = Blueprint("checks", __name__, url_prefix=PATH, description="Checks of permit applications")
IDEMPOTENCY = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "The same key and body are one check, for 30 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
}
BY_ID = {"check_id": "$response.body#/id"}
LINKS = {name: {"operationId": name, "parameters": BY_ID} for name in ("readCheck", "proveCheck", "explainCheck")}

ASKED: dict[Any, Any] = {**failures(400, 409, 413, 415), 201: {"links": LINKS}}


@blueprint.post("")
@blueprint.doc(
    requestBody={"required": True, "content": {"application/json": {"schema": DOCUMENTS["Question"].shown}}},
    parameters=[IDEMPOTENCY],
    responses=ASKED,
)
@locked(Scope.CHECK)
@blueprint.response(201, ANSWER["Check"], description="Checked and recorded; STOP and HOLD are answers, not errors")
@blueprint.alt_response(200, schema=ANSWER["Check"], description="The answer that this Idempotency-Key already has")
def ask() -> Response:
    """Check an application: may the permit proceed?"""
    stated = read_json()
    question, key = question_of(stated), once_key()
    db.session.remove()  # no connection is held while the agency is asked
    if key is None:
        recorded, replayed = deployment().gate.check(question), False
    else:
        recorded, replayed = check_once(OnceKey(g.caller.client.id, PATH, key), stated, question)
    headers = {"Location": f"{PATH}/{recorded.id}"} | ({"Idempotent-Replayed": "true"} if replayed else {})
    return Response(shown(recorded.document), 200 if replayed else 201, headers, content_type="application/json")


def once_key() -> str | None:
    """The request's Idempotency-Key. Raises Problem 422."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Problem(422, f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters, e.g. 503-0123-1")
    return key


def question_of(stated: Any) -> Question:
    """What the caller asks. Raises BadInput, ForeignRegion."""
    running, caller = deployment(), g.caller
    now, regions = running.clock(), caller.client.regions
    told = {"policy": running.policy, "asker": caller.asker, "request_id": g.request_id}
    return read_question(stated, regions=regions, now=now, **told)


def shown(text: str) -> str:
    """The stored document; to a key that only checks without the reasons of a rule on trial (contract §1)."""
    if g.caller.client.scopes != {Scope.CHECK} or '"stage":"shadow"' not in text:
        return text
    return document.text(document.masked(json.loads(text)))


@blueprint.get("")
@locked(Scope.READ, query=DOCUMENTS["ListQuery"])
@blueprint.response(200, ANSWER["CheckList"])
def listed(limit: int = 50, cursor: int | None = None, **wanted: Any) -> Response:
    """List checks, newest first; jws and proof are left out. Days are those of the key's first region."""
    regions, served = g.caller.client.regions, deployment().policy.regions
    zone = next((served[code].zone for code in regions if code in served), UTC)
    since, until = wanted.pop("from", None), wanted.pop("to", None)
    narrowed = CheckFilter(
        regions,
        since=since and datetime.combine(since, time.min, zone),
        until=until and datetime.combine(until + timedelta(days=1), time.min, zone),
        before=cursor,
        **wanted,
    )
    found = deployment().log.checks(narrowed, limit + 1)
    items = [json.loads(shown(record.document)) for record in found[:limit]]
    for item in items:
        item["receipt"] = {name: item["receipt"][name] for name in ("code", "url")}
    return _json({"items": items, "next_cursor": f"p{found[limit - 1].pos:x}" if len(found) > limit else None})


@blueprint.get("/<check_id>")
@blueprint.doc(responses=failures(404), operationId="readCheck")
@locked(Scope.CHECK, Scope.READ)
@blueprint.response(200, ANSWER["Check"])
def read(check_id: str) -> Response:
    """Read a check again, and what came after it."""
    record = _mine(check_id)
    text = shown(record.document)
    decision = decision_shown(deployment(), record.region, record.reference, record.permit_type)
    later = {"superseded_by": record.superseded_by, "decision": decision}
    if added := {name: value for name, value in later.items() if value}:
        text = document.text({**json.loads(text), **added})
    return Response(text, content_type="application/json")


@blueprint.get("/<check_id>/proof")
@blueprint.doc(responses=failures(404), operationId="proveCheck")
@locked(Scope.READ)
@blueprint.response(200, ANSWER["Proof"])
def proof(check_id: str) -> Response:
    """The entry as it was hashed, and the proof that it is in the log."""
    return _json(deployment().log.package(_entry(check_id).id))


@blueprint.get("/<check_id>/explain")
@blueprint.doc(responses=failures(404), operationId="explainCheck")
@locked(Scope.READ)
@blueprint.response(200, ANSWER["Explain"])
def explain(check_id: str) -> Response:
    """Explain a check rule by rule: what was looked at, which law applied, what was found."""
    body = _entry(check_id).body
    facts: Facts = from_json(Facts, body["facts"])
    law = _policies().get(body["policy"]["sha256"]).on(facts.application.as_at, facts.application.region)
    return _json({"id": check_id, **law_explain.explain(facts, law)})


@blueprint.post("/<check_id>/replay")
@blueprint.doc(responses=failures(404))
@locked(Scope.AUDIT)
@blueprint.response(200, ANSWER["Replay"])
def replay(check_id: str) -> Response:
    """Decide a check again from its entry and the law it names; the looking is logged too."""
    again, running = law_replay.replay(_entry(check_id).body, _policies()), deployment()
    looked = {"check": check_id, "same": again.same, "asker": {"kind": g.caller.asker.kind, "id": g.caller.asker.id}}
    running.log.append("log.replayed", looked, entry_id=str(ULID()), private={}, at=running.clock())
    decided, differing = to_json(again.decision), [asdict(one) for one in again.differences]
    answer = {"same": again.same, "verdict": decided["verdict"], "policy_sha256": again.policy_sha256}
    findings = [document.finding(one) for one in decided["findings"]]
    return _json(answer | {"findings": findings, "differences": differing})


def _mine(check_id: str) -> CheckRecord:
    """The check, if it is of one of the caller's regions. Raises Problem 404."""
    record = deployment().log.check(check_id)
    if record is None or record.region not in g.caller.client.regions:
        raise Problem(404, "there is no such check")
    return record


def _entry(check_id: str) -> Entry:
    if (entry := deployment().log.entry(_mine(check_id).id)) is None:
        raise Problem(404, "there is no such check")
    return entry


def _policies() -> law_replay.Policies:
    """The policies of the past, read once by each process."""
    found: law_replay.Policies = current_app.extensions.setdefault("compliance-past", past_policies(deployment().log))
    return found


def _json(value: Any) -> Response:
    return Response(document.text(value), content_type="application/json")
