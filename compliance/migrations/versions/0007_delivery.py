"""webhooks, batches, and what OSS is told"""

import sqlalchemy as sa
from alembic import op

from compliance.database import Moment

revision = "0007_delivery"
down_revision = "0006_words"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delivery_hook",
        sa.Column("client_id", sa.String(26), primary_key=True),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "delivery_oss",
        sa.Column("nib", sa.String(13), primary_key=True),
        sa.Column("id_izin", sa.String(64), primary_key=True),
        sa.Column("region", sa.String(5), nullable=False),
        sa.Column("check_id", sa.String(26), nullable=False),
        sa.Column("named", sa.JSON, nullable=False),
        sa.Column("status", sa.String(2)),
        sa.Column("state", sa.String(8)),
        sa.Column("position", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "batch",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("asker_kind", sa.String(16), nullable=False),
        sa.Column("asker_id", sa.String(64), nullable=False),
        sa.Column("regions", sa.JSON, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("ended_at", Moment),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "batch_line",
        sa.Column("batch_id", sa.String(26), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("reference", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("asked", sa.Integer, nullable=False),
        sa.Column("check_id", sa.String(26)),
        sa.Column("verdict", sa.String(16)),
        sa.Column("error", sa.String(200)),
        sa.Column("due_at", Moment, index=True),
    )
    op.create_table(
        "batch_pace",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_at", sa.Float, nullable=False),
    )
