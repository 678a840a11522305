"""The pages in a real browser: with and without script, by keyboard, on three screens, in both languages, on paper."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from axe_playwright_python.base import AxeResults
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from compliance.access.users import Role
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Visit
from tests.web.table import enter, made, seen_by

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ACCESSIBLE = """axe.run({
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"]
}).then(found => ({violations: found.violations}))"""
HEAVIEST = 150_000
OSS = {
    "dataNIB": {
        "nib": "8120001234567",
        "nama_perseroan": "CV Sumber Rejeki",
        "skala_usaha": "02",
        "kd_daerah": "7309000000",
        "data_checklist": [
            {"id_izin": "I-1", "kd_izin": "055000000021", "kd_daerah": "7309000000", "flag_perpanjangan": "N"},
            {"id_izin": "I-2", "kd_izin": "027000000011", "kd_daerah": "7309000000", "flag_perpanjangan": "Y"},
            {"id_izin": "I-3", "kd_izin": "027000000011", "kd_daerah": "7308000000", "flag_perpanjangan": "N"},
        ],
    }
}
OPEN_ALL = "() => document.querySelectorAll('details').forEach(each => each.open = true)"


@pytest.fixture
def visitor(browser: Browser, server: tuple[str, Flask], request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page whose screen, script and language the test chooses."""
    wanted: dict[str, Any] = getattr(request, "param", {})
    context = browser.new_context(base_url=server[0], **({"viewport": {"width": 1366, "height": 768}} | wanted))
    yield context.new_page()
    context.close()


def sign_in(page: Page, name: str = "sitti") -> None:
    page.goto("/masuk")
    page.fill("#sign-in", name)
    page.fill("#password", PASSWORD)
    page.click("main .button")


def fill(page: Page, permit_type: str = "RESTORAN", *, scale: str = "small", declared: str = "12") -> None:
    page.goto("/periksa")
    page.click(f"button[value={permit_type}]")
    page.fill("#reference", "503/0123/DPMPTSP/2026")
    page.fill("#business-name", "CV Sumber Rejeki")
    page.fill("#business-nib", "8120001234567")
    if permit_type != "SIP":
        page.check(f"input[value={scale}]")
        page.check("input[value=yes]")
        if permit_type != "PBG" or page.locator("#workforce-declared").count():
            page.fill("#workforce-declared", declared)


def submit(page: Page) -> None:
    page.click("main .actions .button")


@pytest.mark.parametrize("visitor", [{"java_script_enabled": on} for on in (True, False)], indirect=True)
def test_a_clerk_signs_in_checks_mends_a_mistake_and_gives_out_a_receipt(visitor: Page) -> None:
    sign_in(visitor)
    fill(visitor)
    visitor.fill("#business-nib", "812")
    submit(visitor)
    expect(visitor.locator(".problem")).to_contain_text("NIB: harus 13 angka")
    visitor.click(".problem a")
    assert visitor.url.endswith("#business-nib")
    expect(visitor.locator("#business-name")).to_have_value("CV Sumber Rejeki")
    visitor.fill("#business-nib", "8120001234567")
    submit(visitor)
    expect(visitor.locator("h1")).to_contain_text("Memenuhi")
    code = visitor.locator(".receipt .code").inner_text()
    visitor.click("header .tools form button")
    visitor.goto("/r")
    visitor.fill("#kode", code.lower().replace("-", " "))
    visitor.click("main .button")
    expect(visitor.locator("main")).to_contain_text("berlaku sampai 20 Desember 2026")
    visitor.goto("/riwayat")
    expect(visitor.locator("h1")).to_have_text("Masuk")


@SQLITE
def test_a_double_click_is_one_check(visitor: Page) -> None:
    sign_in(visitor)
    fill(visitor)
    visitor.dblclick("main .actions .button")
    expect(visitor.locator("h1")).to_contain_text("Memenuhi")
    visitor.goto("/riwayat")
    expect(visitor.locator("tbody tr")).to_have_count(1)


@SQLITE
def test_everything_is_done_by_keyboard(visitor: Page) -> None:
    keys = visitor.keyboard
    visitor.goto("/masuk")
    keys.press("Tab")
    expect(visitor.locator(".skip")).to_be_focused()
    keys.press("Enter")
    keys.press("Tab")
    expect(visitor.locator("#sign-in")).to_be_focused()
    keys.type("sitti")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(visitor.locator("h1")).to_have_text("Pemeriksaan baru")
    tab_to(visitor, "button[value=RESTORAN]")
    keys.press("Enter")
    for field, text in [
        ("#reference", "K-1"),
        ("#business-name", "CV Sumber Rejeki"),
        ("#business-nib", "8120001234567"),
    ]:
        tab_to(visitor, field)
        keys.type(text)
    tab_to(visitor, "#business-scale")
    keys.press("Space")
    keys.press("ArrowRight")
    tab_to(visitor, "#workforce-employs-workers")
    keys.press("Space")
    tab_to(visitor, "#workforce-declared")
    keys.type("12")
    keys.press("Enter")
    expect(visitor.locator("h1")).to_contain_text("Memenuhi")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus, as somebody without a mouse does."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(selector).evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{selector} is not reached by Tab")


