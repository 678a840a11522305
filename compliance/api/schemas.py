"""The documents that the API answers with, for its OpenAPI description (the text itself comes from the log room)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marshmallow import INCLUDE, Schema, fields
from marshmallow.validate import OneOf

from compliance.intake.fields import THIRTEEN, Say, day, number, text, word
from compliance.intake.schema import Document
from compliance.law.facts import Action, Certainty, Effect, RuleStage, Verdict

MOMENT = {"format": "date-time", "example": "2026-11-20T08:00:00Z"}
DAY = {"format": "date", "example": "2026-11-20"}
LIMIT = Say("must be a whole number from 1 to 200", "harus bilangan bulat dari 1 sampai 200")


def said(shown: dict[str, Any] | None = None, *, null: bool = False) -> fields.String:
    return fields.String(required=True, allow_none=null, metadata=shown or {})


def words(kind: Iterable[str]) -> fields.String:
    return fields.String(required=True, validate=OneOf([str(one) for one in kind]))


def part(schema: type[Schema], *, null: bool = False, many: bool = False) -> fields.Nested:
    return fields.Nested(schema, required=True, allow_none=null, many=many)


def document(name: str, **named: fields.Field[Any]) -> type[Schema]:
    return type(f"{name}Schema", (Schema,), named)


def whole() -> fields.Integer:
    return fields.Integer(required=True)


def yes_or_no() -> fields.Boolean:
    return fields.Boolean(required=True)


def free() -> fields.Dict:
    return fields.Dict(required=True)


def texts() -> fields.List:
    return fields.List(fields.String(), required=True)


OssSaidSchema = document("OssSaid", status=words("12"), keterangan=said())
FieldErrorSchema = document("FieldError", pointer=said({"example": "/business/nib"}), detail=said())
ProblemSchema = document(
    "Problem",
    **{"type": said({"format": "uri"}), "title": said(), "status": whole(), "detail": said(), "instance": said()},
    **{"code": said(), "request_id": said(), "errors": part(FieldErrorSchema, many=True)},
    responreceiveNIB=fields.Nested(OssSaidSchema),
)
BasisSchema = document("Basis", cite=said({"example": "UU 24/2011 Pasal 17"}), certainty=words(Certainty))
FindingSchema = document(
    "Finding",
    **{"code": said({"example": "PROGRAMMES_MISSING"}), "effect": words(Effect), "message": said(null=True)},
    **{"remedy": said(null=True), "facts": free(), "legal_basis": part(BasisSchema, many=True)},
)
CureSchema = document("Cure", steps=texts(), recheck_after=said(DAY, null=True))
RegistrySchema = document(
    "Registry",
    **{"source": said({"example": "http"}), "as_of": said(MOMENT, null=True), "reference": said(null=True)},
    **{"cached": yes_or_no(), "stale": yes_or_no()},
)
PolicySchema = document("Policy", region=said(), version=said(), sha256=said(), stage=words(RuleStage))
LogSchema = document("Log", origin=said(), index=whole(), leaf_hash=said())
SHORT = {"code": said({"example": "K7QF-2M9X-4T3P"}), "url": said({"format": "uri"})}
ReceiptSchema = document("Receipt", **SHORT, jws=said(), proof=said({"description": "C2SP tlog-proof"}))
OfficerDecisionSchema = document(
    "OfficerDecision",
    **{"effect": words(Effect), "ground": said(), "by_role": said(), "at": said(MOMENT)},
    **{"until": said(DAY, null=True), "entry": whole()},
)
CHECK: dict[str, fields.Field[Any]] = {
    **{"id": said(), "checked_at": said(MOMENT), "reference": said(), "region": said(), "permit_type": said()},
    **{"as_at": said(DAY), "backdated": yes_or_no(), "verdict": words(Verdict), "action": words(Action)},
    **{"enforced": yes_or_no(), "label": said(), "summary": said(), "findings": part(FindingSchema, many=True)},
    **{
        "cure": part(CureSchema, null=True),
        "valid_until": said(DAY, null=True),
        "retry_after": said(MOMENT, null=True),
    },
    **{"registry": part(RegistrySchema, null=True), "policy": part(PolicySchema), "log": part(LogSchema)},
    "replaces": said(null=True),
}
ListedCheckSchema = document("ListedCheck", **CHECK, receipt=part(document("ListedReceipt", **SHORT)))
CheckSchema = document(
    "Check",
    **CHECK,
    receipt=part(ReceiptSchema),
    superseded_by=fields.String(),
    decision=fields.Nested(OfficerDecisionSchema),
)
CheckListSchema = document("CheckList", items=part(ListedCheckSchema, many=True), next_cursor=said(null=True))
ProofSchema = document(
    "Proof",
    **{"body": said({"description": "the entry as it was hashed, base64"}), "index": whole(), "leaf_hash": said()},
    **{"proof": texts(), "checkpoint": said(), "disclosures": texts()},
)
DifferenceSchema = document(
    "Difference",
    path=said(),
    then=fields.Raw(required=True, allow_none=True),
    now=fields.Raw(required=True, allow_none=True),
)
ReplaySchema = document(
    "Replay",
    **{"same": yes_or_no(), "verdict": words(Verdict), "findings": part(FindingSchema, many=True)},
    **{"differences": part(DifferenceSchema, many=True), "policy_sha256": said()},
)
ExplainSchema = document(
    "Explain",
    **{"id": said(), "as_at": said(DAY), "policy": free(), "rules": fields.List(fields.Dict(), required=True)},
    **{"not_reached": texts(), "decision": free()},
)


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


OssCheckSchema = document("OssCheck", id_izin=said(), kd_izin=said(), check=part(CheckSchema, null=True))
ReceiveNibAnswerSchema = document(
    "ReceiveNibAnswer", responreceiveNIB=part(OssSaidSchema), checks=part(OssCheckSchema, many=True)
)
