"""The gate's promises held against its log: what was looked at, whether each was kept, and what shows it."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from compliance.audit.entry import Entry
from compliance.database import Moment
from compliance.deployment import Deployment
from compliance.errors import GateError, LogBroken
from compliance.law.decide import Policies, replay
from compliance.proof.note import VerifierKey, b64, open_head, open_note
from compliance.proof.receipt import verify_answer
from compliance.reports.search import BATCH, CHECKS

STALE, PUBLISHED = timedelta(hours=26), timedelta(hours=3)  # what is done nightly, hourly, and a little late
# Tables of other rooms: what was answered, and will be again to the same key; what met no answer; published heads.
_answers, _failures = (sa.table(name, sa.column("pos")) for name in ("check_record", "registry_failure"))
_once = sa.table("once", sa.column("check_id"), sa.column("lease_until"), sa.column("expires_at", Moment))
_heads = sa.table("audit_head", sa.column("size"), sa.column("note"))
Keys = Sequence[VerifierKey]


def prove(here: Deployment, cosigners: Keys, *, by: str, most: int = 20_000) -> dict[str, Any]:
    """Look at the newest `most` checks of each kind (replayed are those of one day); recorded as `log.promises`."""
    log, now, keys, c = here.log, here.clock(), [*here.log.keyring.keys, *here.log.keyring.retired], CHECKS.c
    past = Policies(lambda name: str(text.body["text"]) if (text := log.entry(f"policy.text.{name}")) else None)

    def answered(entry: Entry) -> bool:
        known = log.check(entry.id)
        told = json.loads(known.document if known else "{}")
        verify_answer(told, keys)
        same = told["verdict"] == entry.body["decision"]["verdict"]
        return bool(same and told["log"]["leaf_hash"] == b64(entry.leaf_hash))

    def no_stop(entry: Entry) -> bool:
        return bool(entry.body["decision"]["action"] != "STOP" or entry.body["decision"]["verdict"] == "BLOCKED")

    def remedied(entry: Entry) -> bool:
        reasons = [one for one in entry.body["decision"]["findings"] if one["effect"] in ("NOT_MET", "BLOCKED")]
        return bool(reasons) and all(one["basis"] and one["remedy"]["id"] and one["remedy"]["en"] for one in reasons)

    looks: dict[str, tuple[Any, Any, Callable[[Entry], bool]]] = {
        "entry": (_answers.c.pos, sa.true(), answered),
        "outage": (_failures.c.pos, sa.true(), no_stop),
        "remedy": (c.pos, c.action == "STOP", remedied),
        "replay": (c.pos, c.at >= now - timedelta(days=1), lambda entry: replay(entry.body, past).same),
    }
    told = dict[str, tuple[int, list[str]]]()  # by promise, how many were looked at, and what is broken of them
    for name, (pos, which, kept) in looks.items():
        positions = [row[0] for row in log.rows(sa.select(pos).where(which).order_by(pos.desc()).limit(most))]
        batches = (positions[at : at + BATCH] for at in range(0, len(positions), BATCH))
        good = {entry.position for batch in batches for entry in log.entries_at(batch) if _holds(kept, entry)}
        told[name] = len(positions), [f"#{position}" for position in positions if position not in good]
    lost = sa.select(_once.c.check_id).where(_once.c.lease_until.is_(None)).order_by(_once.c.expires_at.desc())
    again = [row.check_id for row in log.rows(lost.limit(most))]
    told["entry"][1].extend(one for one in again if not (log.entry(one) or log.entry(f"batch.{one}.started")))
    heads = log.rows(sa.select(_heads).order_by(_heads.c.size.desc()).limit(24))
    unwitnessed, witnesses = _unwitnessed(here, heads, keys, cosigners)
    told["witness"] = len(heads), unwitnessed
    promises = {name: {"looked_at": n, "kept": not bad, "broken": bad[:20]} for name, (n, bad) in told.items()}
    size, root = log.durable_head()
    body = {"promises": promises, "witnesses": witnesses, "by": by, "head": {"size": size, "root": b64(root)}}
    log.append("log.promises", body, at=now)
    return body


def _holds(kept: Callable[[Entry], bool], entry: Entry) -> bool:
    try:
        return kept(entry)
    except (GateError, KeyError, TypeError, ValueError):
        return False  # it does not even say what was promised


def _unwitnessed(here: Deployment, heads: Sequence[Any], keys: Keys, cosigners: Keys) -> tuple[list[str], list[str]]:
    """What is wrong with the published heads, newest first, and who cosigned the newest."""
    first = here.log.entry_at(heads[0].size if heads else 0)  # that no published head covers
    wrong, by = [] if cosigners else ["NO_WITNESS"], list[str]()
    wrong += [] if heads else ["NO_HEAD"]
    wrong += [f"LATE #{first.position}"] if first and here.clock() - first.at > PUBLISHED else []
    for row in heads:
        try:
            head = open_head(row.note, keys)
            if head.root != here.log.root_at(head.size):
                raise LogBroken("another history than this log's")
            if cosigners and row is heads[0]:
                by = sorted(key.name for key in open_note(row.note, cosigners)[1])
        except LogBroken as error:
            wrong.append(f"HEAD {row.size} ({error})")
    return wrong, by
