"""Good answers of contract §4, for tests to spoil."""

from __future__ import annotations

import copy
from typing import Any

from compliance.law.facts import Ask, Subject

NIB, NPWP, NPP, NIK, NUMBER = "8120001234567", "0012345678801000", "15070955", "7309054403880002", "2300001078094"
BY_NIB = Ask(Subject.EMPLOYER, "nib", NIB)
BY_NPWP = Ask(Subject.EMPLOYER, "npwp", NPWP)
BY_NPP = Ask(Subject.EMPLOYER, "npp", NPP)
BY_NIK = Ask(Subject.EMPLOYER, "nik", NIK)
PERSON = Ask(Subject.PARTICIPANT, "nik", NIK)
PROJECT = Ask(Subject.PROJECT, "nomor", NUMBER)
PROJECT_BY_NPP = Ask(Subject.PROJECT, "npp", NPP, "73.09")

_HEAD = {"ditemukan": True, "per_tanggal": "2026-11-19T17:00:00+07:00", "no_ref": "BPJSTK-1"}
_EMPLOYER: dict[str, Any] = _HEAD | {
    "nama": "SUMBER REJEKI, CV",
    "nib": NIB,
    "npwp": NPWP,
    "kepesertaan": [
        {
            "npp": NPP,
            "divisi": "000",
            "status": "AKTIF",
            "kantor_cabang": "Maros",
            "kd_daerah": "73.09",
            "program": ["JKK", "JKM", "JHT"],
            "jumlah_tk_aktif": 12,
            "terdaftar_sejak": "2019-03-01",
            "iuran_pertama_dibayar": True,
            "lunas_sampai": "2026-10",
            "bulan_menunggak": 0,
            "ada_perjanjian_angsuran": False,
            "pds": {"tk": False, "upah": False, "program": False},
        }
    ],
    "teguran": {"ke": 1, "tanggal": "2026-11-12"},
    "tmp2t": {"no_surat": "B/123/102026", "tanggal": "2026-10-02", "kd_daerah": "73.09", "dicabut_tanggal": None},
}
_PERSON = _HEAD | {"segmen": "BPU", "status": "AKTIF", "program": ["JKK", "JKM"], "berlaku_sampai": "2027-03-31"}
_PROJECT = _HEAD | {
    "nomor": NUMBER,
    "npp": NPP,
    "kd_daerah": "73.09",
    "status": "AKTIF",
    "berlaku_dari": "2026-10-05",
    "berlaku_sampai": "2027-06-30",
}


def employer(**changes: Any) -> dict[str, Any]:
    """The example of contract §4; keys as `kepesertaan__0__status` reach inside."""
    return spoiled(_EMPLOYER, changes)


def person(**changes: Any) -> dict[str, Any]:
    return spoiled(_PERSON, changes)


def project(**changes: Any) -> dict[str, Any]:
    return spoiled(_PROJECT, changes)


def not_found() -> dict[str, Any]:
    return _HEAD | {"ditemukan": False}


def spoiled(document: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for key, value in changes.items():
        *parents, last = key.split("__")
        place: Any = document
        for part in parents:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value
    return document


def without(document: dict[str, Any], path: str) -> dict[str, Any]:
    document = copy.deepcopy(document)
    *parents, last = path.split("__")
    place: Any = document
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    del place[last]
    return document
