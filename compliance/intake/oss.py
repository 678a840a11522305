"""What OSS-RBA writes of a NIB (`dataNIB`, domain.md §6), read as the questions that it asks. Pure."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from compliance.errors import BadIdentifier, BadInput, FieldError, LawNotInForce, UnknownRegion
from compliance.intake.documents import DOCUMENTS, HERE, REQUIRED, Broken, bad_input, say
from compliance.law import identifiers
from compliance.law.facts import Fact
from compliance.law.policy import Policy

MOST_ITEMS = 100
PERSON, KTP = "02", "01"
OSS = tomllib.loads((HERE / "oss.toml").read_text(encoding="utf-8"))


class Item(Fact):  # one permit of the checklist: OSS's numbers, the region's code, the check that it asks for
    id_izin: str
    kd_izin: str
    region: str
    stated: dict[str, Any]
    pointer: str

    def in_oss_words(self, error: BadInput) -> BadInput:
        """The same error of the stated check, pointing to where OSS wrote the field."""
        ours = {f"/{name}": f"{self.pointer}/{word}" for name, word in OSS["permit"].items()}
        ours |= {f"/business/{name}": f"/dataNIB/{word}" for name, word in OSS["business"].items()}
        ours |= {f"/owner/{name}": f"/dataNIB/penanggung_jwb/0/{word}" for name, word in OSS["owner"].items()}
        return BadInput(*(FieldError(ours.get(one.pointer, "/dataNIB/"), one.detail) for one in error.errors))


def read(document: Any, policy: Policy, now: datetime, language: str = "en") -> list[Item]:
    """The permits in `{"dataNIB": {…}}`, each a permit type by its region's law; they share the business and its owner.
    A code that no law knows is a type of its own. Raises BadInput."""
    broken: Broken = []
    inner = document.get("dataNIB") if isinstance(document, Mapping) else None
    data = DOCUMENTS["OssNib"].load(inner, broken, "/dataNIB")
    checklist, items = data.get("data_checklist", []), []
    if len(checklist) > MOST_ITEMS:
        broken.append(("/dataNIB/data_checklist", say("most_items", most=MOST_ITEMS)))
    # The company's scale counts; only if OSS has none, the highest of its projects (domain.md §3).
    projects = [project["skala_usaha"] for project in data.get("data_proyek", []) if "skala_usaha" in project]
    scales = [data["skala_usaha"]] if "skala_usaha" in data else projects
    if not OSS["skala_usaha"].keys() >= set(scales):
        broken.append(("/dataNIB/skala_usaha", say("one_of", words=", ".join(OSS["skala_usaha"]))))
    business = {name: data.get(word) for name, word in OSS["business"].items()}
    people = data.get("penanggung_jwb", []) if data.get("jenis_pelaku_usaha") == PERSON else []
    known = (person for person in people if person.get("jns_identitas_penanggung_jwb") == KTP)
    owner = next(({name: person.get(word) for name, word in OSS["owner"].items()} for person in known), None)
    shared = {"business": business | {"scale": OSS["skala_usaha"].get(max(scales, default=""))}, "owner": owner}
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
        stage, permit_type = "renewal" if item.get("flag_perpanjangan") == "Y" else "new", kd_izin
        with suppress(UnknownRegion, LawNotInForce):  # read_question says so
            law = policy.on(policy.today(region, now), region)
            permit_type = law.says("oss", str(kd_izin)).get("permit_type", kd_izin)
        stated = {"reference": id_izin, "permit_type": permit_type, "stage": stage}
        items.append(Item(id_izin, kd_izin, region, stated | {"region": region} | shared, at))
    if broken:
        raise bad_input(broken, language)
    return items
