"""The two projections of casework: acts (proposals, letters, granted permits), and items that somebody must see to."""

from sqlalchemy import JSON, BigInteger, Column, Date, Index, Integer, String, Table

from compliance.database import Moment, db

Position = BigInteger().with_variant(Integer, "sqlite")
ACT = Table(
    "casework_act",
    db.metadata,
    Column("id", String(26), primary_key=True),
    Column("position", Position, nullable=False, index=True),  # of the last entry applied
    Column("act", String(12), nullable=False),
    Column("state", String(10), nullable=False),  # proposed, accepted or refused; of a permit granted or ended
    Column("region", String(5), nullable=False),
    Column("reference", String(64)),
    Column("permit_type", String(200)),
    Column("check_id", String(128)),
    Column("about", String(26), index=True),  # the letter that is lifted
    Column("nib", String(13), index=True),
    Column("npp", String(20)),
    Column("taxpayer", String(16)),  # what head office and branches have in common of the NPWP
    Column("said", JSON, nullable=False),
    Column("by", String(26), nullable=False),
    Column("at", Moment, nullable=False),
    Column("decided_by", String(26)),
    Column("decided_at", Moment),
    Index("ix_casework_act_region_reference", "region", "reference"),
    Index("ix_casework_act_region_act", "region", "act", "state"),
)
ITEM = Table(
    "casework_item",
    db.metadata,
    Column("id", String(200), primary_key=True),  # act:kind:check
    Column("act_id", String(26), nullable=False, index=True),
    Column("kind", String(12), nullable=False),  # recalled, overdue, lapsed, sanction, expiring, erased
    Column("region", String(5), nullable=False, index=True),
    Column("check_id", String(128), nullable=False),
    Column("day", Date),  # on which what expires ends
    Column("position", Position, nullable=False),
    Column("at", Moment, nullable=False),
    Column("handled_by", String(26)),
    Column("handled_at", Moment),
)
