"""The tables of batches. What was stated of a line is sealed, and gone as soon as its answer is final (UU 27/2022)."""

import sqlalchemy as sa

from compliance.database import Moment, db

BATCH = sa.Table(  # projection of `batch.*`
    "batch",
    db.metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("asker_kind", sa.String(16), nullable=False),
    sa.Column("asker_id", sa.String(64), nullable=False),
    sa.Column("regions", sa.JSON, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # open, done or cancelled
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("position", sa.BigInteger, nullable=False),
)
LINE = sa.Table(  # the batch's entry names them by hash; their answers are checks of the log
    "batch_line",
    db.metadata,
    sa.Column("batch_id", sa.String(26), primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("reference", sa.String(64), nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("asked", sa.Integer, nullable=False),  # how many checks were made for it; the last is `check_id`
    sa.Column("check_id", sa.String(26)),
    sa.Column("verdict", sa.String(16)),
    sa.Column("error", sa.String(200)),
    sa.Column("due_at", Moment, index=True),  # None: nothing more is done
)
PACE = sa.Table(  # one row: until when (seconds since 1970) the agency's time is given away, to all hosts
    "batch_pace",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("next_at", sa.Float, nullable=False),
)
