"""The checks: ask, read, list, prove, replay, explain."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from flask import Response, g, request
from flask_smorest import Blueprint

from compliance.access.clients import Scope
from compliance.access.once import Ask, Once, OnceKey
from compliance.api.body import read_json
from compliance.api.caller import Caller, locked
from compliance.api.problems import Problem, failures
from compliance.api.schemas import ANSWER, ListQuery
from compliance.audit import document
from compliance.audit.checks import CheckFilter, CheckRecord
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError
from compliance.gate import Question, Recorded
from compliance.intake import read_question
from compliance.intake.schema import QuestionSchema
from compliance.proof.note import b64

PATH = "/api/v1/checks"
LONGEST_KEY = 128
blueprint = Blueprint("checks", __name__, url_prefix=PATH, description="Checks of permit applications")
IDEMPOTENCY = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "The same key and body are one check, for 30 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
}
ASKED = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": QuestionSchema}}},
    "parameters": [IDEMPOTENCY],
    "responses": failures(400, 409, 413, 415),
}


@blueprint.post("")
@blueprint.doc(**ASKED)
@locked(Scope.CHECK)
@blueprint.response(201, ANSWER["Check"], description="Checked and recorded; STOP and HOLD are answers, not errors")
@blueprint.alt_response(200, schema=ANSWER["Check"], description="The answer that this Idempotency-Key already has")
def ask() -> Response:
    """Check an application: may the permit proceed?"""
    caller: Caller = g.caller
    stated = read_json()
    question, key = question_of(stated, caller), _once_key(caller)
    db.session.remove()  # no connection is held while the agency is asked
    if key is None:
        recorded, replayed = deployment().gate.check(question), False
    else:
        recorded, replayed = once().run(key, stated, asking(question))
    answer = Response(shown_to(caller, recorded.document), 200 if replayed else 201, content_type="application/json")
    answer.headers["Location"] = f"{PATH}/{recorded.id}"
    if replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


def question_of(stated: Any, caller: Caller) -> Question:
    """What a caller asks. Raises BadInput, ForeignRegion."""
    running = deployment()
    return read_question(
        stated,
        regions=caller.client.regions,
        policy=running.policy,
        now=running.clock(),
        asker=caller.asker,
        request_id=g.request_id,
    )


def asking(question: Question) -> Ask:
    """To ask this question once, under the id that a once-only key reserved for it."""
    gate = deployment().gate
    return lambda check_id, replaces: gate.check(replace(question, id=check_id, replaces=replaces))


def _once_key(caller: Caller) -> OnceKey | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Problem(422, f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters, e.g. 503-0123-1")
    return OnceKey(caller.client.id, PATH, key)


def once() -> Once:
    running = deployment()
    settings = running.settings
    return Once(_recorded, running.clock, settings.secret_key.encode(), settings.registry_timeout)


def _recorded(check_id: str) -> Recorded | None:
    found = deployment().log.check(check_id)
    return Recorded(found.id, found.pos, found.document) if found else None


def shown_to(caller: Caller, text: str) -> str:
    """The stored document, or what a key that only checks may see of a rule on trial."""
    if not caller.only_checks:
        return text
    whole = json.loads(text)
    seen = document.masked(whole)
    return text if seen == whole else document.text(seen)


@blueprint.get("")
@locked(Scope.READ, query=ListQuery())
@blueprint.response(200, ANSWER["CheckList"])
def listed(limit: str = "50", cursor: str | None = None, **wanted: Any) -> Response:
    """List checks, newest first; jws and proof are left out."""
    caller: Caller = g.caller
    zone = _zone(caller.client.regions)
    since, until = wanted.pop("since", None), wanted.pop("until", None)
    narrowed = CheckFilter(
        caller.client.regions,
        since=since and datetime.combine(since, time.min, zone),
        until=until and datetime.combine(until + timedelta(days=1), time.min, zone),
        before=_position(cursor),
        **wanted,
    )
    found = deployment().log.checks(narrowed, int(limit) + 1)
    more = len(found) > int(limit)
    items = [_listed(caller, record) for record in found[: int(limit)]]
    page = {"items": items, "next_cursor": _cursor(found[int(limit) - 1].pos) if more else None}
    return Response(document.text(page), content_type="application/json")


def _zone(regions: tuple[str, ...]) -> tzinfo:
    """The zone in which a client counts its days: that of its first region that is served here."""
    served = deployment().policy.regions
    return next((served[code].zone for code in regions if code in served), UTC)


def _listed(caller: Caller, record: CheckRecord) -> dict[str, Any]:
    whole = json.loads(shown_to(caller, record.document))
    return {**whole, "receipt": {name: whole["receipt"][name] for name in ("code", "url")}}


def _cursor(position: int) -> str:
    return f"p{position:x}"


def _position(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not re.fullmatch("p[0-9a-f]{1,15}", cursor):
        raise BadInput(FieldError("/cursor", "must be the next_cursor of an earlier page, e.g. p1f"))
    return int(cursor[1:], 16)


@blueprint.get("/<check_id>")
@blueprint.doc(responses=failures(404))
@locked(Scope.CHECK, Scope.READ)
@blueprint.response(200, ANSWER["Check"])
def read(check_id: str) -> Response:
    """Read a check again, and what came after it."""
    record = mine(check_id)
    text = shown_to(g.caller, record.document)
    if record.superseded_by:
        text = document.text({**json.loads(text), "superseded_by": record.superseded_by})
    return Response(text, content_type="application/json")


@blueprint.get("/<check_id>/proof")
@blueprint.doc(responses=failures(404))
@locked(Scope.READ)
@blueprint.response(200, ANSWER["Proof"])
def proof(check_id: str) -> Response:
    """The entry as it was hashed, and the proof that it is in the log."""
    record, log = mine(check_id), deployment().log
    entry, size = log.entry(check_id), log.head()[0]
    if entry is None:
        raise Problem(404, "there is no such check")
    found = {
        "body": b64(entry.raw),
        "index": record.pos,
        "leaf_hash": b64(entry.leaf_hash),
        "proof": [b64(step) for step in log.inclusion(record.pos, size)],
        "checkpoint": log.keyring.head(size, log.root_at(size)),
        "disclosures": log.disclosures([check_id]).get(check_id, []),
    }
    return Response(document.text(found), content_type="application/json")


def mine(check_id: str) -> CheckRecord:
    """The check, if it is of one of the caller's regions. Raises Problem 404."""
    record = deployment().log.check(check_id)
    if record is None or record.region not in g.caller.client.regions:
        raise Problem(404, "there is no such check")
    return record
