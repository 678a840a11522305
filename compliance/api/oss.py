"""OSS's own call, receiveNIB: every permit in the checklist becomes a check (contract §2, domain.md §6)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flask import Response, g, request
from flask_smorest import Blueprint
from marshmallow import INCLUDE, Schema, fields, pre_load

from compliance.access.clients import Scope
from compliance.access.once import OnceKey, check_once
from compliance.access.oss import OssCallers
from compliance.api.body import read_json
from compliance.api.caller import CHALLENGE, allow, by_key, enter, read_query
from compliance.api.checks import question_of, shown
from compliance.api.problems import Problem, failures
from compliance.api.schemas import ANSWER
from compliance.audit.document import text
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadIdentifier, BadInput, FieldError
from compliance.gate import Question
from compliance.intake import bad_input, load
from compliance.intake.fields import Field, Say, read_text, say
from compliance.intake.schema import NOT_OBJECT
from compliance.law import identifiers

LIMIT = 1024 * 1024
MOST_ITEMS = 100
SCALES = {"01": "micro", "02": "small", "03": "medium", "04": "large"}
PERSON, KTP = "02", "01"
FAILED_WITH = {400, 401, 403, 503}
EXAMPLES = {"nib": "8120001234567", "id_izin": "I-202602031104599001", "kd_izin": "055000000021"}
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
PERMITS: Mapping[str, str] = tomllib.loads((Path(__file__).parent / "oss_permits.toml").read_text())["kd_izin"]


def said(example: str = "") -> Field:
    """OSS writes every value as text."""
    described = {"type": "string"} | ({"example": example} if example else {})
    return Field(lambda value: read_text(value).strip(), say("text"), described)


class Open(Schema):
    """Ignores what it does not know. An empty text means none, for a list too."""

    error_messages: Any = NOT_OBJECT

    class Meta:
        unknown = INCLUDE

    @pre_load
    def _without_blanks(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {name: v for name, v in data.items() if v is not None and not (isinstance(v, str) and not v.strip())}


def listed(schema: type[Schema]) -> fields.List[Any]:
    messages: Any = {"invalid": say("list", "[]")}
    return fields.List(fields.Nested(schema), error_messages=messages)


class OssChecklistItemSchema(Open):
    id_izin = said(EXAMPLES["id_izin"])
    kd_izin = said(EXAMPLES["kd_izin"])
    kd_daerah = said("7309000000")
    flag_perpanjangan = said("N")


class OssPersonSchema(Open):
    jns_identitas_penanggung_jwb = no_identitas_penanggung_jwb = nama_penanggung_jwb = said()


class OssProjectSchema(Open):
    skala_usaha = said("02")


class OssNibSchema(Open):
    nib = said(EXAMPLES["nib"])
    nama_perseroan = npwp_perseroan = no_npp = jenis_perseroan = jenis_pelaku_usaha = skala_usaha = said()
    status_nib = kd_daerah = said()
    penanggung_jwb = listed(OssPersonSchema)
    data_proyek = listed(OssProjectSchema)
    data_checklist = listed(OssChecklistItemSchema)


class ReceiveNibSchema(Open):
    dataNIB = fields.Nested(OssNibSchema, required=True)  # OSS's own spelling


@blueprint.post("/receive-nib")
@blueprint.doc(
    security=[{"key": []}, {"ossToken": []}],
    requestBody={"required": True, "content": {"application/json": {"schema": ReceiveNibSchema}}},
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
        asked = [(names, _question(stated, pointer)) for names, stated, pointer in _items(document)]
    except BadInput as error:
        raise Problem(400, "dataNIB is wrong; errors names each field", *error.errors) from error
    db.session.remove()  # no connection is held while the agency is asked
    checks = [{**names, "check": _check(question) if question else None} for names, question in asked]
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
        raise Problem(401, "send a client key, or OSS's Token", headers=CHALLENGE)
    document, running = read_json(LIMIT), deployment()
    data = document.get("dataNIB") if isinstance(document, dict) else None
    nib = data.get("nib") if isinstance(data, dict) else None
    callers = OssCallers(running.log, running.clock, running.settings.secret_key.encode())
    allow(enter(callers.authenticate(token, nib) if isinstance(nib, str) else None), Scope.CHECK)
    return document


def _items(document: Any) -> Iterator[tuple[dict[str, str], dict[str, Any], str]]:
    """Each permit of the checklist: its numbers, its question, its pointer. They share the business and its owner."""
    broken: list[tuple[str, Say]] = []
    data = load(OssNibSchema(), document.get("dataNIB") if isinstance(document, dict) else None, broken, "/dataNIB")
    if broken:
        raise bad_input(broken)
    shared = {"business": _business(data), "owner": _owner(data)}
    checklist = data.get("data_checklist", [])
    if len(checklist) > MOST_ITEMS:
        raise BadInput(FieldError("/dataNIB/data_checklist", f"has more than {MOST_ITEMS} items"))
    for index, item in enumerate(checklist):
        at = f"/dataNIB/data_checklist/{index}"
        if "id_izin" not in item and "kd_izin" not in item:
            continue  # OSS leaves one empty object where it has nothing to list
        id_izin, kd_izin = _needed(item, "id_izin", at), _needed(item, "kd_izin", at)
        try:
            region = identifiers.region_from_oss(item.get("kd_daerah") or data.get("kd_daerah", ""))
        except BadIdentifier as error:
            raise BadInput(FieldError(f"{at}/kd_daerah", f"must be {error.rule}, e.g. {error.example}")) from error
        stated = {
            "reference": id_izin,
            "permit_type": PERMITS.get(kd_izin, kd_izin),
            "stage": "renewal" if item.get("flag_perpanjangan") == "Y" else "new",
            "region": region,
        }
        yield {"id_izin": id_izin, "kd_izin": kd_izin}, stated | shared, at


def _business(data: Mapping[str, Any]) -> dict[str, Any]:
    """The company's scale counts; only if OSS has none, the highest of its projects (domain.md §3)."""
    projects = [project["skala_usaha"] for project in data.get("data_proyek", []) if "skala_usaha" in project]
    scales = [data["skala_usaha"]] if "skala_usaha" in data else projects
    if not set(scales) <= set(SCALES):
        raise BadInput(FieldError("/dataNIB/skala_usaha", "must be 01, 02, 03 or 04, e.g. 02"))
    named = {ours.removeprefix("/business/"): data.get(name) for ours, name in POINTERS.items() if "business" in ours}
    return named | {"nib": _needed(data, "nib", "/dataNIB"), "scale": SCALES[max(scales)] if scales else None}


