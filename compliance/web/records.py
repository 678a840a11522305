"""A recorded check as people see it: its document in their language, and who and what it is about."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any

from werkzeug.exceptions import NotFound

from compliance.audit import document
from compliance.audit.checks import CheckRecord
from compliance.audit.entry import Entry
from compliance.deployment import deployment
from compliance.errors import LawNotInForce, LogBroken, UnknownRegion
from compliance.law.facts import Certainty
from compliance.proof.note import b64
from compliance.web import fields, language, permits

DISCLOSED = {"business.name": "name", "owner.name": "owner_name", "owner.nik": "nik", "business.npwp": "npwp"}


@dataclass(frozen=True, slots=True)
class Shown:
    """`document` is contract §2 in the reader's language. `on_trial`: it may proceed although the verdict is bad.

    `broken`: entry and answer are not what was logged then; nothing of them is to be believed.
    """

    document: dict[str, Any]
    entry: Entry
    on_trial: bool
    broken: bool

    @property
    def office(self) -> str:
        """The office of the person who asked, or the region whose software did."""
        return self.entry.body["asker"].get("office") or permits.region_name(self.document["region"])

    @property
    def is_example(self) -> bool:
        """Whether the rule was shipped as an example, without a regulation behind it."""
        d = self.document
        cited = {basis["certainty"] for finding in d["findings"] for basis in finding["legal_basis"]}
        try:
            rule = permits.rule(d["region"], d["permit_type"], date.fromisoformat(d["as_at"]))
        except (LawNotInForce, UnknownRegion):  # the policy of then is not loaded any more
            rule = None
        return Certainty.EXAMPLE in cited | {basis.certainty for basis in (rule.basis if rule else ())}

    @property
    def deadline(self) -> date:
        """Five working days after the check's day, its day not counted (UU 30/2014 Art 53 as amended)."""
        region = self.document["region"]
        return permits.law(region).working_day_after(deployment().policy.today(region, self.entry.at), 5)[0]

    @property
    def days_left(self) -> int:
        """Working days until the deadline; 0 on it, -1 after it."""
        law, today, end = permits.law(self.document["region"]), permits.today(self.document["region"]), self.deadline
        if today >= end:
            return 0 if today == end else -1
        return next(n for n in range(1, 7) if law.working_day_after(today, n)[0] >= end)

    @property
    def stated(self) -> dict[str, str]:
        """What was typed, by field, to ask the same again."""
        body, known = self.entry.body, self.entry.disclosed
        application = body["facts"]["application"]
        asked = {name: application[name] for name in ("permit_type", "region")} | {"reference": body["reference"]}
        about = {name: application.get(name) for name in ("scale", "legal_form", "nib_status")}
        parts = {"workforce": application.get("workforce", {}), "project": application.get("contract", {})}
        parts |= {"business": body["business"] | about, "stage": application.get("stage", "new")}
        return fields.flat(asked | parts) | {field: known[name] for field, name in DISCLOSED.items() if name in known}


def show(records: Iterable[CheckRecord]) -> list[Shown]:
    """The checks whose entries are in the log, as those say, in the reader's language."""
    log, shown = deployment().log, []
    for record in records:
        if entry := log.entry(record.id):
            given: dict[str, Any] = json.loads(record.document)
            broken = b64(sha256(b"\0" + entry.raw).digest()) != given["log"]["leaf_hash"]
            broken = broken or given["verdict"] != entry.body["decision"]["verdict"]
            if not broken:
                given = document.build(entry, given["receipt"], log.origin, language.current())
            trial = given["action"] == "PROCEED" and given["verdict"] in ("NOT_MET", "OFFICER_REVIEW", "UNDETERMINED")
            shown.append(Shown(given | {"superseded_by": record.superseded_by}, entry, trial, broken))
    return shown


def find(check_id: str, regions: tuple[str, ...]) -> Shown:
    """A check of one of these regions; NotFound for every other. Raises LogBroken for one that was tampered with."""
    record = deployment().log.check(check_id)
    for shown in show([record] if record and record.region in regions else []):
        return whole(shown)
    raise NotFound


def whole(shown: Shown) -> Shown:
    if shown.broken:
        raise LogBroken("an entry is not what was logged", shown.entry.position)
    return shown