@SQLITE
def test_a_supervisor_sets_up_the_telephone_and_chooses_a_region(visitor: Page, clock: Clock) -> None:
    sign_in(visitor, "budi")
    seed = visitor.locator(".seed").inner_text()
    visitor.fill("#code", pyotp.TOTP(seed).at(int(clock().timestamp())))
    visitor.click("main .button")
    expect(visitor.locator(".codes li")).to_have_count(8)
    recovery = visitor.locator(".codes li").first.inner_text()
    visitor.click("main .button")
    visitor.select_option("#region", "73.08")
    visitor.click("button[value=RESTORAN]")
    expect(visitor.locator(".chosen")).to_contain_text("Kabupaten Bone")
    expect(visitor.locator("#business-scale")).to_have_count(0)
    visitor.click("header .tools form button")
    sign_in(visitor, "budi")
    visitor.fill("#code", recovery)
    visitor.click("main .button")
    expect(visitor.locator("h1")).to_have_text("Pemeriksaan baru")


WIDTHS = (360, 1024, 1366)
LANGUAGES = pytest.mark.parametrize("language", ["id", "en"])


class Inspector:
    """Looks at each page on three screens: weight, hosts, width, names of things, WCAG 2.2 AA.

    A page is loaded once: nothing but the stylesheet knows how wide the screen is.
    """

    def __init__(self, page: Page, address: str, language: str) -> None:
        self.page, self.address, self.language = page, address, language
        self.weight, self.faults = 0, []  # type: tuple[int, list[str]]
        self.axe = Axe().axe_script
        page.on("response", self._came)
        page.on("console", self._said)

    def _came(self, response: Response) -> None:
        if not response.url.startswith(self.address):
            self.faults.append(f"foreign host: {response.url}")
        elif response.status < 300 or response.status >= 400:
            if response.request.is_navigation_request():
                self.weight = 0  # a page is its document and what that loads
            self.weight += self._size(response) + 1000

    def _size(self, response: Response) -> int:
        """Of the body; the server announces it, so that it is known although the page may have been left since."""
        announced = response.headers.get("content-length")
        if announced is None:
            self.faults.append(f"{response.url} does not say how long it is")
        return int(announced or 0)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not re.search(r"status of 4(01|04|22)", message.text):
            self.faults.append(f"console: {message.text}")

    def look(self, name: str) -> None:
        page = self.page
        page.wait_for_load_state("load")  # no script loads anything later
        if self.weight > HEAVIEST:
            self.faults.append(f"{name}: {self.weight} bytes")
        self.weight = 0
        self._fits(name)
        if page.locator("details:not([open])").count():
            page.evaluate(OPEN_ALL)  # so that what is closed is looked at too
            self._fits(f"{name} opened")
        if page.locator("html").get_attribute("lang") != self.language:
            self.faults.append(f"{name}: not in {self.language}")
        unnamed = page.evaluate(
            "() => [...document.querySelectorAll('[aria-describedby],[aria-labelledby]')].flatMap(e =>"
            " ((e.getAttribute('aria-describedby') || '') + ' ' + (e.getAttribute('aria-labelledby') || ''))"
            ".split(/\\s+/).filter(id => id && !document.getElementById(id)))"
        )
        self.faults += [f"{name}: nothing has the id {each}" for each in unnamed]
        bare = page.evaluate("document.querySelectorAll('.field.wrong :is(input,select):not([aria-invalid])').length")
        if bare:
            self.faults.append(f"{name}: {bare} wrong fields without aria-invalid")
        page.evaluate(self.axe)
        for width in (WIDTHS[-1], WIDTHS[0]):  # the stylesheet knows narrow and wide
            page.set_viewport_size({"width": width, "height": 768})
            found = AxeResults(page.evaluate(ACCESSIBLE))
            if found.violations_count:
                self.faults.append(f"{name} at {width}: {found.generate_report()}")

    def _fits(self, name: str) -> None:
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 768})
            if self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                self.faults.append(f"{name}: wider than a screen of {width}")


ROLES = pytest.mark.parametrize("role", [None, *Role])


def enter_as(page: Page, server: tuple[str, Flask], role: Role | None, clock: Clock) -> list[str]:
    """Sign somebody of a role in, and give all that this role's own pages are called."""
    address, app = server
    world = made(app)
    if role:
        visit = Visit(app.test_client())
        enter(app, visit, role, clock)
        cookie = visit.client.get_cookie("gate")
        assert cookie
        page.context.add_cookies([{"name": "gate", "value": cookie.value, "url": address}])
    mine = set(seen_by(role)) - (set(seen_by(None)) if role else set())
    return sorted(each.format_map(world) for each in mine)


