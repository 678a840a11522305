"""what officers did, and what came of it: proposals, letters, granted permits, the work list"""

import sqlalchemy as sa
from alembic import op

from compliance.database import Moment

revision = "0009_casework"
down_revision = "0008_admin"
branch_labels = None
depends_on = None

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "casework_act",
        sa.Column("id", sa.String(26), primary_key=True),
        sa.Column("position", Position, nullable=False, index=True),
        sa.Column("act", sa.String(12), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("region", sa.String(5), nullable=False),
        sa.Column("reference", sa.String(64)),
        sa.Column("permit_type", sa.String(200)),
        sa.Column("check_id", sa.String(128)),
        sa.Column("about", sa.String(26), index=True),
        sa.Column("nib", sa.String(13), index=True),
        sa.Column("npp", sa.String(20)),
        sa.Column("taxpayer", sa.String(16)),
        sa.Column("said", sa.JSON, nullable=False),
        sa.Column("by", sa.String(26), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("decided_by", sa.String(26)),
        sa.Column("decided_at", Moment),
    )
    op.create_index("ix_casework_act_region_reference", "casework_act", ["region", "reference"])
    op.create_index("ix_casework_act_region_act", "casework_act", ["region", "act", "state"])
    op.create_table(
        "casework_item",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("act_id", sa.String(26), nullable=False, index=True),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("region", sa.String(5), nullable=False, index=True),
        sa.Column("check_id", sa.String(128), nullable=False),
        sa.Column("day", sa.Date),
        sa.Column("position", Position, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("handled_by", sa.String(26)),
        sa.Column("handled_at", Moment),
    )
