"""An inspector's question, answered in a real browser in five clicks, with and without script."""

from __future__ import annotations

import json
from pathlib import Path

import pyotp
import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from compliance.access.users import Role
from compliance.proof.receipt import verify_package
from tests.conftest import Clock
from tests.web.conftest import PASSWORD, Visit, add_user
from tests.web.test_browser import SQLITE, sign_in, visitor

__all__ = ["visitor"]  # a fixture
pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@SQLITE
@pytest.mark.parametrize("visitor", [{"java_script_enabled": on} for on in (True, False)], indirect=True)
def test_prove_that_this_refusal_was_lawful_and_that_nothing_was_hidden_in_five_clicks(
    visitor: Page, server: tuple[str, Flask], clock: Clock, tmp_path: Path
) -> None:
    app = server[1]
    add_user(app, "rahma", Role.AUDITOR)
    clerk = Visit(app.test_client())
    clerk.sign_in("sitti")
    clerk.check(business__scale="medium")
    clerk.check(reference="503/0124/DPMPTSP/2026")
    sign_in(visitor, "rahma")
    visitor.fill("#code", pyotp.TOTP(visitor.locator(".seed").inner_text()).at(int(clock().timestamp())))
    visitor.click("main .button")
    visitor.goto("/")
    clicks = 0

    def click(name: str, kind: str = "a") -> None:
        nonlocal clicks
        clicks += 1
        visitor.locator(f"main {kind}", has_text=name).first.click()

    click("503/0123/DPMPTSP/2026")  # 1: the refusal
    expect(visitor.locator("h1")).to_contain_text("Tidak memenuhi")
    expect(visitor.locator(".rules")).to_contain_text("Perpres 109/2013 Pasal 6 ayat (3)")
    expect(visitor.locator(".history li")).to_have_count(1)
    click("Putuskan ulang", "button")  # 2: the same law and facts give the same refusal
    expect(visitor.locator(".done")).to_contain_text("sama persis")
    with visitor.expect_download() as download:
        click("Unduh bukti")  # 3: its proof, for another machine
    download.value.save_as(tmp_path / "proof.json")
    click("Verifikasi seluruh catatan")  # 4
    click("Verifikasi", "button")  # 5: nothing was changed, taken out or put in
    expect(visitor.locator(".progress")).to_contain_text("UTUH")
    expect(visitor.locator(".progress")).to_contain_text("tidak ada yang diubah, dihapus, atau disisipkan")
    assert clicks == 5
    with app.app_context():
        keys = app.extensions["compliance"].log.keyring.keys
    proved = verify_package(json.loads((tmp_path / "proof.json").read_text()), keys)
    assert proved.body["decision"]["verdict"] == "NOT_MET"
    assert PASSWORD not in visitor.content()
