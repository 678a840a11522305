"""Administrators: people, software and its keys, the agency, the law to come; every change is an entry of the log."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from compliance.access.clients import Clients
from compliance.access.users import Role, Users
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Visit, add_user
from tests.web.table import enter

PERSON = {"sign_in": "baru", "name": "Orang Baru", "role": "clerk", "regions": "73.09", "office": "DPMPTSP Maros"}
SOFTWARE = {"name": "SiCantik", "regions": "73.09", "scopes": "check", "expires": "", "addresses": ""}


@pytest.fixture
def admin(app: Flask, visit: Visit, clock: Clock) -> Visit:
    enter(app, visit, Role.ADMINISTRATOR, clock)
    return visit


def post(visit: Visit, path: str, **data: str) -> Any:
    return visit.client.post(path, data=data | {"csrf_token": visit.token(path)})


def text(answer: Any) -> str:
    return html.unescape(answer.get_data(as_text=True))


def secret(answer: Any) -> str:
    found = re.search(r'class="secret">([^<]+)<', text(answer))
    assert found, text(answer)
    return found[1]


def kinds(app: Flask) -> list[str]:
    with app.app_context():
        log = app.extensions["compliance"].log
        return [entry.kind for entry in log.entries(kinds=("access.",)) if entry.kind != "access.signed_in"]


def person(app: Flask, sign_in: str) -> Any:
    with app.app_context():
        running = app.extensions["compliance"]
        return Users(running.log, running.clock).named(sign_in)


def make_client(admin: Visit, **changes: str) -> tuple[str, str]:
    """The address of a new client's page, and its key."""
    answer = post(admin, "/aplikasi", **SOFTWARE | changes)
    found = re.search(r'href="(/aplikasi/\w{26})"', text(answer))
    assert found, text(answer)
    return found[1], secret(answer)


def opens(app: Flask, key: str, address: str = "127.0.0.1") -> int:
    """What the API answers to a key."""
    headers = {"Authorization": f"Bearer {key}"}
    return (
        app.test_client()
        .get("/api/v1/checks/X", headers=headers, environ_overrides={"REMOTE_ADDR": address})
        .status_code
    )


def test_a_new_person_gets_a_password_once_and_must_replace_it(app: Flask, admin: Visit) -> None:
    password = secret(post(admin, "/pengguna", **PERSON))
    assert password not in text(admin.get("/pengguna"))
    assert kinds(app)[-1] == "access.user_created"
    new = Visit(app.test_client())
    assert new.sign_in("baru", password).status_code == 302
    for path in ("/periksa", "/riwayat"):
        assert new.get(path).headers["Location"] == "/akun"
    assert "Ganti dahulu" in text(new.get("/akun"))
    assert new.post("/periksa", {"step": "type"}, page="/akun").headers["Location"] == "/akun"
    changed = {"password": password, "new_password": "gunung tinggi sekali"}
    assert new.post("/akun", changed, page="/akun").status_code == 302
    new.sign_in("baru", "gunung tinggi sekali")
    assert new.get("/periksa").status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sign_in": ""}, "sign-in"),
        ({"sign_in": "dua kata"}, "sign-in"),
        ({"sign_in": "orang"}, "sign-in"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"role": ""}, "role"),
        ({"role": "root"}, "role"),
        ({"regions": ""}, "regions"),
        ({"regions": "73.08"}, "regions"),
        ({"regions": "99.99"}, "regions"),
    ],
)
def test_a_wrong_field_about_a_person_is_named_and_nothing_is_made(
    app: Flask, admin: Visit, changes: dict[str, str], field: str
) -> None:
    before = kinds(app)
    answer = post(admin, "/pengguna", **PERSON | changes)
    assert answer.status_code == 422
    assert re.findall(r'<li><a href="#([a-z-]+)"', text(answer)) == [field]
    assert 'value="DPMPTSP Maros"' in text(answer)
    assert kinds(app) == before


