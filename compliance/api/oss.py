"""OSS's own call, receiveNIB: every permit in the checklist becomes a check (contract §2, domain.md §6)."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flask import Response, g, request
from flask_smorest import Blueprint

from compliance.access.clients import Client, Scope
from compliance.access.once import OnceKey
from compliance.access.oss import OssCallers
from compliance.api.body import read_json
from compliance.api.caller import CHALLENGE, Caller, allow, by_key, enter, read_query
from compliance.api.checks import once, shown_to
from compliance.api.problems import Problem, failures
from compliance.api.schemas import ReceiveNibAnswerSchema, ReceiveNibSchema
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadIdentifier, BadInput, FieldError
from compliance.gate import Question, Recorded
from compliance.intake import read_question
from compliance.law import identifiers

LIMIT = 1024 * 1024
MOST_ITEMS = 100
SCALES = {"01": "micro", "02": "small", "03": "medium", "04": "large"}
PERSON, KTP = "02", "01"
FAILED_WITH = {400, 401, 403, 503}
POINTERS = {
    "/reference": "id_izin",
    "/permit_type": "kd_izin",
    "/business/name": "nama_perseroan",
    "/business/nib": "nib",
    "/business/npwp": "npwp_perseroan",
    "/business/npp": "no_npp",
    "/business/legal_form": "jenis_perseroan",
    "/business/nib_status": "status_nib",
    "/owner/nik": "penanggung_jwb/0/no_identitas_penanggung_jwb",
    "/owner/name": "penanggung_jwb/0/nama_penanggung_jwb",
}
blueprint = Blueprint("oss", __name__, url_prefix="/api/v1/oss", description="Calls that OSS-RBA makes")
with (Path(__file__).parent / "oss_permits.toml").open("rb") as file:
    PERMITS: Mapping[str, str] = tomllib.load(file)["kd_izin"]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist. `region` is "" when its place is no regency or city."""

    index: int
    id_izin: str
    kd_izin: str
    region: str
    renewal: bool


@blueprint.post("/receive-nib")
@blueprint.doc(
    security=[{"key": []}, {"ossToken": []}],
    requestBody={"required": True, "content": {"application/json": {"schema": ReceiveNibSchema}}},
    responses=failures(400, 401, 403, 413, 415, 422, 429, 503),
)
@blueprint.response(200, ReceiveNibAnswerSchema)
def receive_nib() -> Response:
    """Take over a NIB from OSS and check each permit in its checklist.

    STOP and HOLD are answers too: status is "1" whenever every permit was checked.
    """
    g.problem_members = _members
    document, caller = _authenticated()
    read_query(None)
    try:
        data = _object(document, "dataNIB", "")
        stated, items = _business(data), list(_items(data))
        questions = [(item, _question(item, stated, caller)) for item in items]
    except BadInput as error:
        raise Problem(400, "dataNIB is wrong; errors names each field", *error.errors) from error
    db.session.remove()
    answered = [(item, question and _check(question, stated, caller)) for item, question in questions]
    return Response(_answer(answered, caller), 200, content_type="application/json")


def _members(problem: Problem) -> dict[str, Any]:
    """What OSS reads of an error; the rest of the problem document is for people."""
    if problem.status not in FAILED_WITH:
        return {}
    named = "; ".join(f"{wrong.pointer} {wrong.detail}" for wrong in problem.wrong)
    return {"responreceiveNIB": {"status": "2", "keterangan": (named or problem.detail)[:500]}}


def _authenticated() -> tuple[Any, Caller]:
    """A client's key opens before the body is read; OSS's token is made of the NIB inside."""
    if "Authorization" in request.headers:
        caller = enter(by_key())
        allow(caller, Scope.CHECK)
        return read_json(LIMIT), caller
    token = request.headers.get("Token", "")
    if not token:
        raise Problem(401, "send a client key, or OSS's Token", headers=CHALLENGE)
    document = read_json(LIMIT)
    caller = enter(_by_token(token, document))
    allow(caller, Scope.CHECK)
    return document, caller


def _by_token(token: str, document: Any) -> Client | None:
    data = document.get("dataNIB") if isinstance(document, dict) else None
    nib = data.get("nib") if isinstance(data, dict) else None
    if not isinstance(nib, str):
        return None
    running = deployment()
    return OssCallers(running.log, running.clock, running.settings.secret_key.encode()).authenticate(token, nib)


