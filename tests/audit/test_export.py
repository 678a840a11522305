"""An export is verified by outsiders, with the public key alone; whatever is changed in it is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from compliance import create_app
from compliance.audit.log import AuditLog
from compliance.database import db
from compliance.errors import LogBroken
from compliance.gate import Recorded
from compliance.proof import export
from compliance.proof.export import Tally
from compliance.proof.note import Head, Signer, VerifierKey
from config import Settings
from tests.audit import forger
from tests.conftest import Clock

COUNT = 600


def all_tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, index and width of every hash tile of a tree, lowest level first."""
    level, count = 0, size
    while count:
        yield from ((level, start // 256, min(256, count - start)) for start in range(0, count, 256))
        level, count = level + 1, count // 256


def quiet(size: int) -> None:
    """No progress is shown."""


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.generate("gate.test/log")


@pytest.fixture
def folder(signer: Signer, tmp_path: Path) -> Path:
    bodies = [json.dumps({"at": "2026-11-20T08:00:00Z", "n": number}).encode() for number in range(COUNT)]
    tally = Tally()
    for body in bodies:
        tally.add(body)
    head = str(Head("gate.test/log", COUNT, tally.root))
    note = f"{head}\n{signer.line(head)}"
    export.write(tmp_path / "out", bodies, note, [signer.key], quiet)
    return tmp_path / "out"


def test_an_export_is_verified_from_its_bodies(folder: Path, signer: Signer) -> None:
    assert export.verify(folder, [signer.key], {}, quiet).size == COUNT
    for level, index, width in all_tiles(COUNT):
        assert (folder / export.tile_path(level, index, width)).stat().st_size == 32 * width


@pytest.mark.parametrize(
    ("name", "position"),
    [("tile/entries/000", 0), ("tile/entries/001", 256), ("tile/entries/002.p/88", 512), ("tile/0/001", 256)],
)
def test_a_changed_or_missing_file_is_named_with_its_position(
    folder: Path, signer: Signer, name: str, position: int
) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)
    with pytest.raises(LogBroken) as caught:
        export.verify(folder, [signer.key], {}, quiet)
    assert caught.value.position == position
    path.unlink()
    with pytest.raises(LogBroken, match="missing"):
        export.verify(folder, [signer.key], {}, quiet)


def test_a_head_by_another_key_or_beside_a_held_head_is_refused(folder: Path, signer: Signer) -> None:
    with pytest.raises(LogBroken, match="no known key"):
        export.verify(folder, [Signer.generate("gate.test/log").key], {}, quiet)
    with pytest.raises(LogBroken, match="known outside"):
        export.verify(folder, [signer.key], {100: b"\x00" * 32}, quiet)
    with pytest.raises(LogBroken, match="a head of 601"):
        export.verify(folder, [signer.key], {601: b"\x00" * 32}, quiet)


def test_an_outsider_needs_nothing_but_the_proof_room(folder: Path, signer: Signer) -> None:
    def run() -> tuple[int, str]:
        command = [sys.executable, "-m", "compliance.proof.export", str(folder), str(signer.key)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert run() == (0, f"verified: gate.test/log, {COUNT} entries\n")
    (folder / "tile/entries/001").write_bytes(b"")
    code, said = run()
    assert code == 1
    assert "BROKEN" in said
    assert "256" in said
    (folder / "checkpoint").write_bytes(b"gate.test/log\n600\n\xff\xfe\n")
    code, said = run()
    assert code == 1
    assert said.startswith("BROKEN"), "a head that is no text is told of, not a trace"


class TestShell:
    @pytest.fixture
    def run(self, settings: Settings, clock: Clock, log: AuditLog) -> Callable[..., tuple[int, str]]:
        app: Flask = create_app(settings, clock=clock)
        runner = FlaskCliRunner(app)

        def run(*args: str) -> tuple[int, str]:
            result = runner.invoke(args=list(args))
            with app.app_context():
                db.engine.dispose()
            return result.exit_code, result.output

        return run

    def test_the_log_is_verified_exported_and_proved(
        self, run: Callable[..., tuple[int, str]], add: Callable[..., Recorded], log: AuditLog, tmp_path: Path
    ) -> None:
        answer = tmp_path / "answer.json"
        answer.write_text(add("one").document)
        add("two")
        assert run("log", "verify", "--tables")[0] == 0
        assert run("log", "init") == (0, f"{log.keyring.keys[0]}\n")
        kept = tmp_path / "head"
        code, note = run("log", "checkpoint")
        assert code == 0
        kept.write_text(note)
        folder = tmp_path / "export"
        assert run("log", "export", str(folder), "--by", "u1")[0] == 0
        assert "3 entries" in run("log", "verify", str(folder))[1]
        assert run("log", "export", str(folder), "--by", "u1")[0] == 2
        proof = tmp_path / "proof.json"
        proof.write_text(run("log", "proof", "one")[1])
        key = str(VerifierKey.parse((folder / "keys").read_text()))
        assert run("log", "verify", str(proof), "--key", key)[0] == 0
        assert run("receipt", "verify", str(answer))[0] == 0
        assert run("log", "verify", "--head", str(kept))[0] == 0
        assert run("log", "erase", "0", "--ground", "JRA", "--by", "u1") == (0, "1 entries erased\n")
        assert run("log", "erase", "--ground", "JRA", "--by", "u1")[0] == 2
        assert run("log", "project", "--fresh")[0] == 0
        assert run("log", "person", "7309054403880002", "--by", "u1")[0] == 0
        assert run("log", "verify", "--tables")[0] == 0

    def test_what_is_broken_ends_with_1_and_the_first_bad_position(
        self,
        run: Callable[..., tuple[int, str]],
        add: Callable[..., Recorded],
        log: AuditLog,
        admin_log: AuditLog,
        tmp_path: Path,
    ) -> None:
        answer = json.loads(add("one").document)
        add("two")
        proof = json.loads(run("log", "proof", "one")[1])
        for name, change in (("index", 1), ("leaf_hash", proof["body"][:44]), ("proof", []), ("body", "AAAA")):
            (tmp_path / "p").write_text(json.dumps({**proof, name: change}))
            assert run("log", "verify", str(tmp_path / "p"))[0] == 1
        (tmp_path / "a").write_text(json.dumps({**answer, "verdict": "MET"}))
        code, said = run("receipt", "verify", str(tmp_path / "a"))
        assert (code, "verdict" in said) == (1, True)
        for damaged in (b"{", b"\xff", b"{}", b"[" * 5000, b'{"receipt": [1]}', b'{"receipt": {"jws": 1}}', b""):
            (tmp_path / "a").write_bytes(damaged)
            code, said = run("receipt", "verify", str(tmp_path / "a"))
            assert (code, said[:6]) == (1, "BROKEN"), damaged
        forger.overwrite(admin_log, 1, body=b'{"at":"2026-11-20T08:00:00Z"}')
        code, said = run("log", "verify")
        assert code == 1
        assert "first bad position: 1" in said
