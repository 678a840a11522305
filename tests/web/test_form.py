"""The clerk's form: what it asks, what it does with mistakes, and that one click or two are one check."""

from __future__ import annotations

import re
import threading

import pytest
from flask import Flask

from compliance.errors import LogUnavailable
from tests.web.conftest import FORM, Visit

NAMES = re.compile(r'(?:<input|<select)[^>]* name="([a-z_]+\.[a-z_]+|reference|stage|as_at)"')


def asked(clerk: Visit, permit_type: str) -> set[str]:
    page = clerk.post("/periksa", {"permit_type": permit_type, "region": "73.09", "step": "fields"}, page="/periksa")
    return set(NAMES.findall(page.get_data(as_text=True)))


def checks(clerk: Visit) -> set[str]:
    return set(re.findall(r'href="/periksa/(\w{26})"', clerk.get("/riwayat").get_data(as_text=True)))


def test_the_form_asks_only_what_the_permit_type_needs(clerk: Visit) -> None:
    sip, restoran, pbg = (asked(clerk, permit_type) for permit_type in ("SIP", "RESTORAN", "PBG"))
    assert {"reference", "business.nib", "business.name"} <= sip
    assert not {"business.scale", "workforce.declared", "workforce.employs_workers", "project.number"} & sip
    assert {"business.scale", "workforce.declared"} <= restoran
    assert "project.contract_date" not in restoran
    assert {"project.contract_date", "project.number"} <= pbg


def test_every_number_is_explained_with_an_example(clerk: Visit) -> None:
    page = clerk.post("/periksa", FORM | {"step": "fields"}, page="/periksa").get_data(as_text=True)
    for name in NAMES.findall(page):
        if "." in name and name.startswith("workforce.") and name != "workforce.employs_workers":
            described = page.split(f'name="{name}"')[1].split(">")[0]
            hint = re.search(r'aria-describedby="([a-z0-9-]+-hint)', described)
            assert hint, name
            assert "ontoh" in page.split(f'id="{hint[1]}">')[1].split("<")[0], name


def test_a_check_is_made_and_shown(clerk: Visit) -> None:
    answer = clerk.check()
    assert answer.status_code == 303
    page = clerk.get(answer.headers["Location"]).get_data(as_text=True)
    assert "Memenuhi" in page
    assert "503/0123/DPMPTSP/2026" in page
    assert "20 November 2026" in page


def test_spaces_and_dots_in_numbers_are_read_as_people_mean_them(clerk: Visit) -> None:
    changes = {"business.nib": "8120 0012 34567", "workforce.declared": " 1.200 "}
    page = clerk.get(clerk.post("/periksa", FORM | changes, page="/periksa").headers["Location"])
    assert "1200" in page.get_data(as_text=True).replace(".", "")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"reference": ""}, ["reference"]),
        ({"business.nib": "812"}, ["business-nib"]),
        ({"business.nib": "", "business.npwp": ""}, ["business-nib"]),
        ({"business.npwp": "12"}, ["business-npwp"]),
        ({"owner.nik": "x"}, ["owner-nik"]),
        ({"business.legal_form": "xx"}, ["business-legal-form"]),
        ({"workforce.declared": "dua belas"}, ["workforce-declared"]),
        ({"workforce.declared": "-1"}, ["workforce-declared"]),
        ({"workforce.declared": "3", "workforce.outsourced": "9"}, ["workforce-declared", "workforce-outsourced"]),
        ({"workforce.employs_workers": "no"}, ["workforce-employs-workers", "workforce-declared"]),
        ({"as_at": "2026-11-21"}, ["as-at"]),
        ({"as_at": "2021-01-01"}, ["as-at"]),
        ({"reference": "x\x07y"}, ["reference"]),
        ({"reference": "", "business.nib": "1"}, ["reference", "business-nib"]),
    ],
)
def test_each_wrong_field_is_named_linked_and_keeps_what_was_typed(
    clerk: Visit, changes: dict[str, str], fields: list[str]
) -> None:
    answer = clerk.post("/periksa", FORM | changes, page="/periksa")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert re.findall(r'<li><a href="#([a-z-]+)"', page) == fields
    for field in fields:
        box = page.split(f'id="{field}"')[1].split(">")[0]
        assert 'aria-invalid="true"' in box
        assert f"{field}-error" in box
        assert f'id="{field}-error"' in page
    for name, text in (FORM | changes).items():
        if text and name.startswith(("business.n", "workforce.d", "workforce.o")):
            assert f'value="{text}"' in page, name
    assert "8120001234567" in page or "business.nib" in changes


