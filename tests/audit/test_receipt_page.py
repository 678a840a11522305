"""The page that verifies receipts offline, from a file, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compliance.audit.log import AuditLog
from compliance.gate import Recorded
from compliance.proof import export
from compliance.proof.note import Signer

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed"),
]


def test_a_receipt_is_verified_offline_and_a_changed_one_is_not(log: AuditLog, add: Callable[..., Recorded]) -> None:
    from playwright.sync_api import sync_playwright

    answer = json.loads(add().document)
    key, other = str(log.keyring.keys[0]), str(Signer.generate("gate.test/log").key)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        page.goto((Path(export.__file__).parent / "receipt.html").as_uri())

        def verified(given: str, receipt: Any) -> str:
            page.fill("#key", given)
            page.fill("#receipt", receipt if isinstance(receipt, str) else json.dumps(receipt))
            page.evaluate("document.getElementById('result').textContent = ''")
            page.click("#verify")
            page.wait_for_function("document.getElementById('result').textContent")
            return str(page.text_content("#result"))

        assert verified(key, answer).startswith("Asli")
        assert verified(key, answer["receipt"]["jws"]).startswith("Asli")
        for given, receipt in [(key, {**answer, "verdict": "MET"}), (other, answer), (key, "a.b.c"), ("x", answer)]:
            assert verified(given, receipt).startswith("Tidak terbukti")
        browser.close()
