"""The checks: ask (also by OSS's own call), read, list, prove, explain, replay."""

import datetime as dt
import functools
import json
import time
from collections.abc import Iterator
from typing import Any

from flask import g, request

from compliance.access import once
from compliance.access.clients import Scope
from compliance.api import caller
from compliance.audit import document, verify
from compliance.audit.checks import CheckFilter, CheckRecord
from compliance.batches import reading, run
from compliance.casework.acts import decision_shown
from compliance.database import db
from compliance.delivery import outbox
from compliance.deployment import deployment
from compliance.errors import BadInput
from compliance.gate import Question
from compliance.intake import oss, read_question
from compliance.law import codec, decide
from compliance.registry.port import aside

_policies = functools.lru_cache(maxsize=2)(verify.past_policies)  # read once by each process
Told = tuple[Any, int, dict[str, str]]


def ask() -> Told:
    """Check an application: may the permit proceed?"""
    stated = caller.read()
    question, key = question_of(stated), caller.once_key()
    db.session.remove()  # no connection is held while the agency is asked
    recorded, replayed = once.check_once(key, stated, question)
    return shown(recorded.document), *made(recorded.id, 201, replayed)


def made(name: str, status: int, replayed: bool) -> tuple[int, dict[str, str]]:
    """Status and headers of what was made, now or under the same Idempotency-Key before."""
    headers = {"Location": f"{request.path}/{name}"}
    return (200, headers | {"Idempotent-Replayed": "true"}) if replayed else (status, headers)


def question_of(stated: Any) -> Question:
    """What the caller asks. Raises BadInput, ForeignRegion."""
    running, client = deployment(), g.client
    told = {"policy": running.policy, "asker": client.asker, "request_id": g.request_id}
    return read_question(stated, regions=client.regions, now=running.clock(), **told)


def shown(text: str) -> str:
    """The stored document; to a key that only checks without the reasons of a rule on trial (contract §1)."""
    if g.client.scopes != {Scope.CHECK} or '"stage":"shadow"' not in text:
        return text
    return document.text(document.masked(json.loads(text)))


def listed(limit: int = 50, cursor: int | None = None, **wanted: Any) -> dict[str, Any]:
    """List checks, newest first; jws and proof are left out. Days are those of the key's first region."""
    regions, served = g.client.regions, deployment().policy.regions
    zone = next((served[code].zone for code in regions if code in served), dt.UTC)
    since, until = wanted.pop("from", None), wanted.pop("to", None)
    since = since and dt.datetime.combine(since, dt.time.min, zone)
    until = until and dt.datetime.combine(until + dt.timedelta(days=1), dt.time.min, zone)
    narrowed = CheckFilter(regions, since=since, until=until, before=cursor, **wanted)
    found = deployment().log.checks(narrowed, limit + 1)
    items = [json.loads(shown(record.document)) for record in found[:limit]]
    for item in items:
        item["receipt"] = {name: item["receipt"][name] for name in ("code", "url")}
    return {"items": items, "next_cursor": f"p{found[limit - 1].pos:x}" if len(found) > limit else None}


def read(check_id: str) -> str:
    """Read a check again, and what came after it."""
    record = _mine(check_id)
    text, later = shown(record.document), dict[str, Any]()
    if record.superseded_by:
        later["superseded_by"] = record.superseded_by
    if decision := decision_shown(deployment(), record.region, record.reference, record.permit_type):
        later["decision"] = decision
    return document.text(json.loads(text) | later) if later else text


def proof(check_id: str) -> Any:
    """The entry as it was hashed, and the proof that it is in the log."""
    return deployment().log.package(_mine(check_id).id)


def explain(check_id: str) -> dict[str, Any]:
    """Explain a check rule by rule: what was looked at, which law applied, what was found."""
    return {"id": check_id, **decide.explain(*_policies(deployment().log).judged(_body(check_id)))}


def replay(check_id: str) -> dict[str, Any]:
    """Decide a check again from its entry and the law it names; the looking is logged too."""
    again, running = decide.replay(_body(check_id), _policies(deployment().log)), deployment()
    looked = {"check": check_id, "same": again.same, "asker": {"kind": "client", "id": g.client.id}}
    running.log.append("log.replayed", looked)
    decided, differing = codec.to_json(again.decision), [one._asdict() for one in again.differences]
    answer = {"same": again.same, "verdict": decided["verdict"], "policy_sha256": again.policy_sha256}
    findings = [document.finding(one) for one in decided["findings"]]
    return answer | {"findings": findings, "differences": differing}


