"""OSS's own call, receiveNIB: every permit in the checklist becomes a check (contract §2, domain.md §6)."""

import json
import time
from typing import Any

from flask import Response, g, request
from flask_smorest import Blueprint

from compliance.access.clients import Scope
from compliance.access.once import OnceKey, check_once
from compliance.access.oss import OssCallers
from compliance.api.body import read_json
from compliance.api.caller import allow, by_key, enter, read_query
from compliance.api.checks import question_of, shown
from compliance.api.problems import Problem, failures
from compliance.api.schemas import ANSWER
from compliance.audit.document import text
from compliance.database import db
from compliance.delivery import oss as delivery
from compliance.deployment import deployment
from compliance.errors import BadInput
from compliance.gate import Question
from compliance.intake import oss
from compliance.intake.documents import DOCUMENTS
from compliance.registry.port import aside

LIMIT = 1024 * 1024
FAILED_WITH = {400, 401, 403, 503}
blueprint = Blueprint("oss", __name__, url_prefix="/api/v1/oss", description="Calls that OSS-RBA makes")


@blueprint.post("/receive-nib")
@blueprint.doc(
    security=[{"key": []}, {"ossToken": []}],
    requestBody={"required": True, "content": {"application/json": {"schema": DOCUMENTS["ReceiveNib"].shown}}},
    responses=failures(400, 401, 403, 413, 415, 422, 429, 503),
)
@blueprint.response(200, ANSWER["ReceiveNibAnswer"])
def receive_nib() -> Response:
    """Take over a NIB from OSS and check each permit in its checklist.

    STOP and HOLD are answers too: status is "1" whenever every permit was checked.
    """
    g.problem_members = _members
    document = _authenticated()
    read_query()
    try:
        asked = [(item, _question(item)) for item in oss.read(document)]
    except BadInput as error:
        raise Problem(400, "dataNIB is wrong; errors names each field", *error.errors) from error
    db.session.remove()  # no connection is held while the agency is asked
    checks = [
        {"id_izin": item.id_izin, "kd_izin": item.kd_izin, "check": _check(question) if question else None}
        for item, question in asked
    ]
    delivery.received(deployment(), document, checks)
    told = {"status": "1", "keterangan": f"Sukses: {len(checks)} izin diterima"}
    return Response(text({"responreceiveNIB": told, "checks": checks}), content_type="application/json")


def _members(problem: Problem) -> dict[str, Any]:
    """What OSS reads of an error; the rest of the problem document is for people."""
    if problem.status not in FAILED_WITH:
        return {}
    named = "; ".join(f"{wrong.pointer} {wrong.detail}" for wrong in problem.wrong)
    return {"responreceiveNIB": {"status": "2", "keterangan": (named or problem.detail)[:500]}}


def _authenticated() -> Any:
    """The body. A client's key opens before it is read; OSS's token is made of the NIB inside."""
    if "Authorization" in request.headers:
        allow(enter(by_key()), Scope.CHECK)
        return read_json(LIMIT)
    if not (token := request.headers.get("Token", "")):
        enter(None)
    document, running = read_json(LIMIT), deployment()
    data = document.get("dataNIB") if isinstance(document, dict) else None
    nib = data.get("nib") if isinstance(data, dict) else None
    callers = OssCallers(running.log, running.clock, running.settings.secret_key.encode())
    allow(enter(callers.authenticate(token, nib) if isinstance(nib, str) else None), Scope.CHECK)
    return document


def _question(item: oss.Item) -> Question | None:
    """None for a permit of a region that is not the caller's."""
    if item.region not in g.caller.client.regions:
        return None
    try:
        return question_of(item.stated)
    except BadInput as error:
        raise item.in_oss_words(error) from error


def _check(question: Question) -> Any:
    """The same NIB and permit on the same day get the same answer, unless it was UNDETERMINED."""
    day = question.application.as_at.isoformat()
    key = OnceKey(question.asker.id, "receive-nib", f"{question.identity.nib}:{question.reference}:{day}")
    waiting = {"wait": deployment().settings.registry_timeout, "patient": False, "pause": _pause}
    return json.loads(shown(check_once(key, question.reference, question, **waiting)[0].document))


def _pause(seconds: float) -> None:
    """Whoever waits for the same message's answer leaves the turn to the one that asks."""
    with aside():
        time.sleep(seconds)
