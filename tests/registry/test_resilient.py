"""The circuit breaker: spares a silent agency, on all processes of a host, and never spares one that speaks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry import sources
from compliance.registry.port import Purpose, Source
from compliance.registry.sources import OPENS_AFTER, Breaker, breaker_state, build
from config import HERE, Settings
from tests.registry.agency import Agency, says, slow
from tests.registry.answers import BY_NIB, employer
from tests.registry.conftest import NOW, now, purpose


class Scripted:
    """An agency that answers by a word: u(navailable), m(isunderstood), anything else is understood."""

    name = "http"

    def __init__(self, script: str) -> None:
        self.script, self.asked = list(script), 0

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        self.asked += 1
        match self.script.pop(0) if self.script else "g":
            case "u":
                raise RegistryUnavailable("down")
            case "m":
                raise RegistryMisunderstood("odd")
        return Answer(None, self.name, NOW)


def play(source: Breaker, times: int) -> str:
    heard = ""
    for _ in range(times):
        try:
            source.ask(BY_NIB, purpose())
            heard += "g"
        except RegistryUnavailable as error:
            heard += "-" if error.retry_at else "u"
        except RegistryMisunderstood:
            heard += "m"
    return heard


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "breaker"


@pytest.mark.parametrize(
    ("script", "heard"),
    [
        ("uuuuug", "uuuuu-"),
        ("uuuugu", "uuuugu"),
        ("uuuumuuuu", "uuuumuuuu"),
        ("mmmmmmmm", "mmmmmmmm"),
        ("guuuuu", "guuuuu"),
    ],
)
def test_it_opens_after_five_unavailable_answers_in_a_row(script: str, heard: str, file: Path) -> None:
    assert play(Breaker(Scripted(script), file, now), len(script)) == heard


def test_while_open_the_agency_is_left_alone_and_callers_learn_when_it_is_asked_again(file: Path) -> None:
    inner = Scripted("u" * 20)
    source = Breaker(inner, file, now)
    assert play(source, 30) == "uuuuu" + "-" * 25
    assert inner.asked == OPENS_AFTER
    with pytest.raises(RegistryUnavailable) as caught:
        source.ask(BY_NIB, purpose())
    assert caught.value.retry_at is not None
    assert 0 < (caught.value.retry_at - NOW).total_seconds() <= 10


def test_one_caller_every_ten_seconds_is_the_probe(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PROBE_EVERY", 0.3)
    inner = Scripted("uuuuu" + "u" + "m" + "g")
    source = Breaker(inner, file, now)
    assert play(source, 6) == "uuuuu-"
    for heard in ("u-", "m-", "gg"):  # a failed probe, one that was misunderstood, one that was understood
        time.sleep(0.35)
        assert play(source, 2) == heard
    assert not breaker_state(source).open  # type: ignore[union-attr]


def test_of_many_threads_one_is_the_probe(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PROBE_EVERY", 0.3)
    inner = Scripted("u" * 100)
    source = Breaker(inner, file, now)
    play(source, 5)
    time.sleep(0.35)
    threads = [threading.Thread(target=play, args=(source, 1)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inner.asked == OPENS_AFTER + 1


OTHER_PROCESS = """
import sys
from pathlib import Path
from types import SimpleNamespace
from compliance.registry.sources import Breaker, BreakerState
breaker = Breaker(SimpleNamespace(name='http'), Path(sys.argv[1]), None)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2000):
    breaker.change(BreakerState.failed)
"""


def test_all_processes_share_it_and_no_failure_is_lost(file: Path) -> None:
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, file], cwd=HERE, **pipe) for _ in range(3)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=60)
    assert Breaker(Scripted(""), file, now).state().failures == 6000
    assert play(Breaker(Scripted(""), file, now), 1) == "-"


def test_a_file_that_cannot_be_kept_leaves_it_closed(tmp_path: Path) -> None:
    source = Breaker(Scripted("u" * 9), tmp_path / "nowhere" / "breaker", now)
    assert play(source, 9) == "u" * 9


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 24, b"\0" * 99])
def test_a_damaged_file_does_not_stop_the_asking(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    source = Breaker(Scripted(""), file, now)
    assert play(source, 1) == "g"
    assert source.state()


def test_a_clock_set_back_does_not_keep_it_open(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Breaker(Scripted("uuuuu"), file, now)
    play(source, 5)
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    assert play(source, 1) == "g"


def test_settings_give_each_deployment_and_upstream_its_own(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/gate.db", registry_url="http://127.0.0.1:1")

    def failing(settings: Settings) -> Source:
        source, _ = build(settings, None, now)  # type: ignore[arg-type]
        for _ in range(5):
            with pytest.raises(RegistryUnavailable):
                source.ask(BY_NIB, purpose(0.1))
        return source

    assert breaker_state(failing(settings)).open  # type: ignore[union-attr]
    same, _ = build(settings, None, now)  # type: ignore[arg-type]
    assert breaker_state(same).open  # type: ignore[union-attr]
    for other in (
        replace(settings, registry_url="http://127.0.0.1:2"),
        replace(settings, database_url=f"sqlite:///{tmp_path}/b.db"),
    ):
        fresh, _ = build(other, None, now)  # type: ignore[arg-type]
        assert not breaker_state(fresh).open  # type: ignore[union-attr]


def test_two_hundred_callers_of_a_dead_agency_all_hear_within_the_budget(tmp_path: Path) -> None:
    with Agency(slow(30, says(employer()))) as agency:
        agency.behaviour = lambda wire, request: wire.wait(30)
        source, _ = build(
            Settings(database_url=f"sqlite:///{tmp_path}/gate.db", registry_url=agency.url),
            None,
            now,  # type: ignore[arg-type]
        )
        heard: list[float] = []

        def call() -> None:
            started = time.monotonic()
            with pytest.raises(RegistryUnavailable):
                source.ask(BY_NIB, purpose(1.0))
            heard.append(time.monotonic() - started)

        threads = [threading.Thread(target=call) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(heard) == 200
    assert max(heard) < 2.0
