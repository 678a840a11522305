"""The document of a question (contract §2): the one place that names its fields. The OpenAPI document is made of it."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from compliance.intake.fields import NOT_OBJECT, SIXTEEN, THIRTEEN, UNKNOWN, Say, count, day, number, text, word, yes_no
from compliance.law import identifiers
from compliance.law.facts import Scale

NPWP = "[0-9](?:[-. ]?[0-9]){14,15}|[0-9](?:[-. ]?[0-9]){21}"
NPWP_RULE = Say("must have 15, 16 or 22 digits, with or without dots and dashes", "harus 15, 16 atau 22 angka")
NPP_RULE = Say("must be 1 to 20 letters and digits", "harus 1 sampai 20 huruf dan angka")
REGION = (
    "[0-9]{2}[.][0-9]{2}",
    Say("must be two digits, a dot, two digits", "harus dua angka, titik, dua angka"),
    "73.09",
)
LEGAL_FORM = Say("must be two digits (OSS jenis_perseroan)", "harus dua angka (jenis_perseroan OSS)")
NIB_STATUS = Say("must be 01 to 06 (OSS status_nib)", "harus 01 sampai 06 (status_nib OSS)")


class Document(Schema):
    """Refuses what it does not know."""

    error_messages: Any = {"unknown": UNKNOWN, "type": NOT_OBJECT}  # noqa: RUF012


class OfficerSchema(Document):
    nip = text(example="197001012000031001")
    name = text()


class BusinessSchema(Document):
    name = text(example="CV Sumber Rejeki")
    nib = number("[0-9]{13}", THIRTEEN, "8120001234567", identifiers.nib)
    npwp = number(NPWP, NPWP_RULE, "01.234.567.8-801.000", identifiers.npwp)
    npp = number("[0-9A-Za-z]{1,20}", NPP_RULE, "15070955", identifiers.npp)
    scale = word(Scale)
    legal_form = number("[0-9]{2}", LEGAL_FORM, "02")
    nib_status = number("0[1-6]", NIB_STATUS, "01")


class OwnerSchema(Document):
    name = text()
    nik = number("[0-9]{16}", SIXTEEN, "7309054403880002", identifiers.nik)


class WorkforceSchema(Document):
    employs_workers = yes_no()
    declared = count()
    foreign = count()
    foreign_short_term = count()
    outsourced = count()
    over_pension_age = count()
    hired_last_30_days = count()


class ProjectSchema(Document):
    contract_date = day()
    region = number(*REGION)
    number = number("[0-9]{13}", THIRTEEN, "2300001078094", identifiers.project_number)


def _part(schema: type[Schema]) -> fields.Nested:
    messages: Any = {"type": NOT_OBJECT}
    return fields.Nested(schema, allow_none=True, error_messages=messages)


class QuestionSchema(Document):
    """What licensing software asks."""

    reference = text(64, printable=True, required=True, example="503/0123/DPMPTSP/2026")
    permit_type = text(printable=True, upper=True, required=True, example="RESTORAN")
    stage = word(("new", "renewal"))
    region = number(*REGION)
    as_at = day()
    officer = _part(OfficerSchema)
    business = _part(BusinessSchema)
    owner = _part(OwnerSchema)
    workforce = _part(WorkforceSchema)
    project = _part(ProjectSchema)


QUESTION = QuestionSchema()
PARTS = (OfficerSchema, BusinessSchema, OwnerSchema, WorkforceSchema, ProjectSchema)
KNOWN = frozenset(name for part in (QuestionSchema, *PARTS) for name in part._declared_fields)
