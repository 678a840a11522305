"""API clients and their keys"""

import sqlalchemy as sa
from alembic import op

from compliance.database import Moment

revision = "0002_access"
down_revision = "0001_log"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_client",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("regions", sa.JSON, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment),
        sa.Column("revoked_at", Moment),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "access_client_key",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("client_id", sa.String(26), nullable=False, index=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("ends_at", Moment),
    )
    op.create_table(
        "access_client_oss",
        sa.Column("client_id", sa.String(26), primary_key=True),
        sa.Column("username", sa.String(200), nullable=False),
        sa.Column("sealed_password", sa.Text, nullable=False),
    )
