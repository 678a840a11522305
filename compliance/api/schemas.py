"""The documents that the API answers with, for its OpenAPI description (the text itself comes from the log room)."""

from __future__ import annotations

from typing import Any

from marshmallow import INCLUDE, Schema, fields
from marshmallow.validate import OneOf

from compliance.intake.fields import THIRTEEN, Say, day, number, text, word
from compliance.intake.schema import Document
from compliance.law.facts import Action, Certainty, Effect, RuleStage, Verdict

# One document a line: its name, then its fields as `name:type`. Without a type it is a text; `[X]` is a list of X;
# a name that ends in `?` may be null, in `*` may be left out.
ANSWERS = """
OssSaid status:OssStatus keterangan
FieldError pointer detail
Problem type:uri title status:int detail instance code request_id errors:[FieldError] responreceiveNIB*:OssSaid
Basis cite certainty:Certainty
Finding code effect:Effect message? remedy? facts:object legal_basis:[Basis]
Cure steps:[text] recheck_after?:day
Registry source as_of?:moment reference? cached:bool stale:bool
Policy region version sha256 stage:RuleStage
Log origin index:int leaf_hash
Outage source since:moment tries:[moment]
ListedReceipt code url:uri
Receipt code url:uri jws proof
OfficerDecision effect:Effect ground by_role at:moment until?:day entry:int
ListedCheck {check} receipt:ListedReceipt
Check {check} receipt:Receipt superseded_by* decision*:OfficerDecision
CheckList items:[ListedCheck] next_cursor?
Proof body index:int leaf_hash proof:[text] checkpoint disclosures:[text]
Difference path then?:any now?:any
Replay same:bool verdict:Verdict findings:[Finding] differences:[Difference] policy_sha256
Explain id as_at:day policy:object rules:[object] not_reached:[text] decision:object
OssCheck id_izin kd_izin check?:Check
ReceiveNibAnswer responreceiveNIB:OssSaid checks:[OssCheck]
""".replace(
    "{check}",
    "id checked_at:moment reference region permit_type as_at:day backdated:bool verdict:Verdict action:Action"
    " enforced:bool label summary findings:[Finding] cure?:Cure valid_until?:day retry_after?:moment"
    " registry?:Registry policy:Policy log:Log replaces? outage*:Outage",
)
ENUMS: dict[str, Any] = {kind.__name__: tuple(kind) for kind in (Action, Certainty, Effect, RuleStage, Verdict)}
ENUMS["OssStatus"] = ("1", "2")
FORMATS = {"day": "date", "moment": "date-time", "uri": "uri"}
PLAIN: dict[str, Any] = {"int": fields.Integer, "bool": fields.Boolean, "object": fields.Dict, "any": fields.Raw}
LIMIT = Say("must be a whole number from 1 to 200", "harus bilangan bulat dari 1 sampai 200")


def _documents(table: str) -> dict[str, type[Schema]]:
    known: dict[str, type[Schema]] = {}
    for line in table.strip().splitlines():
        name, *parts = line.split()
        described = {}
        for part in parts:
            field, _, kind = part.partition(":")
            options = {"required": not field.endswith("*"), "allow_none": field.endswith("?")}
            described[field.rstrip("?*")] = _field(kind, known, options)
        known[name] = type(f"{name}Schema", (Schema,), described)
    return known


def _field(kind: str, known: dict[str, type[Schema]], options: dict[str, Any]) -> Any:
    if kind.startswith("["):
        return fields.List(_field(kind.strip("[]"), known, {}), **options)
    if kind in known:
        return fields.Nested(known[kind], **options)
    if kind in PLAIN:
        return PLAIN[kind](**options)
    if kind in ENUMS:
        return fields.String(validate=OneOf([str(one) for one in ENUMS[kind]]), **options)
    return fields.String(metadata={"format": FORMATS[kind]} if kind in FORMATS else {}, **options)


ANSWER = _documents(ANSWERS)


class ListQuery(Document):
    """What a list of checks may be narrowed to; days are those of the region's zone, inclusive."""

    reference = text(64, printable=True)
    nib = number("[0-9]{13}", THIRTEEN, "8120001234567")
    verdict = word(Verdict)
    action = word(Action)
    permit_type = text(upper=True)
    since = day(data_key="from")
    until = day(data_key="to")
    limit = number("[1-9][0-9]?|1[0-9]{2}|200", LIMIT, "50", type="integer", minimum=1, maximum=200, default=50)
    cursor = text(100, printable=True)


class Open(Schema):
    """Ignores what it does not know. OSS writes every value as text, empty for none."""

    class Meta:
        unknown = INCLUDE


class OssChecklistItemSchema(Open):
    id_izin = fields.String(metadata={"example": "I-202602031104599001"})
    kd_izin = fields.String(metadata={"example": "055000000021"})
    kd_daerah = fields.String(metadata={"example": "7309000000"})
    flag_perpanjangan = fields.String(metadata={"example": "N"})


class OssNibSchema(Open):
    nib = fields.String(required=True, metadata={"example": "8120001234567"})
    nama_perseroan = fields.String()
    npwp_perseroan = fields.String()
    no_npp = fields.String()
    jenis_perseroan = fields.String()
    jenis_pelaku_usaha = fields.String()
    skala_usaha = fields.String()
    status_nib = fields.String()
    kd_daerah = fields.String()
    penanggung_jwb = fields.List(fields.Dict())
    data_proyek = fields.List(fields.Dict())
    data_checklist = fields.List(fields.Nested(OssChecklistItemSchema))


class ReceiveNibSchema(Open):
    dataNIB = fields.Nested(OssNibSchema, required=True)  # OSS's own spelling
