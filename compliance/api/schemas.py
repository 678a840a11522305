"""The documents that the API answers with, for its OpenAPI description (the text itself comes from the log room)."""

from __future__ import annotations

from typing import Any

from marshmallow import INCLUDE, Schema, fields
from marshmallow.validate import OneOf

from compliance.intake.fields import Day, Pattern, Say, Text, Word
from compliance.intake.schema import Document
from compliance.law.facts import Action, Certainty, Effect, RuleStage, Verdict

MOMENT: dict[str, Any] = {"format": "date-time", "example": "2026-11-20T08:00:00Z"}


def text(*, null: bool = False, **shown: Any) -> fields.String:
    return fields.String(required=True, allow_none=null, metadata=shown)


def words(kind: Any) -> fields.String:
    return fields.String(required=True, validate=OneOf([str(word) for word in kind]))


def part(schema: type[Schema], *, null: bool = False, many: bool = False) -> fields.Nested:
    return fields.Nested(schema, required=True, allow_none=null, many=many)


class FieldErrorSchema(Schema):
    pointer = text(example="/business/nib")
    detail = text(example="must be 13 digits, e.g. 8120001234567")


class OssSaidSchema(Schema):
    status = fields.String(required=True, validate=OneOf(["1", "2"]))
    keterangan = fields.String(required=True)


class ProblemSchema(Schema):
    """RFC 9457; OSS gets its own words in it."""

    type = text(format="uri")
    title = text()
    status = fields.Integer(required=True)
    detail = text()
    instance = text()
    code = text()
    request_id = text()
    errors = part(FieldErrorSchema, many=True)
    responreceiveNIB = fields.Nested(OssSaidSchema)


class BasisSchema(Schema):
    cite = text(example="Perpres 109/2013 Pasal 6 ayat (3)")
    certainty = words(Certainty)


class FindingSchema(Schema):
    code = text(example="PROGRAMMES_MISSING")
    effect = words(Effect)
    message = text(null=True)
    remedy = text(null=True)
    facts = fields.Dict(required=True)
    legal_basis = part(BasisSchema, many=True)


class CureSchema(Schema):
    steps = fields.List(fields.String(), required=True)
    recheck_after = text(null=True, format="date")


class RegistrySchema(Schema):
    source = text(example="http")
    as_of = text(null=True, **MOMENT)
    reference = text(null=True)
    cached = fields.Boolean(required=True)
    stale = fields.Boolean(required=True)


class OutageSchema(Schema):
    source = text(example="http")
    since = text(**MOMENT)
    tries = fields.List(text(**MOMENT), required=True)


class PolicySchema(Schema):
    region = text(example="73.09")
    version = text()
    sha256 = text()
    stage = words(RuleStage)


class ReceiptSchema(Schema):
    code = text(example="K7QF-2M9X-4T3P")
    url = text(format="uri")
    jws = text(description="compact, EdDSA; the key is in /.well-known/jwks.json")
    proof = text(description="C2SP tlog-proof")


class ListedReceiptSchema(Schema):
    code = text(example="K7QF-2M9X-4T3P")
    url = text(format="uri")


class LogSchema(Schema):
    origin = text()
    index = fields.Integer(required=True)
    leaf_hash = text()


class OfficerDecisionSchema(Schema):
    effect = words(Effect)
    ground = text()
    by_role = text()
    at = text(**MOMENT)
    until = text(null=True, format="date")
    entry = fields.Integer(required=True)


class ListedCheckSchema(Schema):
    """One check as the list shows it."""

    id = text()
    checked_at = text(**MOMENT)
    reference = text()
    region = text(example="73.09")
    permit_type = text(example="RESTORAN")
    as_at = text(format="date")
    backdated = fields.Boolean(required=True)
    verdict = words(Verdict)
    action = words(Action)
    enforced = fields.Boolean(required=True)
    label = text()
    summary = text()
    findings = part(FindingSchema, many=True)
    cure = part(CureSchema, null=True)
    valid_until = text(null=True, format="date")
    retry_after = text(null=True, **MOMENT)
    registry = part(RegistrySchema, null=True)
    outage = part(OutageSchema, null=True)
    policy = part(PolicySchema)
    receipt = part(ListedReceiptSchema)
    log = part(LogSchema)
    replaces = text(null=True)


class CheckSchema(ListedCheckSchema):
    """The answer to a question. It never changes; a GET adds what came after it."""

    receipt = part(ReceiptSchema)
    superseded_by = fields.String()
    decision = fields.Nested(OfficerDecisionSchema)


class CheckListSchema(Schema):
    items = part(ListedCheckSchema, many=True)
    next_cursor = text(null=True)


class ProofSchema(Schema):
    body = text(description="the entry as it was hashed, base64")
    index = fields.Integer(required=True)
    leaf_hash = text()
    proof = fields.List(fields.String(), required=True)
    checkpoint = text()
    disclosures = fields.List(fields.String(), required=True)


class DifferenceSchema(Schema):
    path = text()
    then = fields.Raw(required=True, allow_none=True)
    now = fields.Raw(required=True, allow_none=True)


class ReplaySchema(Schema):
    same = fields.Boolean(required=True)
    verdict = words(Verdict)
    findings = part(FindingSchema, many=True)
    differences = part(DifferenceSchema, many=True)
    policy_sha256 = text()


class ExplainSchema(Schema):
    id = text()
    as_at = text(format="date")
    policy = fields.Dict(required=True)
    rules = fields.List(fields.Dict(), required=True)
    not_reached = fields.List(fields.String(), required=True)
    decision = fields.Dict(required=True)


class ListQuery(Document):
    """What a list of checks may be narrowed to; days are those of the region's zone, inclusive."""

    reference = Text(64, printable=True)
    nib = Pattern("[0-9]{13}", Say("must be 13 digits", "harus 13 angka"), "8120001234567")
    verdict = Word(Verdict)
    action = Word(Action)
    permit_type = Text(upper=True)
    since = Day(data_key="from")
    until = Day(data_key="to")
    limit = Pattern(
        "[1-9][0-9]?|1[0-9]{2}|200",
        Say("must be a whole number from 1 to 200", "harus bilangan bulat dari 1 sampai 200"),
        "50",
        shown={"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
    )
    cursor = Text(100, printable=True)


class Open(Schema):
    """Ignores what it does not know."""

    class Meta:
        unknown = INCLUDE


class OssChecklistItemSchema(Open):
    id_izin = fields.String(metadata={"example": "I-202602031104599001"})
    kd_izin = fields.String(metadata={"example": "055000000021"})
    kd_daerah = fields.String(metadata={"example": "7309000000"})
    flag_perpanjangan = fields.String(metadata={"example": "N"})


class OssNibSchema(Open):
    """The fields of dataNIB that are read; all others are ignored. Every value is a text, empty for none."""

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


class OssCheckSchema(Schema):
    id_izin = text()
    kd_izin = text()
    check = part(CheckSchema, null=True)


class ReceiveNibAnswerSchema(Schema):
    responreceiveNIB = part(OssSaidSchema)
    checks = part(OssCheckSchema, many=True)
