"""What OSS-RBA writes of a NIB (`dataNIB`, domain.md §6), read as the questions that it asks. Pure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compliance.errors import BadIdentifier, BadInput, FieldError
from compliance.intake.documents import DOCUMENTS, HERE, REQUIRED, Broken, bad_input, say
from compliance.law import identifiers

MOST_ITEMS = 100
SCALES = {"01": "micro", "02": "small", "03": "medium", "04": "large"}
PERSON, KTP = "02", "01"
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
PERMITS: Mapping[str, str] = tomllib.loads((HERE / "oss_permits.toml").read_text(encoding="utf-8"))["kd_izin"]


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


def read(document: Any, language: str = "en") -> list[Item]:
    """The permits in `{"dataNIB": {…}}`; they share the business and its owner. Raises BadInput."""
    broken: Broken = []
    inner = document.get("dataNIB") if isinstance(document, Mapping) else None
    data = DOCUMENTS["OssNib"].load(inner, broken, "/dataNIB")
    checklist = data.get("data_checklist", [])
    if len(checklist) > MOST_ITEMS:
        broken.append(("/dataNIB/data_checklist", say("most_items", most=MOST_ITEMS)))
    shared, items = {"business": _business(data, broken), "owner": _owner(data)}, []
    for index, item in enumerate(checklist):
        at, id_izin, kd_izin = f"/dataNIB/data_checklist/{index}", item.get("id_izin"), item.get("kd_izin")
        if not id_izin and not kd_izin:
            continue  # OSS leaves one empty object where it has nothing to list
        broken += [(f"{at}/{name}", REQUIRED) for name in ("id_izin", "kd_izin") if name not in item]
        try:
            region = identifiers.region_from_oss(item.get("kd_daerah") or data.get("kd_daerah", ""))
        except BadIdentifier:
            broken.append((f"{at}/kd_daerah", say("kd_daerah", "7309000000")))
            continue
        permit, stage = PERMITS.get(kd_izin, kd_izin), item.get("flag_perpanjangan") == "Y"
        stated = {"reference": id_izin, "permit_type": permit, "stage": ("new", "renewal")[stage], "region": region}
        items.append(Item(id_izin, kd_izin, region, stated | shared, at))
    if broken:
        raise bad_input(broken, language)
    return items


def _business(data: Mapping[str, Any], broken: Broken) -> dict[str, Any]:
    """The company's scale counts; only if OSS has none, the highest of its projects (domain.md §3)."""
    projects = [project["skala_usaha"] for project in data.get("data_proyek", []) if "skala_usaha" in project]
    scales = [data["skala_usaha"]] if "skala_usaha" in data else projects
    if not set(scales) <= set(SCALES):
        broken.append(("/dataNIB/skala_usaha", say("one_of", words=", ".join(SCALES))))
    named = {ours.removeprefix("/business/"): data.get(name) for ours, name in POINTERS.items() if "business" in ours}
    return named | {"scale": SCALES.get(max(scales, default=""))}


def _owner(data: Mapping[str, Any]) -> dict[str, Any] | None:
    people = data.get("penanggung_jwb", []) if data.get("jenis_pelaku_usaha") == PERSON else []
    for person in people:
        if person.get("jns_identitas_penanggung_jwb") == KTP:
            return {"nik": person.get("no_identitas_penanggung_jwb"), "name": person.get("nama_penanggung_jwb")}
    return None
