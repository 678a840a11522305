"""Metrics, structured lines and readiness, as an operator's tools see them, from a gate of several real workers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from prometheus_client import REGISTRY

from compliance import create_app, work
from compliance.access.clients import Clients, Scope
from compliance.database import db
from compliance.errors import Misconfigured, RegistryMisunderstood
from compliance.law.facts import Ask, Subject
from compliance.registry.port import Purpose
from config import HERE, Settings
from tests.conftest import Clock
from tests.registry.agency import Agency, says

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SECRETS = {"SECRET_KEY": "planted-secret-key-9f8e7d6c5b4a", "METRICS_TOKEN": "planted-metrics-token-11223344"}
NIK, NPWP = "7309054403880002", "73.090.544.0-388.000"
CHECK: dict[str, Any] = {
    "reference": "503/77/2026",
    "permit_type": "RESTORAN",
    "region": "73.09",
    "business": {"name": "CV Sumber Rejeki", "nib": "8120001234567", "npwp": NPWP, "scale": "small"},
    "owner": {"name": "Andi Planted Name", "nik": NIK},
    "workforce": {"employs_workers": True, "declared": 12},
}


class Gate:
    """A gunicorn of two workers on a port of its own, its lines in a file."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = f"127.0.0.1:{probe.getsockname()[1]}"
        env = {"BIND": free, "WORKERS": "2", "THREADS": "8"} | env
        self.base, self.lines = f"http://{env['BIND']}", folder / "gate.stderr"
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
        with self.lines.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=HERE, env=os.environ | env, stdout=out, stderr=out)
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.base}/healthz", timeout=5).ok:
                    return
            time.sleep(0.1)
        self.process.kill()
        raise AssertionError(self.lines.read_text())

    def metrics(self) -> dict[str, float]:
        bearer = {"Authorization": f"Bearer {SECRETS['METRICS_TOKEN']}"}
        answer = requests.get(f"{self.base}/metrics", headers=bearer, timeout=10)
        assert answer.status_code == 200, answer.text
        rows = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in rows}


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Iterator[tuple[Gate, str]]:
    settings = replace(settings, log_signing_key=Path(shutil.copy(settings.log_signing_key, tmp_path / "log.key")))
    app = create_app(settings)
    with app.app_context():
        key = Clients(app.extensions["compliance"].log, app.extensions["compliance"].clock).create(
            "SiCantik", ("73.09",), {Scope.CHECK, Scope.READ}, by="test"
        )[1]
        db.engine.dispose()
    env = SECRETS | {
        "DATABASE_URL": settings.database_url,
        "LOG_ORIGIN": settings.log_origin,
        "LOG_SIGNING_KEY": str(settings.log_signing_key),
        "REGISTRY": "sandbox",
        "DEMO": "1",
    }
    gate = Gate(env, tmp_path)
    try:
        yield gate, key
    finally:
        gate.process.send_signal(signal.SIGTERM)
        gate.process.wait(timeout=60)


def test_metrics_count_every_check_once_over_several_workers(served: tuple[Gate, str]) -> None:
    gate, key = served
    bearer = {"Authorization": f"Bearer {key}"}
    for number in range(12):
        body = CHECK | {"reference": f"503/{number}"}
        assert requests.post(f"{gate.base}/api/v1/checks", json=body, headers=bearer, timeout=30).status_code == 201
    requests.post(f"{gate.base}/api/v1/checks", json={}, headers=bearer, timeout=30)
    requests.post(f"{gate.base}/api/v1/checks", json=CHECK, headers={"Authorization": "Bearer nobody"}, timeout=30)
    shown = gate.metrics()
    assert sum(value for name, value in shown.items() if name.startswith("gate_checks_total")) == 12
    assert shown['gate_log_appends_total{kind="check"}'] == 12
    assert shown['gate_log_appends_total{kind="check.refused"}'] == 1
    assert shown['gate_http_requests_total{method="POST",route="/api/v1/checks",status="401"}'] == 1
    assert shown['gate_agency_seconds_count{outcome="understood",source="sandbox"}'] >= 12
    assert shown["gate_log_entries"] >= 14
    assert shown["gate_breaker_open"] == shown["gate_log_closed"] == 0