def receive_nib() -> dict[str, Any]:
    """Take over a NIB from OSS and check each permit in its checklist.

    STOP and HOLD are answers too: status is "1" whenever every permit was checked. The same NIB and permit on the same
    day get the same answer, unless it was UNDETERMINED.
    """
    stated = caller.read()
    try:
        items = oss.read(stated, deployment().policy, deployment().clock())
        asked = [(item, _question(item)) for item in items]
    except BadInput as error:
        raise caller.Problem(400, "dataNIB is wrong; errors names each field", *error.errors) from error
    db.session.remove()  # no connection is held while the agency is asked
    patience = {"wait": deployment().settings.registry_timeout, "patient": False, "pause": aside()(time.sleep)}
    checks = []
    for item, question in asked:
        check = None
        if question:
            day = question.application.as_at.isoformat()
            key = once.OnceKey(question.asker.id, "receive-nib", f"{question.identity.nib}:{question.reference}:{day}")
            recorded, _ = once.check_once(key, question.reference, question, **patience)
            check = json.loads(shown(recorded.document))
        checks.append({"id_izin": item.id_izin, "kd_izin": item.kd_izin, "check": check})
    outbox.received(deployment(), stated, checks, g.client.regions)
    told = {"status": "1", "keterangan": f"Sukses: {len(checks)} izin diterima"}
    return {"responreceiveNIB": told, "checks": checks}


def _question(item: oss.Item) -> Question | None:
    """None for a permit of a region that is not the caller's."""
    if item.region not in g.client.regions:
        return None
    try:
        return question_of(item.stated)
    except BadInput as error:
        raise item.in_oss_words(error) from error


def _mine(check_id: str) -> CheckRecord:
    """The check, if it is of one of the caller's regions. Raises Problem 404."""
    record = deployment().log.check(check_id)
    if record is None or record.region not in g.client.regions:
        raise caller.Problem(404, "there is no such check")
    return record


def _body(check_id: str) -> dict[str, Any]:
    if (entry := deployment().log.entry(_mine(check_id).id)) is None:
        raise caller.Problem(404, "there is no such check")
    return entry.body


def start_batch() -> Told:
    """Ask many questions, as JSON or CSV (columns: paths of a question). Nothing runs if a line is wrong."""
    here, asker, key = deployment(), g.client.asker, caller.once_key()
    busy = caller.Problem(429, "other large lists are being read; send this one again", **{"Retry-After": "20"})

    def begin(batch_id: str, replaces: str | None) -> str:
        run.start(here, batch_id, lines, asker)
        return batch_id

    def begun(batch_id: str) -> str | None:  # by the log: its table may be behind
        return batch_id if here.log.entry(f"batch.{batch_id}.started") else None

    with reading.turn(request.content_length, busy):
        stated: Any = caller.read()
        if isinstance(stated, bytes):
            rows, stated = reading.read_csv(stated), caller.seen()[2]
        else:
            rows = reading.read_document(stated)
        lines = list(reading.judge(here, rows, g.client.regions, asker))
        db.session.remove()
        batch_id, replayed = once.run(key, stated, begin, begun, timeout=60.0)
    return _batch(batch_id).document(), *made(batch_id, 202, replayed)


def read_batch(batch_id: str) -> dict[str, Any]:
    """How far a batch is."""
    return _batch(batch_id).document()


def cancel_batch(batch_id: str) -> dict[str, Any]:
    """Ask no further line of a batch; the answers that are there stay."""
    if _batch(batch_id).state in ("queued", "running"):
        run.cancel(deployment(), batch_id, g.client.asker)
    return _batch(batch_id).document()


def batch_results(batch_id: str) -> Iterator[str]:
    """What came of every line so far, as CSV."""
    masked, found, here = g.client.scopes == {Scope.CHECK}, _batch(batch_id), deployment()
    told = {"by": g.client.id, "what": "batch", "regions": list(g.client.regions), "batch": batch_id}
    here.log.append("access.export", told | {"request_id": g.request_id})
    return run.results(here.log.engine, found, masked=masked)


def _batch(batch_id: str) -> run.Status:
    """The batch, if all its regions are the caller's. Raises Problem 404."""
    found = run.status(deployment().log.engine, batch_id)
    if found is None or not set(found.regions) <= set(g.client.regions):
        raise caller.Problem(404, "there is no such batch")
    return found
