"""What is known of each institution on a day: its list's own statement, or the agency's answer, with its source."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.coverage.lines import NUMBERS, WORDS
from compliance.database import db

ABOUT = ("kind", "district", "payer", "state", "source")  # a source: day and `agency`, `hand` or a list's hash
# One row for each line of a list, change by hand and question to the agency; it holds from the day `since`.
FACTS = sa.Table(
    "coverage_fact",
    db.metadata,
    sa.Column("pos", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("list_id", sa.String(26)),
    sa.Column("closes", sa.Boolean, nullable=False),  # it is of the last entry of its list
    sa.Column("region", sa.String(5), nullable=False),
    sa.Column("institution", sa.String(16), nullable=False),
    sa.Column("agency", sa.Boolean, nullable=False),  # the agency's word
    sa.Column("since", sa.Date, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index(None, "region", "since"),
)


@projects("coverage.imported", "coverage.changed", "coverage.asked", into=(FACTS,))
def project(connection: sa.Connection, entry: Entry) -> None:
    body, rows = entry.body, []
    shared = {"pos": entry.position, "region": body["region"], "list_id": body.get("list")}
    shared |= {"closes": body.get("part") == body.get("parts"), "agency": entry.kind == "coverage.asked"}
    for number, line in enumerate(body["lines"]):
        about = {"line": number, "institution": line["id"], "since": date.fromisoformat(line["since"])}
        rows.append(shared | about | {"data": line["facts"] | ({"file": body["sha256"]} if "sha256" in body else {})})
    connection.execute(insert(FACTS).on_conflict_do_nothing(), rows)


def known(connection: sa.Connection, region: str, day: date) -> Sequence[sa.Row[Any]]:
    """All that holds on or before a day, oldest first; of one day, what was recorded last comes last.

    A list of several entries counts once its last one is in the log: all of it or nothing.
    """
    c = FACTS.c
    whole = sa.select(c.list_id).where(c.region == region, c.closes, c.list_id.is_not(None))
    query = sa.select(FACTS).where(c.region == region, c.since <= day, c.list_id.is_(None) | c.list_id.in_(whole))
    return connection.execute(query.order_by(c.since, c.pos, c.line)).all()


@dataclass(frozen=True, slots=True)
class Institution:
    """One institution as known on a day. `state` is registered, not_yet or unknown; `stated` is what its own list says;
    `until` the last day paid for; `about` what it is counted and chosen by."""

    id: str
    facts: dict[str, Any]
    answer: sa.Row[Any] | None  # the agency's last answer
    tried: sa.Row[Any] | None  # the last question, whatever came of it
    state: str
    stated: str
    until: date | None
    covered: int
    about: dict[str, str]


def institutions(rows: Iterable[sa.Row[Any]], day: date) -> list[Institution]:
    """Those that there are on a day, by kind and name. A line that leaves a fact out leaves it as it was."""
    found: dict[str, dict[str, Any]] = {}
    for row in itertools.takewhile(lambda row: row.since <= day, rows):
        one = found.setdefault(row.institution, {"facts": {}, "said": None, "answer": None, "tried": None})
        if row.agency:
            one |= {"tried": row} | ({"answer": row} if row.data["state"] else {})
        else:
            facts = {} if "removed" in row.data else one["facts"] | row.data
            if any(facts.get(number) != one["facts"].get(number) for number in NUMBERS):
                one |= {"answer": None, "tried": None}  # what was said of another number
            one["facts"] = facts
            one["said"] = row if row.data.get("registered") else one["said"]
    there = [_judged(key, day, **one) for key, one in found.items() if one["facts"]]
    return sorted(there, key=lambda one: (one.facts["kind"], one.facts["name"]))


def _judged(key: str, day: date, facts: dict[str, Any], said: Any, answer: Any, tried: Any) -> Institution:
    """An answer of the agency outweighs the list from its day on. A question that brought none changes nothing, and
    what nobody ever said is unknown, not "not registered"."""
    until = date.fromisoformat(facts["until"]) if facts.get("until") else None
    paid, workers = (answer.data["paid_through"], answer.data["workers"]) if answer else (None, None)
    if paid and facts.get("rhythm") not in (None, "1"):  # paid ahead: the agency's own month, to its last day
        until = (date.fromisoformat(paid) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    holds = said and said.data["registered"] == "yes" and not (until and until < day)
    stated = "registered" if holds else "not_yet" if said else "unknown"
    state = answer.data["state"] if answer else stated
    people = (facts.get("covered") or 0) if workers is None else workers
    covered = min(people, facts.get("total") or people) if state == "registered" else 0
    row = answer or said
    source = f"{row.since} {'agency' if row.agency else row.data.get('file', 'hand')}" if row else ""
    about = {name: facts.get(name) or "" for name in ABOUT} | {"state": state, "source": source}
    return Institution(key, facts, answer, tried, state, stated, until, covered, about)


def tally(those: Iterable[Institution], by: str) -> dict[str, Counter[str]]:
    """For each value of one of ABOUT: how many `all`, registered, not_yet, unknown, `people`, `covered`."""
    counts: dict[str, Counter[str]] = {}
    for one in those:
        more = {"all": 1, one.state: 1, "people": one.facts.get("total") or 0, "covered": one.covered}
        counts.setdefault(one.about[by], Counter()).update(more)
    return counts


def ending(those: Iterable[Institution], day: date) -> list[Institution]:
    """Those whose payment ends within 30 days, the first to end first."""
    soon = [(one.until, one) for one in those if one.until and timedelta() <= one.until - day <= timedelta(days=30)]
    return [one for _, one in sorted(soon, key=lambda pair: pair[0])]


def trend(rows: Sequence[sa.Row[Any]], day: date) -> list[tuple[date, dict[str, Counter[str]]]]:
    """The same by kind on the last day of each of eleven months, and on the day itself; oldest first."""
    days = [day]
    while len(days) < 12:
        days.append(days[-1].replace(day=1) - timedelta(days=1))
    return [(each, tally(institutions(rows, each), "kind")) for each in reversed(days)]


def sentence(kind: str, called: str, count: Counter[str], language: str) -> str:
    """The article's sentence for one kind; of groups also the people."""
    parts = ["base", *(["unknown"] if count["unknown"] else []), *(["people"] if kind == "bpu_group" else [])]
    return "".join(WORDS["sentence"][part][language] for part in parts).format(
        kind=called, **{name: count[name] for name in ("all", "registered", "not_yet", "unknown", "people", "covered")}
    )
