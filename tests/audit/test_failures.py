"""P1: when the insert, the barrier, the signer or the disk fails, nothing is answered; asking again is harmless."""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import SQLAlchemyError

from compliance.audit import turn, witnesses
from compliance.audit.keys import Keyring
from compliance.audit.log import AuditLog
from compliance.audit.verify import verify
from compliance.errors import LogBroken, LogUnavailable, Misconfigured
from compliance.gate import Recorded
from compliance.proof.note import unb64
from compliance.proof.receipt import verify_answer, verify_proof
from config import Settings
from tests.audit import forger
from tests.audit.forger import Rows
from tests.conftest import Clock

Add = Callable[..., Recorded]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """A key of this test's own, with its memory."""
    shutil.copy(settings.log_signing_key, tmp_path / "own.key")
    return replace(settings, log_signing_key=tmp_path / "own.key")


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


def test_heads_are_signed_only_when_no_crash_can_take_them_back(log: AuditLog, admin_log: AuditLog, add: Add) -> None:
    """A head that leaves before its entries are on disk would be ahead of the database after a crash, for ever."""
    if is_sqlite(log):
        pytest.skip("SQLite's commit is its own barrier")
    add("one")
    function = "ON FUNCTION pg_logical_emit_message(boolean, text, text, boolean)"
    with without(admin_log, f"REVOKE EXECUTE {function} FROM PUBLIC", f"GRANT EXECUTE {function} TO PUBLIC"):
        for publish in (log.checkpoint, lambda: witnesses.submit(log), lambda: log.package("one")):
            with pytest.raises(SQLAlchemyError):
                publish()
        log.check_start()
        assert log.closed
        assert log.keyring.remembered() is None
    assert witnesses.published(log) is None


def test_many_threads_and_processes_leave_the_signers_memory_whole(log: AuditLog) -> None:
    rings = [log.keyring, Keyring(log.keyring.path, log.origin, "")]
    stop, broken = threading.Event(), list[Exception]()

    def read() -> None:
        while not stop.is_set():
            try:
                log.keyring.remembered()
            except LogBroken as error:
                broken.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda size: rings[size % 2].remember(size, bytes(32)), range(1, 400)))
    stop.set()
    reader.join()
    assert not broken
    assert (known := log.keyring.remembered()) is not None
    assert known.size == 399


def test_a_log_that_closed_at_the_start_opens_when_what_was_wrong_is_right_again(
    log: AuditLog, admin_log: AuditLog, add: Add, clock: Clock
) -> None:
    add("one")
    with without(admin_log, "ALTER TABLE audit_entry RENAME TO away", "ALTER TABLE away RENAME TO audit_entry"):
        with pytest.raises(Misconfigured):
            log.check_start()
        with pytest.raises(LogUnavailable, match="cannot be read"):
            add("two")
    log._look_at = 0.0
    assert add("two").position == 1
    assert log.closed == ""


def test_p1_a_running_gate_notices_that_its_database_lost_durable_entries(
    log: AuditLog, admin_log: AuditLog, add: Add
) -> None:
    """An older copy put in place, a failover to a replica that was behind: no answer leaves, until it is restored."""
    log.check_start()
    for number in range(4):
        add(f"check-{number}")
    kept: list[Rows] = []
    forger.rewrite(admin_log, lambda rows: kept.append(rows) or rows[:2])
    with pytest.raises(LogUnavailable):
        add("one")
    log._look_at = 0.0
    with pytest.raises(LogUnavailable, match="the signer knows a head of 4"):
        add("two")
    forger.rewrite(admin_log, lambda rows: kept[0])
    log._look_at = 0.0
    assert add("three").position == 4
