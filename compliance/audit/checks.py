"""Checks as they are found again: their rows and the words of their names, projected; one by id or code, or many."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.audit.table import LONGEST, audit_disclosure, check_record, check_word
from compliance.database import put, rows
from compliance.law.facts import Fact
from compliance.law.identifiers import normal

CheckRecord = sa.Row[Any]  # the columns of check_record, and the id `superseded_by`; `document` is JSON text
_c, _d, _w, _later = check_record.c, audit_disclosure.c, check_word.c, check_record.alias("later")
_replaced_by = sa.select(_later.c.id).where(_later.c.replaces == _c.id).order_by(_later.c.pos).limit(1)
_record = sa.select(check_record, _replaced_by.scalar_subquery().label("superseded_by"))


def check_row(entry: Entry) -> dict[str, Any]:
    """What `check_record` shows of a check."""
    body, decision, application = entry.body, entry.body["decision"], entry.body["facts"]["application"]
    until, evidence = decision["valid_until"], body["facts"].get("evidence") or {"failure": {}}
    # Only an answer that was fresh and understood may serve again.
    fresh = not ("failure" in evidence or evidence.get("cached") or evidence.get("age_hours") is not None)
    row = {"pos": entry.position, "id": entry.id, "checked_at": entry.at, "document": entry.document}
    row |= {name: application[name] for name in ("region", "permit_type")}
    row |= {name: decision[name] for name in ("verdict", "action", "enforced")}
    row |= {name: body[name] for name in ("reference", "backdated", "receipt_code")}
    return row | {
        "asker_kind": body["asker"]["kind"],
        "asker_id": body["asker"]["id"],
        "nib": body["business"].get("nib"),
        "as_at": date.fromisoformat(application["as_at"]),
        "valid_until": until and date.fromisoformat(until),
        "question": entry.disclosed.get("question"),
        "received_at": datetime.fromisoformat(evidence["received_at"]) if fresh else None,
        "replaces": body.get("replaces"),
    }


def words(name: str) -> list[str]:
    """A name's distinct words as they are compared: capitals, without punctuation and legal form; at most twenty."""
    return [word[:LONGEST] for word in dict.fromkeys(normal(name).split())][:20]


@projects("check", into=(check_record, check_word))
def show(connection: sa.Connection, entry: Entry) -> None:
    put(connection, check_record, check_row(entry))
    if found := words(entry.disclosed.get("name", "")):
        put(connection, check_word, [{"word": word, "pos": entry.position} for word in found])


@projects("log.erasure")
def forget(connection: sa.Connection, entry: Entry) -> None:
    """The entry is the act; the rows follow, also after a restore or a rebuild."""
    for erased in entry.body["erased"]:
        gone = _d.entry_id == erased["id"], _d.field.in_(erased["fields"])
        connection.execute(audit_disclosure.delete().where(*gone))
        if "question" in erased["fields"]:
            connection.execute(check_record.update().where(_c.id == erased["id"]).values(question=None))
        if "name" in erased["fields"]:
            connection.execute(check_word.delete().where(_w.pos == erased["position"]))


def named(typed: str) -> sa.Select[Any]:
    """Positions of checks of which every typed word begins a word of the business's name; none if no word was typed."""
    query: sa.Select[Any] = sa.select(_w.pos) if words(typed) else sa.select(_w.pos).where(sa.false())
    for begun in words(typed):
        each = check_word.alias()
        query = query.join(each, each.c.pos == _w.pos)
        query = query.where(each.c.word >= begun, each.c.word < begun + "\U0010ffff")
    return query


class CheckFilter(Fact):
    """What to list; None means any. `since` and `until` are moments: [since, until). `before` is a position."""

    regions: Sequence[str]
    reference: str | None = None
    nib: str | None = None
    verdict: str | None = None
    action: str | None = None
    permit_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    name: str | None = None  # how words of the business's name begin


_CONDITIONS: dict[str, Callable[[Any], sa.ColumnElement[bool]]] = {
    **{name: _c[name].__eq__ for name in ("reference", "nib", "verdict", "action", "permit_type")},
    **{"since": _c.checked_at.__ge__, "until": _c.checked_at.__lt__, "before": _c.pos.__lt__},
    "name": lambda typed: _c.pos.in_(named(typed)),
}


class CheckReads:
    """Looking checks up; base of AuditLog."""

    engine: sa.Engine

    def rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        """What one statement finds; no connection is held afterwards."""
        return rows(self.engine, query)

    def check(self, check_id: str) -> CheckRecord | None:
        return next(iter(self.rows(_record.where(_c.id == check_id))), None)

    def check_by_code(self, code: str) -> CheckRecord | None:
        """By receipt code as shown (`proof.receipt.read_code` makes it from what was typed)."""
        return next(iter(self.rows(_record.where(_c.receipt_code == code))), None)

    def checks(self, wanted: CheckFilter, limit: int) -> list[CheckRecord]:
        """Newest first, at most `limit`; the last one's `pos` is the next page's `before`."""
        asked = ((holds, getattr(wanted, name)) for name, holds in _CONDITIONS.items())
        query = _record.where(_c.region.in_(wanted.regions)).order_by(_c.pos.desc()).limit(limit)
        query = query.where(*(holds(value) for holds, value in asked if value is not None))
        return list(self.rows(query))
