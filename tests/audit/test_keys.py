"""The log's keys: lost, rotated, left behind by an incident; and a database that is behind what is known."""

from __future__ import annotations

import json
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from compliance.audit import keys, witnesses
from compliance.audit.log import AuditLog
from compliance.errors import LogBroken, LogUnavailable, Misconfigured
from compliance.gate import Recorded
from compliance.proof.note import WITNESS_KEY, Head, Signer, VerifierKey, open_head, open_note
from compliance.proof.receipt import verify_answer
from compliance.proof.witness import Refused, Witness, serve
from config import Settings
from tests.audit import forger
from tests.audit.conftest import open_log
from tests.conftest import Clock

Add = Callable[..., Recorded]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """A key of this test's own."""
    shutil.copy(settings.log_signing_key, tmp_path / "own.key")
    return replace(settings, log_signing_key=tmp_path / "own.key")


@pytest.fixture
def witness(settings: Settings, log: AuditLog, tmp_path: Path) -> Iterator[Witness]:
    """A witness that listens, and that the log knows of."""
    (tmp_path / "witness").mkdir()
    signer = Signer.generate("inspectorate.test/witness", WITNESS_KEY)
    made = Witness(signer, log.keyring.keys, tmp_path / "witness")
    server = serve(made, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    listed = tmp_path / "witnesses"
    listed.write_text(f"http://127.0.0.1:{server.server_port} {signer.key}\n")
    log.settings = replace(settings, log_witnesses=listed)
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_key_file_is_its_owners_alone(log: AuditLog) -> None:
    assert stat.S_IMODE(log.keyring.path.stat().st_mode) == 0o600


def test_a_missing_key_beside_a_log_with_entries_stops_the_start(log: AuditLog, add: Add) -> None:
    add()
    log.keyring.path.unlink()
    with pytest.raises(Misconfigured, match="put the log's key back"):
        log.check_start()
    with pytest.raises(LogUnavailable):
        add()
    assert log.head()[0] == 1


def test_a_key_of_another_origin_stops_the_start(settings: Settings, log: AuditLog, clock: Clock) -> None:
    for other in open_log(replace(settings, log_origin="other.test/log"), clock):
        with pytest.raises(Misconfigured, match="flask log incident"):
            other.check_start()


def test_rotation_signs_with_both_keys_for_a_while(log: AuditLog, add: Add) -> None:
    old = log.keyring.keys[0]
    before = json.loads(add().document)
    new = keys.rotate(log, by="u1")
    between = json.loads(add().document)
    assert open_head(log.checkpoint(), [old]) == open_head(log.checkpoint(), [new])
    verify_answer(between, [new])
    assert keys.finish_rotation(log, by="u1") == [old]
    after = json.loads(add().document)
    with pytest.raises(LogBroken):
        verify_answer(after, [old])
    for answer in (before, between, after):
        verify_answer(answer, [*log.keyring.keys, *log.keyring.retired])
    assert len(log.keyring.jwks()["keys"]) == 2
    rotated = [entry.body for entry in log.entries(kinds=("log.key_rotated",))]
    assert [VerifierKey.parse(body["new"]) for body in rotated] == [new, new]
    assert rotated[0]["old"] == str(old)


def test_a_second_rotation_waits_for_the_first_to_end(log: AuditLog) -> None:
    keys.rotate(log, by="u1")
    with pytest.raises(LogBroken, match="under way"):
        keys.rotate(log, by="u1")
    keys.finish_rotation(log, by="u1")
    with pytest.raises(LogBroken, match="no rotation"):
        keys.finish_rotation(log, by="u1")


def test_a_database_behind_the_signers_memory_takes_no_entries(log: AuditLog, admin_log: AuditLog, add: Add) -> None:
    log.check_start()
    for _ in range(4):
        log._remember_at = 0.0
        add()
    forger.rewrite(admin_log, lambda rows: rows[:2])
    log.check_start()
    assert "the signer knows a head of 4" in log.closed
    with pytest.raises(LogUnavailable, match="no entries"):
        add()
    assert log.head()[0] == 2


def test_the_signer_remembers_the_last_answer_within_a_second_though_no_more_come(log: AuditLog, add: Add) -> None:
    log.check_start()
    for _ in range(4):
        add()
    assert log.keyring.remembered() == Head(log.origin, 1, log.root_at(1))
    log._later.join(5)
    assert log.keyring.remembered() == Head(log.origin, 4, log.root_at(4))
    add()
    log.remember_now()
    assert log.keyring.remembered() == Head(log.origin, 5, log.root_at(5))


def test_another_history_than_the_signers_memory_takes_no_entries(log: AuditLog, admin_log: AuditLog, add: Add) -> None:
    log.check_start()
    for _ in range(4):
        log._remember_at = 0.0
        add()
    forger.rewrite(admin_log, lambda rows: [(key, body.replace(b"NOT_MET", b"MET")) for key, body in rows])
    log.check_start()
    assert "another history" in log.closed


def test_heads_are_cosigned_kept_and_served(log: AuditLog, add: Add, witness: Witness) -> None:
    for size in (1, 2, 5):
        while log.head()[0] < size:
            add()
        assert witnesses.submit(log) == 1
        note = witnesses.published(log)
        assert note is not None
        key = witnesses.configured(log.settings.log_witnesses)[0][1]
        assert len(open_note(note, [*log.keyring.keys, key])[1]) == 2
        assert witness.last(log.origin).size == size
    assert set(witnesses.heads(log)) == {1, 2, 5}


@pytest.mark.parametrize("left", [0, 2, 4])
def test_a_database_behind_or_beside_a_witness_takes_no_entries(
    log: AuditLog, admin_log: AuditLog, add: Add, witness: Witness, left: int
) -> None:
    for _ in range(4):
        add()
    witnesses.submit(log)
    forger.rewrite(admin_log, lambda rows: [(key, body + b" ") for key, body in rows[:left]])
    log.check_start()
    assert "witness" in log.closed
    with pytest.raises(LogUnavailable):
        add()


def test_a_witness_that_does_not_answer_stops_nothing(
    log: AuditLog, add: Add, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = tmp_path / "nobody"
    listed.write_text(f"http://127.0.0.1:9 {Signer.generate('nobody.test/w', WITNESS_KEY).key}\n")
    log.settings = replace(settings, log_witnesses=listed)
    log.check_start()
    assert "cannot be reached" in caplog.text
    assert add().position == 0


def test_a_witness_that_answers_nonsense_closes_nothing(
    log: AuditLog, add: Add, witness: Witness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def endless(body: str) -> str:
        refused = Refused(409, "")
        refused.size = "9" * 5_000  # type: ignore[assignment]
        raise refused

    monkeypatch.setattr(witness, "add_checkpoint", endless)
    log.check_start()
    assert "it answered 409" in caplog.text
    assert add().position == 0


def test_witnesses_elsewhere_need_https(log: AuditLog, settings: Settings, tmp_path: Path) -> None:
    listed = tmp_path / "plain"
    listed.write_text(f"http://192.0.2.1 {Signer.generate('w.test/w', WITNESS_KEY).key}\n")
    with pytest.raises(Misconfigured, match="https"):
        witnesses.configured(listed)


def test_an_incident_goes_on_under_a_new_origin_and_names_what_was_lost(
    log: AuditLog, admin_log: AuditLog, add: Add, settings: Settings, clock: Clock
) -> None:
    log.check_start()
    for _ in range(4):
        log._remember_at = 0.0
        answer = json.loads(add().document)
    lost = open_head(log.checkpoint(), log.keyring.keys)
    with pytest.raises(LogBroken, match="new name"):
        keys.declare_incident(log, reason="r", by="u1")
    forger.rewrite(admin_log, lambda rows: rows[:2])
    for other in open_log(replace(settings, log_origin="gate.test/log2"), clock):
        new = keys.declare_incident(other, reason="disk lost", by="u1")
        first = other.entry_at(2)
        assert first is not None
        assert first.kind == "log.incident"
        assert first.body["old"]["origin"] == "gate.test/log"
        assert first.body["known"]["size"] == lost.size == 4
        assert first.body["database"]["size"] == 2
        assert first.body["new"]["key"] == str(new)
        other.check_start()
        assert other.closed == ""
        assert open_head(other.checkpoint(), [new]).origin == "gate.test/log2"
        verify_answer(answer, other.keyring.retired)
        with pytest.raises(LogBroken):
            keys.declare_incident(other, reason="again", by="u1")


def test_an_incident_without_its_entry_stops_the_start(settings: Settings, log: AuditLog, clock: Clock) -> None:
    for other in open_log(replace(settings, log_origin="gate.test/log2"), clock):
        other.keyring.replace([Signer.generate("gate.test/log2")])
        with pytest.raises(Misconfigured, match="no entry says why"):
            other.check_start()
        keys.declare_incident(other, reason="r", by="u1")
        other.check_start()