def test_a_person_is_changed_and_deactivated_at_once(app: Flask, admin: Visit) -> None:
    user = add_user(app, "sitti")
    clerk = Visit(app.test_client())
    clerk.sign_in("sitti")
    path, said = f"/pengguna/{user.id}", {"name": "Sitti Baru", "role": "clerk", "regions": "73.09", "office": "Maros"}
    assert post(admin, path, **said, active="yes").status_code == 303
    assert "Perubahan disimpan" in text(admin.get(path))
    assert person(app, "sitti").name == "Sitti Baru"
    assert clerk.get("/periksa").status_code == 302
    clerk.sign_in("sitti")
    post(admin, path, **said, active="no")
    assert clerk.get("/periksa").status_code == 302
    assert clerk.sign_in("sitti").status_code == 401
    assert kinds(app)[-2:] == ["access.user_changed", "access.user_changed"]


def test_a_forgotten_password_and_a_lost_telephone_are_mended_by_another_administrator(
    app: Flask, admin: Visit, clock: Clock
) -> None:
    other = Visit(app.test_client())
    enter(app, other, Role.AUDITOR, clock, "rahma")
    path = f"/pengguna/{person(app, 'rahma').id}"
    password = secret(post(admin, path, act="password"))
    assert other.sign_in("rahma").status_code == 401
    assert other.sign_in("rahma", password).headers["Location"] == "/masuk/kode"
    assert post(admin, path, act="telephone").status_code == 303
    other.sign_in("rahma", password)
    assert 'class="seed"' in text(other.get("/masuk/telepon"))
    assert kinds(app)[-2:] == ["access.password_changed", "access.second_factor_reset"]
    with app.app_context():
        entries = list(app.extensions["compliance"].log.entries(kinds=("access.password_changed",)))
    assert entries[-1].body["by"] == person(app, "orang").id
    assert password.encode() not in entries[-1].raw


@pytest.mark.parametrize("act", ["password", "telephone", ""])
def test_nobody_resets_or_promotes_himself(app: Flask, admin: Visit, act: str) -> None:
    before, path = kinds(app), f"/pengguna/{person(app, 'orang').id}"
    assert "administrator lain" in text(admin.get(path))
    token = admin.token("/pengguna")
    answer = admin.client.post(path, data={"act": act, "csrf_token": token, **PERSON, "active": "yes"})
    assert answer.status_code == 403
    assert kinds(app) == before


def test_people_and_software_of_other_regions_do_not_exist_here(app: Flask, admin: Visit) -> None:
    both = add_user(app, "dua", regions=("73.09", "73.08"))
    bone = add_user(app, "bone", regions=("73.08",))
    with app.app_context():
        running = app.extensions["compliance"]
        client, _key = Clients(running.log, running.clock).create("Bone", ["73.08"], ["check"], by="test")
    for path in (f"/pengguna/{both.id}", f"/pengguna/{bone.id}", f"/aplikasi/{client.id}", "/pengguna/X"):
        assert admin.get(path).status_code == 404
        data = {"act": "password", "csrf_token": admin.token("/pengguna")}
        assert admin.client.post(path, data=data).status_code == 404
    assert not {"dua", "bone"} & set(re.findall(r">(\w+)</td>", text(admin.get("/pengguna"))))
    assert "Bone" not in text(admin.get("/aplikasi"))
    assert post(admin, "/aplikasi", **SOFTWARE | {"regions": "73.08"}).status_code == 422


def test_a_key_is_shown_once_and_opens_only_from_its_addresses(app: Flask, admin: Visit) -> None:
    path, key = make_client(admin, addresses="10.8.0.0/16 2001:db8::1")
    assert key not in text(admin.get(path))
    assert opens(app, key, "10.8.3.4") == 404
    assert opens(app, key, "::ffff:10.8.3.4") == 404
    assert opens(app, key, "2001:db8::1") == 404
    for address in ("10.9.0.1", "127.0.0.1", "2001:db8::2", "", "nonsense"):
        assert opens(app, key, address) == 403, address
    post(admin, path, expires="", addresses="")
    assert opens(app, key, "10.9.0.1") == 404
    assert kinds(app)[-2:] == ["access.client_created", "access.client_limited"]


def test_a_key_ends_after_its_day_in_the_region_and_is_prolonged(app: Flask, admin: Visit, clock: Clock) -> None:
    path, key = make_client(admin, expires="2026-11-20")
    assert "Segera berakhir" in text(admin.get("/aplikasi"))
    clock.now = datetime.fromisoformat("2026-11-20T23:59:59+08:00")
    assert opens(app, key) == 404
    clock.tick(seconds=1)
    assert opens(app, key) == 401
    enter(app, admin, Role.ADMINISTRATOR, clock, "lain")
    page = text(admin.get(path))
    assert "setiap panggilan ditolak (401)" in page
    assert 'value="2026-11-20"' in page
    assert post(admin, path, expires="2026-12-31", addresses="").status_code == 303
    assert opens(app, key) == 404