def _owner(data: Mapping[str, Any]) -> dict[str, Any] | None:
    people = data.get("penanggung_jwb", []) if data.get("jenis_pelaku_usaha") == PERSON else []
    for person in people:
        if person.get("jns_identitas_penanggung_jwb") == KTP:
            return {"nik": person.get("no_identitas_penanggung_jwb"), "name": person.get("nama_penanggung_jwb")}
    return None


def _needed(holder: Mapping[str, Any], name: str, at: str) -> str:
    if name not in holder:
        raise BadInput(FieldError(f"{at}/{name}", f"is required, e.g. {EXAMPLES[name]}"))
    return str(holder[name])


def _question(stated: dict[str, Any], at: str) -> Question | None:
    """None for a permit of a region that is not the caller's. Errors point to where OSS wrote the field."""
    if stated["region"] not in g.caller.client.regions:
        return None
    try:
        return question_of(stated)
    except BadInput as error:
        names = [(POINTERS.get(wrong.pointer, ""), wrong.detail) for wrong in error.errors]
        told = (FieldError(f"{at if name.endswith('_izin') else '/dataNIB'}/{name}", detail) for name, detail in names)
        raise BadInput(*told) from error


def _check(question: Question) -> Any:
    """The same NIB and permit on the same day get the same answer, unless it was UNDETERMINED."""
    day = question.application.as_at.isoformat()
    key = OnceKey(question.asker.id, "receive-nib", f"{question.identity.nib}:{question.reference}:{day}")
    wait = deployment().settings.registry_timeout
    return json.loads(shown(check_once(key, question.reference, question, wait=wait, patient=False)[0].document))
