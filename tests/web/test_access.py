"""Who may see what: every route and every role, sessions, form tokens, headers."""

from __future__ import annotations

import html
import re

import pyotp
import pytest
from flask import Flask

from compliance.access.users import Role
from tests.conftest import Clock
from tests.web.conftest import FORM, PASSWORD, Visit, add_user
from tests.web.table import PAGES, enter, made, seen_by


def closed(app: Flask) -> list[tuple[str, str, frozenset[Role]]]:
    """Method, address and roles of every route that is not public; its variables are X."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("web.")]
    found = []
    for rule in rules:
        page = PAGES.get(rule.endpoint.removeprefix("web."))
        address = re.sub("<[^>]+>", "X", rule.rule)
        found += [(method, address, page.who) for method in ("GET", "POST") if (page and method in rule.methods) or ()]
    return [(method, address, who) for method, address, who in found if who]


def test_every_route_is_in_the_table_of_who_may_see_it(app: Flask) -> None:
    views = {name.removeprefix("web."): view for name, view in app.view_functions.items() if name.startswith("web.")}
    del views["static"]
    assert {name: view.roles for name, view in views.items()} == {name: page.who for name, page in PAGES.items()}


def test_who_is_not_signed_in_is_sent_to_the_sign_in_page(app: Flask, visit: Visit) -> None:
    for method, address, _who in closed(app):
        answer = visit.client.open(address, method=method)
        onward = answer.headers.get("Location", "")
        rescued = answer.status_code == 401 and method == "POST"  # a form, which is carried through the sign-in page
        assert rescued or onward.startswith("/masuk"), (method, address, answer.status_code)


@pytest.mark.parametrize("role", Role)
def test_each_role_opens_its_pages_and_no_others(app: Flask, visit: Visit, clock: Clock, role: Role) -> None:
    """Of the others it is told no before anything is looked for, changed or even read."""
    enter(app, visit, role, clock)
    for method, address, who in closed(app):
        status = visit.client.open(address, method=method).status_code
        assert (status == 403) is (role not in who), (role, method, address, status)


@pytest.mark.parametrize("role", Role)
def test_every_address_of_the_table_opens(app: Flask, visit: Visit, clock: Clock, role: Role) -> None:
    world = made(app)
    enter(app, visit, role, clock)
    for address in seen_by(role):
        status = visit.client.get(address.format_map(world), follow_redirects=True).status_code
        assert status == (404 if address == "/r/AAAA" else 200), (address, status)


def test_a_clerk_of_one_region_sees_nothing_of_another(app: Flask, clerk: Visit) -> None:
    address = clerk.check().headers["Location"]
    assert clerk.get(address).status_code == 200
    add_user(app, "bone", regions=("73.08",))
    other = Visit(app.test_client())
    other.sign_in("bone")
    assert other.get(address).status_code == 404
    assert other.get(f"{address}/hasil.pdf").status_code == 404
    assert "Tidak ada yang cocok" in other.get("/riwayat?q=8120001234567").get_data(as_text=True)
    assert other.get("/riwayat").get_data(as_text=True).count("/periksa/0") == 0
    again = other.check()
    assert again.headers["Location"] != address


def test_a_region_that_is_not_ones_own_cannot_be_chosen(clerk: Visit) -> None:
    page = clerk.get(clerk.check(region="73.08").headers["Location"]).get_data(as_text=True)
    assert "Kabupaten Maros" in page
    assert "Kabupaten Bone" not in page


def test_signing_in_makes_a_new_session_and_signing_out_ends_it(app: Flask, visit: Visit) -> None:
    add_user(app, "sitti")
    visit.token()
    before = visit.client.get_cookie("gate")
    visit.sign_in("sitti")
    during = visit.client.get_cookie("gate")
    assert before
    assert during
    assert before.value != during.value
    assert visit.post("/keluar", {}, page="/periksa").status_code == 302
    visit.client.set_cookie("gate", during.value)
    assert visit.get("/periksa").status_code == 302


def test_the_cookie_is_closed_to_scripts_and_other_sites(app: Flask, visit: Visit) -> None:
    said = visit.get("/masuk").headers["Set-Cookie"]
    assert "HttpOnly" in said
    assert "SameSite=Lax" in said


@pytest.mark.parametrize("path", ["/masuk", "/periksa", "/keluar", "/akun", "/akun/keluar-semua"])
def test_nothing_is_changed_without_a_form_token(clerk: Visit, path: str) -> None:
    answer = clerk.client.post(path, data=FORM | {"sign_in": "sitti", "password": PASSWORD})
    assert answer.status_code == 400
    assert clerk.get("/riwayat").get_data(as_text=True).count("/periksa/0") == 0


@pytest.mark.parametrize("onward", ["https://jahat.example/", "//jahat.example", "/\\jahat.example", "", "jahat"])
def test_nobody_is_sent_elsewhere_after_signing_in(app: Flask, visit: Visit, onward: str) -> None:
    add_user(app, "sitti")
    answer = visit.post("/masuk", {"sign_in": "sitti", "password": PASSWORD, "next": onward})
    assert answer.headers["Location"] == "/"


def test_after_signing_in_one_is_where_one_wanted_to_be(app: Flask, visit: Visit) -> None:
    add_user(app, "sitti")
    answer = visit.post("/masuk", {"sign_in": "sitti", "password": PASSWORD, "next": "/riwayat?q=1"})
    assert answer.headers["Location"] == "/riwayat?q=1"


def test_wrong_passwords_lock_and_say_until_when(app: Flask, visit: Visit) -> None:
    add_user(app, "sitti")
    for _ in range(5):
        page = visit.sign_in("sitti", "salah").get_data(as_text=True)
        assert "tidak cocok" in page
    page = visit.sign_in("sitti").get_data(as_text=True)
    assert "Coba lagi setelah 20 November 2026 pukul 16.15 WITA" in page


def hidden(page: str) -> dict[str, str]:
    return {
        name: html.unescape(text) for name, text in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page)
    }


def typed_on(page: str) -> list[dict[str, str]]:
    """For each form of a page that changes something something typed, in angle brackets, into all that takes words."""
    words = re.compile(
        r'<(?:textarea|input(?![^>]* type="(?!text|search))(?![^>]* value="." checked))[^>]* name="([^"]+)"'
    )
    forms = re.findall(r'<form method="post".*?</form>', page, re.DOTALL)
    return [{name: f"<isian {name}>" for name in words.findall(form)} for form in forms]


@pytest.mark.parametrize("role", Role)
def test_nothing_that_was_typed_is_lost_when_a_session_ends(app: Flask, visit: Visit, clock: Clock, role: Role) -> None:
    world, seen = made(app), set[str]()
    seed = enter(app, visit, role, clock)
    for address in (
        each.format_map(world) for each in seen_by(role) if each not in ("/akun", "/masuk", "/r", "/syarat")
    ):
        for typed in filter(None, typed_on(visit.get(address).get_data(as_text=True))):
            clock.tick(minutes=31)
            page = visit.post(address, typed | {"step": "fields", "new_password": "rahasia"})
            form, left = hidden(page.get_data(as_text=True)), page.status_code
            assert (left, form["next"]) == (401, address), address
            assert "isian Anda tidak hilang" in page.get_data(as_text=True)
            assert "rahasia" not in form.values()
            given, said = form | {"sign_in": "orang", "password": PASSWORD}, log_of(app)
            page = visit.client.post("/masuk", data=given)
            if seed:
                assert (page.status_code, page.headers["Location"].split("?")[0]) == (307, "/masuk/kode")
                asked = visit.client.post(page.headers["Location"], data=given)
                given = hidden(asked.get_data(as_text=True)) | {"code": pyotp.TOTP(seed).at(int(clock().timestamp()))}
                page = visit.client.post("/masuk/kode", data=given)
            assert (page.status_code, page.headers["Location"]) == (307, address)
            back = visit.client.post(page.headers["Location"], data=given)
            assert back.status_code == 400
            assert "Belum ada yang dikirim" in back.get_data(as_text=True)
            for name, text in typed.items():
                assert html.escape(text) in back.get_data(as_text=True), (address, name)
            assert set(log_of(app)[len(said) :]) <= {"access.signed_in", "access.looked"}
            seen.add(address)
    assert seen or role is Role.AUDITOR


def log_of(app: Flask) -> list[str]:
    with app.app_context():
        return [entry.kind for entry in app.extensions["compliance"].log.entries()]


def test_an_expired_form_token_loses_nothing_that_was_typed(app: Flask, clerk: Visit) -> None:
    before = log_of(app)
    page = clerk.client.post("/periksa", data=FORM | {"csrf_token": "old"})
    assert page.status_code == 400
    assert 'value="8120001234567"' in page.get_data(as_text=True)
    letter = {"letter": "B/9/2026", "ground": "Baris satu\nbaris <dua>", "csrf_token": "old"}
    page = clerk.client.post("/sanksi/baru", data=letter)
    assert page.status_code == 400
    assert 'value="B/9/2026"' in page.get_data(as_text=True)
    assert clerk.client.post("/keluar", data={"csrf_token": "old"}).status_code == 400
    assert clerk.get("/periksa").status_code == 200  # still signed in
    assert log_of(app) == before


def test_a_form_that_was_carried_goes_nowhere_else(clerk: Visit) -> None:
    for onward in ("//evil.example/x", "https://evil.example/x", "/\\evil.example"):
        given = {"isi.business.name": "CV Lestari", "next": onward, "sign_in": "sitti", "password": PASSWORD}
        answer = clerk.post("/masuk", given)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def test_the_own_password_is_changed_only_with_the_old_one(app: Flask, clerk: Visit) -> None:
    new = {"password": "salah", "new_password": "gunung tinggi sekali"}
    assert clerk.post("/akun", new, page="/akun").status_code == 422
    assert clerk.post("/akun", new | {"password": PASSWORD, "new_password": "pendek"}, page="/akun").status_code == 422
    assert clerk.post("/akun", new | {"password": PASSWORD}, page="/akun").status_code == 302
    assert clerk.get("/akun").status_code == 302
    assert clerk.sign_in("sitti", "gunung tinggi sekali").status_code == 302


@pytest.mark.parametrize("path", ["/", "/masuk", "/r", "/r/AAAA", "/tidak-ada"])
def test_every_page_forbids_scripts_other_hosts_and_storing(visit: Visit, path: str) -> None:
    headers = visit.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    if path != "/tidak-ada":
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Robots-Tag"] == "noindex"


def test_the_stylesheet_may_be_kept_and_is_small(visit: Visit) -> None:
    address = visit.get("/").get_data(as_text=True).split('rel="stylesheet" href="')[1].split('"')[0]
    with visit.get(address) as answer:
        assert answer.cache_control.max_age == 365 * 86400
        assert len(answer.data) < 20_000
