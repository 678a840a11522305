"""imported reports"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Date, Integer, String

from compliance.database import Moment

revision = "0003_registry"
down_revision = "0002_access"
branch_labels = None
depends_on = None

Position = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "registry_import",
        Column("pos", Position, primary_key=True, autoincrement=False),
        Column("id", String(26), nullable=False, unique=True),
        Column("region", String(5), nullable=False),
        Column("sha256", String(64), nullable=False),
        Column("period", Date, nullable=False),
        Column("as_of", Moment, nullable=False),
    )
    op.create_table(
        "registry_account",
        Column("id", Position, primary_key=True),
        Column("import_id", String(26), nullable=False),
        Column("place", String(40), nullable=False),
        Column("npp", String(20), nullable=False),
        Column("divisi", String(3), nullable=False),
        Column("name", String(200)),
        Column("nib", String(13)),
        Column("npwp", String(16)),
        Column("taxpayer", String(16)),
        Column("active", Boolean, nullable=False),
        Column("programmes", String(40)),
        Column("workers", Integer),
        Column("since", Date),
        Column("pension_since", Date),
        Column("inactive_since", Date),
        Column("paid_through", Date),
        sa.Index("ix_registry_account_import_id_npp", "import_id", "npp"),
        sa.Index("ix_registry_account_import_id_taxpayer", "import_id", "taxpayer"),
        sa.Index("ix_registry_account_import_id_nib", "import_id", "nib"),
    )
    watch()


def watch() -> None:
    """Outages, what the mass-refusal brake looks at, and what is due."""
    op.create_table(
        "registry_outage",
        Column("id", String(64), primary_key=True),
        Column("source", String(16), nullable=False, index=True),
        Column("since", Moment, nullable=False),
        Column("ended_at", Moment),
    )
    op.create_table(
        "registry_failure",
        Column("pos", Position, primary_key=True, autoincrement=False),
        Column("source", String(16), nullable=False),
        Column("at", Moment, nullable=False),
        sa.Index("ix_registry_failure_source_at", "source", "at"),
    )
    op.create_table(
        "registry_sighting",
        Column("region", String(5), primary_key=True),
        Column("business", String(40), primary_key=True),
        Column("pos", Position, nullable=False),
        Column("at", Moment, nullable=False),
        Column("found", Boolean, nullable=False),
        Column("doubtful", Boolean, nullable=False),
        sa.Index("ix_registry_sighting_region_at", "region", "at"),
    )
    op.create_table(
        "registry_brake",
        Column("pos", Position, primary_key=True, autoincrement=False),
        Column("region", String(5), nullable=False, index=True),
        Column("opened", Boolean, nullable=False),
        Column("reason", String(16), nullable=False),
        Column("at", Moment, nullable=False),
    )
    op.create_table(
        "work_due",
        Column("id", String(160), primary_key=True),
        Column("due_at", Moment, nullable=False, index=True),
        Column("tries", Integer, nullable=False),
    )