def test_metrics_are_not_there_without_the_token(served: tuple[Gate, str]) -> None:
    gate, key = served
    for bearer in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {key}"}):
        answer = requests.get(f"{gate.base}/metrics", headers=bearer, timeout=10)
        assert (answer.status_code, answer.json()["status"]) == (404, 404)


def test_no_line_and_no_metric_holds_a_secret_a_key_or_a_person(served: tuple[Gate, str]) -> None:
    gate, key = served
    bearer = {"Authorization": f"Bearer {key}", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    done = requests.post(f"{gate.base}/api/v1/checks", json=CHECK, headers=bearer, timeout=30).json()
    requests.get(f"{gate.base}/r/{done['receipt']['code']}", timeout=10)
    requests.get(f"{gate.base}/api/v1/checks?reference={NIK}", headers=bearer, timeout=10)
    requests.post(f"{gate.base}/masuk", data={"sign_in": "petugas", "password": "planted-password"}, timeout=10)
    gate.metrics()
    written = gate.lines.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    asked = [line for line in lines if line.get("route") == "/api/v1/checks" and line["status"] == 201]
    assert [(line["trace_id"], bool(line["request_id"])) for line in asked] == [(TRACE, True)]
    secret_key = key.rsplit(".", 1)[1]
    for planted in (
        *SECRETS.values(),
        secret_key,
        NIK,
        NPWP,
        "Planted Name",
        "planted-password",
        done["receipt"]["code"],
    ):
        assert planted not in written, planted
        assert planted not in json.dumps(gate.metrics()), planted


def test_the_trace_goes_on_to_the_agency_with_a_span_of_our_own(tmp_path: Path, settings: Settings) -> None:
    with Agency(says({"ditemukan": False})) as agency:
        app = create_app(replace(settings, registry="http", registry_url=agency.url))
        with app.test_request_context("/healthz", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}):
            app.preprocess_request()
            ask = Ask(Subject.EMPLOYER, "nib", "8120001234567")
            with pytest.raises(RegistryMisunderstood):
                app.extensions["compliance"].gate.source.ask(ask, Purpose("request-1", "503/1"))
            db.engine.dispose()
    sent = {name.lower(): value for name, value in agency.requests[0].headers.items()}["traceparent"]
    assert sent.startswith(f"00-{TRACE}-")
    assert "00f067aa0ba902b7" not in sent


def test_a_word_that_is_no_method_makes_no_counter_of_its_own(settings: Settings, clock: Clock) -> None:
    app = create_app(settings, clock=clock)
    for number in range(3):
        app.test_client().open("/api/v1/checks", method=f"ZQ{number}")
    labels = [sample.labels for family in REGISTRY.collect() for sample in family.samples]
    assert "other" in {each.get("method") for each in labels}
    assert "ZQ" not in str(labels)
    with app.app_context():
        db.engine.dispose()


def test_readyz_says_that_nobody_does_what_is_due(settings: Settings, clock: Clock) -> None:
    app = create_app(replace(settings, metrics_token=SECRETS["METRICS_TOKEN"]), clock=clock)
    told = {"Authorization": f"Bearer {SECRETS['METRICS_TOKEN']}"}
    with app.app_context():
        work.standing(app.extensions["compliance"])
        client = app.test_client()
        assert "work:" not in client.get("/readyz", headers=told).text
        clock.tick(minutes=16)
        answer = client.get("/readyz", headers=told)
        assert (answer.status_code, "work: nothing was done for 16 minutes" in answer.text) == (200, True)
        assert "work" not in client.get("/readyz").text
        db.engine.dispose()


def test_the_gate_does_not_start_with_a_clock_behind_the_log(settings: Settings, clock: Clock) -> None:
    app: Flask = create_app(settings, clock=clock)
    with app.app_context():
        log = app.extensions["compliance"].log
        log.append("policy.note", {}, entry_id="one", private={}, at=clock())
        clock.tick(seconds=-119)
        log.check_start()
        clock.tick(seconds=-2)
        with pytest.raises(Misconfigured, match=r"clock is behind the log's last entry of 2026-11-20T08:00:00Z"):
            log.check_start()
        db.engine.dispose()
