"""Why a check came out as it did: rule by rule, and once more from its entry alone."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, g
from flask_smorest import Blueprint
from ulid import ULID

from compliance.access.clients import Scope
from compliance.api.caller import locked
from compliance.api.checks import PATH, mine
from compliance.api.problems import Problem, failures
from compliance.api.schemas import ANSWER
from compliance.audit import document
from compliance.audit.entry import Entry
from compliance.deployment import deployment
from compliance.law import explain as law_explain
from compliance.law import replay as law_replay
from compliance.law.codec import from_json, to_json
from compliance.law.facts import Facts

blueprint = Blueprint("reasons", __name__, url_prefix=PATH, description="Reasons of a check")


@blueprint.get("/<check_id>/explain")
@blueprint.doc(responses=failures(404))
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
    again = law_replay.replay(_entry(check_id).body, _policies())
    running = deployment()
    looked = {"check": check_id, "same": again.same, "asker": {"kind": g.caller.asker.kind, "id": g.caller.asker.id}}
    running.log.append("log.replayed", looked, entry_id=str(ULID()), private={}, at=running.clock())
    decision = to_json(again.decision)
    answer = {
        "same": again.same,
        "verdict": decision["verdict"],
        "findings": [document.finding(one) for one in decision["findings"]],
        "differences": [{"path": d.path, "then": d.then, "now": d.now} for d in again.differences],
        "policy_sha256": again.policy_sha256,
    }
    return _json(answer)


def _entry(check_id: str) -> Entry:
    mine(check_id)
    entry = deployment().log.entry(check_id)
    if entry is None:
        raise Problem(404, "there is no such check")
    return entry


def _policies() -> law_replay.Policies:
    """The policies of the past, from the texts in the log."""
    found: law_replay.Policies = current_app.extensions.setdefault("compliance-past", law_replay.Policies(_text_of))
    return found


def _text_of(sha256: str) -> str | None:
    entry = deployment().log.entry(f"policy.text.{sha256}")
    return entry.body["text"] if entry else None


def _json(value: Any) -> Response:
    return Response(document.text(value), content_type="application/json")
