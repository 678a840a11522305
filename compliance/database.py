"""The database handle, and the one column type for moments. Rooms that store import this; nobody else touches SQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
db = SQLAlchemy(metadata=sa.MetaData(naming_convention=NAMES))


class Moment(TypeDecorator[datetime]):
    """An aware moment, stored in UTC, returned aware on every database. A naive value raises ValueError."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value and value.tzinfo is None:
            raise ValueError("a moment without time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


TYPES: dict[str, Any] = {
    **{"moment": Moment, "day": sa.Date, "int": sa.Integer, "float": sa.Float, "bool": sa.Boolean, "json": sa.JSON},
    **{"text": sa.Text, "bytes": sa.LargeBinary, "big": sa.BigInteger},
    "pos": sa.BigInteger().with_variant(sa.Integer, "sqlite"),
}


def table(name: str, *told: str | sa.schema.SchemaItem) -> sa.Table:
    """A table in short. Texts hold columns as `name:type`: a number is a text of so many characters, else see TYPES;
    then `!` stands for the key or a part of it, `?` for what may be null, `+` for an index of its own."""
    columns: list[sa.Column[Any]] = []
    for word in " ".join(each for each in told if isinstance(each, str)).split():
        column, _, kind = word.rstrip("!?+").partition(":")
        of = sa.String(int(kind)) if kind.isdigit() else TYPES[kind]
        flags: dict[str, Any] = {"primary_key": "!" in word, "nullable": "?" in word, "index": "+" in word}
        columns.append(sa.Column(column, of, autoincrement=False, **flags))
    return sa.Table(name, db.metadata, *columns, *(each for each in told if not isinstance(each, str)))


def rows(engine: sa.Engine, query: sa.Select[Any]) -> Sequence[Any]:
    """What one statement finds; no connection is held afterwards."""
    with engine.connect() as connection:
        return connection.execute(query).all()


def put(connection: Any, table: sa.Table, new: Any, newest: str | None = None) -> None:
    """Insert a row, or a list of them, unless its key is there. With `newest` one that is there takes the new values:
    where they are higher in the column of that name (the log's position), or with "" whatever they are."""
    if newest is None and hasattr(connection, "waiting"):  # it writes them together with others
        connection.waiting.append((table, new if isinstance(new, list) else [new]))
        return
    columns = (new[0] if isinstance(new, list) else new).keys()
    connection.execute(_put(table, tuple(columns), newest), new)


@cache
def _put(table: sa.Table, columns: tuple[str, ...], newest: str | None) -> Any:
    into, key = insert(table), [column.name for column in table.primary_key]
    if newest is None:
        return into.on_conflict_do_nothing(index_elements=key)
    given = {name: into.excluded[name] for name in columns if name not in key}
    higher = table.c[newest] < into.excluded[newest] if newest else None
    return into.on_conflict_do_update(index_elements=key, set_=given, where=higher)
