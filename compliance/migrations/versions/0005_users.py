"""people, their secrets, sign-ins and counted failures"""

import sqlalchemy as sa
from alembic import op

from compliance.database import Moment

revision = "0005_users"
down_revision = "0004_api"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_user",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("sign_in", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("regions", sa.Text, nullable=False),
        sa.Column("office", sa.String(200), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "access_user_secret",
        sa.Column("user_id", sa.String(26), primary_key=True),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("totp_seed", sa.String(64)),
        sa.Column("totp_counter", sa.Integer, nullable=False),
        sa.Column("recovery", sa.Text, nullable=False),
    )
    op.create_table(
        "access_sign_in",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.String(26), nullable=False, index=True),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
    )
    op.create_table(
        "access_attempt",
        sa.Column("subject", sa.String(64), primary_key=True),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("failed_at", Moment, nullable=False, index=True),
    )
