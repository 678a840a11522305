"""What a caller stated becomes a Question, or every wrong field is named. For the API, the pages and the commands."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ulid import ULID

from compliance.gate import Asker, Log, Officer, Question
from compliance.intake import rules
from compliance.intake.documents import DOCUMENTS, Broken, bad_input
from compliance.law.facts import Application, Contract, Identity, Workforce
from compliance.law.policy import Policy

INDEX = re.compile(r"[0-9]{1,6}")
KNOWN = frozenset(name for document in DOCUMENTS.values() for name in document.fields) | {"", "checks"}


def read_question(
    stated: Any,
    *,
    regions: tuple[str, ...],
    policy: Policy,
    now: datetime,
    asker: Asker,
    request_id: str,
    language: str = "en",
) -> Question:
    """Read the document of contract §2 for a caller who may ask for `regions` (the first is the default).

    Raises BadInput with every wrong field, its texts in `language` ("en" or "id"), and ForeignRegion for a region that
    is served here but not to this caller.
    """
    broken: Broken = []
    data = DOCUMENTS["Question"].load(stated, broken)
    if isinstance(stated, dict):
        rules.check(data, stated, broken, regions, policy, now)
    if broken:
        raise bad_input(broken, language)
    business, owner, project = (data.get(part, {}) for part in ("business", "owner", "project"))
    numbers = {name: business.get(name) for name in ("nib", "npwp", "npp")} | {"nik": owner.get("nik")}
    signed, place = project.get("contract_date"), project.get("region", data["region"])
    return Question(
        reference=data["reference"],
        application=Application(
            permit_type=data["permit_type"],
            region=data["region"],
            as_at=data["as_at"],
            stage=data.get("stage", "new"),
            **{name: business.get(name) for name in ("scale", "legal_form", "nib_status")},
            workforce=Workforce(**data.get("workforce", {})),
            contract=Contract(signed, place, project.get("number")) if signed else None,
            given=tuple(name for name, value in numbers.items() if value),
        ),
        identity=Identity(name=business.get("name"), owner_name=owner.get("name"), **numbers),
        asker=asker,
        officer=Officer(**data["officer"]) if data.get("officer") else None,
        request_id=request_id,
    )


def refused(log: Log, asker: Asker, at: datetime, *, pointers: Iterable[str], **request: str | int | None) -> None:
    """Log a refused request (contract §3): where it was wrong, never what it said.

    Names of fields are the caller's words too, so unknown ones are left out of the pointers. `request` is request_id,
    path, status, body_length and body_sha256 (None when the body was too long to be read to its end).
    """
    tokens = {tuple(t if t in KNOWN or INDEX.fullmatch(t) else "?" for t in one.split("/")) for one in pointers}
    known = sorted("/".join(one) for one in tokens)[:100]
    entry = {"asker": {"kind": asker.kind, "id": asker.id}, "pointers": known, **request}
    log.append("check.refused", entry, entry_id=str(ULID()), private={}, at=at)
