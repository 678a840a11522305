"""OSS and back: a fake OSS sends its NIB, a supervisor confirms, and OSS hears of it over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from compliance import work
from compliance.audit.projection import rebuild
from compliance.delivery import outbox as oss
from compliance.deployment import Deployment, deployment
from compliance.errors import BadInput
from config import Settings
from tests.api.conftest import Agency
from tests.api.test_oss import RESTAURANT
from tests.conftest import Clock
from tests.registry.agency import Agency as Listener
from tests.registry.agency import in_turn, says

DONE = says({"responreceiveLicenseStatus": {"kode": 200, "keterangan": "Sukses"}})
NIB, ID_IZIN = "0220104512347", "I-202602031104599001"
WHO = {"nip": "197001012000031001", "name": "Andi Atasan", "note": "Kepesertaan sesuai"}


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener(DONE) as running:
        yield running


@pytest.fixture
def settings(settings: Settings, listener: Listener) -> Settings:
    return replace(settings, oss_url=f"{listener.url}/oss/v1", oss_user_key="kunci-oss", oss_kd_instansi="7309DPM")


@pytest.fixture
def here(app: Flask) -> Deployment:
    with app.app_context():
        return deployment()


@pytest.fixture
def sent(http: FlaskClient, headers: dict[str, str], here: Deployment) -> Callable[[], dict[str, Any]]:
    """OSS calls receiveNIB; returns the check of its one permit."""

    def send() -> dict[str, Any]:
        answer = http.post("/api/v1/oss/receive-nib", json=RESTAURANT, headers=headers).get_json()
        return dict(answer["checks"][0]["check"])

    return send


def tell(here: Deployment, status: str, once: str = "1") -> None:
    oss.tell(here, NIB, ID_IZIN, status, once=once, by="supervisor", private=WHO)


def run_all(here: Deployment) -> None:
    while work.do_due(here):
        pass


def state(here: Deployment) -> tuple[str, str]:
    ((row, _),) = oss.permits(here, ("73.09",))
    return row.status, row.state


def test_what_a_supervisor_confirms_is_told_as_the_guide_says(
    sent: Callable[[], Any], here: Deployment, listener: Listener, entries: Callable[..., Any]
) -> None:
    check = sent()
    run_all(here)
    assert listener.requests == []  # nothing goes by itself
    assert (check["verdict"], check["action"]) == ("NOT_MET", "STOP")  # the agency does not know this one
    tell(here, "93")
    tell(here, "93")
    assert state(here) == ("93", "waiting")
    run_all(here)
    (told,) = listener.requests
    assert (told.method, told.path, told.headers["user_key"]) == ("POST", "/oss/v1/receiveLicenseStatus", "kunci-oss")
    assert json.loads(told.body) == {
        "IZINSTATUS": {
            **{"nib": NIB, "oss_id": "O-202602031104512347", "id_izin": ID_IZIN, "kd_izin": "055000000021"},
            **{"id_proyek": "R-202602031104600001", "id_produk": "", "kd_instansi": "7309DPM", "kd_status": "93"},
            **{"tgl_status": "2026-11-20 15:00:00", "nip_status": WHO["nip"], "nama_status": WHO["name"]},
            "keterangan": WHO["note"],
        }
    }
    assert state(here) == ("93", "sent")
    (act,), (outcome,) = entries("officer.oss_status"), entries("delivery.sent")
    assert (act["by"], act["check"], outcome["oss"]) == ("supervisor", check["id"], 200)
    assert not set(WHO.values()) & set(json.dumps(act).split('"'))
    assert "kunci-oss" not in json.dumps(act | outcome)


def test_a_state_must_fit_the_newest_check(
    sent: Callable[[], Any], here: Deployment, agency: Agency, entries: Callable[..., Any]
) -> None:
    sent()
    for status in ("45", "41", "50", ""):
        with pytest.raises(BadInput):
            tell(here, status)
    with pytest.raises(BadInput):
        oss.tell(here, NIB, "I-0", "93", once="1", by="x", private={})
    agency.fails = True
    assert entries("officer.oss_status") == []


def test_the_clock_is_stopped_while_the_agency_is_out_and_goes_on(
    sent: Callable[[], Any], here: Deployment, agency: Agency, listener: Listener
) -> None:
    agency.fails = True
    sent()
    tell(here, "41", "1")
    run_all(here)
    tell(here, "42", "2")
    run_all(here)
    assert [json.loads(told.body)["IZINSTATUS"]["kd_status"] for told in listener.requests] == ["41", "42"]


def test_an_oss_that_is_out_is_told_later_and_one_that_refuses_is_not_asked_again(
    sent: Callable[[], Any], here: Deployment, listener: Listener, clock: Clock, entries: Callable[..., Any]
) -> None:
    refuses = says({"responreceiveLicenseStatus": {"kode": "400", "keterangan": "id_izin tidak dikenal"}})
    listener.behaviour = in_turn(says(b"", 503), says(b"<html>", 200), DONE)
    sent()
    tell(here, "93")
    for _ in range(3):
        run_all(here)
        clock.tick(minutes=3)
    assert (len(listener.requests), state(here)) == (3, ("93", "sent"))
    listener.behaviour = refuses
    tell(here, "93", "again")
    run_all(here)
    clock.tick(days=1)
    run_all(here)
    assert (len(listener.requests), state(here)) == (4, ("93", "failed"))
    assert [entry["oss"] for entry in entries("delivery.failed")] == [400]
    rebuild(here.log)
    run_all(here)
    assert (len(listener.requests), state(here)) == (4, ("93", "failed"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_off_means_that_nothing_is_kept_and_nothing_told(
    sent: Callable[[], Any], app: Flask, here: Deployment, entries: Callable[..., Any]
) -> None:
    off = replace(here, settings=replace(here.settings, oss_url=""))
    app.extensions["compliance"] = off
    sent()
    with pytest.raises(BadInput):
        tell(off, "93")
    assert (entries("oss.received"), oss.permits(off, ("73.09",))) == ([], [])


def test_a_check_of_another_region_says_nothing_of_this_ones_permit(
    sent: Callable[[], Any], here: Deployment, http: FlaskClient, new_key: Callable[..., str]
) -> None:
    mine, key = sent(), new_key(regions=("76.05",))
    asked = {"reference": ID_IZIN, "permit_type": "RESTORAN", "business": {"nib": NIB}}
    answer = http.post("/api/v1/checks", json=asked, headers={"Authorization": f"Bearer {key}"}).get_json()
    assert (answer["region"], answer["action"]) == ("76.05", "PROCEED")
    ((_, shown),) = oss.permits(here, ("73.09",))
    assert (shown.id, shown.region) == (mine["id"], "73.09")
    with pytest.raises(BadInput):
        tell(here, "45")


def test_a_client_of_another_region_does_not_move_this_ones_permit(
    sent: Callable[[], Any], here: Deployment, http: FlaskClient, new_key: Callable[..., str]
) -> None:
    sent()
    elsewhere = json.loads(json.dumps(RESTAURANT))
    elsewhere["dataNIB"]["data_checklist"][0] |= {"kd_daerah": "7605000000", "id_produk": "X"}

    def moved_by(*regions: str) -> list[tuple[str, str]]:
        headers = {"Authorization": f"Bearer {new_key('check', regions)}"}
        answer = http.post("/api/v1/oss/receive-nib", json=elsewhere, headers=headers).get_json()
        assert answer["checks"][0]["check"]["region"] == "76.05"
        rebuild(here.log)
        return [(row.region, row.named["id_produk"]) for row, _ in oss.permits(here, ("73.09", "76.05"))]

    assert moved_by("76.05") == [("73.09", "")]
    assert moved_by("76.05", "73.09") == [("76.05", "X")]
