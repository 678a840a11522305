"""`make soak`: 50 checks a second with a faulty agency for 30 minutes; nothing grows, nothing is missing.

SOAK_MINUTES sets another length. What was measured is printed.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import statistics
import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import requests

from compliance import create_app
from compliance.access.clients import Clients, Scope
from compliance.audit.verify import verify, verify_checks
from compliance.database import db
from config import Settings
from tests.operations.test_telemetry import CHECK, Gate
from tests.registry.agency import Agency, Behaviour, Request, Wire, drips, hangs, resets, says
from tests.registry.answers import employer

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
PER_SECOND, CALLERS = 50, 64
pytestmark = [pytest.mark.soak, pytest.mark.timeout(int(MINUTES * 60) + 600)]


def faulty() -> Behaviour:
    """Nine answers of ten are right; the others are every kind of wrong."""
    right, lock, numbers = says(employer()), threading.Lock(), itertools.count()
    wrong = (hangs, resets, says({}, 500), says({}, 503, {"Retry-After": "2"}), says(b"<html>"), drips(b"{" * 50, 0.2))

    def act(wire: Wire, request: Request) -> None:
        with lock:
            number = next(numbers)
        (wrong[number // 10 % len(wrong)] if number % 10 == 9 else right)(wire, request)

    return act


class Usage:
    """Memory in MiB, threads and open files of a gate's workers, and the database's connections, at one moment."""

    def __init__(self, gate: Gate, database_url: str) -> None:
        children = Path(f"/proc/{gate.process.pid}/task/{gate.process.pid}/children").read_text().split()
        status = [Path(f"/proc/{pid}/status").read_text() for pid in children]
        self.memory = sum(int(text.partition("VmRSS:")[2].split()[0]) for text in status) // 1024
        self.threads = sum(int(text.partition("Threads:")[2].split()[0]) for text in status)
        self.files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in children)
        with psycopg.connect(database_url) as connection:
            found = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            self.connections = found.fetchone()[0]  # type: ignore[index]


def test_nothing_grows_and_nothing_is_missing(base_settings: Settings, postgres_url: str, tmp_path: Path) -> None:
    key = Path(shutil.copy(base_settings.log_signing_key, tmp_path / "log.key"))
    settings = replace(base_settings, database_url=postgres_url, log_signing_key=key)
    app = create_app(settings)
    with Agency(faulty()) as agency, app.app_context():
        running = app.extensions["compliance"]
        bearer = Clients(running.log, running.clock).create("SiCantik", ("73.09",), {Scope.CHECK}, by="test")[1]
        env = {
            "DATABASE_URL": postgres_url,
            "SECRET_KEY": settings.secret_key,
            "LOG_ORIGIN": settings.log_origin,
            "LOG_SIGNING_KEY": str(key),
            "REGISTRY": "http",
            "REGISTRY_URL": agency.url,
            "REGISTRY_TIMEOUT": "2",
            "RATE_LIMIT": "10000000",
            "THREADS": "128",
        }
        gate = Gate(env, tmp_path)
        took, answered, used = list[tuple[float, float]](), set[str](), list[Usage]()
        began, numbers = time.monotonic(), itertools.count()
        ends = began + MINUTES * 60

        def call() -> None:
            with requests.Session() as session:
                session.headers["Authorization"] = f"Bearer {bearer}"
                while (due := began + next(numbers) / PER_SECOND) < ends:
                    time.sleep(max(0.0, due - time.monotonic()))
                    asked = time.monotonic()
                    body = CHECK | {"reference": f"S/{random.randrange(10**9)}"}
                    answer = session.post(f"{gate.base}/api/v1/checks", json=body, timeout=60)
                    assert answer.status_code == 201, answer.text
                    assert answer.json()["action"] != "STOP"
                    answered.add(answer.json()["id"])
                    took.append((asked - began, time.monotonic() - asked))

        callers = [threading.Thread(target=call) for _ in range(CALLERS)]
        try:
            for caller in callers:
                caller.start()
            while time.monotonic() < ends:
                time.sleep(min(10, MINUTES * 6))
                used.append(Usage(gate, postgres_url))
            for caller in callers:
                caller.join()
        finally:
            gate.process.send_signal(signal.SIGTERM)
            gate.process.wait(timeout=60)
        size, _ = verify(running.log, {}, lambda done: None)
        verify_checks(running.log, lambda done: None)
        db.engine.dispose()
    thirds = [[s for at, s in took if third <= at * 3 / (MINUTES * 60) < third + 1] for third in range(3)]
    p99 = [statistics.quantiles(part, n=100)[98] for part in thirds]
    settled, last = used[len(used) // 3], used[-1]
    print(f"\n{len(answered)} checks in {MINUTES:g} minutes, {size} entries; p99 of each third {p99} s")
    for name in ("memory", "threads", "files", "connections"):
        print(f"{name}: {getattr(settled, name)} after a third, {getattr(last, name)} at the end")
    assert len(answered) == len(took) <= size
    assert len(answered) >= MINUTES * 60 * PER_SECOND * 0.95
    assert last.memory <= settled.memory * 1.2 + 20
    assert last.threads <= settled.threads + 16
    assert last.files <= settled.files * 1.2 + 20
    assert last.connections <= max(settled.connections, 70)
    assert p99[2] <= p99[0] * 2 + 0.5
