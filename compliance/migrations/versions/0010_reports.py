"""what auditors search and count"""

import sqlalchemy as sa
from alembic import op

from compliance.database import Moment

revision = "0010_reports"
down_revision = "0009_casework"
branch_labels = None
depends_on = None

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "report_check",
        sa.Column("pos", Position, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("region", sa.String(5), nullable=False),
        sa.Column("office", sa.String(200), nullable=False),
        sa.Column("asker", sa.String(90), nullable=False),
        sa.Column("reference", sa.String(64), nullable=False),
        sa.Column("permit_type", sa.String(200), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("nib", sa.String(13)),
        sa.Index("ix_report_check_day", "region", "day", "pos"),
        *(
            sa.Index(f"ix_report_check_{name}", "region", name, "day", "pos")
            for name in ("reference", "verdict", "permit_type", "office", "asker", "nib")
        ),
    )
    op.create_table(
        "report_finding",
        sa.Column("pos", Position, primary_key=True, autoincrement=False),
        sa.Column("code", sa.String(40), primary_key=True),
        sa.Column("region", sa.String(5), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Index("ix_report_finding_code", "region", "code", "day", "pos"),
    )
    op.create_table(
        "report_named",
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("position", Position, nullable=False),
    )
