"""What follows from an act: asking again, recalls, undertakings that fall due, and the watch over granted permits."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from compliance import work
from compliance.audit.checks import CheckFilter, CheckRecord
from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.casework import acts
from compliance.casework.acts import ACT, ITEM, Act
from compliance.database import put
from compliance.delivery import outbox
from compliance.deployment import Deployment

SANCTIONS = {"TMP2T_IN_FORCE", "TMP2T_OTHER_REGION", "TMP2T_UNDOCUMENTED"}
CHUNK = 1_000  # checks that one entry names
PACE = timedelta(seconds=0.5)  # between two checks of a recall


@projects("officer.accepted", "officer.granted")
def queue(connection: sa.Connection, entry: Entry) -> None:
    """What an act leads to becomes due. A new letter makes the permits of that employer due at once."""
    body, act_id, said = entry.body, entry.body["proposal"], entry.body["said"]
    if body["act"] in (Act.VERIFY, Act.UNDERTAKE, Act.OVERRIDE, Act.CORRECT):
        work.add(connection, "redecide", f"{body['check']}:{act_id}", entry.at)
    if body["act"] == Act.RECALL:
        work.add(connection, "recall", act_id, entry.at)
    if "due_at" in body:
        kind = "watch" if body["act"] == Act.GRANT else "undertaking"
        work.add(connection, kind, act_id, datetime.fromisoformat(body["due_at"]))
    if body["act"] == Act.IMPOSE:
        known = {"nib": said.get("nib"), "npp": said.get("npp"), "taxpayer": entry.disclosed.get("npwp", "")[:13]}
        same = sa.or_(*(ACT.c[name] == number for name, number in known.items() if number))
        granted = sa.select(ACT.c.id).where(ACT.c.region == body["region"], ACT.c.state == "granted", same)
        for permit in connection.scalars(granted):
            work.add(connection, "watch", f"{permit}:{act_id}", entry.at)


def ask_again(here: Deployment, check_id: str, key: str, *, today: bool, replaces: bool) -> Entry | None:
    """Ask an earlier check's question once more, once for each key; None when what it needs has been erased. `today`
    judges by the law of today, else by that of the first check's day."""
    name, earlier = str(ULID(sha256(key.encode()).digest()[:16])), here.log.entry(check_id)
    if made := here.log.entry(name):
        return made
    if not earlier or not (question := work.again(earlier)):
        return None
    application = question.application
    if today:
        application = replace(application, as_at=here.policy.today(application.region, here.clock()))
    new = replace(question, id=name, request_id=name, application=application)
    here.gate.check(replace(new, replaces=check_id if replaces else None))
    return here.log.entry(name)


@work.handles("redecide")
def redecide(here: Deployment, row: work.Row) -> None:
    """Once an act is accepted, the check it is about is decided again, unless a later one has taken its place."""
    check_id, _, act_id = row.key.rpartition(":")
    record, corrects = here.log.check(check_id), acts.find(here, act_id).act in (Act.CORRECT, Act.RECALL)
    if record is None or record.superseded_by:
        return
    made = ask_again(here, check_id, row.key, today=not corrects, replaces=True)
    known = record.asker_kind != "client" or record.verdict == "UNDETERMINED"  # of that the outbox tells by itself
    if made and not known and made.body["decision"]["verdict"] != record.verdict:
        event = "check.corrected" if corrects else "check.decided"
        with here.log.engine.begin() as connection:
            outbox.post(connection, record.asker_id, event, "", made.id, here.clock())


@work.handles("recall")
def recall(here: Deployment, row: work.Row) -> None:
    """Find every check that used what was wrong; entries name them, and so they become due one after the other."""
    act, accepted, found = acts.find(here, row.key), here.log.entry(f"{row.key}.decided"), []
    zone = here.policy.region(act.region).zone
    for entry in here.log.entries(0, accepted.position if accepted else 0, kinds=("check",), disclose=False):
        facts = entry.body["facts"]
        if (evidence := facts.get("evidence")) and facts["application"]["region"] == act.region:
            day = datetime.fromisoformat(evidence["received_at"]).astimezone(zone).date().isoformat()
            found += [entry.id] if used(evidence, entry.body["business"], act.said, day) else []
    for start in range(0, max(len(found), 1), CHUNK):
        body = {"act": row.key, "region": act.region, "checks": found[start : start + CHUNK]}
        here.log.append("officer.recalled", body, entry_id=f"{row.key}.found.{start}")


def used(evidence: Mapping[str, Any], business: Mapping[str, str], said: Mapping[str, str], day: str) -> bool:
    """Whether a decision rested on what a recall names: an employer, an imported file, answers received in a period."""
    file = evidence.get("reference") or "-" if evidence["source"] == "snapshot" else "-"
    found = {
        "nib": said.get("nib") == business.get("nib"),
        "sha256": said.get("sha256", "").startswith(file),  # an answer names its file by the first digits
        "since": said.get("since", "") <= day <= said.get("to", ""),
    }
    return all(found[name] for name in found if name in said)


