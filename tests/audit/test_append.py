"""One append for both databases: gap-free, idempotent, durable, and told with a receipt."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest
import rfc8785
from sqlalchemy import create_engine

from compliance.audit.log import AuditLog
from compliance.audit.turn import engine_options
from compliance.audit.verify import verify, verify_checks
from compliance.errors import LogBroken, LogUnavailable
from compliance.gate import Recorded
from compliance.proof.merkle import leaf_hash
from compliance.proof.note import unb64
from compliance.proof.receipt import verify_claims, verify_proof
from config import Settings
from tests.audit.conftest import PRIVATE, QUESTION, check_body
from tests.conftest import Clock

Add = Callable[..., Recorded]


def test_positions_follow_each_other_from_zero(add: Add) -> None:
    assert [add().position for _ in range(9)] == list(range(9))


def test_a_second_append_of_the_same_id_returns_the_first(add: Add, log: AuditLog) -> None:
    first = add("one")
    assert add("two").position == 1
    assert add("one") == first
    assert log.head()[0] == 2


def test_the_body_is_canonical_and_holds_commitments_not_values(add: Add, log: AuditLog) -> None:
    entry = log.entry(add().id)
    assert entry is not None
    assert rfc8785.dumps(json.loads(entry.raw)) == entry.raw
    assert b"7309054403880002" not in entry.raw
    assert b"Sumber" not in entry.raw
    assert QUESTION.encode() not in entry.raw
    assert set(entry.body["sd"]) == {"name", "nik", "question"}
    assert entry.disclosed["nik"] == "7309054403880002"


def test_the_document_is_the_answer_of_the_contract(add: Add, log: AuditLog) -> None:
    recorded = add()
    document = json.loads(recorded.document)
    assert document["id"] == recorded.id
    assert document["verdict"] == "NOT_MET"
    assert document["findings"][0]["message"] == "Tidak ditemukan."
    assert document["findings"][0]["facts"] == {}
    assert document["registry"] == {
        "source": "http",
        "as_of": "2026-11-19T10:00:00Z",
        "reference": "BPJSTK-1",
        "cached": False,
        "stale": False,
    }
    assert document["policy"]["stage"] == "enforce"
    assert document["receipt"]["url"] == f"http://gate.test/r/{document['receipt']['code']}"
    assert document["log"]["index"] == recorded.position
    found = log.check(recorded.id)
    assert found is not None
    assert found.document == recorded.document
    assert log.check_by_code(document["receipt"]["code"]) == found


@pytest.mark.parametrize("before", range(0, 20))
def test_every_receipt_verifies_offline_with_the_public_key(add: Add, log: AuditLog, before: int) -> None:
    if before:
        for number in range(before):
            log.append("x.filler", {"n": number}, entry_id=f"f{number}", private={}, at=log.clock())
    document = json.loads(add().document)
    leaf = unb64(document["log"]["leaf_hash"])
    index, head = verify_proof(document["receipt"]["proof"], leaf, log.keyring.keys)
    assert (index, head.size, head.origin) == (before, before + 1, "gate.test/log")
    claims = verify_claims(document["receipt"]["jws"], log.keyring.keys)
    assert claims["index"] == before
    assert claims["leaf_hash"] == document["log"]["leaf_hash"]
    assert claims["verdict"] == "NOT_MET"
    entry = log.entry(document["id"])
    assert entry is not None
    assert leaf == leaf_hash(entry.raw)


def test_sixteen_writers_leave_no_gap_and_no_double(add: Add, log: AuditLog) -> None:
    start = threading.Barrier(16)

    def write(_: int) -> list[int]:
        start.wait()
        return [add().position for _ in range(6)]

    with ThreadPoolExecutor(16) as pool:
        positions = [position for got in pool.map(write, range(16)) for position in got]
    assert sorted(positions) == list(range(96))
    assert log.head()[0] == 96


def test_a_retry_at_the_same_moment_is_one_entry(add: Add, log: AuditLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: add("same"), range(8)))
    assert {recorded.position for recorded in got} == {0}
    assert len({recorded.document for recorded in got}) == 1
    assert log.head()[0] == 1


def test_an_entry_of_more_than_65535_bytes_is_refused_and_nothing_is_stored(add: Add, log: AuditLog) -> None:
    with pytest.raises(LogUnavailable, match="65535"):
        add(reference="x" * 66_000)
    assert log.head()[0] == 0


def test_the_last_evidence_is_the_newest_fresh_understood_answer(add: Add, log: AuditLog, clock: Clock) -> None:
    since = clock() - timedelta(days=1)
    assert log.last_evidence(QUESTION, since) is None
    add()
    for changed in ({"cached": True}, {"age_hours": 3}, {"failure": {"kind": "unavailable", "detail": "x"}}):
        evidence = {"source": "http", "received_at": "2026-11-20T08:30:00Z", "reference": "no"} | changed
        facts = {"application": {"permit_type": "A", "region": "73.09", "as_at": "2026-11-20"}, "evidence": evidence}
        add(facts=facts)
    found = log.last_evidence(QUESTION, since)
    assert found is not None
    assert found.reference == "BPJSTK-1"
    assert log.last_evidence("other", since) is None
    assert log.last_evidence(QUESTION, clock() + timedelta(seconds=1)) is None


def write_some(settings: Settings, process: int) -> list[int]:
    """One process of writers."""
    engine = create_engine(settings.database_url, **engine_options(settings.database_url))
    log = AuditLog(engine, settings, lambda: datetime(2026, 11, 20, 8, tzinfo=UTC))

    def write(number: int) -> int:
        entry_id = f"{process}-{number}"
        return log.append("check", check_body(), entry_id=entry_id, private=PRIVATE, at=log.clock()).position

    with ThreadPoolExecutor(4) as pool:
        positions = list(pool.map(write, range(20)))
    engine.dispose()
    return positions


def test_several_processes_leave_no_gap_and_no_double(log: AuditLog) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write_some, log.settings, process) for process in range(4)]
        positions = [position for job in jobs for position in job.result()]
    assert sorted(positions) == list(range(80))
    assert verify(log, {}, lambda size: None)[0] == 80
    assert verify_checks(log, lambda size: None) == 80


def test_proofs_of_several_entries_are_those_of_each(log: AuditLog, add: Add) -> None:
    for _ in range(13):
        add()
    for size in (1, 2, 7, 8, 13):
        assert log.inclusions(range(size), size) == [log.inclusion(index, size) for index in range(size)]
    assert log.inclusions([9, 2], 11) == [log.inclusion(9, 11), log.inclusion(2, 11)]
    assert log.inclusions([], 13) == []
    for index, size in ((13, 13), (3, 14)):
        with pytest.raises(LogBroken):
            log.inclusions([0, index], size)
