"""Every rule of contract §2 about the body: the status, and the field that is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from compliance.deployment import deployment
from compliance.errors import BadInput
from compliance.gate import Asker
from compliance.intake import read_question
from tests.api.conftest import question
from tests.conftest import Clock

PATH = "/api/v1/checks"
LONG = "x" * 201

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("reference missing", {"reference": None}, "/reference"),
    ("reference empty", {"reference": ""}, "/reference"),
    ("reference only spaces", {"reference": "   "}, "/reference"),
    ("reference of 65 characters", {"reference": "x" * 65}, "/reference"),
    ("reference not printable", {"reference": "503\u200b1"}, "/reference"),
    ("reference a number", {"reference": 503}, "/reference"),
    ("permit type missing", {"permit_type": None}, "/permit_type"),
    ("permit type empty", {"permit_type": ""}, "/permit_type"),
    ("permit type too long", {"permit_type": LONG}, "/permit_type"),
    ("stage of the rule, not of the application", {"stage": "enforce"}, "/stage"),
    ("region pattern", {"region": "7309"}, "/region"),
    ("region with a newline behind", {"region": "73.09\n"}, "/region"),
    ("region that is not served", {"region": "99.99"}, "/region"),
    ("unknown field", {"permit": "x"}, "/permit"),
    ("unknown inner field", {"business__kpj": "x"}, "/business/kpj"),
    ("unknown field whose name needs escaping", {"a/b~c": 1}, "/a~1b~0c"),
    ("business no object", {"business": "CV"}, "/business"),
    ("business a list", {"business": []}, "/business"),
    ("business name empty", {"business__name": ""}, "/business/name"),
    ("business name too long", {"business__name": LONG}, "/business/name"),
    ("business name with NUL", {"business__name": "CV\x00"}, "/business/name"),
    ("business name with half a character", {"business__name": "CV \ud800"}, "/business/name"),
    ("NIB of 12 digits", {"business__nib": "812000123456"}, "/business/nib"),
    ("NIB with a newline behind", {"business__nib": "8120001234567\n"}, "/business/nib"),
    ("NIB with other digits than ASCII", {"business__nib": "812000123456٧"}, "/business/nib"),
    ("NIB a number", {"business__nib": 8120001234567}, "/business/nib"),
    ("NPWP of 14 digits", {"business__npwp": "01234567880100"}, "/business/npwp"),
    ("NPWP with letters", {"business__npwp": "01.234.567.8-801.00A"}, "/business/npwp"),
    ("NPP with a dash", {"business__npp": "1507-0955"}, "/business/npp"),
    ("NPP of 21 characters", {"business__npp": "1" * 21}, "/business/npp"),
    ("scale unknown", {"business__scale": "tiny"}, "/business/scale"),
    ("scale as OSS code", {"business__scale": "02"}, "/business/scale"),
    ("legal form of one digit", {"business__legal_form": "2"}, "/business/legal_form"),
    ("NIB status 07", {"business__nib_status": "07"}, "/business/nib_status"),
    ("NIK of 15 digits", {"owner__nik": "730905440388000"}, "/owner/nik"),
    ("owner's name empty", {"owner__name": ""}, "/owner/name"),
    ("officer's number too long", {"officer__nip": LONG}, "/officer/nip"),
    ("no identifier at all", {"business__nib": None}, "/business"),
    ("employs_workers a text", {"workforce__employs_workers": "true"}, "/workforce/employs_workers"),
    ("employs_workers a number", {"workforce__employs_workers": 1}, "/workforce/employs_workers"),
    ("declared a boolean", {"workforce__declared": True}, "/workforce/declared"),
    ("declared a text", {"workforce__declared": "12"}, "/workforce/declared"),
    ("declared half a person", {"workforce__declared": 11.5}, "/workforce/declared"),
    ("declared below zero", {"workforce__declared": -1}, "/workforce/declared"),
    ("declared beyond all numbers", {"workforce__declared": 10**40}, "/workforce/declared"),
    ("outsourced below zero", {"workforce__outsourced": -1}, "/workforce/outsourced"),
    ("more foreigners than workers", {"workforce__foreign": 13}, "/workforce/foreign"),
    (
        "more short-term foreigners than foreigners",
        {"workforce__foreign": 1, "workforce__foreign_short_term": 2},
        "/workforce/foreign_short_term",
    ),
    (
        "more apart than declared",
        {"workforce__outsourced": 6, "workforce__hired_last_30_days": 7},
        "/workforce/outsourced",
    ),
    ("more old workers than workers", {"workforce__over_pension_age": 13}, "/workforce/over_pension_age"),
    (
        "nobody employed, some counted",
        {"workforce": {"employs_workers": False, "outsourced": 1}},
        "/workforce/outsourced",
    ),
    ("nobody employed, twelve declared", {"workforce__employs_workers": False}, "/workforce/declared"),
    ("somebody employed, none declared", {"workforce__declared": 0}, "/workforce/declared"),
    ("as_at no day", {"as_at": "2026-02-30"}, "/as_at"),
    ("as_at in another notation", {"as_at": "20261120"}, "/as_at"),
    ("as_at a moment", {"as_at": "2026-11-20T00:00:00Z"}, "/as_at"),
    ("as_at tomorrow", {"as_at": "2026-11-21"}, "/as_at"),
    ("as_at before the policy", {"as_at": "2021-12-31"}, "/as_at"),
    ("contract tomorrow", {"project__contract_date": "2026-11-21"}, "/project/contract_date"),
    ("project number without contract", {"project__number": "2300001078094"}, "/project/contract_date"),
    (
        "project number of 12 digits",
        {"project": {"number": "230000107809", "contract_date": "2026-10-01"}},
        "/project/number",
    ),
    ("project region", {"project": {"region": "Maros", "contract_date": "2026-10-01"}}, "/project/region"),
]


def test_each_wrong_field_is_named_and_leaves_an_entry(
    http: FlaskClient, headers: dict[str, str], entries: Callable[..., Any]
) -> None:
    failed, hashes = {}, []
    for name, changes, pointer in WRONG:
        body = json.dumps(question(**changes)).encode()
        hashes.append(hashlib.sha256(body).hexdigest())
        answer = http.post(PATH, data=body, headers=headers, content_type="application/json")
        wrong = {error["pointer"]: error["detail"] for error in answer.get_json().get("errors", [])}
        if (answer.status_code, answer.content_type) != (422, "application/problem+json") or not wrong.get(pointer):
            failed[name] = answer.text
    assert not failed
    assert [entry["body_sha256"] for entry in entries("check.refused")] == hashes
    assert not entries("check")


def test_all_wrong_fields_are_named_at_once(http: FlaskClient, headers: dict[str, str]) -> None:
    wrong = question(business__nib="1", workforce__declared=-1, as_at="2027-01-01", extra=1)
    pointers = {error["pointer"] for error in http.post(PATH, json=wrong, headers=headers).get_json()["errors"]}
    assert pointers == {"/business/nib", "/workforce/declared", "/as_at", "/extra"}


def test_the_first_day_of_the_policy_is_named(http: FlaskClient, headers: dict[str, str]) -> None:
    answer = http.post(PATH, json=question(as_at="2021-12-31"), headers=headers).get_json()
    assert "2022-01-01" in answer["errors"][0]["detail"]


def test_a_remedy_shows_an_example(http: FlaskClient, headers: dict[str, str]) -> None:
    answer = http.post(PATH, json=question(business__nib="1"), headers=headers).get_json()
    assert answer["errors"] == [{"pointer": "/business/nib", "detail": "must be 13 digits, e.g. 8120001234567"}]


NESTED = b'{"reference":' + b"[" * 20 + b"]" * 20 + b"}"
BROKEN: list[tuple[str, bytes, str, int]] = [
    ("not JSON", b"reference=1", "application/json", 400),
    ("nothing", b"", "application/json", 400),
    ("cut short", b'{"reference": "x"', "application/json", 400),
    ("Latin-1", b'{"reference": "caf\xe9"}', "application/json", 400),
    ("UTF-16", '{"reference": "x"}'.encode("utf-16"), "application/json", 400),
    ("a key twice", b'{"reference": "a", "reference": "b"}', "application/json", 400),
    ("a key twice, inside", b'{"business": {"nib": "a", "nib": "a"}}', "application/json", 400),
    ("NaN", b'{"workforce": {"declared": NaN}}', "application/json", 400),
    ("Infinity", b'{"workforce": {"declared": -Infinity}}', "application/json", 400),
    ("21 levels", NESTED, "application/json", 400),
    ("20,000 levels", b"[" * 20_000, "application/json", 400),
    ("a number of 5,000 digits", b'{"workforce": {"declared": ' + b"9" * 5_000 + b"}}", "application/json", 400),
    ("20 levels", NESTED.replace(b"[]", b"1"), "application/json", 422),
    ("a list", b"[]", "application/json", 422),
    ("a text", b'"x"', "application/json", 422),
    ("null", b"null", "application/json", 422),
    ("text/plain", b'{"reference": "x"}', "text/plain", 415),
    ("a form", b"reference=x", "application/x-www-form-urlencoded", 415),
    ("another JSON type", b"{}", "application/vnd.api+json", 415),
    ("no type", b"{}", "", 415),
    ("64 KiB and a byte", b" " * (64 * 1024 + 1), "application/json", 413),
    ("10 MB", b'{"reference": "' + b"x" * 10_000_000 + b'"}', "application/json", 413),
]


def test_each_broken_body_gets_a_problem_and_an_entry(
    http: FlaskClient, headers: dict[str, str], entries: Callable[..., Any]
) -> None:
    failed = {}
    for name, body, kind, status in BROKEN:
        answer = http.post(PATH, data=body, headers={**headers, "Content-Type": kind})
        problem = answer.get_json()
        whole = {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"} <= set(problem)
        if answer.status_code != status or not whole or answer.headers["X-Request-ID"] != problem["request_id"]:
            failed[name] = answer.text
    assert not failed
    logged = [(entry["status"], entry["body_length"], entry["body_sha256"]) for entry in entries("check.refused")]
    assert logged == [(status, len(body), hashlib.sha256(body).hexdigest()) for _, body, _, status in BROKEN]


ONE = {"reference": "503/1", "permit_type": "SIP", "business": {"nib": "8120001234567"}}
LISTS: list[tuple[str, bytes, str, str]] = [
    ("a cell longer than any reader takes in the header", b"x" * 200_000 + b"\n1\n", "text/csv", ""),
    ("a column 400,000 times", b"reference," * 400_000 + b"\n", "text/csv", ""),
    ("a field beside the list", json.dumps({"checks": [ONE], "a/b": 1}).encode(), "application/json", "/a~1b"),
    ("no list", b"{}", "application/json", "/checks"),
    ("an unknown field", json.dumps({"checks": [ONE | {"x": 1}]}).encode(), "application/json", "/checks/0/x"),
]


@pytest.mark.parametrize(("body", "kind", "pointer"), [row[1:] for row in LISTS], ids=[row[0] for row in LISTS])
def test_a_broken_list_names_what_is_wrong(
    http: FlaskClient, headers: dict[str, str], body: bytes, kind: str, pointer: str
) -> None:
    answer = http.post("/api/v1/batches", data=body, headers={**headers, "Content-Type": kind})
    assert answer.status_code == 422, answer.text[:500]
    assert {error["pointer"] for error in answer.get_json()["errors"]} == {pointer}


def test_an_id_that_no_check_can_have_is_not_found(http: FlaskClient, headers: dict[str, str]) -> None:
    for odd in ("%00", "x%00y", "%ff", "x" * 500):
        for path in ("checks/{}", "checks/{}/proof", "checks/{}/explain", "batches/{}", "batches/{}/results.csv"):
            answer = http.get(f"/api/v1/{path.format(odd)}", headers=headers)
            assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found"), (path, odd)
        assert http.get(f"/r/{odd}").status_code == 404, odd


def test_a_chunked_body_is_bounded_too(http: FlaskClient, headers: dict[str, str]) -> None:
    from io import BytesIO

    environ = {
        "wsgi.input": BytesIO(b" " * 200_000),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }
    answer = http.post(PATH, headers=headers, content_type="application/json", environ_overrides=environ)
    assert answer.status_code == 413


def test_64_kib_are_taken(http: FlaskClient, headers: dict[str, str]) -> None:
    body = json.dumps(question()).encode().ljust(64 * 1024)
    assert http.post(PATH, data=body, headers=headers, content_type="application/json").status_code == 201


def test_a_name_of_a_field_never_enters_the_log(
    http: FlaskClient, headers: dict[str, str], entries: Callable[..., Any]
) -> None:
    stated = question() | {"7309054403880002": 1, "business": {"nib": "x", "kpj 7309054403880002": 1}}
    assert http.post(PATH, json=stated, headers=headers).status_code == 422
    (refused,) = entries("check.refused")
    assert "7309054403880002" not in json.dumps(refused)
    assert refused["pointers"] == ["/?", "/business/?", "/business/nib"]


FINE: list[tuple[str, dict[str, Any]]] = [
    ("null is left out", {"as_at": None, "stage": None, "business__npp": None, "officer": None}),
    ("an integer written 12.0", {"workforce__declared": 12.0}),
    ("spaces around a text", {"reference": "  503/1  ", "business__name": " CV Sumber Rejeki "}),
    ("NPWP with dots and dashes", {"business__npwp": "01.234.567.8-801.000"}),
    ("NPWP of a branch", {"business__npwp": "0012345678801000000001"}),
    ("NPP in lower case", {"business__npp": "ab01"}),
    ("NIK with an impossible date", {"owner__nik": "7309059999990002"}),
    ("legal form that OSS does not have", {"business__legal_form": "99"}),
    ("a permit type of its own", {"permit_type": "Reklame"}),
    ("contract today", {"project__contract_date": "2026-11-20"}),
    ("short-term foreigners, foreigners left out", {"workforce__foreign_short_term": 1}),
]


def test_what_the_contract_allows_is_taken(http: FlaskClient, headers: dict[str, str]) -> None:
    failed = {}
    for name, changes in FINE:
        stated = question(**{field: value for field, value in changes.items() if value is not None})
        for field in [field for field, value in changes.items() if value is None]:
            part, _, last = field.rpartition("__")
            (stated[part] if part else stated)[last] = None
        answer = http.post(PATH, json=stated, headers=headers)
        if answer.status_code != 201:
            failed[name] = answer.text
    assert not failed


def test_a_form_is_answered_in_indonesian(app: Flask, clock: Clock) -> None:
    with app.app_context(), pytest.raises(BadInput) as caught:
        read_question(
            question(business__nib="1", as_at="2026-11-21", workforce__declared=0, extra=1, reference=None),
            regions=("73.09",),
            policy=deployment().policy,
            now=clock(),
            asker=Asker("user", "1"),
            request_id="r",
            language="id",
        )
    told = {error.pointer: error.detail for error in caught.value.errors}
    assert told["/business/nib"] == "harus 13 angka, mis. 8120001234567"
    assert told["/reference"] == "wajib diisi"
    assert "must" not in " ".join(told.values())
