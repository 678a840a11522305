"""The pages of batches and of what OSS is told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from compliance import work
from compliance.access.users import Role
from compliance.audit.checks import CheckFilter
from compliance.batches import reading, run
from compliance.delivery import outbox as oss
from compliance.deployment import Deployment
from config import Settings
from tests.api.test_oss import RESTAURANT
from tests.conftest import Clock
from tests.registry.agency import Agency as Listener
from tests.registry.agency import says
from tests.web.conftest import Visit, add_user
from tests.web.table import enter

HEADER = "reference;permit_type;business.nib;workforce.declared\n"
GOOD = HEADER + "503/1;RESTORAN;8120001234567;12\n503/2;SIP;8120001234567;\n"


def upload(visit: Visit, text: str, once: str = "01K00000000000000000000000") -> TestResponse:
    data = {"file": (io.BytesIO(text.encode()), "daftar.csv"), "csrf_token": visit.token("/kumpulan"), "once": once}
    return visit.client.post("/kumpulan", data=data, content_type="multipart/form-data")


@pytest.fixture
def here(app: Flask) -> Deployment:
    running: Deployment = app.extensions["compliance"]
    return running


def test_a_clerk_uploads_a_list_watches_it_and_takes_the_results(app: Flask, clerk: Visit, here: Deployment) -> None:
    answer = upload(clerk, GOOD)
    page = answer.headers["Location"]
    assert (answer.status_code, upload(clerk, GOOD).headers["Location"]) == (303, page)  # a second click
    other = upload(clerk, GOOD.replace("503/2", "503/3")).headers["Location"]
    assert other != page
    clerk.post(other, {"act": "cancel"}, page=other)
    waiting = clerk.get(page)
    assert ("menunggu giliran" in waiting.text, waiting.headers["Refresh"]) == (True, "10")
    assert "Refresh" not in clerk.get(page + "?diam=1").headers
    with app.app_context():
        while work.do_due(here):
            pass
    done = clerk.get(page)
    assert "2 dari 2 baris selesai" in done.text
    assert "Tidak dipersyaratkan" in done.text
    assert "Refresh" not in done.headers
    results = clerk.get(page + "/hasil.csv")
    assert (results.mimetype, len(results.text.splitlines())) == ("text/csv", 3)
    assert page in clerk.get("/kumpulan").text
    with app.app_context():
        (said,) = (entry.body for entry in here.log.entries(kinds=("access.export",)))
        assert (said["what"], page) == ("batch", f"/kumpulan/{said['batch']}")
        assert len(list(here.log.entries(kinds=("batch.started",)))) == 2
        assert {entry.body["asker"]["kind"] for entry in here.log.entries(kinds=("check",))} == {"user"}


def test_while_other_large_files_are_read_the_page_says_to_wait(
    app: Flask, clerk: Visit, here: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGE", 10)
    with reading.turn(None, AssertionError()), reading.turn(None, AssertionError()):
        answer = upload(clerk, GOOD)
        assert (answer.status_code, "Tunggu setengah menit, lalu kirim lagi." in answer.text) == (422, True)
    with app.app_context():
        assert list(here.log.entries(kinds=("batch.started",))) == []
    assert upload(clerk, GOOD).status_code == 303


def test_every_wrong_line_is_named_and_nothing_is_kept(app: Flask, clerk: Visit, here: Deployment) -> None:
    bad = HEADER + "503/1;RESTORAN;812;12\n503/2;SIP;8120001234567;dua\n;SIP;8120001234567;\n"
    answer = upload(clerk, bad)
    assert answer.status_code == 422
    for text in ("<code>business.nib</code>", "<code>workforce.declared</code>", "<code>reference</code>", "13 angka"):
        assert text in answer.text, text
    assert [f'data-label="Baris">{line}<' in answer.text for line in (2, 3, 4, 5)] == [True, True, True, False]
    for text in ("", "x;y\n", "\n"):
        assert upload(clerk, text).status_code == 422, text
    assert clerk.post("/kumpulan", {"once": ""}, page="/kumpulan").status_code == 422
    assert upload(clerk, GOOD, once="kumpulan").status_code == 400
    with app.app_context():
        assert run.recent(here.log.engine, ("73.09",)) == []


def test_a_batch_can_be_stopped_and_is_not_seen_from_another_region(app: Flask, clerk: Visit) -> None:
    page = upload(clerk, GOOD).headers["Location"]
    add_user(app, "bone", regions=("73.08",))
    other = Visit(app.test_client())
    other.sign_in("bone")
    assert {other.get(page + more).status_code for more in ("", "/hasil.csv")} == {404}
    assert other.post(page, {"act": "cancel"}).status_code == 404
    assert page not in other.get("/kumpulan").text
    assert clerk.post(page, {"act": "cancel"}, page=page).status_code == 303
    assert "dihentikan" in clerk.get(page).text


@pytest.fixture
def told_oss(settings: Settings) -> Iterator[Listener]:
    with Listener(says({"responreceiveLicenseStatus": {"kode": 200, "keterangan": "Sukses"}})) as listener:
        yield listener


def test_a_supervisor_says_what_oss_is_told(
    app: Flask, visit: Visit, clock: Clock, here: Deployment, told_oss: Listener
) -> None:
    here = app.extensions["compliance"] = replace(here, settings=replace(here.settings, oss_url=told_oss.url))
    enter(app, visit, Role.SUPERVISOR, clock)
    assert "Belum ada" in visit.get("/oss/status").text
    clerk = Visit(app.test_client())
    add_user(app, "nurul")
    clerk.sign_in("nurul")
    item = RESTAURANT["dataNIB"]
    clerk.check(reference=item["id_izin"], business__nib=item["nib"], business__scale="medium")
    with app.app_context():
        [checked] = here.log.checks(CheckFilter(("73.09",), reference=item["id_izin"]), 2)
        told = {"id_izin": item["id_izin"], "check": json.loads(checked.document)}
        oss.received(here, RESTAURANT, [told], ("73.09",))
    page = f"/oss/status?nib={item['nib']}&izin={item['id_izin']}"
    assert item["id_izin"] in visit.get("/oss/status").text
    fits, other = ("93", "45") if checked.action == "STOP" else ("45", "93")
    once = visit.get(page).text.split('name="once" value="')[1][:26]
    assert visit.post(page, {"status": other, "once": once}, page=page).status_code == 422
    assert visit.post(page, {"status": fits, "once": "x"}, page=page).status_code == 400
    sent = {"status": fits, "once": once, "nip": "197001012000031001", "note": "Sesuai"}
    assert [visit.post(page, sent, page=page).status_code for _ in range(2)] == [303, 303]
    with app.app_context():
        while work.do_due(here):
            pass
    assert len(told_oss.requests) == 1
    assert "diterima OSS" in visit.get("/oss/status").text
    assert visit.get("/oss/status?nib=1&izin=2").status_code == 404
    assert clerk.get("/oss/status").status_code == 403
