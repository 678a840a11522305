"""the log, its guards and roles"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, LargeBinary, String, Text

from compliance.audit.turn import is_sqlite
from compliance.database import Moment
from compliance.deployment import deployment

revision = "0001_log"
down_revision = None
branch_labels = None
depends_on = None

Position = BigInteger().with_variant(Integer, "sqlite")

# All of this stops mistakes, not an owner who switches it off: that is found only by heads held outside.
_POSTGRES = """
CREATE FUNCTION audit_entry_next() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.pos <> coalesce((SELECT max(pos) FROM audit_entry), -1) + 1 THEN
    RAISE EXCEPTION 'audit_entry: %% is not the next position', NEW.pos USING ERRCODE = 'raise_exception';
  END IF;
  IF NEW.leaf_hash <> sha256('\\x00'::bytea || NEW.body) THEN
    RAISE EXCEPTION 'audit_entry: the leaf hash is not that of the body';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION audit_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit_entry: %% is not possible, the log is append-only', TG_OP;
END $$;
-- The step of audit/turn.py here, so that no message travels while the lock is held; each statement sees what was
-- committed before it (READ COMMITTED). The commit is asynchronous: audit/turn.py follows it with a synchronous one.
CREATE FUNCTION audit_append(new_id text, new_body bytea, fields text[], strings text[])
RETURNS TABLE (pos bigint, body bytea, leaf_hash bytea, root bytea, frontier bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  last audit_entry;
  here bigint := 0;
  leaf bytea := sha256('\\x00'::bytea || new_body);
  top bytea := leaf;
  stack bytea := '';
  rest bytea;
  size bigint;
  at int;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true), set_config('lock_timeout', '2s', true);
  INSERT INTO audit_disclosure SELECT new_id, pair.field, pair.string FROM unnest(fields, strings) pair(field, string);
  PERFORM pg_advisory_xact_lock(73091962);
  SELECT * INTO last FROM audit_entry ORDER BY pos DESC LIMIT 1;
  IF FOUND THEN
    here := last.pos + 1;
    size := last.pos;
    stack := last.frontier;
    rest := last.leaf_hash;
    WHILE size & 1 = 1 LOOP
      rest := sha256('\\x01'::bytea || substr(stack, length(stack) - 31) || rest);
      stack := substr(stack, 1, length(stack) - 32);
      size := size >> 1;
    END LOOP;
    stack := stack || rest;
  END IF;
  at := length(stack) - 31;
  WHILE at > 0 LOOP
    top := sha256('\\x01'::bytea || substr(stack, at, 32) || top);
    at := at - 32;
  END LOOP;
  INSERT INTO audit_entry VALUES (here, new_id, new_body, leaf, top, stack);
  RETURN QUERY SELECT here, new_body, leaf, top, stack;
END $$;
CREATE TRIGGER audit_entry_next BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_entry_next();
CREATE TRIGGER audit_entry_kept BEFORE UPDATE OR DELETE ON audit_entry
  FOR EACH ROW EXECUTE FUNCTION audit_entry_refuse();
CREATE TRIGGER audit_entry_whole BEFORE TRUNCATE ON audit_entry
  FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_refuse();
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_next;
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_kept;
ALTER TABLE audit_entry ENABLE ALWAYS TRIGGER audit_entry_whole;
"""
_SQLITE = (
    "CREATE TRIGGER audit_entry_next BEFORE INSERT ON audit_entry"
    " WHEN NEW.pos <> coalesce((SELECT max(pos) FROM audit_entry), -1) + 1"
    " BEGIN SELECT raise(ABORT, 'audit_entry: not the next position'); END",
    "CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry"
    " BEGIN SELECT raise(ABORT, 'audit_entry: the log is append-only'); END",
    "CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry"
    " BEGIN SELECT raise(ABORT, 'audit_entry: the log is append-only'); END",
)
_ROLE = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} NOLOGIN; END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""
_RIGHTS = (
    "GRANT USAGE ON SCHEMA public TO gate_app, gate_auditor",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO gate_app",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO gate_app",
    "GRANT SELECT, INSERT ON audit_entry TO gate_app",
    "GRANT SELECT, INSERT, DELETE ON audit_disclosure TO gate_app",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON audit_mark, audit_head, check_record TO gate_app",
    "GRANT SELECT ON alembic_version TO gate_app, gate_auditor",
    "GRANT SELECT ON audit_entry, audit_disclosure, audit_head, check_record TO gate_auditor",
)


def upgrade() -> None:
    log_tables()
    projections()
    statements: tuple[str, ...] = _SQLITE
    if not is_sqlite(op.get_bind()):
        statements = (_POSTGRES, _ROLE.format(role="gate_app"), _ROLE.format(role="gate_auditor"), *_RIGHTS)
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)
    deployment().log.keyring.create_if_missing()


def log_tables() -> None:
    op.create_table(
        "audit_entry",
        Column("pos", Position, primary_key=True, autoincrement=False),
        Column("entry_id", String(128), nullable=False, unique=True),
        Column("body", LargeBinary, nullable=False),
        Column("leaf_hash", LargeBinary, nullable=False),
        Column("root", LargeBinary, nullable=False),
        Column("frontier", LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_disclosure",
        Column("entry_id", String(128), primary_key=True),
        Column("field", String(64), primary_key=True),
        Column("disclosure", Text, nullable=False),
    )
    op.create_table(
        "audit_mark",
        Column("name", String(32), primary_key=True),
        Column("size", Position, nullable=False),
    )
    op.create_table(
        "audit_head",
        Column("size", Position, primary_key=True, autoincrement=False),
        Column("note", Text, nullable=False),
        Column("at", Moment, nullable=False),
    )


def projections() -> None:
    op.create_table(
        "check_record",
        Column("pos", Position, primary_key=True, autoincrement=False),
        Column("id", String(128), nullable=False, unique=True),
        Column("region", String(5), nullable=False),
        Column("asker_kind", String(16), nullable=False),
        Column("asker_id", String(64), nullable=False),
        Column("reference", String(64), nullable=False, index=True),
        Column("nib", String(13), index=True),
        Column("permit_type", String(200), nullable=False),
        Column("as_at", Date, nullable=False),
        Column("checked_at", Moment, nullable=False),
        Column("verdict", String(16), nullable=False),
        Column("action", String(8), nullable=False),
        Column("enforced", Boolean, nullable=False),
        Column("backdated", Boolean, nullable=False),
        Column("valid_until", Date),
        Column("question", String(64)),
        Column("received_at", Moment),
        Column("receipt_code", String(14), nullable=False, unique=True),
        Column("replaces", String(128), index=True),
        Column("document", Text, nullable=False),
        sa.Index("ix_check_record_question", "question", "received_at"),
        sa.Index("ix_check_record_region_pos", "region", "pos"),
    )
