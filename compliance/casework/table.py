"""The two projections of casework: acts (proposals, letters, granted permits), and items that somebody must act on."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.database import Moment, db

Position = sa.BigInteger().with_variant(sa.Integer, "sqlite")

ACT = sa.Table(
    "casework_act",
    db.metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("position", Position, nullable=False, index=True),  # of the last entry applied
    sa.Column("act", sa.String(12), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # proposed, accepted, refused; of a permit also granted, ended
    sa.Column("region", sa.String(5), nullable=False),
    sa.Column("reference", sa.String(64)),
    sa.Column("permit_type", sa.String(200)),
    sa.Column("check_id", sa.String(128)),
    sa.Column("about", sa.String(26), index=True),  # the letter that is lifted
    sa.Column("nib", sa.String(13), index=True),
    sa.Column("npp", sa.String(20)),
    sa.Column("taxpayer", sa.String(16)),  # what head office and branches have in common of the NPWP
    sa.Column("said", sa.JSON, nullable=False),
    sa.Column("by", sa.String(26), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("decided_by", sa.String(26)),
    sa.Column("decided_at", Moment),
    sa.Index("ix_casework_act_region_reference", "region", "reference"),
    sa.Index("ix_casework_act_region_act", "region", "act", "state"),
)

ITEM = sa.Table(
    "casework_item",
    db.metadata,
    sa.Column("id", sa.String(200), primary_key=True),  # act:kind:check
    sa.Column("act_id", sa.String(26), nullable=False, index=True),
    sa.Column("kind", sa.String(12), nullable=False),  # recalled, overdue, lapsed, sanction, expiring
    sa.Column("region", sa.String(5), nullable=False, index=True),
    sa.Column("check_id", sa.String(128), nullable=False),
    sa.Column("day", sa.Date),  # on which what expires ends
    sa.Column("position", Position, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("handled_by", sa.String(26)),
    sa.Column("handled_at", Moment),
)
