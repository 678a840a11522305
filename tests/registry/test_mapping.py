"""Another agreement's wire by a file alone: what it yields passes the same closed parser."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import Misconfigured, RegistryMisunderstood
from compliance.law.facts import Account, Employer, Participant, Programme, Sanction, Warned
from compliance.registry.http import HttpSource
from compliance.registry.wire import Wire, unread
from tests.registry.agency import Agency, says
from tests.registry.answers import BY_NIB, BY_NIK, BY_NPP, NIB, NIK, NPP, NPWP, PERSON, PROJECT, employer
from tests.registry.conftest import purpose

Connect = Callable[..., HttpSource]
FILE = Path(__file__).with_name("nusantara.toml")
ANSWER: dict[str, Any] = {
    "response": {
        "kode": "00",
        "waktu": "19/11/2026 18:00:00",
        "id": "NUS-9",
        "data": {
            "identitas": {
                "namaPerusahaan": "CV SUMBER REJEKI",
                "nomorIndukBerusaha": NIB,
                "pajak": "01.234.567.8-801.000",
            },
            "akun": [
                {
                    "no": NPP,
                    "st": "A",
                    "prov": "73",
                    "kab": "09",
                    "prg": "K + M+H",
                    "tk": {"aktif": "12"},
                    "bayar": {"pertama": "Y", "sampai": "10-2026", "tunggak": "0", "cicil": 0},
                    "kurang": ["UPAH"],
                }
            ],
            "sp": {"urut": "1", "tgl": "12/11/2026"},
            "adaSanksi": "Y",
            "sanksi": {"surat": {"nomor": "B/1", "tgl": "02/10/2026"}, "wilayah": "73.09", "cabut": None},
        },
    }
}


def changed(**changes: Any) -> dict[str, Any]:
    document = copy.deepcopy(ANSWER)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = document["response"]
        for part in parents:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value
    return document


@pytest.fixture
def ask(connect: Connect) -> Callable[..., Any]:
    def run(document: Any, question: Any = BY_NIB, status: int = 200) -> Any:
        with Agency(says(document, status)) as agency:
            run.agency = agency  # type: ignore[attr-defined]
            return connect(agency.url, profile=FILE).ask(question, purpose())

    return run


def test_the_invented_wire_gives_the_same_facts(ask: Callable[..., Any]) -> None:
    answer = ask(ANSWER)
    account = Account(
        NPP,
        True,
        frozenset({Programme.JKK, Programme.JKM, Programme.JHT}),
        12,
        True,
        date(2026, 10, 1),
        0,
        False,
        False,
        True,
        False,
        "73.09",
    )
    assert answer.as_of == datetime(2026, 11, 19, 10, 0, tzinfo=UTC)
    assert answer.reference == "NUS-9"
    assert answer.record == Employer(
        "CV SUMBER REJEKI",
        NIB,
        NPWP,
        (account,),
        Warned(1, date(2026, 11, 12)),
        Sanction("73.09", "B/1", date(2026, 10, 2)),
    )
    request = ask.agency.requests[0]  # type: ignore[attr-defined]
    assert (request.method, request.path) == ("GET", "/ws/v3/perusahaan/cari")
    assert request.query == {"jenis": "1", "nomor": NIB, "perihal": "503/0123/DPMPTSP/2026"}


def test_not_found_may_come_with_a_status_that_the_profile_names(ask: Callable[..., Any]) -> None:
    gone = {"response": {"kode": "14", "waktu": "19/11/2026 18:00:00", "id": "NUS-9"}}
    assert ask(gone, status=404).record is None
    with pytest.raises(RegistryMisunderstood):
        ask(gone, status=410)


def test_no_warning_and_no_sanction_must_be_said(ask: Callable[..., Any]) -> None:
    record = ask(changed(data__sp={}, data__adaSanksi="T", data__sanksi=None)).record
    assert (record.warning, record.sanction) == (None, None)
    with pytest.raises(RegistryMisunderstood, match="tmp2t: missing"):
        ask(changed(data__sanksi=None))


def test_a_person_is_asked_by_post(ask: Callable[..., Any]) -> None:
    document = {
        "hasil": "ada",
        "waktu": "2026-11-19T18:00:00+08:00",
        "id": "P1",
        "segmen": 2,
        "aktif": True,
        "kk": True,
        "km": False,
        "akhir": "20270331",
    }
    assert ask(document, PERSON).record == Participant("BPU", True, date(2027, 3, 31))
    request = ask.agency.requests[0]  # type: ignore[attr-defined]
    assert (request.method, json.loads(request.body), request.query) == ("POST", {"nik": NIK}, {})


def test_an_account_asked_by_npp_is_found(ask: Callable[..., Any]) -> None:
    assert ask(ANSWER, BY_NPP).record


WRONG: dict[str, dict[str, Any]] = {
    "an unknown code of found": changed(kode="99"),
    "no code of found": changed(kode=None),
    "an unknown status": changed(data__akun__0__st="S"),
    "a status in lower case": changed(data__akun__0__st="a"),
    "our own word instead of their code": changed(data__akun__0__st="AKTIF"),
    "an unknown programme": changed(data__akun__0__prg="K+X"),
    "a date in another notation": changed(waktu="2026-11-19 18:00:00"),
    "a day that is none": changed(data__sp__tgl="31/11/2026"),
    "a month in another notation": changed(data__akun__0__bayar__sampai="2026-10"),
    "a number with a dot": changed(data__akun__0__tk__aktif="1.206"),
    "a number with a minus": changed(data__akun__0__tk__aktif="-1"),
    "a number as a fraction": changed(data__akun__0__tk__aktif=12.5),
    "no list of accounts": changed(data__akun=None),
    "an account that is a text": changed(data__akun=["x"]),
    "a place missing": changed(data__akun__0__kab=None),
    "a flag with an unknown code": changed(data__akun__0__bayar__cicil=2),
    "a flag that is a bool": changed(data__akun__0__bayar__cicil=False),
    "a list that is a number": changed(data__akun__0__kurang=5),
    "another firm": changed(data__identitas__nomorIndukBerusaha="8120999999999"),
    "no data": changed(data=None),
    "no response": {},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_profile_does_not_foresee_is_misunderstood(case: str, ask: Callable[..., Any]) -> None:
    with pytest.raises(RegistryMisunderstood):
        ask(WRONG[case])


def test_a_question_that_the_agreement_does_not_offer_is_misunderstood(ask: Callable[..., Any]) -> None:
    for question in (BY_NIK, PROJECT):
        with pytest.raises(RegistryMisunderstood, match="no question"):
            ask(ANSWER, question)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('nama = "response', '# nama = "response', "nama"),
        ('nama = "response', 'namaa = "x"\nnama = "response', "namaa"),
        ('tk = "', 'tk = = "', "cannot be read"),
        ('npp = "no"', 'npp = "no["', "employer.answer.kepesertaan.npp"),
        ('npp = "no"', "npp = 5", "employer.answer.kepesertaan.npp"),
        ('{ nik = "{value}" }', '{ nik = "{wert}" }', "participant.path or participant.ask"),
        ('path = "/ws/v3/peserta"', "", "participant.path or participant.ask"),
        ("[employer", "[employee", "employer is missing"),
        ('method = "POST"', 'method = "PUT"', "participant.method"),
        ("Asia/Makassar", "Asia/Atlantis", "cannot be read"),
        ('tk = "contains', 'tj = "contains', "employer.answer.kepesertaan.pds"),
    ],
)
def test_a_profile_that_is_not_whole_stops_the_start(old: str, new: str, names: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(FILE.read_text().replace(old, new))
    with pytest.raises(Misconfigured, match=r"REGISTRY_PROFILE profile\.toml") as caught:
        Wire(path)
    assert names in str(caught.value)


def test_a_profile_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        Wire(tmp_path / "none.toml")


def test_fields_that_nobody_reads_are_listed_for_the_author() -> None:
    assert unread(employer(lain=1)) == ["divisi", "kantor_cabang", "lain", "terdaftar_sejak"]
