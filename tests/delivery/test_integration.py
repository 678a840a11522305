"""docs/integration.md is true: its PHP and its shell lines run against the gate, its table is what the gate answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from compliance import create_app, work
from compliance.access.clients import Client, Clients
from compliance.database import db
from compliance.delivery import outbox
from compliance.deployment import Deployment
from compliance.registry.sandbox import WORLD
from config import Settings
from tests.conftest import Clock

HOME = Path(__file__).resolve().parents[2]
DOC = (HOME / "docs/integration.md").read_text(encoding="utf-8")
EXAMPLES = HOME / "examples"
needs_php = pytest.mark.skipif(not shutil.which("php"), reason="php is not installed (apt-get install php-cli)")
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough: this is about other people's programs."""
    return sqlite_url


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def gate(settings: Settings) -> Iterator[tuple[str, str, Flask, Client]]:
    """A gate with the sandbox inside on a port of its own and the clock of the wall; address, key, app and client."""
    app = create_app(replace(settings, registry_url=""), clock=lambda: datetime.now(UTC))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with app.app_context():
        running = app.extensions["compliance"]
        clients = Clients(running.log, running.clock)
        client, key = clients.create("SiCantik Maros", ("73.09",), ("check", "read"), by="test")
    yield f"http://127.0.0.1:{server.port}", key, app, client
    server.shutdown()
    thread.join()
    server.server_close()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def test_the_page_shows_the_examples_as_they_are() -> None:
    for name in ("periksa.php", "webhook.php"):
        assert f"```php\n{(EXAMPLES / name).read_text(encoding='utf-8')}```" in DOC, name


def php(url: str, key: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"GATE_URL": url, "GATE_KEY": key}
    command = ["php", "-d", "error_reporting=E_ALL", "-d", "display_errors=stderr", EXAMPLES / "periksa.php", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@needs_php
def test_the_php_example_goes_on_stops_holds_and_reports_mistakes(gate: tuple[str, str, Flask, Client]) -> None:
    url, key, *_ = gate
    told = [
        ("8120001234567", 0, "→ lanjutkan"),
        ("7712000000001", 1, "→ jangan lanjutkan"),
        ("7705000000001", 2, "→ tahan; petugas memeriksa"),
        ("6603000000001", 2, "→ tahan; tanyakan lagi setelah 20"),
        ("812", 3, ""),
    ]
    for nib, status, words in told:
        done = php(url, key, f"503/{nib}", "RESTORAN", nib, "small", "12")
        assert (done.returncode, words in done.stdout) == (status, True), (nib, done)
        assert ("Kode bukti" in done.stdout) is (status != 3)
        assert done.stderr == "" or status == 3, done.stderr
    assert "/business/nib" in done.stderr
    first, again = (php(url, key, "503/1", "RESTORAN", "8120001234567", "small", "12").stdout for _ in range(2))
    assert first == again
    assert php(url, "cg.wrong.key", "503/1", "RESTORAN", "8120001234567", "small", "12").returncode == 3


@needs_php
def test_the_php_example_sends_the_same_request_again_when_nothing_was_decided() -> None:
    """An overloaded proxy, then a connection that breaks, then the answer."""
    from tests.registry.agency import Agency, in_turn, says

    answer = {"action": "PROCEED", "label": "Memenuhi", "summary": "…", "enforced": True, "findings": [], "id": "1"}
    answer |= {"receipt": {"code": "K", "url": "u"}, "retry_after": None}
    busy = says(b"", 503, {"Retry-After": "0"})
    with Agency(in_turn(busy, says(answer, 201))) as server:
        done = php(server.url, "k", "503/1", "RESTORAN", "8120001234567", "small", "12")
    assert (done.returncode, len(server.requests)) == (0, 2), done
    assert len({request.body for request in server.requests}) == 1
    assert {request.headers["idempotency-key"] for request in server.requests} == {"503/1/1"}


@needs_curl
def test_the_shell_lines_of_the_page_run_as_they_stand(gate: tuple[str, str, Flask, Client]) -> None:
    url, key, *_ = gate
    env = os.environ | {"GATE_URL": url, "GATE_KEY": key}
    lines = re.findall(r"```sh\n(.*?)```", DOC, re.DOTALL)
    answers = [
        json.loads(subprocess.run(["bash", "-c", block], env=env, capture_output=True, check=True, timeout=60).stdout)
        for block in lines
    ]
    assert len(answers) == 3
    assert answers[0]["verdict"] == "MET"
    assert [item["id"] for item in answers[1]["items"]] == [answers[0]["id"]]
    assert (answers[2]["state"], answers[2]["total"]) == ("queued", 2)


@needs_php
def test_the_php_receiver_takes_what_the_gate_signed_and_nothing_else(
    gate: tuple[str, str, Flask, Client], tmp_path: Path
) -> None:
    _url, key, app, client = gate
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    here: Deployment = app.extensions["compliance"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    hook = outbox.set_hook(here, client, f"http://{address}/gate", by="test")
    env = os.environ | {"GATE_WEBHOOK_SECRET": hook.secret(here.settings.secret_key), "INBOX": str(inbox)}
    server = subprocess.Popen(
        ["php", "-q", "-S", address, EXAMPLES / "webhook.php"], env=env, stderr=subprocess.DEVNULL
    )
    try:
        body, headers = b'{"id":"x"}', {"X-Gate-Event": "check.final", "X-Gate-Delivery": "delivery.1"}
        for _ in range(100):
            if (refused := outbox.call(here, hook.url, body, headers)[0]) != 0:
                break
            time.sleep(0.05)
        stale = {**headers, "X-Gate-Signature": f"t={int(time.time()) - 600},v1={'0' * 64}"}
        assert (refused, outbox.call(here, hook.url, body, stale)[0], list(inbox.iterdir())) == (401, 401, [])
        with app.app_context():
            check = app.test_client().post(
                "/api/v1/checks",
                json={"reference": "1", "permit_type": "SIP", "business": {"nib": "8120001234567"}},
                headers={"Authorization": f"Bearer {key}"},
            )
            with here.log.engine.begin() as connection:
                outbox.post(connection, client.id, "check.final", "", check.get_json()["id"], here.clock())
            while work.do_due(here):
                pass
        (kept,) = inbox.iterdir()
        told = json.loads(kept.read_text())
        assert (told["event"], told["document"]) == ("check.final", check.get_json())
    finally:
        server.terminate()
        server.wait(10)


def test_the_table_of_the_sandbox_is_what_the_gate_answers(settings: Settings, clock: Clock) -> None:
    app = create_app(replace(settings, registry_url=""), clock=clock)
    with app.app_context():
        running = app.extensions["compliance"]
        _client, key = Clients(running.log, running.clock).create("x", ("73.09",), ("check",), by="test")
        db.session.remove()
    rows, asked = [], {"permit_type": "RESTORAN", "workforce": {"employs_workers": True, "declared": 12}}
    for row in (*WORLD["scenario"], *WORLD["failure"]):
        nib = row["prefix"].ljust(12, "0") + "1"
        document = {"reference": nib, "business": {"nib": nib, "scale": "small"}, **asked}
        answer = (
            app.test_client()
            .post("/api/v1/checks", json=document, headers={"Authorization": f"Bearer {key}"})
            .get_json()
        )
        codes = " ".join(f"`{finding['code']}`" for finding in answer["findings"])
        rows.append(f"| `{row['prefix']}` | {row['en']} | {answer['verdict']} → {answer['action']} | {codes} |")
    with app.app_context():
        db.engine.dispose()
    assert [line.replace("  |", " |") for line in rows if line.replace("  |", " |") not in DOC] == []
