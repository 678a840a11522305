"""Many checks at once: judged as a whole, asked once each, whoever is killed or out meanwhile."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from compliance import work
from compliance.audit.projection import rebuild
from compliance.batches import reading, run
from compliance.batches.run import BATCH, LINE
from compliance.deployment import Deployment, deployment
from compliance.errors import LogUnavailable
from compliance.registry import sources
from compliance.reports import promises
from config import Settings
from tests.api.conftest import NIB, UNKNOWN_NIB, Agency, question
from tests.conftest import Clock

PATH = "/api/v1/batches"
HEADER = "reference,permit_type,business.nib,business.scale,workforce.employs_workers,workforce.declared,owner.nik"


def table(*lines: str, header: str = HEADER) -> str:
    return "\n".join([header, *lines]) + "\n"


def line(reference: str = "503/1", nib: str = NIB) -> str:
    return f"{reference},RESTORAN,{nib},small,true,12,"


@pytest.fixture
def here(app: Flask) -> Deployment:
    app.extensions["compliance"] = replace(
        app.extensions["compliance"], settings=replace(app.extensions["compliance"].settings, batch_rate=10_000)
    )
    with app.app_context():
        return deployment()


@pytest.fixture
def post(http: FlaskClient, headers: dict[str, str], here: Deployment) -> Callable[..., Any]:
    def send(text: str | bytes, **more: str) -> Any:
        return http.post(PATH, data=text, headers=headers | more, content_type="text/csv; charset=utf-8")

    return send


def results(http: FlaskClient, headers: dict[str, str], batch_id: str) -> list[dict[str, str]]:
    log = http.application.extensions["compliance"].log
    seen = len(list(log.entries(kinds=("access.export",))))
    answer = http.get(f"{PATH}/{batch_id}/results.csv", headers=headers)
    assert answer.mimetype == "text/csv"
    (*_before, said) = [entry.body for entry in log.entries(kinds=("access.export",))][seen:]
    assert (said["what"], said["batch"]) == ("batch", batch_id)
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))


def test_every_line_becomes_a_check_with_a_receipt(
    http: FlaskClient, headers: dict[str, str], post: Callable[..., Any], here: Deployment, entries: Callable[..., Any]
) -> None:
    semicolons = table(line("=1+1"), line("503/2", UNKNOWN_NIB), "").replace(",", ";")
    answer = post("\ufeff" + semicolons)
    batch = answer.get_json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"{PATH}/{batch['id']}")
    assert {**batch, "id": ""} == {"id": "", "state": "queued", "total": 2, "done": 0, "by_verdict": {}}
    while work.do_due(here):
        pass
    batch = http.get(answer.headers["Location"], headers=headers).get_json()
    assert (batch["state"], batch["done"]) == ("done", 2)
    assert batch["by_verdict"] == {"MET": 1, "NOT_MET": 1}
    first, second = results(http, headers, batch["id"])
    check = http.get(f"/api/v1/checks/{first['id']}", headers=headers).get_json()
    assert (first["line"], first["reference"], check["reference"]) == ("1", "'=1+1", "=1+1")
    assert (first["verdict"], first["action"], first["valid_until"]) == ("MET", "PROCEED", check["valid_until"])
    assert first["receipt_code"] == check["receipt"]["code"]
    assert (second["verdict"], second["action"], second["codes"]) == ("NOT_MET", "STOP", "NOT_REGISTERED")
    (started,), (ended,) = entries("batch.started"), entries("batch.ended")
    assert (started["total"], started["regions"], ended["by_verdict"]) == (2, ["73.09"], {"MET": 1, "NOT_MET": 1})
    assert {entry["asker"]["kind"] for entry in entries("check")} == {"client"}


WRONG: list[tuple[str, str | bytes, int, str]] = [
    ("a bad NIB", table(*[line()] * 16, line(nib="812")), 422, "/checks/16/business/nib"),
    ("an empty cell where one is needed", table(line(reference="")), 422, "/checks/0/reference"),
    ("another region", table(line() + ",73.08", header=HEADER + ",region"), 422, "/checks/0/region"),
    ("an unknown column", table(line() + ",x", header=HEADER + ",gaji"), 422, ""),
    ("a column twice", table(line() + ",x", header=HEADER + ",reference"), 422, ""),
    ("too few cells", table(line(), "503/1,RESTORAN"), 422, "/checks/1"),
    ("a word for a number", table(line().replace("12", "dua belas")), 422, "/checks/0/workforce/declared"),
    ("a maybe", table(line().replace("true", "mungkin")), 422, "/checks/0/workforce/employs_workers"),
    ("a control character", table(line("503\x07")), 422, "/checks/0/reference"),
    ("a NUL", table(line("503\x00")), 422, "/checks/0/reference"),
    ("only a header", table(), 422, "/checks"),
    ("nothing", "", 422, ""),
    ("not UTF-8", table(line("503/é")).encode("latin-1"), 422, ""),
    ("an endless cell", table('"' + "x" * 200_000), 422, ""),
]


def test_one_bad_line_is_named_and_nothing_runs(
    post: Callable[..., Any], here: Deployment, entries: Callable[..., Any]
) -> None:
    failed = {}
    for name, text, status, pointer in WRONG:
        answer = post(text)
        pointers = [error["pointer"] for error in answer.get_json().get("errors", [])]
        if answer.status_code != status or pointer not in pointers:
            failed[name] = answer.text
    assert not failed
    with here.log.engine.connect() as connection:
        assert connection.execute(select(LINE)).all() == []
    assert (entries("batch.started"), entries("check")) == ([], [])
    assert len(entries("check.refused")) == len(WRONG)


def test_json_is_read_as_strictly(http: FlaskClient, headers: dict[str, str], here: Deployment) -> None:
    for body, status, pointer in (
        ({"checks": [question(), question(business__nib="812")]}, 422, "/checks/1/business/nib"),
        ({"checks": []}, 422, "/checks"),
        ({"checks": {}}, 422, "/checks"),
        ({"checks": ["x"]}, 422, "/checks/0"),
        ([question()], 422, "/checks"),
    ):
        answer = http.post(PATH, json=body, headers=headers)
        assert (answer.status_code, pointer in [e["pointer"] for e in answer.get_json()["errors"]]) == (status, True)
    assert http.post(PATH, data="x", headers=headers, content_type="text/plain").status_code == 415
    assert http.post(PATH, json={"checks": [question()]}, headers=headers).status_code == 202


def test_more_than_the_most_is_not_taken(post: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST", 3)
    assert post(table(*[line()] * 3)).status_code == 202
    assert post(table(*[line()] * 4)).status_code == 413
    assert post(table(line()) + "\n" * reading.MOST_BYTES).status_code == 413


def test_only_a_few_large_lists_are_read_at_once_and_small_ones_always(
    post: Callable[..., Any], here: Deployment, entries: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = table(*(line(f"503/{n}") for n in range(9))), table(line())
    monkeypatch.setattr(reading, "LARGE", len(small))
    with ExitStack() as busy:
        for _ in range(reading.AT_ONCE):
            busy.enter_context(reading.turn(None, AssertionError("there is room")))
        answer = post(large)
        assert (answer.status_code, answer.get_json()["code"]) == (429, "too_many_requests")
        assert int(answer.headers["Retry-After"]) > 0
        assert (entries("batch.started"), entries("check.refused")) == ([], [])
        assert post(small).status_code == 202
    assert post(large.replace("12", "x")).status_code == 422  # what was wrong gives its place back too
    assert [post(large).status_code for _ in range(reading.AT_ONCE + 1)] == [202] * (reading.AT_ONCE + 1)


def test_a_thousand_wrong_fields_are_named_and_the_rest_counted(post: Callable[..., Any]) -> None:
    errors = post(table(*[line(nib="812")] * 1_200)).get_json()["errors"]
    assert (len(errors), errors[-1]["detail"]) == (1_001, "and 200 more wrong fields")


def test_the_same_key_is_the_same_batch(
    post: Callable[..., Any], here: Deployment, entries: Callable[..., Any]
) -> None:
    once = {"Idempotency-Key": "list of November"}
    first, again = post(table(line()), **once), post(table(line()), **once)
    assert (first.status_code, again.status_code, again.headers["Idempotent-Replayed"]) == (202, 200, "true")
    assert first.get_json() == again.get_json()
    assert post(table(line("other")), **once).status_code == 422
    assert len(entries("batch.started")) == 1


def test_a_batch_of_another_region_is_not_there(
    post: Callable[..., Any], http: FlaskClient, new_key: Callable[..., str]
) -> None:
    path = post(table(line())).headers["Location"]
    foreign = {"Authorization": f"Bearer {new_key(regions=('73.08',))}"}
    assert {http.get(path + more, headers=foreign).status_code for more in ("", "/results.csv")} == {404}
    assert http.post(path + "/cancel", headers=foreign).status_code == 404
    assert http.get(f"{PATH}/nothing", headers=foreign).status_code == 404


def test_what_was_stated_is_sealed_and_gone_when_it_is_answered(
    post: Callable[..., Any], here: Deployment, agency: Agency
) -> None:
    nik = "7309054403880002"
    post(table(line("503/1") + nik, line("503/2") + nik))
    with here.log.engine.connect() as connection:
        rows = connection.execute(select(LINE)).all()
        assert len(rows) == 2
        assert nik.encode() not in b"".join(row.sealed for row in rows)
    work.do_due(here)
    with here.log.engine.connect() as connection:
        assert {row.sealed for row in connection.execute(select(LINE))} == {None}


def test_a_worker_that_dies_after_a_check_leaves_no_second_one(
    post: Callable[..., Any], here: Deployment, clock: Clock, entries: Callable[..., Any], agency: Agency,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Killed between a check's entry and the note about it: the line comes back when the lease ends."""
    batch = post(table(*(line(f"503/{n}") for n in range(5)))).get_json()["id"]
    monkeypatch.setattr(run, "NOTE", None)
    assert work.do_due(here)
    monkeypatch.undo()
    (asked, checks) = (len(agency.told), len(entries("check")))
    assert checks == 5
    while work.do_due(here):
        pass
    assert run.status(here.log.engine, batch).done == 0
    clock.tick(minutes=12)
    while work.do_due(here):
        pass
    found = run.status(here.log.engine, batch)
    assert (found.state, found.done, len(entries("check")), len(agency.told)) == ("done", 5, checks, asked)


