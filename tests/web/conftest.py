"""A gate with the sandbox agency in its own process, people who sign in, and a browser's habits for Flask's client."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import TestResponse

from compliance import create_app
from compliance.access import users, users_sign_in
from compliance.access.users import Role, User, Users
from compliance.database import db
from config import Settings
from tests.conftest import Clock

PASSWORD = "kuda laut makan petai"
FORM = {
    "permit_type": "RESTORAN",
    "region": "73.09",
    "reference": "503/0123/DPMPTSP/2026",
    "stage": "new",
    "business.name": "CV Sumber Rejeki",
    "business.nib": "8120001234567",
    "business.scale": "small",
    "workforce.employs_workers": "yes",
    "workforce.declared": "12",
    "step": "check",
}


@pytest.fixture(scope="session", autouse=True)
def light_passwords() -> Iterator[None]:
    """Argon2 at its least, as these tests are about pages; tests/access has it as it runs."""
    light = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "HASHER", light)
        patch.setattr(users_sign_in, "HASHER", light)
        patch.setattr(users_sign_in, "NOBODY", light.hash("nobody's"))
        yield


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates are compiled once for all apps."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, registry_url="")


@pytest.fixture
def app(settings: Settings, clock: Clock, compiled: FileSystemBytecodeCache) -> Iterator[Flask]:
    app = create_app(settings, clock=clock)
    app.jinja_env.bytecode_cache = compiled
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def add_user(app: Flask, sign_in: str, role: Role = Role.CLERK, regions: tuple[str, ...] = ("73.09",)) -> User:
    with app.app_context():
        running = app.extensions["compliance"]
        people = Users(running.log, running.clock)
        return people.create(sign_in, f"Ibu {sign_in}", role, regions, PASSWORD, office="DPMPTSP Maros", by="test")


@dataclass
class Visit:
    """Flask's client, that sends the form token as a browser does."""

    client: FlaskClient

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def token(self, path: str = "/masuk") -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.client.get(path).get_data(as_text=True))
        assert found
        return found[1]

    def post(self, path: str, data: dict[str, str], page: str = "/masuk") -> TestResponse:
        return self.client.post(path, data=data | {"csrf_token": self.token(page)})

    def sign_in(self, name: str, password: str = PASSWORD) -> TestResponse:
        return self.post("/masuk", {"sign_in": name, "password": password})

    def check(self, **changes: str) -> TestResponse:
        typed = {name.replace("__", "."): text for name, text in changes.items()}
        return self.post("/periksa", FORM | typed, page="/periksa")


@pytest.fixture
def visit(app: Flask) -> Visit:
    return Visit(app.test_client())


@pytest.fixture
def clerk(app: Flask, visit: Visit) -> Visit:
    add_user(app, "sitti")
    assert visit.sign_in("sitti").status_code == 302
    return visit


# --- a real server and a real browser ------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """Debian's chromium; root needs --no-sandbox."""
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed (apt-get install chromium)")
    return {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(settings: Settings, clock: Clock, compiled: FileSystemBytecodeCache) -> Iterator[tuple[str, Flask]]:
    """The gate on a port of its own, with threads, and a clerk and a supervisor; gives its address."""
    listener = make_server("127.0.0.1", 0, lambda *call: app(*call), threaded=True, request_handler=_Quiet)
    address = f"http://127.0.0.1:{listener.port}"
    app = create_app(replace(settings, public_url=address), clock=clock)
    app.jinja_env.bytecode_cache = compiled
    add_user(app, "sitti")
    add_user(app, "budi", Role.SUPERVISOR, ("73.09", "73.08"))
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    yield address, app
    listener.shutdown()
    thread.join()
    listener.server_close()
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
