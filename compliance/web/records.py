"""A recorded check as people see it: its document in their language, and who and what it is about."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from compliance.audit import document
from compliance.audit.checks import CheckRecord
from compliance.audit.entry import Entry
from compliance.deployment import deployment
from compliance.web import language, permits
from compliance.web.language import _
from compliance.web.visitors import people

Facts = list[tuple[str, str]]
PERSONAL = {"name": "business.name", "owner_name": "owner.name", "nik": "owner.nik", "npwp": "business.npwp"}


@dataclass(frozen=True, slots=True)
class Shown:
    """`document` is contract §2 in the reader's language; `name` the business's, unless erased."""

    document: dict[str, Any]
    entry: Entry
    name: str | None

    @property
    def nib(self) -> str | None:
        nib: str | None = self.entry.body["business"].get("nib")
        return nib

    @property
    def office(self) -> str:
        """The office of the person who asked, or the region whose software did."""
        asker = self.entry.body["asker"]
        user = people().get(asker["id"]) if asker["kind"] == "user" else None
        return (user.office if user else "") or permits.region_name(self.document["region"])

    @property
    def marks(self) -> list[str]:
        """What must stand beside the verdict wherever it is shown."""
        d = self.document
        trial = [_("belum diberlakukan")] if d["policy"]["stage"] in ("advise", "shadow") else []
        return trial + ([_("contoh: peraturan daerah belum ada")] if self.is_example else [])

    @property
    def on_trial(self) -> bool:
        """Whether software lets the application proceed although the verdict is none of the good ones."""
        d = self.document
        return d["action"] == "PROCEED" and d["verdict"] in ("NOT_MET", "OFFICER_REVIEW", "UNDETERMINED")

    @property
    def is_example(self) -> bool:
        d = self.document
        cited = (basis["certainty"] for finding in d["findings"] for basis in finding["legal_basis"])
        return "example" in cited or permits.is_example(d["region"], d["permit_type"], date.fromisoformat(d["as_at"]))

    @property
    def facts(self) -> Facts:
        """The lines below a result, in both the page and the print."""
        d, zone = self.document, permits.zone(self.document["region"])
        agency = d["registry"] or {}
        lines = [
            (_("Nomor permohonan"), d["reference"]),
            (_("Jenis izin"), f"{permits.name(d['permit_type'])} – {permits.region_name(d['region'])}"),
            (_("Nama usaha"), self.name or ""),
            (_("NIB"), self.nib or ""),
            (_("Dinilai per"), language.day(d["as_at"])),
            (_("Diperiksa"), language.moment(d["checked_at"], zone)),
            (_("Petugas"), self.entry.disclosed.get("officer_name", "")),
            (_("Hasil berlaku sampai"), language.day(d["valid_until"])),
            (_("Coba lagi setelah"), language.moment(d["retry_after"], zone)),
            (_("Data BPJS Ketenagakerjaan per"), language.moment(agency.get("as_of"), zone)),
            (_("Nomor rujukan BPJS Ketenagakerjaan"), agency.get("reference") or ""),
            (_("Catatan log"), f"{d['log']['origin']} #{d['log']['index']}"),
            (_("Aturan"), f"{d['policy']['region']}, {d['policy']['version']} ({d['policy']['sha256'][:12]})"),
        ]
        return [(name, str(value)) for name, value in lines if value]

    @property
    def advice(self) -> str:
        """One sentence: what the clerk does now."""
        d = self.document
        if d["verdict"] == "BLOCKED":
            return _("Jangan lanjutkan permohonan selama sanksi berlaku; beri tahu pemohon nomor suratnya.")
        if d["action"] == "STOP":
            return _("Jangan lanjutkan dahulu: serahkan lembar ini kepada pemohon dan periksa lagi setelah diperbaiki.")
        if d["action"] == "HOLD" and d["verdict"] == "UNDETERMINED":
            return _("Tahan dahulu, ini bukan penolakan: periksa lagi nanti, atau lihat sertifikat kepesertaannya.")
        if d["action"] == "HOLD":
            return _("Tahan dahulu, ini bukan penolakan: seorang petugas perlu memeriksa alasan di bawah ini.")
        if self.on_trial:
            return _("Lanjutkan permohonan: aturan ini belum diberlakukan. Sampaikan alasan di bawah kepada pemohon.")
        if d["verdict"] == "MET_WITH_NOTE":
            return _("Lanjutkan permohonan, dan sampaikan catatan di bawah kepada pemohon.")
        return _("Lanjutkan permohonan.")

    @property
    def stated(self) -> dict[str, str]:
        """What was typed, by field, to ask the same again."""
        body, known = self.entry.body, self.entry.disclosed
        application = body["facts"]["application"]
        typed: dict[str, Any] = {"reference": body["reference"], "region": application["region"]}
        typed |= {"permit_type": application["permit_type"], "stage": application.get("stage", "new")}
        typed |= {f"business.{name}": number for name, number in body["business"].items()}
        typed |= {field: known[name] for name, field in PERSONAL.items() if known.get(name)}
        for name in ("scale", "legal_form", "nib_status"):
            typed[f"business.{name}"] = application.get(name)
        workforce = dict(application.get("workforce", {}))
        employs = workforce.pop("employs_workers", None)
        typed["workforce.employs_workers"] = {True: "yes", False: "no"}.get(employs)
        typed |= {f"workforce.{name}": count for name, count in workforce.items()}
        typed |= {f"project.{name}": value for name, value in application.get("contract", {}).items()}
        return {name: str(value) for name, value in typed.items() if value is not None}


def show(record: CheckRecord) -> Shown | None:
    """The check in the reader's language; None when its entry is not in the log."""
    log = deployment().log
    entry = log.entry(record.id)
    if entry is None:
        return None
    given: dict[str, Any] = json.loads(record.document)
    if language.current() != "id":
        given = document.build(entry, given["receipt"], log.origin, language.current())
    return Shown(given | {"superseded_by": record.superseded_by}, entry, entry.disclosed.get("name"))


def find(check_id: str, regions: tuple[str, ...]) -> Shown | None:
    """A check of one of these regions, or None."""
    record = deployment().log.check(check_id)
    return show(record) if record and record.region in regions else None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list."""

    id: str
    checked: str
    reference: str
    permit: str
    name: str | None
    nib: str | None
    verdict: str
    label: str
    deadline: str = ""


def row(record: CheckRecord) -> Row | None:
    shown = show(record)
    if shown is None:
        return None
    d = shown.document
    return Row(
        id=record.id,
        checked=language.moment(record.checked_at, permits.zone(record.region)),
        reference=record.reference,
        permit=permits.name(record.permit_type),
        name=shown.name,
        nib=shown.nib,
        verdict=d["verdict"],
        label=f"{d['label']} ({_('belum diberlakukan')})" if shown.on_trial else d["label"],
    )


def with_deadline(line: Row, record: CheckRecord) -> Row:
    return replace(line, deadline=language.day(deadline(record.checked_at, record.region)))


def deadline(checked_at: datetime, region: str) -> date:
    """Five working days after the check's day, its day not counted (UU 30/2014 Art 53 as amended)."""
    day = deployment().policy.today(region, checked_at)
    return permits.law(region).working_day_after(day, 5)[0]
