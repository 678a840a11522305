"""The log's tables. `audit_entry` is append-only; `audit_disclosure` alone may lose rows; the rest are projections."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, LargeBinary, String, Table, Text

from compliance.database import Moment, db

Position = BigInteger().with_variant(Integer, "sqlite")

audit_entry = Table(
    "audit_entry",
    db.metadata,
    Column("pos", Position, primary_key=True, autoincrement=False),
    Column("entry_id", String(128), nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),
    Column("leaf_hash", LargeBinary, nullable=False),
    Column("root", LargeBinary, nullable=False),  # of the tree of pos + 1 entries
    Column("frontier", LargeBinary, nullable=False),  # of the tree of pos entries, largest subtree first
)

audit_disclosure = Table(
    "audit_disclosure",
    db.metadata,
    Column("entry_id", String(128), primary_key=True),
    Column("field", String(64), primary_key=True),
    Column("disclosure", Text, nullable=False),  # RFC 9901, as hashed
)

audit_mark = Table(
    "audit_mark",
    db.metadata,
    Column("name", String(32), primary_key=True),
    Column("size", Position, nullable=False),  # entries below this are in the projections
)

audit_head = Table(
    "audit_head",
    db.metadata,
    Column("size", Position, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),  # as signed, with the cosignatures it got
    Column("at", Moment, nullable=False),
)

check_record = Table(
    "check_record",
    db.metadata,
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
    Column("question", String(64)),  # keyed name of the question; emptied by erasure
    Column("received_at", Moment),  # when the agency's answer was fresh and understood
    Column("receipt_code", String(14), nullable=False, unique=True),
    Column("replaces", String(128), index=True),
    Column("document", Text, nullable=False),  # the answer as it was given
    Index("ix_check_record_question", "question", "received_at"),
    Index("ix_check_record_region_pos", "region", "pos"),
)