def decided_again(here: Deployment, act_id: str) -> Iterator[tuple[CheckRecord, CheckRecord | None]]:
    """Every check that a recall found, and what has taken its place: who must be told where they differ."""
    found = sa.select(ITEM.c.check_id).where(ITEM.c.act_id == act_id).order_by(ITEM.c.position, ITEM.c.check_id)
    for old in filter(None, (here.log.check(row.check_id) for row in here.log.rows(found))):
        yield old, here.log.check(old.superseded_by) if old.superseded_by else None


@work.handles("undertaking")
@work.handles("watch")
def look(here: Deployment, row: work.Row) -> datetime | None:
    """Check again the application of a granted permit, or of a promise the day after it fell due, and tell what is new;
    nothing is revoked. A permit's key with a letter is a look of its own, beside the rhythm."""
    act_id, _, letter = row.key.partition(":")
    act, now = acts.find(here, act_id), here.clock()
    today, following = here.policy.today(act.region, now), acts.next_look(here, act.region)
    rhythm = row.kind == "watch" and not letter
    again = acts.slot(here, act.region, following, act_id) if rhythm else None
    if row.kind == "watch" and act.state != "granted":
        return None
    if rhythm and not here.policy.on(today, act.region).values.get("watch_days"):
        return again
    same = CheckFilter((act.region,), reference=act.reference, permit_type=act.permit_type)
    newest, key = here.log.checks(same, 1)[0].id, f"{row.key}:{today if rhythm else row.kind}"
    for name in (key,) if rhythm else (key, f"{key}:{today}"):  # on another day, another try
        made = ask_again(here, newest, name, today=True, replaces=row.kind == "undertaking")
        if not made or made.body["decision"]["verdict"] != "UNDETERMINED":
            break
    else:
        return now + timedelta(days=1)
    if last := made or here.log.entry(newest):
        _tell(here, act, last, following, erased=made is None)
    return again


def _tell(here: Deployment, act: sa.Row[Any], made: Entry, following: date, *, erased: bool) -> None:
    """Put what is new onto the work list, unless the same waits there: a sanction, a lapse, a promise not kept, what
    ends before the next look, or that the question's data are gone."""
    decision, promise = made.body["decision"], act.act == Act.UNDERTAKE
    facts = {finding["code"]: finding.get("facts", {}) for finding in decision["findings"]}
    ends = [facts.get(code, {}).get("until") for code in ("OWNER_BPU_ACTIVE", "OFFICER_DECISION")]
    soonest = min(filter(None, [decision["valid_until"], act.said.get("until"), *ends]), default="9999")
    news: dict[str, object] = {  # the first that holds; of a promise nothing else is told
        "erased": erased,
        "overdue": promise and "UNDERTAKING_OVERDUE" in facts,
        "": promise,
        "sanction": SANCTIONS & facts.keys(),
        "lapsed": decision["verdict"] in ("NOT_MET", "BLOCKED", "OFFICER_REVIEW"),
        "expiring": soonest < following.isoformat(),
    }
    kind = next((kind for kind, holds in news.items() if holds), "")
    waiting = sa.select(ITEM.c.id).where(ITEM.c.act_id == act.id, ITEM.c.kind == kind, ITEM.c.handled_by.is_(None))
    if not kind or here.log.rows(waiting):
        return
    body = {"act": act.id, "news": kind, "region": act.region, "checks": [made.id], "asker": made.body["asker"]}
    body |= {"until": soonest} if kind == "expiring" else {}
    here.log.append("officer.news", body, entry_id=f"{made.id}.{kind}")


@projects("officer.news", "officer.recalled", "officer.handled", into=(ITEM,))
def record_items(connection: sa.Connection, entry: Entry) -> None:
    """The work list; a recalled check also becomes due, and licensing software is told of news about its own."""
    body = entry.body
    if entry.kind == "officer.handled":
        seen = sa.update(ITEM).where(ITEM.c.id == body["item"])
        connection.execute(seen.values(handled_by=body["by"], handled_at=entry.at))
        return
    kind, day = body.get("news", "recalled"), date.fromisoformat(body["until"]) if "until" in body else None
    row = {"act_id": body["act"], "kind": kind, "region": body["region"], "day": day}
    row |= {"position": entry.position, "at": entry.at}
    for number, check_id in enumerate(body["checks"]):
        name = {"id": f"{body['act']}:{kind}:{check_id}", "check_id": check_id}
        put(connection, ITEM, row | name)
        if kind == "recalled":
            work.add(connection, "redecide", f"{check_id}:{body['act']}", entry.at + number * PACE)
        elif body["asker"]["kind"] == "client":
            outbox.post(connection, body["asker"]["id"], f"watch.{kind}", "", check_id, entry.at)
