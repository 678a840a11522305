"""The documents that the API answers with, from answers.toml, and the query of a list."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf

from compliance.intake.fields import day, number, text, word
from compliance.intake.schema import Document
from compliance.law.facts import Action, Certainty, Effect, RuleStage, Verdict

ENUMS: dict[str, list[str]] = {kind.__name__: list(kind) for kind in (Action, Certainty, Effect, RuleStage, Verdict)}
ENUMS["OssStatus"] = ["1", "2"]
FORMATS = {"day": "date", "moment": "date-time", "uri": "uri"}
PLAIN: dict[str, Any] = {"int": fields.Integer, "bool": fields.Boolean, "object": fields.Dict, "any": fields.Raw}


def _documents(table: dict[str, Any]) -> dict[str, type[Schema]]:
    known: dict[str, type[Schema]] = {}
    for name, described in table["documents"].items():
        parts = [part.partition(":") for part in described.format(check=table["check"]).split()]
        known[name] = Schema.from_dict({f.rstrip("?*"): _field(kind, known, f) for f, _, kind in parts}, name=name)
    return known


def _field(kind: str, known: dict[str, type[Schema]], name: str = "") -> Any:
    options: dict[str, Any] = {"required": not name.endswith("*"), "allow_none": name.endswith("?")} if name else {}
    if kind.startswith("["):
        return fields.List(_field(kind.strip("[]"), known), **options)
    if kind in known:
        return fields.Nested(known[kind], **options)
    if kind in PLAIN:
        return PLAIN[kind](**options)
    if kind in ENUMS:
        return fields.String(validate=OneOf([str(one) for one in ENUMS[kind]]), **options)
    return fields.String(metadata={"format": FORMATS[kind]} if kind in FORMATS else {}, **options)


WHOLE = {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
ANSWER = _documents(tomllib.loads((Path(__file__).parent / "answers.toml").read_text(encoding="utf-8")))


class ListQuery(Document):
    """What a list of checks may be narrowed to; days are those of the region's zone, inclusive."""

    reference = text(64, printable=True)
    nib = number("[0-9]{13}", "thirteen", "8120001234567")
    verdict = word(Verdict)
    action = word(Action)
    permit_type = text(upper=True)
    since = day(data_key="from")
    until = day(data_key="to")
    limit = number("[1-9][0-9]?|1[0-9]{2}|200", "limit", "50", int, WHOLE)
    cursor = number("p[0-9a-f]{1,15}", "cursor", "p1f", lambda text: int(text[1:], 16))