def test_many_workers_share_a_batch_and_ask_each_line_once(
    post: Callable[..., Any], here: Deployment, entries: Callable[..., Any]
) -> None:
    batch = post(table(*(line(f"503/{n}") for n in range(60)))).get_json()["id"]
    slow = replace(here, settings=replace(here.settings, batch_rate=5))  # ten lines at a time
    fast = replace(here, settings=replace(here.settings, batch_rate=7_000))
    threads = [threading.Thread(target=run.ask_lines, args=(one, work.Row("batch", "1", 1))) for one in (fast, fast)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.ask_lines(slow, work.Row("batch", "1", 1))
    references = [entry["reference"] for entry in entries("check")]
    assert (len(references), len(set(references))) == (60, 60)
    assert run.status(here.log.engine, batch).state == "done"


@pytest.mark.parametrize("most", [10, 1])
def test_batches_take_fair_turns_however_long_the_first_one_is(
    post: Callable[..., Any], here: Deployment, clock: Clock, entries: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch, most: int,
) -> None:  # fmt: skip
    """What came later has its share of every take, and so of any piece of the log, until it is done."""
    monkeypatch.setattr(run, "AT_ONCE", most / here.settings.batch_rate)
    monkeypatch.setattr(run, "SLICE", 60.0)
    post(table(*(line(f"huge {n}") for n in range(60))))
    for name, lines in (("small", 12), ("tiny", 2)):
        clock.tick(hours=1)
        post(table(*(line(f"{name} {n}") for n in range(lines))))
    run.ask_lines(here, work.Row("batch", "1", 1))
    order = [entry["reference"].partition(" ")[0] for entry in entries("check")]
    assert {name: order.count(name) for name in order} == {"huge": 60, "small": 12, "tiny": 2}
    assert "tiny" not in order[2 * 3 + most :]
    assert "small" not in order[2 * 12 + 2 + most :]
    assert order[: 2 * 12 + 2 + most].count("huge") >= 12


def test_lines_that_wait_again_do_not_hold_their_batch_back(
    post: Callable[..., Any], here: Deployment, agency: Agency, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small batch that was asked during an outage is asked again in its turn, before a huge one is through."""
    monkeypatch.setattr(run, "AT_ONCE", 2 / here.settings.batch_rate)
    monkeypatch.setattr(run, "SLICE", 60.0)
    small = post(table(line("503/1"))).get_json()["id"]
    agency.fails = True
    run.ask_lines(here, work.Row("batch", "1", 1))
    huge = post(table(*(line(f"huge {n}") for n in range(40)))).get_json()["id"]
    agency.fails = False
    clock.tick(minutes=6)
    ask, asked = run._ask, list[str]()
    monkeypatch.setattr(run, "_ask", lambda here, one, begin: asked.append(one.batch_id) or ask(here, one, begin))
    run.ask_lines(here, work.Row("batch", "1", 1))
    assert small in asked[:2]
    assert asked.count(huge) == 40


def test_all_hosts_keep_one_pace(post: Callable[..., Any], here: Deployment) -> None:
    with here.log.engine.begin() as connection:
        begins = [run._reserve(connection, 0.5) for _ in range(4)]
    assert [round(later - begins[0], 2) for later in begins] == [0, 0.5, 1, 1.5]


def test_an_outage_is_waited_for_and_a_day_is_the_end(
    http: FlaskClient, headers: dict[str, str], post: Callable[..., Any], here: Deployment, agency: Agency,
    clock: Clock, entries: Callable[..., Any],
) -> None:  # fmt: skip
    batch = post(table(line("503/1"), line("503/2", UNKNOWN_NIB))).get_json()["id"]
    agency.fails = True
    work.do_due(here)
    found = run.status(here.log.engine, batch)
    assert (found.state, found.done, found.by_verdict) == ("queued", 0, {})
    assert {row["verdict"] for row in results(http, headers, batch)} == {"UNDETERMINED"}
    with here.log.engine.connect() as connection:
        assert connection.scalars(select(work.WORK.c.id).where(work.WORK.c.id.startswith("reask:"))).all() == []
    agency.fails = False
    clock.tick(minutes=6)
    while work.do_due(here):
        pass
    first, second = results(http, headers, batch)
    assert (first["verdict"], second["verdict"]) == ("MET", "NOT_MET")
    assert http.get(f"/api/v1/checks/{first['id']}", headers=headers).get_json()["replaces"]
    late = post(table(line("503/3", "8120009999999"))).get_json()["id"]
    agency.fails = True
    for _ in range(26):
        work.do_due(here)
        clock.tick(hours=1)
    found = run.status(here.log.engine, late)
    assert (found.state, found.by_verdict) == ("done", {"UNDETERMINED": 1})


def test_a_cancelled_batch_asks_no_more_and_forgets_what_waited(
    http: FlaskClient, headers: dict[str, str], post: Callable[..., Any], here: Deployment, agency: Agency
) -> None:
    path = post(table(line(), line("503/2"))).headers["Location"]
    answer = http.post(path + "/cancel", headers=headers)
    assert (answer.status_code, answer.get_json()["state"]) == (200, "cancelled")
    while work.do_due(here):
        pass
    assert agency.told == []
    assert {row["error"] for row in results(http, headers, answer.get_json()["id"])} == {"cancelled"}
    with here.log.engine.connect() as connection:
        assert {row.sealed for row in connection.execute(select(LINE))} == {None}
    assert http.post(path + "/cancel", headers=headers).get_json()["state"] == "cancelled"


def test_a_line_that_cannot_be_asked_any_more_says_why_and_the_others_go_on(
    http: FlaskClient, headers: dict[str, str], post: Callable[..., Any], here: Deployment, agency: Agency
) -> None:
    batch = post(table(line("503/1"), line("503/2"))).get_json()["id"]
    with here.log.engine.begin() as connection:
        sealed = here.box(f"batch|{batch}").encrypt(json.dumps(["client", "x", {"region": "73.09"}]).encode())
        connection.execute(update(LINE).where(LINE.c.line == 1).values(sealed=sealed))
    while work.do_due(here):
        pass
    first, second = results(http, headers, batch)
    assert "/reference" in first["error"]
    assert second["verdict"] == "MET"
    assert http.get(f"{PATH}/{batch}", headers=headers).get_json()["done"] == 2


def test_without_the_log_there_is_no_answer_and_the_line_comes_back(
    post: Callable[..., Any], here: Deployment, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = post(table(line())).get_json()["id"]

    def full(*args: Any, **more: Any) -> Any:
        raise LogUnavailable("the disk is full")

    monkeypatch.setattr(here.log, "append", full)
    work.do_due(here)
    monkeypatch.undo()
    clock.tick(hours=1)
    while work.do_due(here):
        pass
    assert run.status(here.log.engine, batch).by_verdict == {"MET": 1}


def test_the_log_rebuilds_the_batches_and_no_line_is_asked_again(
    post: Callable[..., Any], here: Deployment, agency: Agency, clock: Clock
) -> None:
    batch = post(table(line())).get_json()["id"]
    while work.do_due(here):
        pass
    before, asked = run.status(here.log.engine, batch), len(agency.told)
    rebuild(here.log)
    clock.tick(minutes=5)
    while work.do_due(here):
        pass
    assert (run.status(here.log.engine, batch), len(agency.told)) == (before, asked)


def test_lines_whose_batch_was_never_logged_are_forgotten(
    post: Callable[..., Any], here: Deployment, clock: Clock
) -> None:
    post(table(line()))
    with here.log.engine.begin() as connection:
        connection.execute(BATCH.delete())
    clock.tick(days=8)
    work.do_due(here)
    with here.log.engine.connect() as connection:
        assert connection.execute(select(LINE)).all() == []


def test_a_key_that_only_checks_sees_no_reasons_of_a_rule_on_trial(
    http: FlaskClient, new_key: Callable[..., str], here: Deployment
) -> None:
    """HOTEL was on trial until 2026-09-30 (contract §7)."""
    asked = {"checks": [question(permit_type="HOTEL", as_at="2026-09-30", business__nib=UNKNOWN_NIB)]}
    for scopes, codes in (("check", ""), ("check,read", "NOT_REGISTERED")):
        headers = {"Authorization": f"Bearer {new_key(scopes)}"}
        batch = http.post(PATH, json=asked, headers=headers).get_json()["id"]
        while work.do_due(here):
            pass
        (row,) = results(http, headers, batch)
        assert (row["codes"], row["action"]) == (codes, "PROCEED")


def test_the_day_of_a_line_is_the_day_it_was_given(
    post: Callable[..., Any], here: Deployment, clock: Clock, entries: Callable[..., Any]
) -> None:
    post(table(line()))
    clock.tick(days=1)
    while work.do_due(here):
        pass
    assert [entry["facts"]["application"]["as_at"] for entry in entries("check")] == ["2026-11-20"]
    assert timedelta(minutes=1) > run.IDLE


def test_workers_that_are_killed_and_many_at_once_make_no_second_check(
    settings: Settings, entries: Callable[..., Any], post: Callable[..., Any], here: Deployment
) -> None:
    """Real processes, kill -9 in the middle, two at once on one database: each line has one check and one only."""
    batch = post(table(*(line(f"503/{n}") for n in range(120)))).get_json()["id"]
    env = os.environ | {"DATABASE_URL": settings.database_url, "SECRET_KEY": settings.secret_key, "DEMO": "1"}
    env |= {"LOG_SIGNING_KEY": str(settings.log_signing_key), "LOG_ORIGIN": settings.log_origin, "BATCH_RATE": "40"}
    env |= {"REGISTRY": "sandbox", "FLASK_SKIP_DOTENV": "1"}
    code = "import wsgi, time; from compliance import work; here = wsgi.app.extensions['compliance']\n"
    code += "ctx = wsgi.app.app_context(); ctx.push()\nwhile True:\n    work.do_due(here) or time.sleep(0.1)"

    def workers(count: int) -> list[subprocess.Popen[bytes]]:
        return [subprocess.Popen([sys.executable, "-c", code], env=env) for _ in range(count)]

    def until(enough: Callable[[], bool]) -> None:
        for _ in range(1200):
            if enough():
                return
            time.sleep(0.05)
        pytest.fail("the workers did not come so far within a minute")

    (victim,) = workers(1)
    until(lambda: len(entries("check")) >= 10)
    victim.kill()
    victim.wait()
    with here.log.engine.begin() as connection:  # as if the lease had ended
        past = datetime(2026, 11, 20, tzinfo=UTC)
        connection.execute(update(LINE).where(LINE.c.due_at.is_not(None)).values(due_at=past))
        connection.execute(update(work.WORK).where(work.WORK.c.id.startswith("batch:")).values(due_at=past))
    pair = workers(2)
    try:
        until(lambda: run.status(here.log.engine, batch).state == "done")
    finally:
        for one in pair:
            one.kill()
            one.wait()
    references = [entry["reference"] for entry in entries("check")]
    assert (len(references), len(set(references))) == (120, 120)
    assert len(entries("batch.ended")) == 1


def test_while_the_breaker_is_open_lines_wait_and_one_looks(
    post: Callable[..., Any], here: Deployment, agency: Agency, clock: Clock, entries: Callable[..., Any],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    breaker = sources.Breaker(agency, tmp_path / "breaker", clock)
    monkeypatch.setattr(here.gate, "source", breaker)

    def eleven_seconds_pass() -> None:
        breaker.change(lambda state: state._replace(probed=state.probed - 11))

    here = replace(here, settings=replace(here.settings, batch_rate=3))  # six lines at a time
    batch = post(table(*(line(f"503/{n}", f"8120000000{n:03d}") for n in range(20)))).get_json()["id"]
    agency.fails = True
    again = run.ask_lines(here, work.Row("batch", "1", 1))
    assert (len(entries("check")), breaker.state().open, again > clock.now) == (6, True, True)
    asked = len(agency.told)
    eleven_seconds_pass()
    run.ask_lines(here, work.Row("batch", "1", 1))
    assert (len(agency.told), len(entries("check"))) == (asked + 1, 7)
    agency.fails = False
    here = replace(here, settings=replace(here.settings, batch_rate=10_000))
    eleven_seconds_pass()
    run.ask_lines(here, work.Row("batch", "1", 1))
    clock.tick(minutes=10)
    run.ask_lines(here, work.Row("batch", "1", 1))
    found = run.status(here.log.engine, batch)
    assert (found.state, found.by_verdict) == ("done", {"NOT_MET": 20})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_list_from_the_shell(app: Flask, here: Deployment, tmp_path: Path, entries: Callable[..., Any]) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.json"
    good.write_text(table(line("503/1"), line("503/2", UNKNOWN_NIB)), encoding="utf-8")
    bad.write_text(json.dumps({"checks": [question(business__nib="812")]}), encoding="utf-8")
    runner = app.test_cli_runner()
    refused = runner.invoke(args=["batch", str(bad)])
    assert (refused.exit_code, "/checks/0/business/nib" in refused.output) == (1, True)
    assert entries("batch.started") == []
    app.extensions["compliance"] = replace(here, settings=replace(here.settings, region="73.09"))
    done = runner.invoke(args=["batch", str(good), "--results", str(tmp_path / "out.csv")])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["verdict"] for row in rows] == ["MET", "NOT_MET"]


def test_a_batch_with_a_key_breaks_no_promise(post: Callable[..., Any], here: Deployment) -> None:
    assert post(table(line()), **{"Idempotency-Key": "k"}).status_code == 202
    assert promises.prove(here, [], by="test", most=100)["promises"]["entry"]["kept"]
