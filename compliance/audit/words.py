"""The words of business names, so that a check is found by how any of them begins. Emptied by erasure."""

from typing import Any

from sqlalchemy import Column, Connection, Index, Select, String, Table, false, select
from sqlalchemy.dialects.postgresql import insert

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.audit.table import Position
from compliance.database import db
from compliance.law.identifiers import normal

LONGEST, MOST = 60, 20
_Word = String(LONGEST).with_variant(String(LONGEST, collation="C"), "postgresql")  # compared byte by byte on both

check_word = Table(
    "check_word",
    db.metadata,
    Column("word", _Word, primary_key=True),
    Column("pos", Position, primary_key=True, autoincrement=False),
    Index("ix_check_word_pos", "pos"),
)
_put = insert(check_word).on_conflict_do_nothing()


def words(name: str) -> list[str]:
    """A name's distinct words as they are compared: capitals, without punctuation and legal form."""
    return [word[:LONGEST] for word in dict.fromkeys(normal(name).split())][:MOST]


def named(typed: str) -> Select[Any]:
    """Positions of checks of which every typed word begins a word of the business's name; none if no word was typed."""
    query: Select[Any] = select(check_word.c.pos) if words(typed) else select(check_word.c.pos).where(false())
    for begun in words(typed):
        each = check_word.alias()
        query = query.join(each, each.c.pos == check_word.c.pos)
        query = query.where(each.c.word >= begun, each.c.word < begun + "\U0010ffff")
    return query


@projects("check", into=(check_word,))
def _remember(connection: Connection, entry: Entry) -> None:
    if rows := [{"word": word, "pos": entry.position} for word in words(entry.disclosed.get("name", ""))]:
        connection.execute(_put, rows)


@projects("log.erasure", into=(check_word,))
def _forget(connection: Connection, entry: Entry) -> None:
    gone = [one["position"] for one in entry.body["erased"] if "name" in one["fields"]]
    connection.execute(check_word.delete().where(check_word.c.pos.in_(gone)))
