"""The same key and body are one check: replays, races, failures and deaths."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from ulid import ULID

from compliance.access import once
from compliance.access.once import OnceKey
from compliance.audit import projection
from compliance.batches import run
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import AskedInProgress, LogUnavailable
from tests.api.conftest import Agency, question
from tests.conftest import Clock

PATH = "/api/v1/checks"


@pytest.fixture
def once_headers(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, "Idempotency-Key": "503-0123-1"}


def test_the_same_question_is_asked_once(
    http: FlaskClient, once_headers: dict[str, str], agency: Agency, entries: Callable[..., Any], clock: Clock
) -> None:
    first = http.post(PATH, json=question(), headers=once_headers)
    clock.tick(days=29)
    again = http.post(PATH, data=_reordered(), headers=once_headers, content_type="application/json")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.data == first.data
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    assert (len(agency.told), len(entries("check"))) == (1, 1)


def _reordered() -> bytes:
    """The same document in another notation: RFC 8785 makes the two equal."""
    return b"""{"workforce": {"declared": 12.0, "employs_workers": true}, "permit_type": "RESTOR\\u0041N",
        "business": {"scale": "small", "nib": "8120001234567", "name": "CV Sumber Rejeki"},
        "reference": "503/0123/DPMPTSP/2026"}"""


def test_another_body_under_the_same_key_is_refused(http: FlaskClient, once_headers: dict[str, str]) -> None:
    http.post(PATH, json=question(), headers=once_headers)
    answer = http.post(PATH, json=question(reference="other"), headers=once_headers)
    assert answer.status_code == 422


def test_a_key_belongs_to_its_client(
    http: FlaskClient, once_headers: dict[str, str], new_key: Callable[..., str]
) -> None:
    other = {**once_headers, "Authorization": f"Bearer {new_key()}"}
    answers = [http.post(PATH, json=question(), headers=headers) for headers in (once_headers, other)]
    assert [answer.status_code for answer in answers] == [201, 201]


def test_a_key_ends_after_thirty_days(http: FlaskClient, once_headers: dict[str, str], clock: Clock) -> None:
    http.post(PATH, json=question(), headers=once_headers)
    clock.tick(days=30)
    assert http.post(PATH, json=question(reference="other"), headers=once_headers).status_code == 201


@pytest.mark.parametrize("wrong", ["", "x" * 129, "ü", "a\tb"])
def test_a_key_is_printable_ascii(http: FlaskClient, headers: dict[str, str], wrong: str) -> None:
    answer = http.post(PATH, json=question(), headers={**headers, "Idempotency-Key": wrong})
    assert answer.status_code == 422, answer.text


def test_a_refused_request_leaves_the_key_free(http: FlaskClient, once_headers: dict[str, str]) -> None:
    assert http.post(PATH, json=question(business__nib="1"), headers=once_headers).status_code == 422
    assert http.post(PATH, json=question(), headers=once_headers).status_code == 201


def test_a_failed_append_leaves_the_key_free(
    app: Flask, http: FlaskClient, once_headers: dict[str, str], monkeypatch: Any
) -> None:
    def full(*args: Any, **more: Any) -> Any:
        raise LogUnavailable("the disk is full")

    with app.app_context(), monkeypatch.context() as broken:
        broken.setattr(deployment().log, "append", full)
        assert http.post(PATH, json=question(), headers=once_headers).status_code == 503
    assert http.post(PATH, json=question(reference="other"), headers=once_headers).status_code == 201


def test_an_undetermined_answer_holds_until_its_retry_and_is_then_asked_again(
    http: FlaskClient, once_headers: dict[str, str], agency: Agency, clock: Clock, entries: Callable[..., Any]
) -> None:
    agency.fails = True
    first = http.post(PATH, json=question(), headers=once_headers)
    assert first.get_json()["verdict"] == "UNDETERMINED"
    clock.tick(minutes=4)
    held = http.post(PATH, json=question(), headers=once_headers)
    assert (held.status_code, held.data) == (200, first.data)
    agency.fails = False
    clock.tick(minutes=1)
    second = http.post(PATH, json=question(), headers=once_headers)
    assert (second.status_code, second.get_json()["verdict"]) == (201, "MET")
    assert second.get_json()["replaces"] == first.get_json()["id"]
    assert http.post(PATH, json=question(), headers=once_headers).data == second.data
    assert http.post(PATH, json=question(reference="other"), headers=once_headers).status_code == 422
    old = http.get(first.headers["Location"], headers=once_headers).get_json()
    assert old["superseded_by"] == second.get_json()["id"]
    assert len(entries("check")) == 2


def test_a_failed_second_asking_falls_back_to_the_first_answer(
    app: Flask, http: FlaskClient, once_headers: dict[str, str], agency: Agency, clock: Clock, monkeypatch: Any
) -> None:
    agency.fails = True
    first = http.post(PATH, json=question(), headers=once_headers)
    clock.tick(minutes=6)

    def full(*args: Any, **more: Any) -> Any:
        raise LogUnavailable("the disk is full")

    with app.app_context(), monkeypatch.context() as broken:
        broken.setattr(deployment().log, "append", full)
        assert http.post(PATH, json=question(), headers=once_headers).status_code == 503
    assert http.post(PATH, json=question(reference="other"), headers=once_headers).status_code == 422
    third = http.post(PATH, json=question(), headers=once_headers)
    assert (third.status_code, third.get_json()["replaces"]) == (201, first.get_json()["id"])


def test_twenty_at_once_are_one_check(
    app: Flask, once_headers: dict[str, str], agency: Agency, entries: Callable[..., Any]
) -> None:
    agency.waits = threading.Event()
    answers: list[Any] = []

    def ask() -> None:
        answers.append(app.test_client().post(PATH, json=question(), headers=once_headers))

    first = threading.Thread(target=ask)
    first.start()
    assert agency.asked.wait(20)
    others = [threading.Thread(target=ask) for _ in range(19)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    assert [answer.status_code for answer in answers] == [409] * 19
    agency.waits.set()
    first.join()
    assert answers[-1].status_code == 201
    assert (len(agency.told), len(entries("check"))) == (1, 1)


def test_a_race_for_a_new_key_has_one_winner(
    app: Flask, once_headers: dict[str, str], entries: Callable[..., Any]
) -> None:
    start, answers = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        answers.append(app.test_client().post(PATH, json=question(), headers=once_headers))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}
    assert len(entries("check")) == 1


class Died(BaseException):
    """What happens to a worker that is killed: no handler of ours sees it."""


@pytest.mark.parametrize("written", [False, True])
def test_a_request_that_died_frees_its_key_after_the_timeout(
    app: Flask,
    http: FlaskClient,
    once_headers: dict[str, str],
    agency: Agency,
    clock: Clock,
    entries: Callable[..., Any],
    monkeypatch: Any,
    written: bool,
) -> None:
    def die(key: Any, row: Any, ask: Any, due: Any) -> Any:
        if written:
            ask(row["check_id"], row["replaces"])
        raise Died

    with monkeypatch.context() as killed:
        killed.setattr(once, "_ask", die)
        with pytest.raises(Died):
            http.post(PATH, json=question(), headers=once_headers)
    clock.tick(seconds=17)
    assert http.post(PATH, json=question(), headers=once_headers).status_code == 409
    clock.tick(seconds=1)
    answer = http.post(PATH, json=question(), headers=once_headers)
    assert answer.status_code == (200 if written else 201)
    assert (len(agency.told), len(entries("check"))) == (1, 1)
    assert http.post(PATH, json=question(), headers=once_headers).data == answer.data


def test_a_page_waits_for_the_first_of_two_clicks(app: Flask, agency: Agency) -> None:
    """What the clerk's form does with its hidden key."""
    with app.app_context():
        key, answers, inside = OnceKey("user", "/periksa", "k"), [], threading.Event()
        go_on = threading.Event()

        def slow(check_id: str, replaces: str | None) -> Any:
            from compliance.gate import Recorded

            inside.set()
            assert go_on.wait(20)
            return Recorded(check_id, 1, '{"retry_after": null}')

        def first() -> None:
            with app.app_context():
                answers.append(once.run(key, {}, slow, lambda found: None, timeout=8.0))

        thread = threading.Thread(target=first)
        thread.start()
        assert inside.wait(20)
        with pytest.raises(AskedInProgress):
            once.run(key, {}, slow, lambda found: None, timeout=8.0, wait=0.2)
        go_on.set()
        thread.join()
        db.session.remove()
    assert answers[0][1] is False


