"""passwords that somebody else gave, and the addresses a client may call from"""

import sqlalchemy as sa
from alembic import op

revision = "0008_admin"
down_revision = "0007_delivery"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("access_user_secret", sa.Column("given", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("access_client", sa.Column("addresses", sa.JSON, nullable=False, server_default="[]"))
