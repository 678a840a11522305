"""the words of business names, for searching"""

import sqlalchemy as sa
from alembic import op

revision = "0006_words"
down_revision = "0005_users"
branch_labels = None
depends_on = None


def upgrade() -> None:
    word = sa.String(60).with_variant(sa.String(60, collation="C"), "postgresql")
    op.create_table(
        "check_word",
        sa.Column("word", word, primary_key=True),
        sa.Column("pos", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    )
    op.create_index("ix_check_word_pos", "check_word", ["pos"])
