"""receiveLicenseStatus: what an officer confirms is told to OSS, retried until OSS has it (domain.md §6)."""

from __future__ import annotations

import sqlalchemy as sa

from compliance.database import db

OSS = sa.Table(  # projection of `oss.*`: the permits that OSS sent, and the last state that was told of each
    "delivery_oss",
    db.metadata,
    sa.Column("nib", sa.String(13), primary_key=True),
    sa.Column("id_izin", sa.String(64), primary_key=True),
    sa.Column("region", sa.String(5), nullable=False),
    sa.Column("check_id", sa.String(26), nullable=False),
    sa.Column("named", sa.JSON, nullable=False),  # what OSS calls it: oss_id, kd_izin, id_proyek, …
    sa.Column("status", sa.String(2)),
    sa.Column("state", sa.String(8)),  # waiting, sent or failed
    sa.Column("position", sa.BigInteger, nullable=False, index=True),
)
