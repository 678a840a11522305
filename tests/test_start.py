"""How the gate is put together: what a proxy may say, and what stops a start."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from flask import request

from compliance import create_app
from compliance.errors import Misconfigured
from config import HERE, Settings


@pytest.mark.parametrize(("proxies", "seen"), [(0, "127.0.0.1"), (1, "203.0.113.9")])
def test_forwarding_headers_count_only_behind_as_many_trusted_proxies(
    base_settings: Settings, sqlite_url: str, proxies: int, seen: str
) -> None:
    app = create_app(replace(base_settings, database_url=sqlite_url, trusted_proxies=proxies))
    with app.test_client() as client:
        client.get("/healthz", headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.9"})
        assert request.remote_addr == seen


ENOUGH = {"SECRET_KEY": "0123456789abcdef0", "REGISTRY": "sandbox"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"SECRET_KEY_FILE": "/nowhere/at/all"}, "SECRET_KEY_FILE"),
        ({"REGISTRY": "telepathy"}, "REGISTRY=telepathy"),
        ({"REGISTRY": "http"}, "REGISTRY_URL"),
        ({"REGISTRY_TIMEOUT": "soon"}, "REGISTRY_TIMEOUT=soon"),
        ({"REGISTRY_TIMEOUT": "0"}, "REGISTRY_TIMEOUT=0"),
        ({"RATE_LIMIT": "-1"}, "RATE_LIMIT=-1"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL=loud"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_line_that_names_it(wrong: dict[str, str], says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as stopped:
        Settings.from_environment(ENOUGH | wrong)
    assert "\n" not in str(stopped.value)


def test_enough_settings_start_and_show_no_secret() -> None:
    settings = Settings.from_environment(ENOUGH)
    assert settings.registry == "sandbox"
    assert ENOUGH["SECRET_KEY"] not in repr(settings)


@pytest.mark.parametrize(
    ("command", "wrong", "says"),
    [
        (["client", "list"], {"SECRET_KEY": ""}, "SECRET_KEY is missing"),
        (["client", "list"], {"DATABASE_URL": "sqlite:////nowhere/at/all.db"}, "DATABASE_URL"),
        (["work"], {"LOG_SIGNING_KEY": "/nowhere/at/all.key"}, "LOG_SIGNING_KEY"),
    ],
)
def test_a_command_that_cannot_work_ends_with_2_and_no_trace(
    sqlite_url: str, base_settings: Settings, command: list[str], wrong: dict[str, str], says: str
) -> None:
    env = {"DATABASE_URL": sqlite_url, "LOG_SIGNING_KEY": str(base_settings.log_signing_key), "DEMO": "1"}
    env |= {"PATH": os.environ["PATH"]} | ENOUGH | wrong
    flask = [sys.executable, "-m", "flask", "--app", "wsgi", *command]
    done = subprocess.run(flask, cwd=HERE, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
