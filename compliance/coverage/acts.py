"""What is done with lists of institutions: take one, change one line, ask the agency. Each is an entry of the log."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from ulid import ULID

from compliance.coverage import lines, standing
from compliance.deployment import Deployment
from compliance.gate import Asker, Question
from compliance.law.codec import to_json
from compliance.law.facts import Application, Evidence, Facts, Identity, Match

PART = 25  # lines of one entry: of the longest that may be, 48 kB
WEEK, DAY = timedelta(days=7), timedelta(days=1)


def _record(here: Deployment, act: str, region: str, asker: Asker, entry_id: str, **body: Any) -> None:
    told = {"region": region, "by": {"kind": asker.kind, "id": asker.id}, **body}
    here.log.append(f"coverage.{act}", told, entry_id=entry_id, private={}, at=here.clock())


def now_known(here: Deployment, region: str, day: date | None = None) -> list[standing.Institution]:
    """The institutions of a region on a day, today if none is said. Raises UnknownRegion."""
    day = day or here.policy.today(region, here.clock())
    with here.log.engine.connect() as connection:
        return standing.institutions(standing.known(connection, region, day), day)


def take_list(
    here: Deployment,
    region: str,
    rows: Iterable[tuple[str, Sequence[object]]],
    sha256: str,
    asker: Asker,
    language: str,
    complete: bool = False,
) -> Counter[str]:
    """Take a list whole, as of the days that it states. `complete`: whoever of its kinds is not in it is there no more.

    Returns how many of each kind, and how many `removed`. Raises BadInput naming every wrong line (then nothing is
    taken), LogUnavailable.
    """
    read = lines.read(rows, here.policy.today(region, here.clock()), language)
    told = [{"id": lines.identity(facts), "since": facts.pop("as_of"), "facts": facts} for facts in read]
    latest = {line["facts"]["kind"]: line["since"] for line in sorted(told, key=lambda line: line["since"])}
    here_now = {one.id: latest.get(one.facts["kind"]) for one in now_known(here, region)} if complete else {}
    listed = {line["id"] for line in told}
    gone = [key for key, since in here_now.items() if since and key not in listed]
    told += [{"id": key, "since": here_now[key], "facts": {"removed": True}} for key in gone]
    parts = [told[start : start + PART] for start in range(0, len(told), PART)]
    list_id = str(ULID.from_datetime(here.clock()))
    for number, part in enumerate(parts, 1):
        about = {"list": list_id, "sha256": sha256, "part": number, "parts": len(parts), "complete": complete}
        _record(here, "imported", region, asker, f"{list_id}.{number}", **about, lines=part)
    return Counter(facts["kind"] for facts in read) + Counter(removed=len(gone))


def change(here: Deployment, region: str, one: str, facts: dict[str, Any], asker: Asker) -> None:
    """Set facts of one institution by hand as of `as_of` (None: not known; `removed`: it is there no more)."""
    line = {"id": one, "since": facts.pop("as_of"), "facts": facts}
    _record(here, "changed", region, asker, str(ULID()), lines=[line])


def due(here: Deployment, region: str) -> list[standing.Institution]:
    """Whom the agency was not asked about for a week (for a day, if it was out), longest first."""
    day, found = here.policy.today(region, here.clock()), []
    for one in now_known(here, region):
        last = one.tried.since + (DAY if one.tried.data["why"] == "unavailable" else WEEK) if one.tried else date.min
        if last <= day and any(one.facts.get(number) for number in lines.NUMBERS):
            found.append((last, one))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def ask(here: Deployment, region: str, one: standing.Institution, asker: Asker) -> str:
    """Ask about one institution through the gate's source, and record it with its evidence; returns `why`.

    No database connection is held meanwhile. Raises LogUnavailable.
    """
    now, started, gate = here.clock(), time.monotonic(), here.gate
    today = here.policy.today(region, now)
    numbers = {name: one.facts[name] for name in lines.NUMBERS if one.facts.get(name)}
    application = Application("CAKUPAN", region, today, given=tuple(numbers))
    identity = Identity(name=one.facts["name"], **numbers)
    question = Question(f"cakupan/{one.id}", application, identity, asker, request_id=str(ULID()))
    law = here.policy.on(today, region)
    evidence = gate.evidence(question, law, gate.key(question, law), now)
    state, why = judge(evidence)
    if why == "not_found" and gate.doubtful(question, Facts(application, today, evidence=evidence), started, now):
        state, why = "", "doubtful"
    active = [account for account in evidence.accounts if account.active]
    workers = [account.active_workers for account in active if account.active_workers is not None]
    paid = min((account.paid_through for account in active if account.paid_through), default=None)
    said = {"state": state, "why": why, "workers": sum(workers) if workers else None, "paid_through": to_json(paid)}
    said |= {"source": evidence.source, "as_of": to_json(evidence.as_of), "reference": evidence.reference}
    line = {"id": one.id, "since": today.isoformat(), "facts": said}
    about = {"business": numbers, "evidence": to_json(evidence), "request_id": question.request_id}
    _record(here, "asked", region, asker, question.id, lines=[line], **about)
    return why


def judge(evidence: Evidence) -> tuple[str, str]:
    """The state that the evidence proves ("": none), and why. An outage, or a report that may be incomplete, proves no
    absence; a number issued without payment is neither registered nor not (Permenaker 29/2015 Art 8)."""
    if evidence.failure:
        return "", evidence.failure.kind
    if evidence.match is not Match.AGREES:
        return "", "identity"
    if not evidence.found_by:
        return ("not_yet", "not_found") if evidence.complete else ("", "incomplete")
    active = [account for account in evidence.accounts if account.active]
    if not active:
        return "not_yet", "inactive"
    paid = any(account.first_payment is not False for account in active)
    return ("registered", "active") if paid else ("unknown", "first_payment")
