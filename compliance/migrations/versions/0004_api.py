"""idempotency keys"""

import sqlalchemy as sa
from alembic import op

from compliance.database import Moment

revision = "0004_api"
down_revision = "0003_registry"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "once",
        sa.Column("owner", sa.String(64), primary_key=True),
        sa.Column("path", sa.String(100), primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("body_mac", sa.String(64), nullable=False),
        sa.Column("check_id", sa.String(26), nullable=False),
        sa.Column("replaces", sa.String(26)),
        sa.Column("lease_until", Moment),
        sa.Column("ask_again_at", Moment),
        sa.Column("expires_at", Moment, nullable=False, index=True),
    )
