"""What OSS really sends: every permit of the checklist gets a check, whoever the answer is for."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from compliance.access.clients import Clients
from compliance.deployment import deployment
from compliance.errors import LogUnavailable
from compliance.intake import oss as intake
from compliance.law.facts import Ask, Employer, Programme, Scale, Subject
from compliance.law.policy import DATA, Policy
from compliance.registry.port import AT_ONCE, aside
from tests.api.conftest import Agency, account
from tests.conftest import SAMPLES, Clock

PATH = "/api/v1/oss/receive-nib"
RESTAURANT, BUILDER, FISHER = (
    json.loads((SAMPLES / f"oss-datanib-{name}.json").read_text(encoding="utf-8"))
    for name in ("small-restaurant", "medium-builder-two-permits", "sole-fisher")
)
EVERYWHERE = ("73.09", "76.05")


def changed(sample: dict[str, Any], **changes: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(sample))
    copy["dataNIB"].update(changes)
    return copy


@pytest.fixture
def agency() -> Agency:
    """Knows whoever is asked for by NIB, with all programmes."""

    class Generous(Agency):
        def ask(self, ask: Ask, purpose: Any) -> Any:
            if ask.subject is Subject.EMPLOYER and ask.by == "nib":
                all_four = frozenset({Programme.JKK, Programme.JKM, Programme.JHT, Programme.JP})
                self.known[ask.value] = Employer(None, ask.value, None, (account(programmes=all_four),))
            return super().ask(ask, purpose)

    return Generous()


@pytest.fixture
def oss(new_key: Callable[..., str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {new_key('check', EVERYWHERE)}"}


def test_the_restaurant_is_checked_as_oss_states_it(
    http: FlaskClient, oss: dict[str, str], agency: Agency, entries: Callable[..., Any]
) -> None:
    answer = http.post(PATH, json=RESTAURANT, headers=oss)
    document = answer.get_json()
    assert (answer.status_code, document["responreceiveNIB"]["status"]) == (200, "1")
    (one,) = document["checks"]
    assert (one["id_izin"], one["kd_izin"]) == ("I-202602031104599001", "055000000021")
    check = one["check"]
    assert (check["verdict"], check["permit_type"], check["region"]) == ("MET", "RESTORAN", "73.09")
    assert check["reference"] == one["id_izin"]
    (entry,) = entries("check")
    application = entry["facts"]["application"]
    assert (application["scale"], application["legal_form"], application["nib_status"]) == (Scale.SMALL, "02", "01")
    assert application["given"] == ["nib", "npwp", "npp"]
    assert "workforce" not in application  # planned workers are no headcount
    assert entry["business"]["npwp"] == "0412233445801000"
    assert "nik" not in entry["sd"]


def test_both_permits_of_the_builder_are_checked(
    http: FlaskClient, oss: dict[str, str], entries: Callable[..., Any]
) -> None:
    checks = http.post(PATH, json=BUILDER, headers=oss).get_json()["checks"]
    assert [(c["check"]["permit_type"], c["check"]["verdict"]) for c in checks] == [("INDUSTRI", "MET"), ("PBG", "MET")]
    stages = [entry["facts"]["application"].get("stage", "new") for entry in entries("check")]
    assert stages == ["new", "renewal"]


def test_the_fisher_is_known_by_his_own_number(
    http: FlaskClient, oss: dict[str, str], entries: Callable[..., Any]
) -> None:
    (one,) = http.post(PATH, json=FISHER, headers=oss).get_json()["checks"]
    assert (one["check"]["verdict"], one["check"]["region"]) == ("NOT_REQUIRED", "76.05")
    assert one["check"]["findings"][0]["code"] == "PERMIT_NOT_GATED"
    (entry,) = entries("check")
    assert "nik" in entry["sd"]
    assert "7605021508830001" not in json.dumps(entry)


def test_items_of_other_regions_are_named_and_not_checked(http: FlaskClient, new_key: Callable[..., str]) -> None:
    sample = changed(BUILDER)
    sample["dataNIB"]["data_checklist"][1]["kd_daerah"] = "7308000000"
    answer = http.post(PATH, json=sample, headers={"Authorization": f"Bearer {new_key('check')}"})
    checks = answer.get_json()["checks"]
    assert (checks[0]["check"]["verdict"], checks[1]["check"]) == ("MET", None)


def test_a_permit_that_nobody_gates_is_checked_too(http: FlaskClient, oss: dict[str, str]) -> None:
    sample = changed(RESTAURANT)
    sample["dataNIB"]["data_checklist"][0]["kd_izin"] = "999000000001"
    (one,) = http.post(PATH, json=sample, headers=oss).get_json()["checks"]
    assert (one["check"]["verdict"], one["check"]["permit_type"]) == ("NOT_REQUIRED", "999000000001")
    assert [found["code"] for found in one["check"]["findings"]] == ["PERMIT_NOT_GATED"]
    assert "999000000001" in one["check"]["findings"][0]["message"]


def test_a_region_says_which_permit_type_an_oss_code_is(tmp_path: Path) -> None:
    shipped = (DATA / "regions" / "73.09.toml").read_text(encoding="utf-8")
    own = shipped.replace('certainty = "example"', 'certainty = "reported"')
    for code, permit_type, since in (("055000000021", "KAFE", "2026-01-01"), ("999000000001", "HOTEL", "2026-12-01")):
        own += f'\n[[oss]]\nkd_izin = ["{code}"]\nsince = {since}\npermit_type = "{permit_type}"\n'
    (tmp_path / "73.09.toml").write_text(own, encoding="utf-8")
    policy, sample = Policy.load(tmp_path), changed(RESTAURANT)
    (item,) = sample["dataNIB"]["data_checklist"]
    places = [("055000000021", "7309000000"), ("055000000021", "7308000000"), ("027000000011", "7309000000")]
    places += [("999000000001", "7309000000"), ("055000000021", "9999000000")]
    checklist = [item | {"kd_izin": code, "kd_daerah": place} for code, place in places]
    sample["dataNIB"]["data_checklist"] = checklist

    def read(day: int) -> list[str]:
        at = datetime(2026, 11, day, 20, tzinfo=UTC)  # already the next day in Makassar
        return [one.stated["permit_type"] for one in intake.read(sample, policy, at)]

    assert read(21) == ["KAFE", "RESTORAN", "PBG", "999000000001", "055000000021"]
    assert read(30) == ["KAFE", "RESTORAN", "PBG", "HOTEL", "055000000021"]


def test_stop_and_hold_are_good_answers(http: FlaskClient, oss: dict[str, str], agency: Agency) -> None:
    agency.fails = True
    answer = http.post(PATH, json=RESTAURANT, headers=oss)
    assert (answer.status_code, answer.get_json()["responreceiveNIB"]["status"]) == (200, "1")
    assert answer.get_json()["checks"][0]["check"]["action"] == "HOLD"


def test_the_same_permit_on_the_same_day_gets_the_same_answer(
    http: FlaskClient, oss: dict[str, str], clock: Clock, entries: Callable[..., Any]
) -> None:
    first = http.post(PATH, json=RESTAURANT, headers=oss)
    again = http.post(PATH, json=changed(RESTAURANT, skala_usaha="03"), headers=oss)
    assert again.data == first.data
    clock.tick(days=1)
    assert http.post(PATH, json=RESTAURANT, headers=oss).data != first.data
    assert len(entries("check")) == 2


def test_a_message_that_is_sent_many_times_at_once_waits_without_a_turn(
    app: Flask, oss: dict[str, str], agency: Agency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the one that asks cannot go on: those who wait for its answer have all the turns."""
    plain, told = agency.ask, list[bytes]()

    def slowly(ask: Ask, purpose: Any) -> Any:
        with aside():
            time.sleep(0.5)
            return plain(ask, purpose)

    def send() -> None:
        answer = app.test_client().post(PATH, json=RESTAURANT, headers=oss)
        told.append(answer.data if answer.status_code == 200 else b"")

    monkeypatch.setattr(agency, "ask", slowly)
    threads = [threading.Thread(target=send) for _ in range(3 * AT_ONCE)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(told) == len(threads)
    assert set(told) != {b""}
    assert len(set(told)) == 1
    assert time.monotonic() - began < app.extensions["compliance"].settings.registry_timeout


def test_an_undetermined_permit_is_asked_again(http: FlaskClient, oss: dict[str, str], agency: Agency) -> None:
    agency.fails = True
    first = http.post(PATH, json=RESTAURANT, headers=oss).get_json()["checks"][0]["check"]
    agency.fails = False
    second = http.post(PATH, json=RESTAURANT, headers=oss).get_json()["checks"][0]["check"]
    assert (first["verdict"], second["verdict"], second["replaces"]) == ("UNDETERMINED", "MET", first["id"])


@pytest.mark.parametrize(
    ("company", "projects", "scale"),
    [("03", ["01"], "medium"), ("", ["01", "03", "02"], "medium"), ("", ["", ""], None), ("", [], None)],
)
def test_the_company_s_scale_counts_before_its_projects(
    http: FlaskClient,
    oss: dict[str, str],
    entries: Callable[..., Any],
    company: str,
    projects: list[str],
    scale: str | None,
) -> None:
    sample = changed(RESTAURANT, skala_usaha=company, data_proyek=[{"skala_usaha": code} for code in projects])
    assert http.post(PATH, json=sample, headers=oss).status_code == 200
    assert entries("check")[0]["facts"]["application"].get("scale") == scale


def test_empty_lists_and_empty_items_are_nothing(http: FlaskClient, oss: dict[str, str]) -> None:
    for checklist in ("", [], [{"id_izin": "", "kd_izin": "", "kd_daerah": ""}], None):
        answer = http.post(PATH, json=changed(RESTAURANT, data_checklist=checklist), headers=oss)
        assert (answer.status_code, answer.get_json()["checks"]) == (200, [])


ITEM = RESTAURANT["dataNIB"]["data_checklist"][0]
WRONG: list[tuple[str, Any, str]] = [
    ("no dataNIB", {}, "/dataNIB"),
    ("dataNIB no object", {"dataNIB": "x"}, "/dataNIB"),
    ("a list", [], "/dataNIB"),
    ("no NIB", changed(RESTAURANT, nib=""), "/dataNIB/nib"),
    ("NIB of 12 digits", changed(RESTAURANT, nib="022010451234"), "/dataNIB/nib"),
    ("NIB a number", changed(RESTAURANT, nib=220104512347), "/dataNIB/nib"),
    ("NPWP", changed(RESTAURANT, npwp_perseroan="1"), "/dataNIB/npwp_perseroan"),
    ("scale", changed(RESTAURANT, skala_usaha="05"), "/dataNIB/skala_usaha"),
    ("status", changed(RESTAURANT, status_nib="09"), "/dataNIB/status_nib"),
    ("name with a control character", changed(RESTAURANT, nama_perseroan="CV\x07"), "/dataNIB/nama_perseroan"),
    ("checklist no list", changed(RESTAURANT, data_checklist={}), "/dataNIB/data_checklist"),
    ("checklist of texts", changed(RESTAURANT, data_checklist=["x"]), "/dataNIB/data_checklist/0"),
    ("too many items", changed(RESTAURANT, data_checklist=[ITEM] * 101), "/dataNIB/data_checklist"),
    (
        "an item without code",
        changed(RESTAURANT, data_checklist=[{**ITEM, "kd_izin": ""}]),
        "/dataNIB/data_checklist/0/kd_izin",
    ),
    (
        "an item's place",
        changed(RESTAURANT, data_checklist=[ITEM, {**ITEM, "kd_daerah": "73.09"}]),
        "/dataNIB/data_checklist/1/kd_daerah",
    ),
    ("the person's NIK", changed(FISHER, penanggung_jwb=[
        {"jns_identitas_penanggung_jwb": "01", "no_identitas_penanggung_jwb": "76050215"}
    ]), "/dataNIB/penanggung_jwb/0/no_identitas_penanggung_jwb"),
]  # fmt: skip


def test_wrong_data_is_status_2_with_400(http: FlaskClient, oss: dict[str, str], entries: Callable[..., Any]) -> None:
    failed = {}
    for name, body, pointer in WRONG:
        answer = http.post(PATH, json=body, headers=oss)
        problem = answer.get_json()
        named = pointer in [error["pointer"] for error in problem.get("errors", [])]
        if answer.status_code != 400 or not named or problem["responreceiveNIB"]["status"] != "2":
            failed[name] = answer.text
    assert not failed
    assert {entry["status"] for entry in entries("check.refused")} == {400}
    assert len(entries("check.refused")) == len(WRONG)
    assert not entries("check")


def test_fields_that_are_not_read_may_hold_anything(http: FlaskClient, oss: dict[str, str]) -> None:
    answer = http.post(PATH, json=changed(RESTAURANT, alamat_perseroan="baris 1\nbaris 2", lain={"x": 1}), headers=oss)
    assert answer.status_code == 200


def test_a_megabyte_is_taken_and_more_is_not(http: FlaskClient, oss: dict[str, str]) -> None:
    body = json.dumps(RESTAURANT).encode()
    for size, status in ((1024 * 1024, 200), (1024 * 1024 + 1, 413)):
        answer = http.post(PATH, data=body.ljust(size), headers=oss, content_type="application/json")
        assert answer.status_code == status


def token(user: str, password: str, nib: str, day: date) -> dict[str, str]:
    return {"Token": hashlib.sha1(f"{user}{password}{nib}{day:%Y%m%d}".encode()).hexdigest()}


def test_oss_signs_with_its_own_token(app: Flask, http: FlaskClient) -> None:
    with app.app_context():
        running = deployment()
        clients = Clients(running.log, running.clock)
        client, _ = clients.create("OSS", EVERYWHERE, ["check"], by="test")
        clients.keep_oss_user(client, "oss", "rahasia", by="test")
    nib, today = RESTAURANT["dataNIB"]["nib"], date(2026, 11, 20)
    assert http.post(PATH, json=RESTAURANT, headers=token("oss", "rahasia", nib, today)).status_code == 200
    for headers in (
        {},
        token("oss", "rahasia", nib, date(2026, 11, 19)),
        token("oss", "rahasia", "0000000000000", today),
        token("oss", "salah", nib, today),
        {"Token": "x", "Authorization": "Bearer x"},
    ):
        answer = http.post(PATH, json=RESTAURANT, headers=headers)
        assert (answer.status_code, answer.get_json()["responreceiveNIB"]["status"]) == (401, "2")


def test_a_failed_log_is_status_2_with_503(
    app: Flask, http: FlaskClient, oss: dict[str, str], monkeypatch: Any
) -> None:
    def full(*args: Any, **more: Any) -> Any:
        raise LogUnavailable("the disk is full")

    with app.app_context():
        monkeypatch.setattr(deployment().log, "append", full)
    answer = http.post(PATH, json=RESTAURANT, headers=oss)
    assert (answer.status_code, answer.get_json()["responreceiveNIB"]["status"]) == (503, "2")
    assert "checks" not in answer.get_json()


def test_a_key_without_the_scope_is_status_2_with_403(http: FlaskClient, new_key: Callable[..., str]) -> None:
    answer = http.post(PATH, json=RESTAURANT, headers={"Authorization": f"Bearer {new_key('read')}"})
    assert (answer.status_code, answer.get_json()["responreceiveNIB"]["status"]) == (403, "2")
