"""The law from the shell: lint, show, compare, draft holidays, try a draft, replay logged checks."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from compliance import create_app
from compliance.database import db
from compliance.deployment import deployment
from compliance.gate import Asker, Question
from compliance.law import decide, law
from compliance.law.facts import Application, Identity, Scale, Workforce
from compliance.law.law import read_year
from config import Settings
from tests.api.conftest import NIB, UNKNOWN_NIB, Agency
from tests.conftest import Clock

SHIPPED = Path(law.__file__).parent / "data" / "regions" / "73.09.toml"
Run = Callable[..., Result]


@pytest.fixture
def app(settings: Settings, clock: Clock) -> Iterator[Flask]:
    app = create_app(settings, source=Agency(), clock=clock)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def run(app: Flask) -> Run:
    return lambda *words: app.test_cli_runner().invoke(args=["policy", *map(str, words)])


@pytest.fixture
def checked(app: Flask) -> list[str]:
    """Three checks in the log: a firm in order, an unknown one, and a burial, for which nobody is asked."""
    with app.app_context():
        gate = deployment().gate
        return [gate.check(question(nib, permit)).id for nib, permit in CHECKED]


CHECKED = [(NIB, "RESTORAN"), (UNKNOWN_NIB, "KAPAL"), (NIB, "PEMAKAMAN")]


def question(nib: str, permit_type: str) -> Question:
    workforce = Workforce(employs_workers=True, declared=12)
    application = Application(
        permit_type, "73.09", date(2026, 11, 20), scale=Scale.SMALL, workforce=workforce, given=("nib",)
    )
    return Question(f"503/{permit_type}", application, Identity(nib=nib), Asker("operator", "test"))


@pytest.fixture
def draft(tmp_path: Path) -> Callable[[str, str], Path]:
    """The shipped rules of Maros with one thing changed, resting on a regulation that only this test has."""

    def write(old: str, new: str) -> Path:
        text = SHIPPED.read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "draft.toml"
        path.write_text(text.replace(old, new).replace('certainty = "example"', 'certainty = "unverified"'))
        return path

    return write


def test_check_lists_regions_and_ends_with_0_when_all_was_looked_at(run: Run) -> None:
    done = run("check")
    assert done.exit_code == 0, done.output
    assert [line[:5] for line in done.output.splitlines()[:3]] == ["73.08", "73.09", "76.05"]
    assert "the holidays of 2027 are not confirmed" in done.output


def test_check_names_what_nobody_looked_at_for_a_year(run: Run, clock: Clock) -> None:
    clock.tick(days=367)
    done = run("check")
    assert done.exit_code == 1
    assert "not looked at since 2026-11-21: national.toml: due[3] (due)" in done.output
    assert "no table of holidays for 2028" in done.output


def test_check_names_file_and_rule_of_a_bad_policy(run: Run, draft: Callable[[str, str], Path]) -> None:
    path = draft('stage = "advise"', 'stage = "soon"')
    done = run("check", path)
    assert done.exit_code == 1
    assert f"REFUSED: {path}: gate[5].stage: must be one of off, shadow, advise, enforce" in done.output


def test_show_prints_the_law_of_a_day(run: Run) -> None:
    before, after = run("show", "--on", "2025-12-31", "--region", "73.09"), run("show", "--region", "73.09")
    assert before.exit_code == after.exit_code == 0
    assert "KAPAL new" not in before.output
    assert "KAPAL new" in after.output
    assert "Perpres 109/2013 Pasal 6 ayat (3) [text]" in after.output


@pytest.mark.parametrize("words", [("--on", "2021-12-31", "--region", "73.09"), ("--region", "99.99")])
def test_show_refuses_days_before_the_law_and_unknown_regions(run: Run, words: tuple[str, ...]) -> None:
    assert run("show", *words).exit_code == 2


def test_diff_shows_what_changes_and_from_when(run: Run, draft: Callable[[str, str], Path], tmp_path: Path) -> None:
    same = draft("since", "since")
    assert run("diff", same, same).output == "no difference\n"
    one = tmp_path / "one.toml"
    one.write_text(same.read_text())
    done = run("diff", one, draft("arrears.months = 3", "arrears.months = 2"))
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 4
    assert done.output.startswith("- 73.09 gate INDUSTRI new since 2022-01-01: stage enforce;")


def test_a_draft_of_holidays_can_be_read_and_is_not_confirmed(run: Run) -> None:
    drafted = run("holidays", 2026).output
    table = read_year(drafted, "draft")
    assert not table.confirmed
    assert date(2026, 8, 17) in table.names
    assert {row["kind"] for row in tomllib.loads(drafted)["days"]} == {"national", "cuti_bersama"}


@pytest.mark.usefixtures("checked")
def test_flips_tell_who_would_be_stopped_before_a_gate_is_switched_on(run: Run, draft: Callable[..., Path]) -> None:
    path = draft('since = 2026-01-01\nstage = "advise"', 'since = 2026-12-01\nstage = "enforce"')
    done = run("flips", path)
    assert done.exit_code == 1, done.output
    assert "503/KAPAL" in done.output
    assert "NOT_MET/PROCEED -> NOT_MET/STOP STOPPED: NOT_REGISTERED (NOT_MET)" in done.output
    assert "3 checks looked at: 1 would change, 1 of them stopped; 0 cannot be known" in done.output


@pytest.mark.usefixtures("checked")
def test_flips_say_when_nobody_can_know(run: Run, draft: Callable[..., Path]) -> None:
    path = draft('permit_types = ["TENDER"]', 'permit_types = ["TENDER", "PEMAKAMAN"]')
    done = run("flips", path, "--from", "2026-11-20", "--to", "2026-11-20")
    assert "unknown: the agency was not asked then" in done.output
    assert "1 would change, 0 of them stopped; 1 cannot be known" in done.output
    assert "0 checks looked at" in run("flips", path, "--from", "2026-11-21").output


def test_flips_of_a_draft_that_changes_nothing_say_so(run: Run, draft: Callable[..., Path]) -> None:
    assert run("flips", draft("since", "since"), "--region", "99.99").exit_code == 2


def replayed(app: Flask, day: str = "2026-11-20") -> Result:
    words = ["log", "replay", "--from", day, "--to", day, "--by", "test"]
    return app.test_cli_runner().invoke(args=words)


@pytest.mark.usefixtures("checked")
def test_a_replay_from_the_log_alone_comes_out_the_same_and_is_an_entry(app: Flask) -> None:
    done = replayed(app)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("3 checks decided again, 0 differ; entry ")
    with app.app_context():
        entry = next(deployment().log.entries(kinds=("log.replayed",)))
    assert (entry.body["checks"], entry.body["differing"], entry.body["by"]) == (3, 0, "test")


def test_days_of_a_replay_are_days_of_the_region(app: Flask, clock: Clock) -> None:
    """16:00 UTC is midnight in Makassar."""
    with app.app_context():
        gate = deployment().gate
        clock.now = datetime(2026, 11, 20, 15, 59, tzinfo=UTC)
        gate.check(question(NIB, "RESTORAN"))
        clock.now = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
        gate.check(question(NIB, "PEMAKAMAN"))
        gate.check(question(UNKNOWN_NIB, "KAPAL"))
    assert replayed(app, "2026-11-20").output.startswith("1 checks decided again, 0 differ")
    assert replayed(app, "2026-11-21").output.startswith("2 checks decided again, 0 differ")


def test_a_rule_that_was_changed_is_found_by_the_replay(
    app: Flask, checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tuple(rule for rule in decide.RULES if rule.name != "registered")
    monkeypatch.setattr(decide, "RULES", rules)
    done = replayed(app)
    assert done.exit_code == 1
    assert checked[1] in done.output
    assert "/verdict: was 'NOT_MET', is 'MET'" in done.output
    assert "3 checks decided again, 1 differ" in done.output


def test_what_is_shipped_can_be_compared_and_checked_where_it_lies(run: Run, tmp_path: Path) -> None:
    assert run("diff", SHIPPED.parent, SHIPPED.parent).exit_code == 0
    assert "REFUSED" not in run("check", SHIPPED.parent).output
    copy = tmp_path / SHIPPED.name
    copy.write_bytes(SHIPPED.read_bytes())
    assert "certainty example is only for files shipped" in run("check", copy).output


def test_a_file_that_is_no_text_is_refused_and_one_that_cannot_be_written_named(
    app: Flask, run: Run, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"\xff\xfe")
    refused = run("check", bad)
    assert (refused.exit_code, refused.output) == (1, f"REFUSED: {bad}: is not UTF-8\n")
    for words in (["verify", "--head", str(bad)], ["export", f"{bad}/below", "--by", "u1"]):
        told = app.test_cli_runner().invoke(args=["log", *words])
        assert (told.exit_code, told.output.count("\n"), told.output[:7]) == (1, 1, "Error: "), told.output
