"""The document of a question (contract §2): the one place that names its fields. The OpenAPI document is made of it."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields

from compliance.intake.fields import count, day, number, say, text, word, yes_no
from compliance.law import identifiers
from compliance.law.facts import Scale

NPWP = "[0-9](?:[-. ]?[0-9]){14,15}|[0-9](?:[-. ]?[0-9]){21}"
REGION = number("[0-9]{2}[.][0-9]{2}", "region", "73.09")
NOT_OBJECT: dict[str, Any] = {"type": say("object", '{"nib": "8120001234567"}')}


class Document(Schema):
    """Refuses what it does not know."""

    error_messages: Any = {"unknown": say("unknown"), **NOT_OBJECT}  # noqa: RUF012


class OfficerSchema(Document):
    nip = text(example="197001012000031001")
    name = text()


class BusinessSchema(Document):
    name = text(example="CV Sumber Rejeki")
    nib = number("[0-9]{13}", "thirteen", "8120001234567", identifiers.nib)
    npwp = number(NPWP, "npwp", "01.234.567.8-801.000", identifiers.npwp)
    npp = number("[0-9A-Za-z]{1,20}", "npp", "15070955", identifiers.npp)
    scale = word(Scale)
    legal_form = number("[0-9]{2}", "legal_form", "02")
    nib_status = number("0[1-6]", "nib_status", "01")


class OwnerSchema(Document):
    name = text()
    nik = number("[0-9]{16}", "sixteen", "7309054403880002", identifiers.nik)


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
    region = REGION
    number = number("[0-9]{13}", "thirteen", "2300001078094", identifiers.project_number)


class QuestionSchema(Document):
    """What licensing software asks."""

    reference = text(64, printable=True, required=True, example="503/0123/DPMPTSP/2026")
    permit_type = text(printable=True, upper=True, required=True, example="RESTORAN")
    stage = word(("new", "renewal"))
    region = REGION
    as_at = day()
    officer = fields.Nested(OfficerSchema, allow_none=True, error_messages=NOT_OBJECT)
    business = fields.Nested(BusinessSchema, allow_none=True, error_messages=NOT_OBJECT)
    owner = fields.Nested(OwnerSchema, allow_none=True, error_messages=NOT_OBJECT)
    workforce = fields.Nested(WorkforceSchema, allow_none=True, error_messages=NOT_OBJECT)
    project = fields.Nested(ProjectSchema, allow_none=True, error_messages=NOT_OBJECT)


QUESTION = QuestionSchema()
PARTS = (OfficerSchema, BusinessSchema, OwnerSchema, WorkforceSchema, ProjectSchema)
KNOWN = frozenset(name for part in (QuestionSchema, *PARTS) for name in part._declared_fields)
