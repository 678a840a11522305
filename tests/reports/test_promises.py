"""Each promise is held against the log: kept when it is, broken when the log says so, and the outcome is an entry."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from ulid import ULID

from compliance import work
from compliance.audit.table import audit_head
from compliance.deployment import Deployment
from compliance.law.facts import Scale
from compliance.proof.note import WITNESS_KEY, Head, Signer
from compliance.reports import promises
from compliance.reports.search import named
from tests.conftest import Clock
from tests.reports.conftest import OUT, Ask

WITNESS = Signer.generate("witness.test", WITNESS_KEY)


def prove(here: Deployment) -> dict[str, dict[str, Any]]:
    return promises.prove(here, [WITNESS.key], by="test", most=100)["promises"]


@pytest.fixture
def kept(here: Deployment, ask: Ask, clock: Clock) -> dict[str, dict[str, Any]]:
    """A log with a check of each kind and a witnessed head, of which every promise holds."""
    ask("A")
    ask("B", scale=Scale.MEDIUM)
    ask("C", nib=OUT)
    publish(here, clock)
    return prove(here)


def publish(here: Deployment, clock: Clock, signer: Signer = WITNESS) -> None:
    size, root = here.log.head()
    line = signer.line(str(Head(here.log.origin, size, root)), int(clock().timestamp()))
    keep(here, size, here.log.checkpoint() + line)


def keep(here: Deployment, size: int, note: str) -> None:
    with here.log.engine.begin() as connection:
        connection.execute(audit_head.insert().values(size=size, note=note, at=here.clock()))


def forge(here: Deployment, change: dict[str, Any], entry_id: str) -> None:
    """Put a check into the log that a gate would never write."""
    body = json.loads(here.log.entry(entry_id).raw)  # type: ignore[union-attr]
    plain = {name: value for name, value in body.items() if name not in ("id", "kind", "at", "sd", "receipt_code")}
    plain["decision"] |= change
    here.log.append("check", plain, entry_id=str(ULID()), private={}, at=here.clock())


def last(here: Deployment, verdict: str) -> str:
    return next(e.id for e in here.log.entries(kinds=("check",)) if e.body["decision"]["verdict"] == verdict)


def test_what_holds_is_said_to_hold_with_what_was_looked_at(here: Deployment, kept: dict[str, dict[str, Any]]) -> None:
    assert {name: (told["kept"], told["looked_at"]) for name, told in kept.items()} == {
        "entry": (True, 3),
        "outage": (True, 1),
        "remedy": (True, 1),
        "replay": (True, 3),
        "witness": (True, 1),
    }
    entry = named(here.log, "log.promises:")
    assert entry
    assert entry.body["promises"] == kept
    assert entry.body["witnesses"] == ["witness.test"]


def test_a_stop_from_an_outage_is_found(here: Deployment, kept: Any) -> None:
    forge(here, {"verdict": "NOT_MET", "action": "STOP"}, last(here, "UNDETERMINED"))
    assert not prove(here)["outage"]["kept"]


@pytest.mark.parametrize(
    "lacks", [{"remedy": {"id": "", "en": ""}}, {"remedy": {"id": "Daftar.", "en": ""}}, {"basis": []}]
)
def test_a_refusal_without_remedy_or_citation_is_found(here: Deployment, kept: Any, lacks: dict[str, Any]) -> None:
    found = here.log.entry(last(here, "NOT_MET")).body["decision"]["findings"]  # type: ignore[union-attr]
    forge(here, {"findings": [found[0] | lacks]}, last(here, "NOT_MET"))
    told = prove(here)
    assert not told["remedy"]["kept"]
    assert not told["replay"]["kept"]
    assert told["entry"]["kept"]


def test_a_refusal_without_any_reason_is_found(here: Deployment, kept: Any) -> None:
    forge(here, {"findings": []}, last(here, "NOT_MET"))
    assert not prove(here)["remedy"]["kept"]


def test_an_answer_that_no_entry_holds_is_found(here: Deployment, kept: Any) -> None:
    with here.log.engine.begin() as connection:
        connection.execute(text("UPDATE check_record SET pos = pos + 900 WHERE verdict = 'MET'"))
    assert not prove(here)["entry"]["kept"]


def test_an_answer_that_says_something_else_is_found(here: Deployment, kept: Any) -> None:
    change = 'UPDATE check_record SET document = replace(document, \'"verdict":"NOT_MET"\', \'"verdict":"MET"\')'
    with here.log.engine.begin() as connection:
        connection.execute(text(change))
    assert prove(here)["entry"]["broken"]


def test_heads_without_a_witness_late_or_of_another_log_are_found(
    here: Deployment, clock: Clock, ask: Ask, kept: Any
) -> None:
    clock.tick(hours=4)
    assert "LATE" in prove(here)["witness"]["broken"][0]
    keep(here, here.log.head()[0], here.log.checkpoint())
    assert "no known key" in prove(here)["witness"]["broken"][0]
    publish(here, clock, Signer.generate("stranger.test", WITNESS_KEY))
    assert not prove(here)["witness"]["kept"]
    publish(here, clock)
    assert prove(here)["witness"]["kept"]
    fork = Head(here.log.origin, 1, b"\1" * 32)
    keep(here, 1, f"{fork}\n" + here.log.keyring.signers[0].line(str(fork)))
    assert "another history" in prove(here)["witness"]["broken"][0]


def test_the_night_looks_by_itself_and_again_soon_when_something_is_broken(
    app: Flask, here: Deployment, ask: Ask, clock: Clock
) -> None:
    ask("A")
    work.standing(here)
    while work.do_due(here):
        pass
    first = named(here.log, "log.promises:")
    assert first
    assert first.body["promises"]["witness"]["broken"] == ["NO_WITNESS"]
    clock.tick(hours=1, minutes=1)
    while work.do_due(here):
        pass
    again = named(here.log, "log.promises:")
    assert again
    assert again.at - first.at > timedelta(hours=1)
    run = app.test_cli_runner().invoke(args=["report", "promises"])
    assert (run.exit_code, json.loads(run.output)["promises"]["entry"]["kept"]) == (1, True)