def test_keys_overlap_for_as_long_as_was_chosen(app: Flask, admin: Visit, clock: Clock) -> None:
    path, old = make_client(admin)
    new = secret(post(admin, path, act="rotate", hours="24"))
    assert (opens(app, old), opens(app, new)) == (404, 404)
    assert text(admin.get(path)).count("dibuat ") == 2
    clock.now += timedelta(hours=24)
    assert (opens(app, old), opens(app, new)) == (401, 404)
    enter(app, admin, Role.ADMINISTRATOR, clock, "lain")
    assert post(admin, path, act="rotate", hours="999999").status_code == 400
    newest = secret(post(admin, path, act="rotate", hours="0"))
    assert (opens(app, new), opens(app, newest)) == (401, 404)
    post(admin, path, act="revoke")
    assert opens(app, newest) == 401
    assert "Dicabut" in text(admin.get(path))
    token = admin.token("/aplikasi")
    assert admin.client.post(path, data={"act": "rotate", "hours": "0", "csrf_token": token}).status_code == 403


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"regions": ""}, "regions"),
        ({"scopes": ""}, "scopes"),
        ({"scopes": "check root"}, "scopes"),
        ({"expires": "2026-11-19"}, "expires"),
        ({"expires": "besok"}, "expires"),
        ({"expires": "9999-12-31"}, "expires"),
        ({"addresses": "10.0.0.0/99"}, "addresses"),
        ({"addresses": "kantor"}, "addresses"),
    ],
)
def test_a_wrong_field_about_software_is_named_and_no_key_is_made(
    app: Flask, admin: Visit, changes: dict[str, str], field: str
) -> None:
    answer = post(admin, "/aplikasi", **SOFTWARE | changes)
    assert answer.status_code == 422
    assert re.findall(r'<li><a href="#([a-z-]+)"', text(answer)) == [field]
    assert "access.client_created" not in kinds(app)


def test_limits_survive_a_rebuild_of_the_tables(app: Flask, admin: Visit) -> None:
    path, _key = make_client(admin, addresses="10.8.0.0/16")
    post(admin, path, expires="2027-01-31", addresses="192.0.2.7")
    with app.app_context():
        from compliance.audit.projection import rebuild

        rebuild(app.extensions["compliance"].log)
    page = text(admin.get(path))
    assert "192.0.2.7/32" in page
    assert 'value="2027-01-31"' in page


def test_the_agencys_state_is_told_in_words(app: Flask, admin: Visit) -> None:
    assert "Tidak ada gangguan yang diketahui" in text(admin.get("/bpjs"))
    add_user(app, "sitti")
    clerk = Visit(app.test_client())
    clerk.sign_in("sitti")
    clerk.check(business__nib="6603000000001")
    page = text(admin.get("/bpjs"))
    assert "Sedang tidak menjawab" in page
    assert "Sejak 20 November 2026 pukul 16.00 WITA" in page
    assert "Permohonan tidak ditolak karenanya" in page


def test_the_law_page_says_what_changes_when_and_which_holidays_nobody_confirmed(admin: Visit, clock: Clock) -> None:
    page = text(admin.get("/aturan"))
    hotel = page.split("1 Januari 2027")[1].split("</tr>")[0]
    assert "anjuran" in hotel.split("Menjadi")[0]
    assert "diberlakukan:" in hotel.split("Menjadi")[1]
    assert re.search(r"Hari libur 2027</dt><dd><strong[^>]*>belum dikonfirmasi", page)
    clock.now += timedelta(days=60)
    assert admin.sign_in("orang").status_code == 302


def test_an_administrator_cannot_check_and_a_clerk_cannot_administer(app: Flask, admin: Visit) -> None:
    assert admin.get("/").headers["Location"] == "/pengguna"
    assert admin.check().status_code == 403
    add_user(app, "sitti")
    clerk = Visit(app.test_client())
    clerk.sign_in("sitti", PASSWORD)
    for path in ("/pengguna", "/aplikasi", "/bpjs", "/aturan"):
        assert clerk.get(path).status_code == 403
