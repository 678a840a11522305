"""The sandbox agency: a small program of its own that speaks contract §4, for demonstrations and for developers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from flask import Flask, jsonify, request

from compliance.law.facts import Answer, Ask
from compliance.registry.mapping import Agreed
from compliance.registry.port import Purpose
from compliance.registry.wire import understand


def _now() -> datetime:
    return datetime.now(UTC)


def month_back(day: date, months: int) -> str:
    """The month `months` before that of `day`, as yyyy-mm."""
    index = day.year * 12 + day.month - 1 - months
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def document(now: datetime, path: str, query: dict[str, str]) -> dict[str, Any]:
    """The answer to one call."""
    head = {"per_tanggal": now.astimezone(UTC).isoformat(timespec="seconds"), "no_ref": f"SANDBOX-{now:%Y%m%d%H%M%S}"}
    known = {"nib": "8120001234567", "npwp": "0012345678801000", "npp": "15070955"}
    if path != "/v1/badan-usaha" or not any(query.get(key) == value for key, value in known.items()):
        return {"ditemukan": False} | head
    account = {
        "npp": "15070955",
        "divisi": "000",
        "status": "AKTIF",
        "kantor_cabang": "Maros",
        "kd_daerah": "73.09",
        "program": ["JKK", "JKM", "JHT"],
        "jumlah_tk_aktif": 12,
        "terdaftar_sejak": "2019-03-01",
        "iuran_pertama_dibayar": True,
        "lunas_sampai": month_back(now.date(), 1),
        "bulan_menunggak": 0,
        "ada_perjanjian_angsuran": False,
        "pds": {"tk": False, "upah": False, "program": False},
    }
    found = {"nama": "SUMBER REJEKI, CV", "nib": known["nib"], "npwp": known["npwp"], "kepesertaan": [account]}
    return {"ditemukan": True} | head | found | {"teguran": None, "tmp2t": None}


class InProcess:
    """The same answers without HTTP."""

    name = "sandbox"

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        now = self.clock()
        path, query = Agreed().call(ask, purpose.reference)
        return understand(ask, document(now, path, query), now, self.name)


def create(clock: Callable[[], datetime] = _now) -> Flask:
    agency = Flask(__name__)

    @agency.get("/v1/<what>")
    def answer(what: str) -> Any:
        return jsonify(document(clock(), f"/v1/{what}", request.args.to_dict()))

    return agency


app = create()
