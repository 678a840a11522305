"""The log's tables. `audit_entry` is append-only; `audit_disclosure` alone may lose rows; the rest are projections."""

import sqlalchemy as sa

from compliance.database import db, table

# `root` is of the tree of pos + 1 entries, `frontier` of that of pos entries, largest subtree first.
ENTRY = "pos:pos! entry_id:128 body:bytes leaf_hash:bytes root:bytes frontier:bytes"
audit_entry = table("audit_entry", ENTRY, sa.UniqueConstraint("entry_id"))
audit_disclosure = table("audit_disclosure", "entry_id:128! field:64! disclosure:text")  # RFC 9901, as hashed
audit_mark = table("audit_mark", "name:32! size:pos")  # entries below this are in the projections
audit_head = table("audit_head", "size:pos! note:text at:moment")  # as signed, with the cosignatures it got
check_record = table(
    "check_record",
    "pos:pos! id:128 region:5 asker_kind:16 asker_id:64 reference:64+ nib:13?+ permit_type:200 as_at:day"
    " checked_at:moment verdict:16 action:8 enforced:bool backdated:bool valid_until:day?"
    # `question` is its keyed name, emptied by erasure; `received_at` of an answer that was fresh and understood
    " question:64? received_at:moment? receipt_code:14 replaces:128?+ document:text",
    sa.UniqueConstraint("id"),
    sa.UniqueConstraint("receipt_code"),
    sa.Index("ix_check_record_question", "question", "received_at"),
    sa.Index("ix_check_record_region_pos", "region", "pos"),
)
LONGEST = 60  # letters of a word that are looked at
_word = sa.String(LONGEST).with_variant(sa.String(LONGEST, collation="C"), "postgresql")  # by its bytes on both
check_word = sa.Table(
    "check_word",
    db.metadata,
    sa.Column("word", _word, primary_key=True),
    sa.Column("pos", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Index("ix_check_word_pos", "pos"),
)
