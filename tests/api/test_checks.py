"""Asking, reading, listing and proving checks over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from compliance.access.clients import Clients
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import LogUnavailable
from tests.api.conftest import NIB, UNKNOWN_NIB, Agency, question
from tests.conftest import Clock

PATH = "/api/v1/checks"
FIELDS = {
    *("id", "checked_at", "reference", "region", "permit_type", "as_at", "backdated", "verdict", "action", "enforced"),
    *("label", "summary", "findings", "cure", "valid_until", "retry_after", "registry", "policy", "receipt", "log"),
    "replaces",
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_check_is_answered_with_its_receipt(http: FlaskClient, headers: dict[str, str], agency: Agency) -> None:
    answer = http.post(PATH, json=question(), headers={**headers, "X-Request-ID": "sicantik-17"})
    document = answer.get_json()
    assert (answer.status_code, document["verdict"], document["action"]) == (201, "MET", "PROCEED"), answer.text
    assert set(document) == FIELDS
    assert answer.headers["Location"] == f"{PATH}/{document['id']}"
    assert answer.headers["X-Request-ID"] == "sicantik-17"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert (document["as_at"], document["valid_until"]) == ("2026-11-20", "2026-12-20")
    (told,) = agency.told
    assert (told[0].value, told[1].request_id, told[1].reference) == (NIB, "sicantik-17", "503/0123/DPMPTSP/2026")


def test_stop_and_hold_are_answers(http: FlaskClient, headers: dict[str, str], agency: Agency) -> None:
    stop = http.post(PATH, json=question(business__nib=UNKNOWN_NIB), headers=headers)
    agency.fails = True
    hold = http.post(PATH, json=question(business__nib="7777777777777"), headers=headers)
    assert (stop.status_code, stop.get_json()["action"]) == (201, "STOP")
    assert (hold.status_code, hold.get_json()["action"]) == (201, "HOLD")
    assert hold.get_json()["retry_after"]
    assert stop.get_json()["retry_after"] is None
    assert set(hold.get_json()) <= FIELDS | {"outage"}


def test_no_connection_is_held_while_the_agency_is_asked(app: Flask, key: str, agency: Agency) -> None:
    held = []

    def look(ask: Any, purpose: Any, answer: Any = agency.ask) -> Any:
        held.append(db.engine.pool.checkedout())  # type: ignore[attr-defined]
        return answer(ask, purpose)

    agency.ask = look  # type: ignore[method-assign]
    assert app.test_client().post(PATH, json=question(), headers=bearer(key)).status_code == 201
    assert held == [0]


def test_a_check_is_read_again_byte_for_byte(http: FlaskClient, headers: dict[str, str]) -> None:
    asked = http.post(PATH, json=question(), headers=headers)
    read = http.get(asked.headers["Location"], headers=headers)
    assert (read.status_code, read.data) == (200, asked.data)


def test_an_old_as_at_is_marked_and_today_is_the_regions_day(
    http: FlaskClient, headers: dict[str, str], clock: Clock
) -> None:
    def ask(**changes: Any) -> dict[str, Any]:
        return http.post(PATH, json=question(**changes), headers=headers).get_json()

    assert [ask(as_at="2026-10-21")["backdated"], ask(as_at="2026-10-20")["backdated"]] == [False, True]
    clock.tick(hours=8, minutes=1)  # 00:01 of the 21st in Maros
    assert ask()["as_at"] == "2026-11-21"


def test_a_key_sees_only_its_regions(http: FlaskClient, new_key: Callable[..., str]) -> None:
    maros, both = bearer(new_key()), bearer(new_key("check,read", ("73.08", "73.09")))
    bone = http.post(PATH, json=question(), headers=both)
    assert bone.get_json()["region"] == "73.08"
    path = bone.headers["Location"]
    assert [http.get(path + tail, headers=maros).status_code for tail in ("", "/proof")] == [404, 404]
    assert http.get(PATH, headers=maros).get_json()["items"] == []
    foreign = http.post(PATH, json=question(region="73.08"), headers=maros)
    assert foreign.status_code == 403
    assert foreign.get_json()["errors"][0]["pointer"] == "/region"
    assert http.post(PATH, json=question(region="73.09"), headers=both).get_json()["region"] == "73.09"


SCOPES = [
    ("POST", PATH, "check"),
    ("GET", PATH, "read"),
    ("GET", f"{PATH}/X", "check read"),
    ("GET", f"{PATH}/X/proof", "read"),
    ("GET", f"{PATH}/X/explain", "read"),
    ("POST", f"{PATH}/X/replay", "audit"),
    ("POST", "/api/v1/oss/receive-nib", "check"),
]


def test_each_path_opens_to_its_scope_alone(http: FlaskClient, new_key: Callable[..., str]) -> None:
    keys = {scope: bearer(new_key(scope)) for scope in ("check", "read", "audit")}
    for method, path, scopes in SCOPES:
        for scope, headers in keys.items():
            status = http.open(path, method=method, headers=headers).status_code
            assert (status == 403) == (scope not in scopes), (method, path, scope, status)
        assert http.open(path, method=method).status_code == 401


def test_a_bad_key_is_refused_before_the_body_is_read(http: FlaskClient, key: str, entries: Callable[..., Any]) -> None:
    wrong = ["", "Basic eDp5", "Bearer", f"Bearer {key[:-1]}", f"Bearer {key}x", f"Bearer {key.split('.')[1]}", key]
    for header in wrong:
        answer = http.post(PATH, data=b"{", headers={"Authorization": header})
        assert answer.status_code == 401, header
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.get_json()["code"] == "not_authenticated"
    assert not entries("check.refused")


def test_unknown_query_parameters_are_refused_everywhere(http: FlaskClient, headers: dict[str, str]) -> None:
    check = http.post(PATH, json=question(), headers=headers).headers["Location"]
    for method, path in [("POST", PATH), ("GET", PATH), ("GET", check), ("GET", f"{check}/proof")]:
        answer = http.open(
            f"{path}?debug=1", method=method, json=question() if method == "POST" else None, headers=headers
        )
        assert answer.status_code == 422, path
        assert answer.get_json()["errors"][0]["pointer"] == "/debug"


FILTERS = [
    ("limit=0", "/limit"),
    ("limit=201", "/limit"),
    ("limit=ten", "/limit"),
    ("limit=1&limit=2", "/limit"),
    ("from=2026-11-31", "/from"),
    ("to=yesterday", "/to"),
    ("verdict=MAYBE", "/verdict"),
    ("action=proceed", "/action"),
    ("nib=1", "/nib"),
    ("cursor=x", "/cursor"),
    ("reference=%00", "/reference"),
    ("region=73.09", "/region"),
]


def test_a_wrong_filter_is_named(http: FlaskClient, headers: dict[str, str]) -> None:
    for query, pointer in FILTERS:
        answer = http.get(f"{PATH}?{query}", headers=headers)
        assert answer.status_code == 422, query
        assert [error["pointer"] for error in answer.get_json()["errors"]] == [pointer]


def test_the_list_is_filtered(http: FlaskClient, headers: dict[str, str], agency: Agency, clock: Clock) -> None:
    def ask(reference: str, **changes: Any) -> None:
        assert http.post(PATH, json=question(reference=reference, **changes), headers=headers).status_code == 201

    ask("A/1")
    ask("A/2", business__nib=UNKNOWN_NIB)
    clock.tick(hours=7, minutes=59)  # 23:59 in Maros
    ask("B/1", permit_type="SIP")
    clock.tick(minutes=1)  # 00:00 of the next day there
    ask("B/2", permit_type="INDUSTRI")

    def found(query: str) -> list[str]:
        items = http.get(f"{PATH}?{query}", headers=headers).get_json()["items"]
        return [item["reference"] for item in items]

    assert found("") == ["B/2", "B/1", "A/2", "A/1"]
    assert found("reference=A/1") == ["A/1"]
    assert found(f"nib={UNKNOWN_NIB}") == ["A/2"]
    assert found("verdict=NOT_MET&action=STOP") == ["A/2"]
    assert found("permit_type=SIP") == ["B/1"]
    assert found("from=2026-11-21") == ["B/2"]
    assert found("to=2026-11-20") == ["B/1", "A/2", "A/1"]
    assert found("from=2026-11-21&to=2026-11-20") == []


def test_the_list_is_paged_without_gap_or_repeat(http: FlaskClient, headers: dict[str, str]) -> None:
    for number in range(5):
        http.post(PATH, json=question(reference=f"N/{number}"), headers=headers)
    seen, cursor = [], ""
    while cursor is not None:
        page = http.get(f"{PATH}?limit=2{cursor and f'&cursor={cursor}'}", headers=headers).get_json()
        seen += [item["reference"] for item in page["items"]]
        http.post(PATH, json=question(reference="later"), headers=headers)
        cursor = page["next_cursor"]
    assert seen == ["N/4", "N/3", "N/2", "N/1", "N/0"]


def test_the_list_leaves_out_jws_and_proof(http: FlaskClient, headers: dict[str, str]) -> None:
    http.post(PATH, json=question(), headers=headers)
    (item,) = http.get(PATH, headers=headers).get_json()["items"]
    assert set(item) == FIELDS
    assert set(item["receipt"]) == {"code", "url"}


def test_the_proof_leads_to_the_checkpoint(http: FlaskClient, headers: dict[str, str]) -> None:
    from metamorphic_log import verify_inclusion  # somebody else's program

    asked = http.post(PATH, json=question(), headers=headers).get_json()
    http.post(PATH, json=question(), headers=headers)
    proof = http.get(f"{PATH}/{asked['id']}/proof", headers=headers).get_json()
    body = base64.b64decode(proof["body"])
    leaf = hashlib.sha256(b"\x00" + body).digest()
    assert proof["leaf_hash"] == asked["log"]["leaf_hash"] == base64.b64encode(leaf).decode()
    assert json.loads(body)["reference"] == "503/0123/DPMPTSP/2026"
    _, size, root = proof["checkpoint"].split("\n")[:3]
    hashes = [base64.b64decode(step) for step in proof["proof"]]
    verify_inclusion(proof["index"], int(size), leaf, hashes, base64.b64decode(root))
    names = {json.loads(base64.urlsafe_b64decode(text + "=="))[1] for text in proof["disclosures"]}
    assert "name" in names


def test_a_rule_on_trial_shows_its_reasons_to_readers_only(
    http: FlaskClient, new_key: Callable[..., str], clock: Clock
) -> None:
    trial = question(permit_type="HOTEL", business__nib=UNKNOWN_NIB, as_at="2026-09-30")
    keys = {"Idempotency-Key": "1"}
    office, auditor = {**bearer(new_key("check")), **keys}, bearer(new_key("check,read"))
    masked = http.post(PATH, json=trial, headers=office)
    shown = masked.get_json()
    assert (shown["findings"], shown["cure"]) == ([], None)
    assert shown["summary"] == "uji coba: dicatat, belum diberlakukan"
    assert (shown["verdict"], shown["action"], shown["enforced"]) == ("NOT_MET", "PROCEED", False)
    assert http.get(masked.headers["Location"], headers=office).data == masked.data
    assert http.post(PATH, json=trial, headers=office).data == masked.data
    assert http.get(masked.headers["Location"], headers=auditor).get_json()["findings"]


def test_a_check_is_explained_and_decided_again(
    http: FlaskClient, new_key: Callable[..., str], entries: Callable[..., Any]
) -> None:
    all_scopes = bearer(new_key("check,read,audit"))
    asked = http.post(PATH, json=question(business__nib=UNKNOWN_NIB), headers=all_scopes)
    path = asked.headers["Location"]
    explained = http.get(f"{path}/explain", headers=all_scopes).get_json()
    assert "registered" in json.dumps(explained["rules"])
    again = http.post(f"{path}/replay", headers=all_scopes).get_json()
    assert (again["same"], again["verdict"], again["differences"]) == (True, "NOT_MET", [])
    assert again["findings"] == asked.get_json()["findings"]
    assert again["policy_sha256"] == asked.get_json()["policy"]["sha256"]
    assert [entry["check"] for entry in entries("log.replayed")] == [asked.get_json()["id"]]
    other = bearer(new_key("read,audit", ("73.08",)))
    assert http.get(f"{path}/explain", headers=other).status_code == 404
    assert http.post(f"{path}/replay", headers=other).status_code == 404


def test_no_record_no_answer(app: Flask, http: FlaskClient, headers: dict[str, str], monkeypatch: Any) -> None:
    def full(*args: Any, **more: Any) -> Any:
        raise LogUnavailable("the disk is full")

    with app.app_context():
        monkeypatch.setattr(deployment().log, "append", full)
    for body in (question(), question(business__nib="1")):
        answer = http.post(PATH, json=body, headers=headers)
        assert answer.status_code == 503
        assert "verdict" not in answer.get_json()


def test_a_database_out_of_reach_is_503(
    app: Flask, http: FlaskClient, headers: dict[str, str], monkeypatch: Any
) -> None:

    def gone(*args: Any, **more: Any) -> Any:
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(Clients, "authenticate", gone)
    answer = http.post(PATH, json=question(), headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "log_unavailable")
    assert "SELECT" not in answer.text


def test_an_unforeseen_error_shows_no_trace(
    http: FlaskClient, headers: dict[str, str], agency: Agency, entries: Callable[..., Any]
) -> None:
    agency.broken = ZeroDivisionError("Traceback of 8120001234567")
    answer = http.post(PATH, json=question(), headers=headers)
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "Traceback" not in answer.text
    assert "8120001234567" not in answer.text
    assert len(entries("check.failed")) == 1
    assert not entries("check")


def test_every_path_of_the_api_answers_errors_as_problems(http: FlaskClient, headers: dict[str, str]) -> None:
    assert http.get("/api/v2/checks").content_type == "application/problem+json"
    answer = http.delete(PATH, headers=headers)
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert "POST" in answer.headers["Allow"]
    twice = http.get("/api//v1/checks", headers=headers)
    assert (twice.status_code, twice.headers["Location"]) == (308, "http://localhost/api/v1/checks")
    insane = http.get("/api/v1/none", headers={"X-Request-ID": "a b\x7f"})
    assert insane.get_json()["request_id"] == insane.headers["X-Request-ID"] != "a b\x7f"


def test_a_proof_names_no_head_that_a_crash_may_take_back(
    app: Flask, http: FlaskClient, headers: dict[str, str], monkeypatch: Any
) -> None:
    asked = http.post(PATH, json=question(), headers=headers).get_json()

    def away() -> None:
        raise LogUnavailable("the disk does not answer")

    monkeypatch.setattr(app.extensions["compliance"].log.turns, "durable", away)
    assert http.get(f"{PATH}/{asked['id']}/proof", headers=headers).status_code == 503
