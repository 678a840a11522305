"""lists of institutions, and what the agency said of them"""

import sqlalchemy as sa
from alembic import op

revision = "0011_coverage"
down_revision = "0010_reports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    position = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "coverage_fact",
        sa.Column("pos", position, primary_key=True, autoincrement=False),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("list_id", sa.String(26)),
        sa.Column("closes", sa.Boolean, nullable=False),
        sa.Column("region", sa.String(5), nullable=False),
        sa.Column("institution", sa.String(16), nullable=False),
        sa.Column("agency", sa.Boolean, nullable=False),
        sa.Column("since", sa.Date, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Index("ix_coverage_fact_region_since", "region", "since"),
    )
