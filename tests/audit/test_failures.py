"""P1: when the insert, the barrier, the signer or the disk fails, nothing is answered; asking again is harmless."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, text

from compliance.audit import turn
from compliance.audit.log import AuditLog
from compliance.audit.verify import verify
from compliance.errors import LogUnavailable
from compliance.gate import Recorded
from compliance.proof.note import unb64
from compliance.proof.receipt import verify_answer, verify_proof

Add = Callable[..., Recorded]


def is_sqlite(log: AuditLog) -> bool:
    return turn.is_sqlite(log.engine)


@contextmanager
def without(admin: AuditLog, change: str, back: str) -> Iterator[None]:
    with admin.engine.begin() as connection:
        connection.execute(text(change))
    yield
    with admin.engine.begin() as connection:
        connection.execute(text(back))


def test_p1_an_insert_that_fails_gives_no_answer_and_tells_nothing_personal(
    log: AuditLog, admin_log: AuditLog, add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    away, back = "ALTER TABLE audit_entry RENAME TO away", "ALTER TABLE away RENAME TO audit_entry"
    with without(admin_log, away, back), pytest.raises(LogUnavailable):
        add("one")
    assert log.head()[0] == 0
    assert "cannot be written" in caplog.text
    assert "disclosure" not in caplog.text.replace("audit_disclosure", "")
    assert "RESTORAN" not in caplog.text
    assert is_sqlite(log) or "parameters hidden" in caplog.text
    assert add("one").position == 0


def test_p1_a_barrier_that_fails_gives_no_answer_and_asking_again_gives_the_same_entry(
    log: AuditLog, admin_log: AuditLog, add: Add
) -> None:
    if is_sqlite(log):
        pytest.skip("SQLite's commit is its own barrier")
    function = "ON FUNCTION pg_logical_emit_message(boolean, text, text, boolean)"
    with without(admin_log, f"REVOKE EXECUTE {function} FROM PUBLIC", f"GRANT EXECUTE {function} TO PUBLIC"):
        with pytest.raises(LogUnavailable):
            add("one")
        with pytest.raises(LogUnavailable):
            add("one")
    assert log.head()[0] == 1
    verify_answer(json.loads(add("one").document), log.keyring.keys)
    assert log.head()[0] == 1


def test_p1_a_turn_that_never_comes_gives_no_answer_within_seconds(
    log: AuditLog, admin_log: AuditLog, add: Add
) -> None:
    if is_sqlite(log):
        with open(f"{log.engine.url.database}.turn", "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(LogUnavailable, match="does not end"):
                add("one")
    else:
        with admin_log.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(73091962)"))
            with pytest.raises(LogUnavailable):
                add("one")
    assert add("one").position == 0


def test_p1_a_full_disk_gives_no_answer(log: AuditLog, add: Add) -> None:
    if not is_sqlite(log):
        pytest.skip("a full disk is simulated by SQLite's own limit")

    def small(connection: object, record: object, proxy: object) -> None:
        connection.execute("PRAGMA max_page_count = 1").close()  # type: ignore[attr-defined]

    event.listen(log.engine, "checkout", small)
    with pytest.raises(LogUnavailable):
        [add(f"check-{number}") for number in range(200)]
    size = log.head()[0]
    assert verify(log, {}, lambda done: None)[0] == size
    event.remove(log.engine, "checkout", small)


def test_p1_answers_are_given_only_after_the_entry_is_durable(log: AuditLog, add: Add) -> None:
    """Every answer's position is in the log as another connection sees it, at the moment the answer leaves."""
    for _ in range(5):
        answer = json.loads(add().document)
        entry = log.entry_at(answer["log"]["index"])
        assert entry is not None
        assert entry.id == answer["id"]


def test_p2_an_answers_receipt_verifies_offline_long_after(log: AuditLog, add: Add) -> None:
    answer = json.loads(add().document)
    keys = log.keyring.keys
    for _ in range(20):
        add()
    log.engine.dispose()
    verify_answer(answer, keys)
    index, head = verify_proof(answer["receipt"]["proof"], unb64(answer["log"]["leaf_hash"]), keys)
    assert (index, head.size) == (0, 1)


def test_a_connection_that_was_cut_is_replaced(log: AuditLog, admin_log: AuditLog, add: Add) -> None:
    if is_sqlite(log):
        pytest.skip("SQLite has no connection to cut")
    add("one")
    with admin_log.engine.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gate_login'"))
    assert add("two").position == 1
