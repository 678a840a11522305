"""Institutions and groups: what was said of them and by whom, what holds on a day, and the acts that say it."""

import datetime as dt
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.coverage import lines
from compliance.database import put, table
from compliance.deployment import Deployment
from compliance.gate import Asker, Question
from compliance.law import facts as law
from compliance.law.codec import to_json

ABOUT = ("kind", "district", "payer", "state", "source")  # a source: day and `agency`, `hand` or a list's hash
PROVED = {"active": "registered", "first_payment": "unknown", "inactive": "not_yet", "not_found": "not_yet"}
PART = 25  # lines of one entry: of the longest that may be, 48 kB
# One row for each line of a list, change by hand and question to the agency (`agency`: its word); it holds from the day
# `since`. `closes`: it is of the last entry of its list.
COLUMNS = "pos:pos! line:int! list_id:26? closes:bool region:5 institution:16 agency:bool since:day data:json"
FACTS = table("coverage_fact", COLUMNS, sa.Index(None, "region", "since"))


@projects("coverage.imported", "coverage.changed", "coverage.asked", into=(FACTS,))
def project(connection: sa.Connection, entry: Entry) -> None:
    body, rows = entry.body, []
    shared = {"pos": entry.position, "region": body["region"], "list_id": body.get("list")}
    shared |= {"closes": body.get("part") == body.get("parts"), "agency": entry.kind == "coverage.asked"}
    file = {"file": body["sha256"]} if "sha256" in body else {}
    for number, line in enumerate(body["lines"]):
        about = {"line": number, "institution": line["id"], "since": dt.date.fromisoformat(line["since"])}
        rows.append(shared | about | {"data": line["facts"] | file})
    put(connection, FACTS, rows)


def known(here: Deployment, region: str, day: dt.date) -> Sequence[sa.Row[Any]]:
    """All that holds on or before a day, oldest first; of one day, what was recorded last comes last. A list of several
    entries counts once its last one is in the log: all of it or nothing."""
    c = FACTS.c
    whole = sa.select(c.list_id).where(c.region == region, c.closes, c.list_id.is_not(None))
    query = sa.select(FACTS).where(c.region == region, c.since <= day, c.list_id.is_(None) | c.list_id.in_(whole))
    return here.log.rows(query.order_by(c.since, c.pos, c.line))


class Institution(law.Fact):  # as known on a day; `stated` is what its own list says, `until` the last day paid for
    id: str
    facts: dict[str, Any]
    answer: sa.Row[Any] | None  # the agency's last answer
    tried: sa.Row[Any] | None  # the last question, whatever came of it
    state: str  # registered, not_yet or unknown
    stated: str
    until: dt.date | None
    covered: int
    about: dict[str, str]  # what it is counted and chosen by


