"""The document of a question (contract §2): the one place that names its fields. The OpenAPI document is made of it."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from compliance.intake.fields import (
    NOT_OBJECT,
    UNKNOWN,
    Count,
    Day,
    Identifier,
    Pattern,
    Say,
    Text,
    Word,
    YesNo,
)
from compliance.law import identifiers
from compliance.law.facts import Scale

REGION = Say("must be two digits, a dot, two digits", "harus dua angka, titik, dua angka")
THIRTEEN = Say("must be 13 digits", "harus 13 angka")
SIXTEEN = Say("must be 16 digits", "harus 16 angka")


class Document(Schema):
    """Refuses what it does not know."""

    error_messages: Any = {"unknown": UNKNOWN, "type": NOT_OBJECT}  # noqa: RUF012


class OfficerSchema(Document):
    nip = Text(example="197001012000031001")
    name = Text()


class BusinessSchema(Document):
    name = Text(example="CV Sumber Rejeki")
    nib = Identifier(identifiers.nib, "[0-9]{13}", THIRTEEN, "8120001234567")
    npwp = Identifier(
        identifiers.npwp,
        "[0-9](?:[-. ]?[0-9]){14,15}|[0-9](?:[-. ]?[0-9]){21}",
        Say("must have 15, 16 or 22 digits, with or without dots and dashes", "harus 15, 16 atau 22 angka"),
        "01.234.567.8-801.000",
    )
    npp = Identifier(
        identifiers.npp,
        "[0-9A-Za-z]{1,20}",
        Say("must be 1 to 20 letters and digits", "harus 1 sampai 20 huruf dan angka"),
        "15070955",
    )
    scale = Word(Scale, example="small")
    legal_form = Pattern("[0-9]{2}", Say("must be two digits (OSS)", "harus dua angka (OSS)"), "02")
    nib_status = Pattern("0[1-6]", Say("must be 01 to 06 (OSS)", "harus 01 sampai 06 (OSS)"), "01")


class OwnerSchema(Document):
    name = Text()
    nik = Identifier(identifiers.nik, "[0-9]{16}", SIXTEEN, "7309054403880002")


class WorkforceSchema(Document):
    employs_workers = YesNo()
    declared = Count()
    foreign = Count()
    foreign_short_term = Count()
    outsourced = Count()
    over_pension_age = Count()
    hired_last_30_days = Count()


class ProjectSchema(Document):
    number = Identifier(identifiers.project_number, "[0-9]{13}", THIRTEEN, "2300001078094")
    contract_date = Day()
    region = Pattern("[0-9]{2}[.][0-9]{2}", REGION, "73.09")


def _part(schema: type[Schema]) -> fields.Nested:
    messages: Any = {"type": NOT_OBJECT}
    return fields.Nested(schema, allow_none=True, error_messages=messages)


class QuestionSchema(Document):
    """What licensing software asks."""

    reference = Text(64, printable=True, required=True, example="503/0123/DPMPTSP/2026")
    permit_type = Text(printable=True, upper=True, required=True, example="RESTORAN")
    stage = Word(("new", "renewal"))
    region = Pattern("[0-9]{2}[.][0-9]{2}", REGION, "73.09")
    as_at = Day()
    officer = _part(OfficerSchema)
    business = _part(BusinessSchema)
    owner = _part(OwnerSchema)
    workforce = _part(WorkforceSchema)
    project = _part(ProjectSchema)


QUESTION = QuestionSchema()
PARTS = (OfficerSchema, BusinessSchema, OwnerSchema, WorkforceSchema, ProjectSchema)
KNOWN = frozenset(name for part in (QuestionSchema, *PARTS) for name in part._declared_fields)
