"""What an operator relies on when the gate starts and stops: a refusal is one, and what was answered is remembered."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from compliance.audit.log import AuditLog
from config import HERE, Settings
from tests.audit import forger
from tests.audit.conftest import admin_log, log, open_log
from tests.audit.test_crashes import serving
from tests.conftest import Clock

__all__ = ["admin_log", "log"]  # fixtures


def environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "BIND": "127.0.0.1:0",
        "WORKERS": "1",
        "DATABASE_URL": settings.database_url,
        "SECRET_KEY": settings.secret_key,
        "LOG_ORIGIN": settings.log_origin,
        "LOG_SIGNING_KEY": str(settings.log_signing_key),
        "REGISTRY": "sandbox",
        "REGISTRY_URL": "http://127.0.0.1:1",
        "LOG_LEVEL": "ERROR",
    }


def serve_and_stop(settings: Settings) -> None:
    with serving(settings) as service:
        service.wait_for(30)


def work_and_end(settings: Settings) -> None:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "work"]
    subprocess.run(command, cwd=HERE, env=environment(settings), check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize("use", [serve_and_stop, work_and_end])
def test_a_database_that_lost_its_last_entry_after_a_graceful_stop_takes_no_more(
    log: AuditLog, admin_log: AuditLog, clock: Clock, use: Callable[[Settings], None]
) -> None:
    use(log.settings)
    size, _ = log.head()
    forger.rewrite(admin_log, lambda rows: rows[:-1])
    clock.now = Clock(log.entries_at([size - 2])[0].at).now
    for again in open_log(log.settings, clock):
        again.check_start()
        assert f"the signer knows a head of {size} entries, the database has {size - 1}" in again.closed


@pytest.mark.parametrize("wrong", [False, True])
def test_systemd_is_told_ready_only_by_a_gate_that_may_start(settings: Settings, tmp_path: Path, wrong: bool) -> None:
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.settimeout(60)
    told.bind(str(tmp_path / "notify"))
    (tmp_path / "temporary").mkdir()
    origin = "another.test/log" if wrong else settings.log_origin
    env = environment(replace(settings, log_origin=origin))
    env |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
    gate = subprocess.Popen(command, cwd=HERE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with told, gate:
        if wrong:
            assert gate.stdout
            assert "LOG_ORIGIN another.test/log" in gate.stdout.read()
            assert gate.wait(timeout=60) == 3
            told.settimeout(0)
            with pytest.raises(BlockingIOError):
                told.recv(1000)
        else:
            assert b"READY=1" in told.recv(1000)
            time.sleep(1)
            gate.terminate()
            gate.communicate(timeout=60)
    assert list((tmp_path / "temporary").glob("gate-metrics-*")) == []
