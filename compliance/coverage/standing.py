"""What is known of each institution on a day: its list's own statement, or the agency's answer, with its source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Connection, Date, Index, Integer, Row, String, Table, or_, select
from sqlalchemy.dialects.postgresql import insert

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import db

Position = BigInteger().with_variant(Integer, "sqlite")
# One row for each line of a list, change by hand (no import_id) and question to the agency. `since` is the day of it.
FACTS = Table(
    "coverage_fact",
    db.metadata,
    Column("pos", Position, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("import_id", String(26)),
    Column("region", String(5), nullable=False),
    Column("institution", String(16), nullable=False),
    Column("agency", Integer, nullable=False),  # 1: the agency's word
    Column("since", Date, nullable=False),
    Column("data", JSON, nullable=False),
    Index(None, "region", "since"),
)
# A list counts from the moment that its last entry is in the log: all of it or nothing.
IMPORTS = Table(
    "coverage_import",
    db.metadata,
    Column("id", String(26), primary_key=True),
    Column("sha256", String(64), nullable=False),
)


@projects("coverage.lines", "coverage.changed", "coverage.asked", into=(FACTS,))
def project_facts(connection: Connection, entry: Entry) -> None:
    body = entry.body
    shared = {"pos": entry.position, "region": body["region"], "import_id": body.get("import")}
    for number, line in enumerate(body["lines"]):
        told = {"institution": line["id"], "since": date.fromisoformat(line["since"]), "data": line["facts"]}
        row = shared | told | {"line": number, "agency": int(entry.kind == "coverage.asked")}
        connection.execute(insert(FACTS).values(row).on_conflict_do_nothing())


@projects("coverage.imported", into=(IMPORTS,))
def project_import(connection: Connection, entry: Entry) -> None:
    row = {"id": entry.body["import"], "sha256": entry.body["sha256"]}
    connection.execute(insert(IMPORTS).values(row).on_conflict_do_nothing())


def known(connection: Connection, region: str, day: date) -> Sequence[Row[Any]]:
    """All that holds on or before a day, oldest first; of one day, what was recorded last comes last."""
    query = select(FACTS, IMPORTS.c.sha256).outerjoin(IMPORTS, IMPORTS.c.id == FACTS.c.import_id)
    query = query.where(FACTS.c.region == region, FACTS.c.since <= day)
    query = query.where(or_(FACTS.c.import_id.is_(None), IMPORTS.c.id.is_not(None)))
    return connection.execute(query.order_by(FACTS.c.since, FACTS.c.pos, FACTS.c.line)).all()


@dataclass
class Institution:
    """One institution as known on `day`. An answer of the agency outweighs the list from its day on; a question that
    brought none (`tried`) changes nothing, and what nobody ever said is unknown, not "not registered"."""

    id: str
    day: date
    facts: dict[str, Any] = field(default_factory=dict)
    said: Row[Any] | None = None  # the line that last stated whether it is registered
    answer: Row[Any] | None = None
    tried: Row[Any] | None = None  # the last question, whatever came of it

    @property
    def state(self) -> str:
        """registered, not_yet or unknown."""
        if self.answer:
            return str(self.answer.data["state"])
        if not self.said:
            return "unknown"
        return "registered" if self.said.data["registered"] == "yes" and not self.lapsed else "not_yet"

    @property
    def source(self) -> Row[Any] | None:
        """The row on which the state rests."""
        return self.answer or self.said

    @property
    def until(self) -> date | None:
        """The last day that is paid for: the agency's month where payment is made ahead, else the list's own day."""
        paid = self.answer and self.answer.data.get("paid_through")
        if paid and self.facts.get("rhythm") not in (None, "1"):
            return (date.fromisoformat(paid) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        return date.fromisoformat(self.facts["until"]) if self.facts.get("until") else None

    @property
    def lapsed(self) -> bool:
        return self.until is not None and self.until < self.day

    @property
    def covered(self) -> int:
        """People covered, never more than there are."""
        counted = self.answer.data.get("workers") if self.answer else None
        people = self.facts.get("covered") or 0 if counted is None else counted
        return min(people, self.facts.get("total") or people) if self.state == "registered" else 0

    @property
    def contradicted(self) -> bool:
        """Whether the list says otherwise than the agency."""
        own = self.said and {"yes": "registered", "no": "not_yet"}[self.said.data["registered"]]
        return bool(self.answer and own and self.state not in (own, "unknown"))

    @property
    def can_be_asked(self) -> bool:
        return any(self.facts.get(number) for number in ("npp", "npwp", "nib"))


def institutions(rows: Iterable[Row[Any]], day: date) -> list[Institution]:
    """Those that there are on a day, by kind and name. A line that leaves a fact out leaves it as it was."""
    found: dict[str, Institution] = {}
    for row in rows:
        if row.since > day:
            break
        one = found.setdefault(row.institution, Institution(row.institution, day))
        if row.agency:
            one.tried, one.answer = row, row if row.data["state"] else one.answer
        else:
            one.facts = {} if row.data.get("removed") else one.facts | row.data
            one.said = row if row.data.get("registered") else one.said
    there = [one for one in found.values() if one.facts]
    return sorted(there, key=lambda one: (one.facts["kind"], one.facts["name"]))


def tally(those: Iterable[Institution], by: str) -> dict[str, Counter[str]]:
    """For each value of a fact: how many `all`, registered, not_yet, unknown, `people`, `covered`."""
    counts: dict[str, Counter[str]] = {}
    for one in those:
        count = counts.setdefault(one.facts.get(by) or "", Counter())
        count.update({"all": 1, one.state: 1, "people": one.facts.get("total") or 0, "covered": one.covered})
    return counts


def trend(rows: Sequence[Row[Any]], day: date, months: int = 12) -> list[tuple[date, dict[str, Counter[str]]]]:
    """The same by kind on the last day of each month before, and on the day itself; oldest first."""
    days = [day]
    while len(days) < months:
        days.append(days[-1].replace(day=1) - timedelta(days=1))
    return [(each, tally(institutions(rows, each), "kind")) for each in reversed(days)]
