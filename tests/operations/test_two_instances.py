"""Two gunicorn instances behind nginx on one PostgreSQL, one of them killed, restarted and upgraded under load."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from compliance import create_app
from compliance.access.clients import Clients, Scope
from compliance.audit.verify import verify, verify_checks
from compliance.database import db
from config import HERE, Settings
from tests.operations.test_telemetry import CHECK, Gate

pytestmark = [
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
    pytest.mark.timeout(600),
]


def nginx(site: str, folder: Path, ports: list[str]) -> tuple[subprocess.Popen[bytes], str]:
    """docs/nginx/gate.conf without TLS, in front of these addresses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        front = f"127.0.0.1:{probe.getsockname()[1]}"
    for line in ("ssl_certificate ", "ssl_certificate_key ", "ssl_protocols "):
        site = "\n".join(kept for kept in site.splitlines() if not kept.strip().startswith(line))
    site = site.replace("listen 443 ssl", f"listen {front}").replace("rate=20r/s", "rate=2000r/s")
    for named, port in zip(("127.0.0.1:8001", "127.0.0.1:8002"), ports, strict=True):
        site = site.replace(named, port)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    head = f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr error;\nevents {{}}\n"
    (folder / "nginx.conf").write_text(f"{head}http {{\n{temporary}{site}\n}}\n")
    command = ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with (folder / "nginx.stderr").open("wb") as lines:
        return subprocess.Popen(command, stderr=lines), f"http://{front}"


class Callers:
    """Licensing software of eight threads: one idempotency key per application, the same until it is answered."""

    def __init__(self, base: str, key: str) -> None:
        self.base, self.key, self.stop = base, key, threading.Event()
        self.answers: dict[str, dict[str, Any]] = {}
        self.lost: list[str] = []
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(8)]
        for thread in self.threads:
            thread.start()

    def _ask(self, number: int) -> None:
        count = 0
        while not self.stop.is_set():
            count += 1
            name = f"503/{number}/{count}"
            headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": name}
            for _ in range(100):
                try:
                    body = CHECK | {"reference": name}
                    answer = requests.post(f"{self.base}/api/v1/checks", json=body, headers=headers, timeout=30)
                    if answer.status_code in (200, 201):
                        self.answers[name] = answer.json()
                        break
                except (requests.RequestException, ValueError):
                    pass
                time.sleep(0.2)
            else:
                self.lost.append(name)

    def more(self, count: int) -> None:
        wanted, ends = len(self.answers) + count, time.monotonic() + 120
        while len(self.answers) < wanted:
            assert time.monotonic() < ends, f"{len(self.answers)} answers, {wanted} wanted"
            time.sleep(0.05)

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def pair(
    base_settings: Settings, postgres_url: str, tmp_path: Path
) -> Iterator[tuple[Settings, dict[str, str], list[Gate]]]:
    key = Path(shutil.copy(base_settings.log_signing_key, tmp_path / "log.key"))
    settings = replace(base_settings, database_url=postgres_url, log_signing_key=key)
    env = {
        "DATABASE_URL": postgres_url,
        "SECRET_KEY": settings.secret_key,
        "LOG_ORIGIN": settings.log_origin,
        "LOG_SIGNING_KEY": str(key),
        "REGISTRY": "sandbox",
        "RATE_LIMIT": "1000000",
    }
    gates = [Gate(env, tmp_path / name) for name in ("a", "b") if not (tmp_path / name).mkdir()]
    try:
        yield settings, env, gates
    finally:
        for gate in gates:
            gate.process.send_signal(signal.SIGTERM)
            gate.process.wait(timeout=60)


def test_one_of_two_instances_is_killed_restarted_and_upgraded_and_nobody_loses_an_answer(
    pair: tuple[Settings, dict[str, str], list[Gate]], tmp_path: Path
) -> None:
    settings, env, gates = pair
    app = create_app(settings)
    with app.app_context():
        running = app.extensions["compliance"]
        client = Clients(running.log, running.clock).create("SiCantik", ("73.09",), {Scope.CHECK}, by="test")
        ports = [gate.base.removeprefix("http://") for gate in gates]
        site = (HERE / "docs" / "nginx" / "gate.conf").read_text(encoding="utf-8")
        front, base = nginx(site, tmp_path, ports)
        callers = Callers(base, client[1])
        try:
            callers.more(40)
            os.kill(gates[0].process.pid, signal.SIGKILL)  # the master; its workers notice and end
            gates[0].process.wait()
            callers.more(40)
            wait_until_free(ports[0])
            gates[0] = Gate(env | {"BIND": ports[0]}, tmp_path / "a")
            callers.more(40)
            gates[1].process.send_signal(signal.SIGTERM)  # an upgrade: requests finish, then new code starts
            gates[1].process.wait(timeout=60)
            callers.more(20)
            gates[1] = Gate(env | {"BIND": ports[1]}, tmp_path / "b")
            callers.more(40)
        finally:
            callers.end()
            front.terminate()
            front.wait(timeout=30)
        assert callers.lost == []
        size, _ = verify(running.log, {}, lambda done: None)
        verify_checks(running.log, lambda done: None)
        for name, answer in callers.answers.items():
            kept = running.log.check(answer["id"])
            assert json.loads(kept.document) == answer, name
        written = {answer["id"] for answer in callers.answers.values()}
        assert len(written) == len(callers.answers) <= size
        db.engine.dispose()


def wait_until_free(address: str) -> None:
    host, _, port = address.partition(":")
    for _ in range(300):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
                return
            except OSError:
                time.sleep(0.1)
    raise AssertionError(f"{address} stays held by workers of a master that was killed")
