"""Contract §4, word for word: what is understood, and that everything else is misunderstood."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.errors import RegistryMisunderstood
from compliance.law.facts import Account, Ask, Employer, Participant, Programme, Project, Sanction, Warned
from compliance.registry.wire import read_document, understand
from tests.registry.answers import (
    BY_NIB,
    BY_NIK,
    BY_NPP,
    BY_NPWP,
    NIB,
    NPP,
    NPWP,
    NUMBER,
    PERSON,
    PROJECT,
    PROJECT_BY_NPP,
    employer,
    not_found,
    person,
    project,
    without,
)

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def read(document: dict[str, Any], ask: Ask = BY_NIB) -> Any:
    """As over the wire: text first, then facts."""
    return understand(ask, read_document(json.dumps(document).encode()), NOW, "http").record


def test_the_contracts_example_is_understood_whole() -> None:
    answer = understand(BY_NIB, employer(), NOW, "http")
    assert answer.as_of == datetime(2026, 11, 19, 10, 0, tzinfo=UTC)
    assert (answer.reference, answer.source, answer.complete) == ("BPJSTK-1", "http", True)
    account = Account(
        npp=NPP,
        active=True,
        programmes=frozenset({Programme.JKK, Programme.JKM, Programme.JHT}),
        active_workers=12,
        first_payment=True,
        paid_through=date(2026, 10, 1),
        months_in_arrears=0,
        instalment_plan=False,
        partial_workers=False,
        partial_wages=False,
        partial_programmes=False,
        region="73.09",
    )
    assert answer.record == Employer(
        name="SUMBER REJEKI, CV",
        nib=NIB,
        npwp=NPWP,
        accounts=(account,),
        warning=Warned(1, date(2026, 11, 12)),
        sanction=Sanction("73.09", "B/123/102026", date(2026, 10, 2), None),
    )


def test_a_person_and_a_project_are_understood() -> None:
    assert read(person(), PERSON) == Participant("BPU", True, date(2027, 3, 31))
    assert read(project(), PROJECT) == Project(NUMBER, NPP, "73.09", True, date(2026, 10, 5), date(2027, 6, 30))
    assert read(project(), PROJECT_BY_NPP).number == NUMBER


@pytest.mark.parametrize("ask", [BY_NIB, BY_NPWP, BY_NPP, BY_NIK, PERSON, PROJECT, PROJECT_BY_NPP])
def test_not_found_is_an_answer(ask: Ask) -> None:
    assert read(not_found(), ask) is None


ALSO_GOOD: dict[str, tuple[Ask, dict[str, Any]]] = {
    "a NIB unknown to the agency, asked by NPWP": (BY_NPWP, employer(nib=None)),
    "no NIB at all, asked by NPWP": (BY_NPWP, without(employer(), "nib")),
    "an NPWP unknown to the agency": (BY_NIB, employer(npwp=None)),
    "neither number, asked by NPP": (BY_NPP, employer(nib=None, npwp=None)),
    "neither number, asked by NIK": (BY_NIK, employer(nib=None, npwp=None)),
    "the branch's NPWP for the head office": (BY_NPWP, employer(npwp="0012345678801001")),
    "a person's NIK for his old NPWP, which the law compares": (BY_NPWP, employer(npwp="7309054403880002")),
    "an NPWP with dots and dashes": (BY_NPWP, employer(npwp="01.234.567.8-801.000")),
    "known, without an account": (BY_NIB, employer(kepesertaan=[])),
    "no warning, no sanction": (BY_NIB, employer(teguran=None, tmp2t=None)),
    "a sanction without letter": (BY_NIB, employer(tmp2t={"kd_daerah": "73.09", "no_surat": None})),
    "a sanction for a province": (BY_NIB, employer(tmp2t__kd_daerah="73")),
    "no programme": (BY_NIB, employer(kepesertaan__0__program=[])),
    "JKP": (BY_NIB, employer(kepesertaan__0__program=["JKK", "JKP"])),
    "nothing paid yet": (
        BY_NIB,
        employer(kepesertaan__0__iuran_pertama_dibayar=False, kepesertaan__0__lunas_sampai=None),
    ),
    "a closed account with nothing else": (BY_NIB, employer(kepesertaan=[{"npp": NPP, "status": "NONAKTIF"}])),
    "a field that nobody agreed on": (BY_NIB, employer(lain={"a": [1, None, "\u0000"]})),
    "an NPP in lower case": (Ask(BY_NPP.subject, "npp", "AB1"), employer(kepesertaan__0__npp="ab1")),
    "five minutes ahead": (BY_NIB, employer(per_tanggal="2026-11-20T15:05:00+07:00")),
    "a moment in UTC with fractions": (BY_NIB, employer(per_tanggal="2026-11-20T01:02:03.456Z")),
    "an old answer": (BY_NIB, employer(per_tanggal="2019-01-01T00:00:00+07:00")),
    "a masked NIK": (PERSON, person(nik="7309********0002")),
    "a waged worker without end": (PERSON, without(person(segmen="PU"), "berlaku_sampai")),
}


@pytest.mark.parametrize("case", ALSO_GOOD)
def test_this_is_understood_too(case: str) -> None:
    ask, document = ALSO_GOOD[case]
    assert read(document, ask) is not None


def each(keys: list[str], values: list[Any]) -> dict[str, list[Any]]:
    return dict.fromkeys(keys, values)


FLAGS = ["ditemukan", *(f"kepesertaan__0__{key}" for key in ("iuran_pertama_dibayar", "ada_perjanjian_angsuran"))]
FLAGS += [f"kepesertaan__0__pds__{key}" for key in ("tk", "upah", "program")]
COUNTS = ["kepesertaan__0__jumlah_tk_aktif", "kepesertaan__0__bulan_menunggak", "teguran__ke"]

MISSING = [
    *((BY_NIB, employer(), key) for key in employer() if key != "npwp"),
    *((BY_NIB, employer(), f"kepesertaan__0__{key}") for key in ("npp", "status", "program", "lunas_sampai", "pds")),
    *((BY_NIB, employer(), path) for path in (*FLAGS, *COUNTS, "teguran__tanggal", "tmp2t__kd_daerah")),
    (BY_NPWP, employer(), "npwp"),
    *((PERSON, person(), path) for path in person()),
    *((PROJECT, project(), path) for path in project()),
]


@pytest.mark.parametrize(
    ("ask", "document", "path"), MISSING, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_answer_without_this_field_is_misunderstood(ask: Ask, document: dict[str, Any], path: str) -> None:
    assert read(document, ask) is not None
    with pytest.raises(RegistryMisunderstood):
        read(without(document, path), ask)


DAYS = ["teguran__tanggal", "tmp2t__tanggal", "tmp2t__dicabut_tanggal"]
TEXTS = ["no_ref", "nama", "nib", "npwp", "kepesertaan__0__npp", "tmp2t__no_surat", "tmp2t__kd_daerah"]
WRONG: dict[str, list[Any]] = {
    **each(FLAGS, [0, 1, "true", "True", "Y", None, [], {}]),
    **each(COUNTS, [True, False, 12.0, 1e3, "12", None, -1, [], {}, 10**20, 0.5]),
    **each(
        DAYS,
        ["2026-02-30", "2026-2-3", "20260203", "03-02-2026", "2026-W07-1", "", 20260203, True, "2026-01-01T00:00:00"],
    ),
    **each(TEXTS, ["", "  ", 5, True, [], {}, "a\x00b", "a\nb", "\ud800", "x" * 1000, "\x85"]),
    "kepesertaan__0__status": ["aktif", "AKTIF ", " AKTIF", "Aktif", "SUSPEND", "", None, True, 1, ["AKTIF"], {}],
    "kepesertaan__0__program": [
        None,
        "JKK",
        ["jkk"],
        ["JKK "],
        ["XYZ"],
        [None],
        [True],
        [["JKK"]],
        {},
        {"JKK": True},
        3,
    ],
    "kepesertaan__0__lunas_sampai": [
        "2026-13",
        "2026-00",
        "2026-1",
        "10-2026",
        "2026-10-01",
        "202610",
        "",
        202610,
        None,
        "0000-01",
    ],
    "kepesertaan__0__pds": [None, [], True, "tidak"],
    "kepesertaan__0__kd_daerah": ["7309", "Maros", 73, ""],
    "kepesertaan": [None, {}, "", 0, [None], [[]], ["15070955"], [{}]],
    "teguran": [False, [], "", 0, {}],
    "tmp2t": [False, [], "", 0, {}],
    "tmp2t__kd_daerah": [None, "7309", "73.9", "73.090", "73.09 ", "Maros", 73.09],
    "per_tanggal": [
        None,
        "",
        "2026-11-19",
        "2026-11-19T17:00:00",
        "2026-11-19 17:00:00+07:00",
        "2026-11-20T15:05:01+07:00",
        "2026-11-19T17:00:00+0700",
        "2026-11-19T25:00:00+07:00",
        "2026-11-31T17:00:00+07:00",
        "0001-01-01T00:00:00+07:00",
        "2026-11-19T17:00:00+99:00",
        "٢٠٢٦-11-19T17:00:00+07:00",
        1763546400,
        "2026-11-19T17:00:00+07:00\n",
    ],
    "nib": ["8120001234568", "812000123456", "81200012345678", 8120001234567, "٨120001234567", " 8120001234567", None],
    "npwp": ["123", "00123456788010001234", 12345678801000, "0012345678801000x"],
    "kepesertaan__0__npp": [None, "1507-0955", "1" * 21, 15070955],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, values in WRONG.items() for value in values],
    ids=lambda value: repr(value)[:40],
)
def test_this_value_in_this_field_is_misunderstood(path: str, value: Any) -> None:
    with pytest.raises(RegistryMisunderstood):
        read(employer(**{path: value}))


ANOTHER: dict[str, tuple[Ask, dict[str, Any]]] = {
    "another NIB": (BY_NIB, employer(nib="8120999999999")),
    "another NPWP": (BY_NPWP, employer(npwp="0099999999801000")),
    "no account with that NPP": (BY_NPP, employer(kepesertaan__0__npp="99999999")),
    "no account at all, asked by NPP": (BY_NPP, employer(kepesertaan=[])),
    "another person": (PERSON, person(nik="7309054403880003")),
    "another household": (BY_NIK, employer(nik="7309054403880003")),
    "another project": (PROJECT, project(nomor="2300001078095")),
    "another NPP's project": (PROJECT_BY_NPP, project(npp="99999999")),
    "a project in another region than asked for": (PROJECT_BY_NPP, project(kd_daerah="76.05")),
    "not found, but about another NIB": (BY_NIB, not_found() | {"nib": "8120999999999"}),
}


@pytest.mark.parametrize("case", ANOTHER)
def test_an_answer_about_somebody_else_is_misunderstood(case: str) -> None:
    ask, document = ANOTHER[case]
    with pytest.raises(RegistryMisunderstood) as caught:
        read(document, ask)
    assert "not about the" in str(caught.value)


def test_the_error_names_the_field_and_no_number_of_anybody() -> None:
    for ask, document in ANOTHER.values():
        with pytest.raises(RegistryMisunderstood) as caught:
            read(document, ask)
        assert not any(digit in str(caught.value) for digit in "0123456789")


GOOD_TEXT = json.dumps(employer())
NOT_ONE_OBJECT = {
    "empty": b"",
    "space": b"  ",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "two objects": b"{}{}",
    "HTML": b"<!doctype html>",
    "a byte-order mark": b"\xef\xbb\xbf" + GOOD_TEXT.encode(),
    "UTF-16": GOOD_TEXT.encode("utf-16"),
    "UTF-32": GOOD_TEXT.encode("utf-32"),
    "Latin-1": GOOD_TEXT.replace("SUMBER", "SÜMBER").encode("latin-1"),
    "NaN": GOOD_TEXT.replace("12,", "NaN,").encode(),
    "-Infinity": GOOD_TEXT.replace("12,", "-Infinity,").encode(),
    "a key twice": GOOD_TEXT.replace('"nama"', '"nama": "A", "nama"').encode(),
    "a key twice deep inside": GOOD_TEXT.replace('"tk"', '"tk": true, "tk"').encode(),
    "single quotes": GOOD_TEXT.replace('"', "'").encode(),
    "a trailing comma": GOOD_TEXT[:-1].encode() + b",}",
    "cut short": GOOD_TEXT[:-1].encode(),
    "a NUL after it": GOOD_TEXT.encode() + b"\0",
    "33 levels": ('{"a":' * 32 + "[" + "]" + "}" * 32).encode(),
    "100,000 lists": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5,000 digits": b'{"a":' + b"9" * 5000 + b"}",
    "over 1 MiB": b'{"a":"' + b"x" * 1024 * 1024 + b'"}',
}


@pytest.mark.parametrize("case", NOT_ONE_OBJECT)
def test_this_is_not_one_json_object(case: str) -> None:
    with pytest.raises(RegistryMisunderstood):
        read_document(NOT_ONE_OBJECT[case])


def test_32_levels_and_1_mib_are_read() -> None:
    assert read_document(('{"a":' * 31 + "[" + "]" + "}" * 31).encode())
    assert read_document(b'{"a":"' + b"x" * (1024 * 1024 - 8) + b'"}')


def test_the_clock_that_counts_is_the_gates() -> None:
    early = NOW - timedelta(days=2)
    with pytest.raises(RegistryMisunderstood):
        understand(BY_NIB, employer(), early, "http")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["AKTIF", NIB, "73.09"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
places = st.sampled_from([*WRONG, "kepesertaan__0"])


@settings(max_examples=400, deadline=None)
@given(
    changes=st.dictionaries(places, json_values, min_size=1, max_size=3),
    ask=st.sampled_from([BY_NIB, BY_NPWP, BY_NPP, BY_NIK]),
)
def test_whatever_stands_in_a_field_gives_a_record_or_misunderstood(changes: dict[str, Any], ask: Ask) -> None:
    try:
        document = employer(**changes)
    except (KeyError, TypeError, IndexError):
        return
    try:
        record = understand(ask, document, NOW, "http").record
    except RegistryMisunderstood:
        return
    assert record is None or isinstance(record, Employer)


@settings(max_examples=300, deadline=None)
@given(
    document=st.dictionaries(st.sampled_from([*employer(), "segmen", "nomor"]), json_values),
    ask=st.sampled_from([BY_NIB, PERSON, PROJECT]),
)
def test_any_json_object_gives_a_record_or_misunderstood(document: dict[str, Any], ask: Ask) -> None:
    with suppress(RegistryMisunderstood):
        understand(ask, document, NOW, "http")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_an_object_or_misunderstood(body: bytes) -> None:
    with suppress(RegistryMisunderstood):
        assert isinstance(read_document(body), dict)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(GOOD_TEXT) - 1), byte=st.integers(0, 255))
def test_one_changed_byte_never_raises_anything_else(place: int, byte: int) -> None:
    body = bytearray(GOOD_TEXT.encode())
    body[place] = byte
    with suppress(RegistryMisunderstood):
        understand(BY_NIB, read_document(bytes(body)), NOW, "http")
