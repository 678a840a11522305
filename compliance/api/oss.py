"""OSS's own call, receiveNIB: every permit in the checklist becomes a check (contract §2, domain.md §6)."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Response, g, request
from flask_smorest import Blueprint

from compliance.access.clients import Client, Scope
from compliance.access.once import OnceKey
from compliance.access.oss import OssCallers
from compliance.api.body import read_json
from compliance.api.caller import CHALLENGE, Caller, allow, by_key, enter, read_query
from compliance.api.checks import asking, once, question_of, shown_to
from compliance.api.problems import Problem, failures
from compliance.api.schemas import ANSWER, ReceiveNibSchema
from compliance.audit.document import text
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadIdentifier, BadInput, FieldError
from compliance.gate import Question, Recorded
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
with (Path(__file__).parent / "oss_permits.toml").open("rb") as file:
    PERMITS: Mapping[str, str] = tomllib.load(file)["kd_izin"]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist, as the question that it asks."""

    index: int
    kd_izin: str
    stated: dict[str, Any]

    @property
    def names(self) -> dict[str, str]:
        return {"id_izin": self.stated["reference"], "kd_izin": self.kd_izin}


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
    document, caller = _authenticated()
    read_query(None)
    try:
        items = list(_items(_object(document, "dataNIB", "")))
        questions = [_question(item, caller) for item in items]
    except BadInput as error:
        raise Problem(400, "dataNIB is wrong; errors names each field", *error.errors) from error
    db.session.remove()  # no connection is held while the agency is asked
    checks = [
        {**item.names, "check": json.loads(shown_to(caller, _check(question).document)) if question else None}
        for item, question in zip(items, questions, strict=True)
    ]
    said = {"status": "1", "keterangan": f"Sukses: {len(items)} izin diterima"}
    return Response(text({"responreceiveNIB": said, "checks": checks}), content_type="application/json")


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


def _items(data: Mapping[str, Any]) -> Iterator[Item]:
    """The questions that the checklist asks; they share the business and its owner."""
    shared = {"business": _business(data), "owner": _owner(data)}
    listed = list(_list(data, "data_checklist"))
    if len(listed) > MOST_ITEMS:
        raise BadInput(FieldError("/dataNIB/data_checklist", f"has more than {MOST_ITEMS} items"))
    for index, (at, item) in enumerate(listed):
        if not _text(item, "id_izin", at) and not _text(item, "kd_izin", at):
            continue  # OSS leaves one empty object where it has nothing to list
        id_izin, kd_izin = _needed(item, "id_izin", at), _needed(item, "kd_izin", at)
        stated = {
            "reference": id_izin,
            "permit_type": PERMITS.get(kd_izin, kd_izin),
            "stage": "renewal" if _text(item, "flag_perpanjangan", at) == "Y" else "new",
            "region": _region(_text(item, "kd_daerah", at) or _text(data, "kd_daerah") or "", at),
        }
        yield Item(index, kd_izin, stated | shared)


def _business(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": _text(data, "nama_perseroan"),
        "nib": _needed(data, "nib", "/dataNIB"),
        "npwp": _text(data, "npwp_perseroan"),
        "npp": _text(data, "no_npp"),
        "scale": _scale(data),
        "legal_form": _text(data, "jenis_perseroan"),
        "nib_status": _text(data, "status_nib"),
    }


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


def _region(place: str, at: str) -> str:
    try:
        return identifiers.region_from_oss(place)
    except BadIdentifier as error:
        raise BadInput(FieldError(f"{at}/kd_daerah", f"must be {error.rule}, e.g. {error.example}")) from error


def _question(item: Item, caller: Caller) -> Question | None:
    """None for a permit of a region that is not the caller's."""
    if item.stated["region"] not in caller.client.regions:
        return None
    try:
        return question_of(item.stated, caller)
    except BadInput as error:
        raise BadInput(*(FieldError(_back(e.pointer, item.index), e.detail) for e in error.errors)) from error


def _back(pointer: str, index: int) -> str:
    """Where OSS wrote what our question calls `pointer`."""
    name = POINTERS.get(pointer, "")
    return f"/dataNIB/data_checklist/{index}/{name}" if name in ("id_izin", "kd_izin") else f"/dataNIB/{name}"


def _check(question: Question) -> Recorded:
    """The same NIB and permit on the same day get the same answer, unless it was UNDETERMINED."""
    day = question.application.as_at.isoformat()
    key = OnceKey(question.asker.id, "receive-nib", f"{question.identity.nib}:{question.reference}:{day}")
    wait = deployment().settings.registry_timeout
    return once().run(key, question.reference, asking(question), wait=wait, patient=False)[0]


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


def _needed(data: Mapping[str, Any], name: str, at: str) -> str:
    value = _text(data, name, at)
    if value is None:
        raise BadInput(FieldError(f"{at}/{name}", f"is required, e.g. {EXAMPLES[name]}"))
    return value