def institutions(rows: Iterable[sa.Row[Any]], day: dt.date) -> list[Institution]:
    """Those that there are on a day, by kind and name. A line that leaves a fact out leaves it as it was; the agency's
    answer outweighs the list from its day on; what nobody ever said is unknown, not "not registered"."""
    found: dict[str, dict[str, Any]] = {}
    for row in itertools.takewhile(lambda row: row.since <= day, rows):
        one = found.setdefault(row.institution, {"facts": {}, "said": None, "answer": None, "tried": None})
        if row.agency:
            one |= {"tried": row} | ({"answer": row} if row.data["state"] else {})
            continue
        facts = {} if "removed" in row.data else one["facts"] | row.data
        if any(facts.get(number) != one["facts"].get(number) for number in lines.NUMBERS):
            one |= {"answer": None, "tried": None}  # what was said of another number
        one |= {"facts": facts} | ({"said": row} if row.data.get("registered") else {})
    there = []
    for key, (facts, said, answer, tried) in ((key, one.values()) for key, one in found.items() if one["facts"]):
        until = dt.date.fromisoformat(facts["until"]) if facts.get("until") else None
        paid, workers = (answer.data["paid_through"], answer.data["workers"]) if answer else (None, None)
        if paid and facts.get("rhythm") not in (None, "1"):  # paid ahead: the agency's own month, to its last day
            until = (dt.date.fromisoformat(paid) + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
        holds = said and said.data["registered"] == "yes" and not (until and until < day)
        stated = "registered" if holds else "not_yet" if said else "unknown"
        state, row = answer.data["state"] if answer else stated, answer or said
        people = (facts.get("covered") or 0) if workers is None else workers
        covered = min(people, facts.get("total") or people) if state == "registered" else 0
        source = f"{row.since} {'agency' if row.agency else row.data.get('file', 'hand')}" if row else ""
        about = {name: facts.get(name) or "" for name in ABOUT} | {"state": state, "source": source}
        there.append(Institution(key, facts, answer, tried, state, stated, until, covered, about))
    return sorted(there, key=lambda one: (one.facts["kind"], one.facts["name"]))


def tally(those: Iterable[Institution], by: str) -> dict[str, Counter[str]]:
    """For each value of one of ABOUT: how many `all`, registered, not_yet, unknown, `people`, `covered`."""
    counts: dict[str, Counter[str]] = {}
    for one in those:
        more = {"all": 1, one.state: 1, "people": one.facts.get("total") or 0, "covered": one.covered}
        counts.setdefault(one.about[by], Counter(registered=0, not_yet=0, unknown=0)).update(more)
    return counts


def ending(those: Iterable[Institution], day: dt.date) -> list[Institution]:
    """Those whose payment ends within 30 days, the first to end first."""
    last = day + dt.timedelta(days=30)
    return sorted((one for one in those if one.until and day <= one.until <= last), key=lambda one: one.until or day)


def trend(rows: Sequence[sa.Row[Any]], day: dt.date) -> list[tuple[dt.date, dict[str, Counter[str]]]]:
    """The same by kind on the last day of each of eleven months, and on the day itself; oldest first."""
    days = [day]
    while len(days) < 12:
        days.insert(0, days[0].replace(day=1) - dt.timedelta(days=1))
    return [(each, tally(institutions(rows, each), "kind")) for each in days]


def sentence(kind: str, called: str, count: Counter[str], language: str) -> str:
    """The article's sentence for one kind; of groups also the people."""
    parts = ["base", *(["unknown"] if count["unknown"] else []), *(["people"] if kind == "bpu_group" else [])]
    return "".join(lines.WORDS["sentence"][part][language] for part in parts).format(kind=called, **count)


def now_known(here: Deployment, region: str) -> list[Institution]:
    """The institutions of a region today. Raises UnknownRegion."""
    return institutions(known(here, region, day := here.policy.today(region, here.clock())), day)


def _record(here: Deployment, act: str, region: str, asker: Asker, entry_id: str = "", **body: Any) -> None:
    told = {"region": region, "by": {"kind": asker.kind, "id": asker.id}, **body}
    here.log.append(f"coverage.{act}", told, entry_id=entry_id)


def take_list(
    here: Deployment, region: str, rows: lines.Rows, sha256: str, asker: Asker, language: str, complete: bool = False
) -> Counter[str]:
    """Take a list whole, as of its days; how many of each kind, and `removed`. `complete`: whoever of its kinds is not
    in it is there no more. Raises BadInput (then nothing is taken), LogUnavailable."""
    read = lines.read(rows, here.policy.today(region, here.clock()), language)
    told = [{"id": lines.identity(facts), "since": facts.pop("as_of"), "facts": facts} for facts in read]
    latest = {line["facts"]["kind"]: line["since"] for line in sorted(told, key=lambda line: line["since"])}
    gone = {one.id: latest.get(one.facts["kind"]) for one in now_known(here, region)} if complete else {}
    gone = {key: since for key, since in gone.items() if since and key not in {line["id"] for line in told}}
    told += [{"id": key, "since": since, "facts": {"removed": True}} for key, since in gone.items()]
    list_id, parts = str(ULID.from_datetime(here.clock())), -(-len(told) // PART)
    for number in range(parts):
        about = {"list": list_id, "sha256": sha256, "part": number + 1, "parts": parts, "complete": complete}
        _record(here, "imported", region, asker, f"{list_id}.{number + 1}", **about, lines=told[number * PART :][:PART])
    return Counter(facts["kind"] for facts in read) + Counter(removed=len(gone))


def change(here: Deployment, region: str, one: str, facts: dict[str, Any], asker: Asker) -> None:
    """Set facts of one institution by hand as of `as_of` (None: not known; `removed`: it is there no more)."""
    line = {"id": one, "since": facts.pop("as_of"), "facts": facts}
    _record(here, "changed", region, asker, lines=[line])


def due(here: Deployment, region: str) -> list[Institution]:
    """Whom the agency was not asked about for a week (for a day, if it was out), longest first."""
    day, found = here.policy.today(region, here.clock()), []
    for one in now_known(here, region):
        pause = 1 if one.tried and one.tried.data["why"] == "unavailable" else 7
        again = one.tried.since + dt.timedelta(days=pause) if one.tried else dt.date.min
        if again <= day and any(one.facts.get(number) for number in lines.NUMBERS):
            found.append((again, one))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def ask(here: Deployment, region: str, one: Institution, asker: Asker) -> str:
    """Ask about one institution through the gate's source, and record it with its evidence; returns `why`. An outage,
    or a report that may be incomplete, proves no absence; a number issued without payment is neither registered nor not
    (Permenaker 29/2015 Art 8). No database connection is held meanwhile. Raises LogUnavailable."""
    now, started, gate = here.clock(), time.monotonic(), here.gate
    today, key = here.policy.today(region, now), str(ULID())
    numbers = {name: one.facts[name] for name in lines.NUMBERS if one.facts.get(name)}
    application = law.Application("CAKUPAN", region, today, given=tuple(numbers))
    identity = law.Identity(name=one.facts["name"], **numbers)
    question = Question(f"cakupan/{one.id}", application, identity, asker, request_id=key)
    rules = here.policy.on(today, region)
    evidence = gate.evidence(question, rules, gate.key(question, rules), now)
    active = [account for account in evidence.accounts if account.active]
    if evidence.failure:
        why = evidence.failure.kind
    elif evidence.match is not law.Match.AGREES:
        why = "identity"
    elif evidence.found_by:
        paying = any(account.first_payment is not False for account in active)
        why = "active" if paying else "first_payment" if active else "inactive"
    elif not evidence.complete:
        why = "incomplete"
    else:
        asked = law.Facts(application, today, evidence=evidence)
        why = "doubtful" if gate.doubtful(question, asked, started, now) else "not_found"
    workers = [account.active_workers for account in active if account.active_workers is not None]
    said: dict[str, Any] = {"state": PROVED.get(why, ""), "why": why, "workers": sum(workers) if workers else None}
    said |= {name: to_json(getattr(evidence, name)) for name in ("source", "as_of", "reference")}
    said["paid_through"] = to_json(min((one.paid_through for one in active if one.paid_through), default=None))
    about = {"lines": [{"id": one.id, "since": today.isoformat(), "facts": said}], "business": numbers}
    _record(here, "asked", region, asker, question.id, evidence=to_json(evidence), request_id=key, **about)
    return why