@SQLITE
@LANGUAGES
@ROLES
def test_every_page_is_light_narrow_and_accessible(
    visitor: Page, server: tuple[str, Flask], language: str, clock: Clock, role: Role | None
) -> None:
    addresses = enter_as(visitor, server, role, clock)
    visitor.goto(f"/r?bahasa={language}")
    eye = Inspector(visitor, server[0], language)
    for address in addresses:
        visitor.goto(address)
        eye.look(address)
    assert eye.faults == [], "\n".join(eye.faults)


@SQLITE
@ROLES
@pytest.mark.parametrize(
    "visitor", [{"java_script_enabled": False, "viewport": {"width": 360, "height": 740}}], indirect=True
)
def test_every_page_can_be_read_and_its_forms_sent_without_script(
    visitor: Page, server: tuple[str, Flask], clock: Clock, role: Role | None
) -> None:
    for address in enter_as(visitor, server, role, clock):
        visitor.goto(address)
        expect(visitor.locator("h1").first).to_be_visible()
        expect(visitor.locator("script")).to_have_count(0)
        for form in visitor.locator("form").all():
            named = form.get_attribute("id")
            beside = visitor.locator(f"button[form={named}]").count() if named else 0
            assert beside + form.locator("button:not([type=button])").count() >= 1, address


@SQLITE
@LANGUAGES
def test_every_state_of_a_page_is_light_narrow_and_accessible(
    visitor: Page, server: tuple[str, Flask], language: str, clock: Clock
) -> None:
    eye = Inspector(visitor, server[0], language)
    _public_pages(visitor, eye, language)
    sign_in(visitor, "budi")
    eye.look("telephone")
    visitor.fill("#code", "000000")
    visitor.click("main .button")
    eye.look("wrong code")
    visitor.fill("#code", pyotp.TOTP(visitor.locator(".seed").inner_text()).at(int(clock().timestamp())))
    visitor.click("main .button")
    eye.look("recovery codes")
    visitor.click("header .tools form button")
    sign_in(visitor, "budi")
    eye.look("second code")
    sign_in(visitor)
    _clerks_pages(visitor, eye)
    assert eye.faults == [], "\n".join(eye.faults)


def _public_pages(page: Page, eye: Inspector, language: str) -> None:
    page.goto(f"/?bahasa={language}")
    page.goto("/tidak-ada")
    eye.look("not found")
    page.goto("/masuk")
    page.fill("#sign-in", "x")
    page.fill("#password", "x")
    page.click("main .button")
    eye.look("wrong password")


def _clerks_pages(page: Page, eye: Inspector) -> None:
    page.click("button[value=PBG]")
    eye.look("form")
    submit(page)
    eye.look("form with mistakes")
    for permit_type, scale, declared in [
        ("RESTORAN", "small", "12"),
        ("RESTORAN", "medium", "12"),
        ("RESTORAN", "small", "30"),
        ("RESTORAN", "small", "8"),
        ("KAPAL", "large", "12"),
        ("SIP", "", ""),
    ]:
        fill(page, permit_type, scale=scale, declared=declared)
        submit(page)
        eye.look(f"{permit_type} {scale} {declared}")
    page.goto(page.locator(".receipt a").get_attribute("href") or "")
    eye.look("receipt")
    page.goto("/periksa/oss")
    page.click("main .button")
    eye.look("nothing from OSS")
    page.fill("#text", json.dumps(OSS))
    page.click("main .button")
    eye.look("choice of permits")
    page.click(".choices button >> nth=0")
    eye.look("form filled from OSS")


@SQLITE
@LANGUAGES
def test_every_state_of_an_administrators_page_is_light_narrow_and_accessible(
    visitor: Page, server: tuple[str, Flask], language: str, clock: Clock
) -> None:
    enter_as(visitor, server, Role.ADMINISTRATOR, clock)
    visitor.goto(f"/pengguna?bahasa={language}")
    eye = Inspector(visitor, server[0], language)
    visitor.click("main form .button")
    eye.look("mistakes about a person")
    for field, text in (("#sign-in", "baru"), ("#name", "Orang Baru"), ("#office", "DPMPTSP")):
        visitor.fill(field, text)
    visitor.select_option("#role", "clerk")
    visitor.check("#regions")
    visitor.click("main form .button")
    eye.look("password shown once")
    visitor.click("main .button")
    visitor.click("main form .button")
    eye.look("person changed")
    visitor.goto("/aplikasi")
    visitor.fill("#addresses", "x")
    visitor.click("main form .button")
    eye.look("mistakes about software")
    assert eye.faults == [], "\n".join(eye.faults)


@SQLITE
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
def test_a_result_printed_from_the_browser_is_one_page(visitor: Page, tmp_path: Path) -> None:
    sign_in(visitor)
    fill(visitor, scale="medium", declared="30")
    submit(visitor)
    expect(visitor.locator("h1")).to_contain_text("Tidak memenuhi")
    visitor.pdf(path=tmp_path / "print.pdf", prefer_css_page_size=True)
    command = ["pdftotext", "-layout", tmp_path / "print.pdf", "-"]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert said.count("\f") == 1
    assert "Tidak memenuhi" in said
    assert "DPMPTSP Maros" in said
    assert "Keluar" not in said
