"""Migrations: their head is what the code says, each runs on tables with rows, and none touches an entry of the log."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import flask_migrate
import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask

from compliance import create_app
from compliance.audit.entry import Draft
from compliance.audit.table import audit_entry
from compliance.audit.turn import next_row
from compliance.database import db
from config import HERE, Settings

REVISIONS = [found.revision for found in ScriptDirectory(str(HERE / "compliance/migrations")).walk_revisions()][::-1]


@pytest.fixture(params=["sqlite", "postgres"])
def empty(
    request: pytest.FixtureRequest, base_settings: Settings, tmp_path: Path, postgres: str, postgres_template: str
) -> Iterator[Flask]:
    """A gate before a database without a table; on PostgreSQL as its owner."""
    name = f"m{uuid.uuid4().hex[:12]}"
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    if request.param == "postgres":
        url = postgres.format(name=name)
        with psycopg.connect(postgres.format(name="postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
    key = tmp_path / "signer.key"
    app = create_app(replace(base_settings, database_url=url, database_admin_url=url, log_signing_key=key, demo=True))
    with app.app_context():
        yield app
        db.engine.dispose()
    if request.param == "postgres":
        with psycopg.connect(postgres.format(name="postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def some(column: Any, number: int) -> Any:
    """A value that the column's type takes."""
    if column.type.python_type is bytes:
        return bytes([number]) * 32
    if column.type.python_type is str:
        return f"{number}"[: getattr(column.type, "length", None) or 9]
    if isinstance(column.type, sa.JSON):
        return []
    now = datetime(2026, 11, 20, 8, tzinfo=UTC)
    return {datetime: now, date: now.date(), bool: True, int: number, float: 1.0}[column.type.python_type]


def fill(connection: sa.Connection, last: Any, round_: int) -> dict[str, int]:
    """Two more rows in every table, as far as a table takes them; how many rows each has then."""
    tables = sa.MetaData()
    tables.reflect(connection)
    for number in range(2):
        row = next_row(last.get("row"), Draft(f"e{round_}.{number}", b'{"kind":"old","n":%d}' % (10 * round_ + number)))
        connection.execute(audit_entry.insert(), row)
        last["row"] = connection.execute(sa.select(audit_entry).order_by(audit_entry.c.pos.desc()).limit(1)).one()
    for table in tables.sorted_tables:
        if table.name not in ("audit_entry", "alembic_version"):
            for number in (2 * round_ + 1, 2 * round_ + 2):
                connection.execute(table.insert(), {each.name: some(each, number) for each in table.columns})
    return {
        table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        for table in tables.sorted_tables
        if table.name != "alembic_version"
    }


def log_as_it_is(connection: sa.Connection) -> list[tuple[Any, ...]]:
    columns = "pos, entry_id, body, leaf_hash, root, frontier"
    return [tuple(row) for row in connection.execute(sa.text(f"SELECT {columns} FROM audit_entry ORDER BY pos"))]


def test_every_migration_runs_on_tables_with_rows_and_rewrites_no_entry(empty: Flask) -> None:
    last: dict[str, Any] = {}
    before, counted = list[tuple[Any, ...]](), dict[str, int]()
    for round_, revision in enumerate(REVISIONS):
        flask_migrate.upgrade(revision=revision)
        with db.engine.connect() as connection:
            assert log_as_it_is(connection) == before, revision
            for name, rows in counted.items():
                assert connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) == rows, (revision, name)
        with db.engine.begin() as connection:
            counted = fill(connection, last, round_)
            before = log_as_it_is(connection)
    assert len(before) == 2 * len(REVISIONS)
    assert len(counted) > 20


def test_the_head_is_what_the_code_says(empty: Flask) -> None:
    flask_migrate.upgrade()
    with db.engine.connect() as connection:
        plain = connection.dialect.name == "sqlite"  # PostgreSQL cannot compare defaults of JSON
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": plain})
        assert compare_metadata(context, db.metadata) == []
    flask_migrate.upgrade()  # a second time changes nothing


def test_there_is_one_line_of_migrations() -> None:
    assert [revision[:4] for revision in REVISIONS] == [f"{number:04}" for number in range(1, len(REVISIONS) + 1)]
