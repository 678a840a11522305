"""What OSS-RBA writes of a NIB (`dataNIB`, domain.md §6), read as the questions that it asks. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import INCLUDE, Schema, fields, pre_load

from compliance.errors import BadIdentifier, BadInput, FieldError
from compliance.intake import bad_input, load
from compliance.intake.fields import Field, Say, read_text, say
from compliance.intake.schema import NOT_OBJECT
from compliance.law import identifiers

MOST_ITEMS = 100
SCALES = {"01": "micro", "02": "small", "03": "medium", "04": "large"}
PERSON, KTP = "02", "01"
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
PERMITS: Mapping[str, str] = tomllib.loads((Path(__file__).parent / "oss_permits.toml").read_text())["kd_izin"]


@dataclass(frozen=True, slots=True)
class Item:
    """One permit of the checklist: OSS's numbers, the region's code, the check that it asks for (contract §2)."""

    id_izin: str
    kd_izin: str
    region: str
    stated: dict[str, Any]
    pointer: str

    def in_oss_words(self, error: BadInput) -> BadInput:
        """The same error of the stated check, pointing to where OSS wrote the field."""
        named = [(POINTERS.get(wrong.pointer, ""), wrong.detail) for wrong in error.errors]
        at = [self.pointer if name.endswith("_izin") else "/dataNIB" for name, _ in named]
        return BadInput(*(FieldError(f"{where}/{name}", told) for where, (name, told) in zip(at, named, strict=True)))


def _said(example: str = "") -> Field:
    """OSS writes every value as text."""
    described = {"type": "string"} | ({"example": example} if example else {})
    return Field(lambda value: read_text(value).strip(), say("text"), described)


class _Open(Schema):
    """Ignores what it does not know. An empty text means none, for a list too."""

    error_messages: Any = NOT_OBJECT

    class Meta:
        unknown = INCLUDE

    @pre_load
    def _without_blanks(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {name: v for name, v in data.items() if v is not None and not (isinstance(v, str) and not v.strip())}


def _listed(schema: type[Schema]) -> fields.List[Any]:
    messages: Any = {"invalid": say("list", "[]")}
    return fields.List(fields.Nested(schema), error_messages=messages)


class OssChecklistItemSchema(_Open):
    id_izin = _said(EXAMPLES["id_izin"])
    kd_izin = _said(EXAMPLES["kd_izin"])
    kd_daerah = _said("7309000000")
    flag_perpanjangan = _said("N")


class OssPersonSchema(_Open):
    jns_identitas_penanggung_jwb = no_identitas_penanggung_jwb = nama_penanggung_jwb = _said()


class OssProjectSchema(_Open):
    skala_usaha = _said("02")


class OssNibSchema(_Open):
    nib = _said(EXAMPLES["nib"])
    nama_perseroan = npwp_perseroan = no_npp = jenis_perseroan = jenis_pelaku_usaha = skala_usaha = _said()
    status_nib = kd_daerah = _said()
    penanggung_jwb = _listed(OssPersonSchema)
    data_proyek = _listed(OssProjectSchema)
    data_checklist = _listed(OssChecklistItemSchema)


class ReceiveNibSchema(_Open):
    dataNIB = fields.Nested(OssNibSchema, required=True)  # OSS's own spelling


def read(document: Any) -> list[Item]:
    """The permits in `{"dataNIB": {…}}`; they share the business and its owner. Raises BadInput."""
    broken: list[tuple[str, Say]] = []
    data = load(OssNibSchema(), document.get("dataNIB") if isinstance(document, Mapping) else None, broken, "/dataNIB")
    if broken:
        raise bad_input(broken)
    shared = {"business": _business(data), "owner": _owner(data)}
    checklist = data.get("data_checklist", [])
    if len(checklist) > MOST_ITEMS:
        raise BadInput(FieldError("/dataNIB/data_checklist", f"has more than {MOST_ITEMS} items"))
    items = []
    for index, item in enumerate(checklist):
        at = f"/dataNIB/data_checklist/{index}"
        if "id_izin" not in item and "kd_izin" not in item:
            continue  # OSS leaves one empty object where it has nothing to list
        id_izin, kd_izin = _needed(item, "id_izin", at), _needed(item, "kd_izin", at)
        try:
            region = identifiers.region_from_oss(item.get("kd_daerah") or data.get("kd_daerah", ""))
        except BadIdentifier as error:
            raise BadInput(FieldError(f"{at}/kd_daerah", f"must be {error.rule}, e.g. {error.example}")) from error
        permit, stage = PERMITS.get(kd_izin, kd_izin), "renewal" if item.get("flag_perpanjangan") == "Y" else "new"
        stated = {"reference": id_izin, "permit_type": permit, "stage": stage, "region": region} | shared
        items.append(Item(id_izin, kd_izin, region, stated, at))
    return items


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