def test_the_permit_type_and_the_language_are_changed_without_losing_anything(clerk: Visit) -> None:
    types = clerk.post("/periksa", FORM | {"step": "type"}, page="/periksa").get_data(as_text=True)
    assert 'name="business.nib" value="8120001234567"' in types
    english = clerk.post("/periksa", FORM | {"step": "en"}, page="/periksa").get_data(as_text=True)
    assert 'lang="en"' in english
    assert "Business name" in english
    assert 'value="8120001234567"' in english
    sip = clerk.post("/periksa", FORM | {"step": "fields", "permit_type": "SIP"}, page="/periksa").get_data(
        as_text=True
    )
    assert '<input type="hidden" name="workforce.declared" value="12">' in sip


def test_a_permit_type_must_be_said(clerk: Visit) -> None:
    answer = clerk.post("/periksa", {"step": "fields", "permit_type": " "}, page="/periksa")
    assert answer.status_code == 422
    assert "Isi kode jenis izin." in answer.get_data(as_text=True)


@pytest.mark.parametrize("permit_type", ["REKLAME", "<script>", "x" * 300, "SIP"])
def test_any_other_permit_type_may_be_typed(clerk: Visit, permit_type: str) -> None:
    answer = clerk.check(permit_type=permit_type)
    assert answer.status_code == (422 if len(permit_type) > 200 else 303)
    if answer.status_code == 303:
        page = clerk.get(answer.headers["Location"]).get_data(as_text=True)
        assert "Tidak dipersyaratkan" in page
        assert "<script>" not in page


def test_two_clicks_are_one_check(clerk: Visit) -> None:
    first, second = (clerk.check(once="abc") for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert len(checks(clerk)) == 1


def test_two_clicks_at_the_same_moment_are_one_check(app: Flask, clerk: Visit) -> None:
    data = FORM | {"once": "abc", "csrf_token": clerk.token("/periksa")}
    cookie = clerk.client.get_cookie("gate")
    assert cookie
    found: list[str] = []

    def click() -> None:
        client = app.test_client()
        client.set_cookie("gate", cookie.value)
        found.append(client.post("/periksa", data=data).headers["Location"])

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert len(checks(clerk)) == 1


def test_going_back_and_changing_something_is_another_check(clerk: Visit) -> None:
    first = clerk.check(once="abc")
    second = clerk.check(once="abc", business__scale="medium")
    assert first.headers["Location"] != second.headers["Location"]
    assert len(checks(clerk)) == 2


@pytest.mark.parametrize("once", ["", "x" * 500, "☃"])
def test_a_strange_form_key_spoils_nothing(clerk: Visit, once: str) -> None:
    assert clerk.check(once=once).status_code == 303


@pytest.mark.parametrize("name", ["once", "reference", "permit_type", "business.name", "region", "step"])
def test_a_character_that_no_database_takes_is_refused(clerk: Visit, name: str) -> None:
    assert clerk.post("/periksa", FORM | {name: "a\x00b"}).status_code == 400


@pytest.mark.parametrize("path", ["/riwayat?q=%00", "/periksa/%00", "/periksa?ulang=%00", "/r/%00", "/r?kode=%00"])
def test_strange_addresses_are_no_failures(clerk: Visit, path: str) -> None:
    assert clerk.get(path).status_code in (400, 404)


@pytest.mark.parametrize("path", ["/riwayat?sebelum=99999999999999999999", "/riwayat?q=%ff", "/periksa/" + "x" * 3000])
def test_strange_numbers_and_bytes_are_no_failures(clerk: Visit, path: str) -> None:
    assert clerk.get(path).status_code in (200, 404)


def test_a_log_that_cannot_be_written_gives_no_verdict_and_keeps_the_form(
    app: Flask, clerk: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **named: object) -> None:
        raise LogUnavailable("no space left")

    monkeypatch.setattr(app.extensions["compliance"].gate, "check", full)
    answer = clerk.check()
    page = answer.get_data(as_text=True)
    assert answer.status_code == 503
    assert "tidak ada hasil" in page
    assert 'value="8120001234567"' in page


def test_the_officer_is_recorded_apart_and_never_in_the_entry(app: Flask, clerk: Visit) -> None:
    check_id = clerk.check().headers["Location"].rsplit("/", 1)[1]
    with app.app_context():
        entry = app.extensions["compliance"].log.entry(check_id)
    assert entry.disclosed["officer_name"] == "Ibu sitti"
    assert b"sitti" not in entry.raw
    assert entry.body["asker"]["kind"] == "user"


def test_a_refused_form_leaves_an_entry_that_says_where_and_not_what(app: Flask, clerk: Visit) -> None:
    clerk.check(business__nib="777", owner__nik="7309054403880002")
    with app.app_context():
        entry = next(app.extensions["compliance"].log.entries(kinds=("check.refused",)))
    assert entry.body["pointers"] == ["/business/nib"]
    assert entry.body["status"] == 422
    assert b"777" not in entry.raw.replace(entry.body["body_sha256"].encode(), b"")
    assert b"7309054403880002" not in entry.raw