def _business(data: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a question that all items share."""
    business = {
        "name": _text(data, "nama_perseroan"),
        "nib": _text(data, "nib"),
        "npwp": _text(data, "npwp_perseroan"),
        "npp": _text(data, "no_npp"),
        "scale": _scale(data),
        "legal_form": _text(data, "jenis_perseroan"),
        "nib_status": _text(data, "status_nib"),
    }
    if business["nib"] is None:
        raise BadInput(FieldError("/dataNIB/nib", "is required, e.g. 8120001234567"))
    return {"business": business, "owner": _owner(data)}


def _scale(data: Mapping[str, Any]) -> str | None:
    """The company's scale counts; only if OSS has none, the highest of its projects (domain.md §3)."""
    projects = [_text(item, "skala_usaha", at) for at, item in _list(data, "data_proyek")]
    codes = [_text(data, "skala_usaha")]
    codes = codes if codes[0] else [code for code in projects if code]
    wrong = [code for code in codes if code and code not in SCALES]
    if wrong:
        raise BadInput(FieldError("/dataNIB/skala_usaha", "must be 01, 02, 03 or 04, e.g. 02"))
    return SCALES[max(code for code in codes if code)] if any(codes) else None


def _owner(data: Mapping[str, Any]) -> dict[str, Any] | None:
    if _text(data, "jenis_pelaku_usaha") != PERSON:
        return None
    for at, person in _list(data, "penanggung_jwb"):
        if _text(person, "jns_identitas_penanggung_jwb", at) == KTP:
            number = _text(person, "no_identitas_penanggung_jwb", at)
            return {"nik": number, "name": _text(person, "nama_penanggung_jwb", at)}
    return None


def _items(data: Mapping[str, Any]) -> Iterator[Item]:
    listed = list(_list(data, "data_checklist"))
    if len(listed) > MOST_ITEMS:
        raise BadInput(FieldError("/dataNIB/data_checklist", f"has more than {MOST_ITEMS} items"))
    for index, (at, item) in enumerate(listed):
        id_izin, kd_izin = _text(item, "id_izin", at), _text(item, "kd_izin", at)
        if id_izin is None and kd_izin is None:
            continue  # OSS leaves one empty object where it has nothing to list
        if id_izin is None or kd_izin is None:
            missing = "id_izin" if id_izin is None else "kd_izin"
            raise BadInput(FieldError(f"{at}/{missing}", "is required, e.g. 055000000021"))
        place = _text(item, "kd_daerah", at) or _text(data, "kd_daerah") or ""
        renewal = _text(item, "flag_perpanjangan", at) == "Y"
        yield Item(index, id_izin, kd_izin, _region(place, at), renewal)


def _region(place: str, at: str) -> str:
    try:
        return identifiers.region_from_oss(place)
    except BadIdentifier as error:
        raise BadInput(FieldError(f"{at}/kd_daerah", f"must be {error.rule}, e.g. {error.example}")) from error


def _question(item: Item, shared: Mapping[str, Any], caller: Caller) -> Question | None:
    if item.region not in caller.client.regions:
        return None
    running = deployment()
    stated = {
        "reference": item.id_izin,
        "permit_type": PERMITS.get(item.kd_izin, item.kd_izin),
        "stage": "renewal" if item.renewal else "new",
        "region": item.region,
        **shared,
    }
    try:
        return read_question(
            stated,
            regions=caller.client.regions,
            policy=running.policy,
            now=running.clock(),
            asker=caller.asker,
            request_id=g.request_id,
        )
    except BadInput as error:
        raise BadInput(*(FieldError(_back(e.pointer, item.index), e.detail) for e in error.errors)) from error


def _back(pointer: str, index: int) -> str:
    """Where OSS wrote what our question calls `pointer`."""
    name = POINTERS.get(pointer, "")
    return f"/dataNIB/data_checklist/{index}/{name}" if name in ("id_izin", "kd_izin") else f"/dataNIB/{name}"


def _check(question: Question, shared: Mapping[str, Any], caller: Caller) -> Recorded:
    """The same NIB and permit on the same day get the same answer, unless it was UNDETERMINED."""
    day = question.application.as_at.isoformat()
    key = OnceKey(caller.client.id, "receive-nib", f"{question.identity.nib}:{question.reference}:{day}")

    def ask(check_id: str, replaces: str | None) -> Recorded:
        return deployment().gate.check(replace(question, id=check_id, replaces=replaces))

    wait = deployment().settings.registry_timeout
    return once().run(key, question.reference, ask, wait=wait, patient=False)[0]


def _answer(answered: list[tuple[Item, Recorded | None]], caller: Caller) -> str:
    """The answer's text, with each check's document as it stands in the log."""
    checks = []
    for item, recorded in answered:
        names = json.dumps({"id_izin": item.id_izin, "kd_izin": item.kd_izin})
        document = shown_to(caller, recorded.document) if recorded else "null"
        checks.append(f'{names[:-1]}, "check": {document}}}')
    said = json.dumps({"status": "1", "keterangan": f"Sukses: {len(answered)} izin diterima"})
    return f'{{"responreceiveNIB": {said}, "checks": [{", ".join(checks)}]}}'


def _object(holder: Any, name: str, at: str) -> Mapping[str, Any]:
    inner = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(inner, dict):
        raise BadInput(FieldError(f"{at}/{name}", 'must be an object, e.g. {"nib": "8120001234567"}'))
    return inner


def _list(data: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each object of a list with its pointer; OSS writes an empty text where it has no list."""
    listed = data.get(name)
    if listed is None or listed == "":
        return
    if not isinstance(listed, list):
        raise BadInput(FieldError(f"/dataNIB/{name}", "must be a list of objects, e.g. []"))
    for index, item in enumerate(listed):
        if not isinstance(item, dict):
            raise BadInput(FieldError(f"/dataNIB/{name}/{index}", "must be an object, e.g. {}"))
        yield f"/dataNIB/{name}/{index}", item


def _text(data: Mapping[str, Any], name: str, at: str = "/dataNIB") -> str | None:
    """OSS writes every value as text, also an empty one for "none"."""
    value = data.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise BadInput(FieldError(f"{at}/{name}", f'must be a text, e.g. "{re.sub("[^0-9]", "", str(value))[:20]}"'))
    return value.strip()
