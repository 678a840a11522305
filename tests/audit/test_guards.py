"""The database itself stops mistakes: positions, changes, removals, and who may do what."""

from __future__ import annotations

import re
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from compliance.audit.entry import draft
from compliance.audit.log import AuditLog
from compliance.audit.table import audit_entry
from compliance.audit.turn import check_place, engine_options
from compliance.errors import Misconfigured
from config import Settings
from tests.audit.conftest import PRIVATE, check_body


def fill(log: AuditLog, count: int = 3) -> None:
    for number in range(count):
        log.append("check", check_body(), entry_id=f"c{number}", private=PRIVATE, at=log.clock())


def refused(log: AuditLog, *statements: str) -> bool:
    try:
        with log.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
    except DBAPIError:
        return True
    return False


CHANGES = ["UPDATE audit_entry SET entry_id = 'x' WHERE pos = 1", "DELETE FROM audit_entry WHERE pos = 2"]


@pytest.mark.parametrize("statement", CHANGES)
def test_the_owner_too_cannot_change_or_remove_by_mistake(log: AuditLog, admin_log: AuditLog, statement: str) -> None:
    fill(log)
    assert refused(admin_log, statement)
    assert log.head()[0] == 3


@pytest.mark.parametrize("position", [0, 2, 4, -1])
def test_only_the_next_position_is_taken(log: AuditLog, admin_log: AuditLog, position: int) -> None:
    fill(log)
    with admin_log.engine.connect() as connection:
        row = dict(connection.execute(audit_entry.select().where(audit_entry.c.pos == 2)).mappings().one())
        with pytest.raises(DBAPIError):
            connection.execute(audit_entry.insert(), row | {"pos": position, "entry_id": "other"})
    assert log.head()[0] == 3


def test_insert_or_replace_does_not_pass_on_sqlite(log: AuditLog) -> None:
    if log.engine.dialect.name != "sqlite":
        pytest.skip("a statement of SQLite's")
    fill(log)
    for position in (1, 2):
        assert refused(
            log,
            f"INSERT OR REPLACE INTO audit_entry SELECT {position}, 'x', body, leaf_hash, root, frontier"
            " FROM audit_entry WHERE pos = 0",
        )


class TestPostgres:
    @pytest.fixture(autouse=True)
    def only_there(self, log: AuditLog) -> None:
        if log.engine.dialect.name == "sqlite":
            pytest.skip("PostgreSQL's own enforcement")

    def test_a_leaf_hash_that_is_not_the_bodys_is_refused(self, log: AuditLog, admin_log: AuditLog) -> None:
        fill(log)
        columns = "3, 'x', 'other'::bytea, leaf_hash, root, frontier"
        statement = f"INSERT INTO audit_entry SELECT {columns} FROM audit_entry WHERE pos = 2"
        assert refused(admin_log, statement)

    def test_truncate_and_replica_mode_do_not_pass_the_guards(self, log: AuditLog, admin_log: AuditLog) -> None:
        fill(log)
        assert refused(admin_log, "TRUNCATE audit_entry")
        for statement in (*CHANGES, "TRUNCATE audit_entry"):
            assert refused(admin_log, "SET LOCAL session_replication_role = replica", statement)
        assert log.head()[0] == 3

    @pytest.mark.parametrize(
        "statement",
        [
            *CHANGES,
            "TRUNCATE audit_entry",
            "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
            "DROP TRIGGER audit_entry_next ON audit_entry",
            "SET session_replication_role = replica",
            "UPDATE audit_disclosure SET disclosure = 'x'",
            "DROP TABLE audit_entry",
        ],
    )
    def test_the_applications_role_may_only_insert_and_read_the_log(self, log: AuditLog, statement: str) -> None:
        fill(log)
        assert refused(log, statement)

    def test_the_applications_role_may_use_every_other_table(self, log: AuditLog) -> None:
        with log.engine.begin() as connection:
            names = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
            for name in names:
                if name not in ("audit_entry", "audit_disclosure", "alembic_version"):
                    assert connection.scalar(
                        text("SELECT has_table_privilege(:n, 'INSERT,UPDATE,DELETE')"), {"n": name}
                    )

    def test_the_auditors_role_reads_and_nothing_else(self, log: AuditLog, admin_log: AuditLog) -> None:
        fill(log)
        with admin_log.engine.connect() as connection:
            connection.execute(text("SET ROLE gate_auditor"))
            assert connection.scalar(text("SELECT count(*) FROM audit_entry")) == 3
            with pytest.raises(DBAPIError):
                connection.execute(text("INSERT INTO audit_mark VALUES ('x', 1)"))
        assert refused(admin_log, "SET LOCAL ROLE gate_auditor", CHANGES[0])

    @pytest.mark.parametrize("pooled", [True, False])
    def test_no_statement_is_prepared_and_no_lock_held_that_a_pooler_would_hand_to_another(
        self, log: AuditLog, monkeypatch: pytest.MonkeyPatch, pooled: bool
    ) -> None:
        """A pooler is known by the process number that it tells, which is not the server's."""
        if pooled:
            monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda info: 1))
        fill(log, 8)
        for engine in (log.engine, log.turns.reading):
            for _ in range(8):
                with engine.connect() as connection:
                    prepared = connection.scalar(text("SELECT count(*) FROM pg_prepared_statements"))
                    locks = connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
            assert locks == 0
            assert (prepared > 0) is (engine is log.turns.reading and not pooled)

    def test_the_service_refuses_to_start_as_owner_or_superuser(self, log: AuditLog, admin_log: AuditLog) -> None:
        check_place(log.engine, demo=False)
        with pytest.raises(Misconfigured, match="gate_app"):
            check_place(admin_log.engine, demo=False)
        check_place(admin_log.engine, demo=True)


def test_an_append_that_fails_leaves_no_disclosure_behind(log: AuditLog, admin_log: AuditLog) -> None:
    fill(log, 1)
    broken = draft("check", check_body(), entry_id="c0", private=PRIVATE, at=log.clock())
    assert broken.disclosures
    log.append("check", check_body(), entry_id="c0", private=PRIVATE | {"officer_name": "B"}, at=log.clock())
    assert len(log.disclosures(["c0"])["c0"]) == len(PRIVATE)


def test_a_network_file_system_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    if not settings.database_url.startswith("sqlite"):
        pytest.skip("SQLite alone needs a local disk")
    monkeypatch.setattr("compliance.audit.turn.NETWORK", re.compile(".+"))
    here = replace(settings)
    engine = create_engine(here.database_url, **engine_options(here.database_url))
    with pytest.raises(Misconfigured, match="network file system"):
        check_place(engine, demo=False)
    engine.dispose()