ASKS = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "x", "y", "breaks"])), min_size=2, max_size=8)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(asks=ASKS)
def test_whatever_races_a_key_is_one_check_of_one_body(
    app: Flask, headers: dict[str, str], agency: Agency, entries: Callable[..., Any], asks: list[tuple[str, str]]
) -> None:
    """Requests at once, under two keys, with several bodies, of which some die inside: never two answers to one key."""
    run, start, known = str(ULID()), threading.Barrier(len(asks)), agency.ask
    before, told = len(entries("check")), defaultdict[str, list[Any]](list)

    def fragile(ask: Any, purpose: Any) -> Any:
        if purpose.reference.endswith("breaks"):
            raise RuntimeError("the request dies inside")
        return known(ask, purpose)

    def ask(key: str, body: str) -> Any:
        once = {**headers, "Idempotency-Key": f"{run}-{key}"}
        return app.test_client().post(PATH, json=question(reference=f"{run[-20:]}-{body}"), headers=once)

    def race(key: str, body: str) -> None:
        start.wait()
        told[key].append((body, ask(key, body)))

    agency.ask = fragile  # type: ignore[method-assign]
    threads = [threading.Thread(target=race, args=asked) for asked in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key, answers in told.items():
        assert {answer.status_code for _, answer in answers} <= {200, 201, 409, 422, 500}
        good = [(body, answer.data) for body, answer in answers if answer.status_code in (200, 201)]
        assert len(set(good)) <= 1, "two answers to one key"
        assert sum(answer.status_code == 201 for _, answer in answers) == bool(good)
        again = ask(key, good[0][0] if good else "x")
        assert again.status_code == (200 if good else 201)
        assert not good or again.data == good[0][1]
        assert ask(key, "other").status_code == 422
    assert len(entries("check")) - before == len(told)
    agency.ask = known  # type: ignore[method-assign]


def behind(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The tables that show this kind of entry cannot be written."""

    def fails(connection: Any, entry: Any) -> None:
        raise ValueError("a bug in a table")

    monkeypatch.setitem(projection._projectors, kind, [fails])


def test_a_check_whose_table_is_behind_is_the_same_check(
    http: FlaskClient, once_headers: dict[str, str], entries: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        behind(patched, "check")
        first = http.post(PATH, json=question(), headers=once_headers)
        again = http.post(PATH, json=question(), headers=once_headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.data == first.data
    assert len(entries("check")) == 1


@pytest.mark.parametrize("lost", ["table", "database"])
def test_a_batch_that_cannot_be_shown_yet_is_not_started_twice(
    app: Flask,
    http: FlaskClient,
    once_headers: dict[str, str],
    entries: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
) -> None:
    def away(*args: Any) -> Any:
        raise OperationalError("", {}, Exception("the server went away"))

    def send() -> Any:
        return http.post("/api/v1/batches", json={"checks": [question()]}, headers=once_headers)

    with monkeypatch.context() as patched:
        if lost == "table":
            behind(patched, "batch.started")
        else:
            patched.setattr(run, "status", away)
        assert send().status_code == (404 if lost == "table" else 503)
        assert send().status_code == (404 if lost == "table" else 503)
    with app.app_context():
        projection.catch_up(deployment().log)
    assert send().status_code == 200
    assert len(entries("batch.started")) == 1


def test_an_earlier_release_is_told_when_to_ask_again(
    app: Flask, http: FlaskClient, once_headers: dict[str, str], agency: Agency
) -> None:
    """It goes by the key's row, and serves beside this one during an upgrade."""
    agency.fails = True
    told = http.post(PATH, json=question(), headers=once_headers).get_json()["retry_after"]
    with app.app_context():
        row = db.session.execute(once.ONCE.select()).one()
    assert row.ask_again_at == datetime.fromisoformat(told)
