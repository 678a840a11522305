"""The OpenAPI document says what the program does; schemathesis tries to prove otherwise."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import FlakyStrategyDefinition
from openapi_spec_validator import validate

from compliance import create_app
from compliance.access.clients import Clients
from compliance.database import db
from compliance.deployment import deployment
from config import Settings
from tests.api.conftest import Agency, question
from tests.conftest import Clock

OPEN = {
    "/healthz",
    "/readyz",
    "/.well-known/jwks.json",
    "/api/v1/openapi.json",
    "/api/docs",
    "/api/docs.css",
}
EACH = hypothesis_settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
OURS = re.compile(r"/(api|\.well-known|healthz|readyz)")


def test_the_document_is_valid_and_names_every_path(app: Flask, http: FlaskClient) -> None:
    spec = http.get("/api/v1/openapi.json").get_json()
    validate(spec)
    assert spec["openapi"].startswith("3.1")
    served = {re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    assert {path for path in served if OURS.match(path)} == set(spec["paths"])


def test_every_locked_path_says_its_key_and_its_errors(http: FlaskClient) -> None:
    spec = http.get("/api/v1/openapi.json").get_json()
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            if method not in ("get", "post") or path in OPEN or path.startswith("/api/v1/log"):
                continue
            assert operation["security"], path
            assert operation["summary"], path
            assert {"401", "403", "422", "429", "503", "default"} <= set(operation["responses"]), path
    for name, answer in spec["components"]["responses"].items():
        assert set(answer["content"]) == {"application/problem+json"}, name


def test_a_check_links_to_what_can_be_read_of_it(http: FlaskClient, headers: dict[str, str]) -> None:
    spec = http.get("/api/v1/openapi.json").get_json()
    paths = {
        operation["operationId"]: path
        for path, methods in spec["paths"].items()
        for operation in methods.values()
        if "operationId" in operation
    }
    asked = http.post("/api/v1/checks", json=question(), headers=headers).get_json()
    links = spec["paths"]["/api/v1/checks"]["post"]["responses"]["201"]["links"]
    assert {paths[link["operationId"]] for link in links.values()} == {
        "/api/v1/checks/{check_id}",
        "/api/v1/checks/{check_id}/proof",
        "/api/v1/checks/{check_id}/explain",
    }
    for link in links.values():
        assert link["parameters"] == {"check_id": "$response.body#/id"}
        path = paths[link["operationId"]].format(check_id=asked["id"])
        assert http.get(path, headers=headers).status_code == 200, path


def test_no_path_opens_without_a_key_but_the_listed_ones(app: Flask, http: FlaskClient) -> None:
    for rule in app.url_map.iter_rules():
        path = re.sub("<[^>]+>", "x", rule.rule)
        if not OURS.match(path) or path in OPEN or path.startswith("/api/v1/log"):
            continue
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            assert http.open(path, method=method).status_code == 401, (method, path)
    for path in OPEN:
        assert http.get(path).status_code == 200, path


def test_the_page_loads_nothing_from_elsewhere(http: FlaskClient) -> None:
    page = http.get("/api/docs")
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', page.text)) == {"/api/docs.css", "/api/v1/openapi.json"}
    assert "style-src 'self'" in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for code in ("in_progress", "POST", "/api/v1/checks", "NOT_MET", "hired_last_30_days"):
        assert code in page.text


def test_only_the_operator_is_told_why_the_service_is_not_ready(
    settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    empty = replace(settings, database_url=f"sqlite:///{tmp_path / 'empty.db'}", metrics_token="a long metrics token")
    app = create_app(empty, source=Agency(), clock=clock)
    http = app.test_client()
    told = http.get("/readyz", headers={"Authorization": "Bearer a long metrics token"})
    assert (told.status_code, http.get("/readyz").status_code) == (503, 503)
    assert http.get("/readyz").text == "not ready\n"
    assert "OperationalError" in told.text
    assert http.get("/healthz").text == "ok\n"
    with app.app_context():
        db.engine.dispose()


def test_a_key_that_asks_too_often_waits_and_nothing_is_logged(
    settings: Settings, clock: Clock, entries_of: Callable[..., Any]
) -> None:
    app = create_app(replace(settings, rate_limit=2), source=Agency(), clock=clock)
    headers, read = entries_of(app)
    http = app.test_client()
    answers = [http.post("/api/v1/checks", json=question(), headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].headers["Retry-After"] == "60"
    assert (answers[0].headers["RateLimit-Limit"], answers[0].headers["RateLimit-Remaining"]) == ("2", "1")
    assert (len(read("check")), read("check.refused")) == (2, [])
    clock.tick(seconds=60)
    assert http.post("/api/v1/checks", json=question(), headers=headers).status_code == 201
    other, _ = entries_of(app)
    assert http.get("/api/v1/checks", headers=other).status_code == 200
    with app.app_context():
        db.engine.dispose()


def test_an_address_without_a_good_key_is_limited_and_good_keys_behind_it_are_not(
    settings: Settings, clock: Clock, entries_of: Callable[..., Any]
) -> None:
    app = create_app(replace(settings, rate_limit=3), source=Agency(), clock=clock)
    good, read = entries_of(app)
    http, wrong = app.test_client(), {"Authorization": "Bearer cg.guess.guess"}
    guesses = [http.post("/api/v1/checks", json=question(), headers=wrong) for _ in range(5)]
    assert [answer.status_code for answer in guesses] == [401, 401, 401, 429, 429]
    assert guesses[4].headers["Retry-After"] == "60"
    assert guesses[4].headers["RateLimit-Policy"] == "3;w=60"
    assert http.get("/api/v1/log/checkpoint").status_code == 429
    assert http.get("/api/v1/nothing").status_code == 429
    assert http.get("/healthz").status_code == 200
    assert http.post("/api/v1/checks", json=question(), headers=good).status_code == 201
    elsewhere = {"REMOTE_ADDR": "10.0.0.2"}
    assert http.get("/api/v1/log/checkpoint", environ_overrides=elsewhere).status_code == 200
    assert read("check.refused") == []
    with app.app_context():
        db.engine.dispose()


def test_workers_of_one_host_share_the_limit(settings: Settings, clock: Clock) -> None:
    app = create_app(replace(settings, rate_limit=3), source=Agency(), clock=clock)
    asked = [app.test_client().get("/api/v1/nothing").status_code]
    if not (child := os.fork()):  # as gunicorn makes its workers
        asked = [app.test_client().get("/api/v1/nothing").status_code for _ in range(2)]
        os._exit(asked != [404, 404])
    assert os.waitpid(child, 0)[1] == 0
    assert [*asked, app.test_client().get("/api/v1/nothing").status_code] == [404, 429]
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def entries_of() -> Callable[[Flask], tuple[dict[str, str], Any]]:
    def make(app: Flask) -> tuple[dict[str, str], Any]:
        with app.app_context():
            _, key = Clients(deployment().log, deployment().clock).create("x", ["73.09"], ["check", "read"], by="test")

        def read(kind: str) -> list[Any]:
            with app.app_context():
                return list(deployment().log.entries(kinds=(kind,)))

        return {"Authorization": f"Bearer {key}"}, read

    return make


@pytest.fixture
def schema(app: Flask) -> Any:
    app.extensions["compliance-rate"].most = 10_000_000
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


def left_out() -> list[Any]:
    return [schemathesis.checks.CHECKS.get_one(name) for name in ("positive_data_acceptance", "ignored_auth")]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("share", range(4))
def test_schemathesis_finds_no_crash_and_no_lie(
    app: Flask, schema: Any, new_key: Callable[..., str], share: int
) -> None:
    """More than 5,000 made-up requests over all paths; rules between fields may refuse what the schema allows."""
    headers, sent = {"Authorization": f"Bearer {new_key('check,read,audit')}"}, 0
    operations = [found.ok() for found in schema.get_all_operations()]
    most = -(-5_500 // len(operations))

    def attempts(operation: Any) -> int:
        done = 0

        @hypothesis_settings(EACH, max_examples=most)
        @given(case=operation.as_strategy())
        def attempt(case: Any) -> None:
            nonlocal done
            done += 1
            case.call_and_validate(headers=headers, excluded_checks=left_out())

        attempt()
        return done

    for operation in operations[share::4]:
        sent += attempts(operation)
    with app.app_context():
        assert deployment().log.head()[0] > 0
    assert sent > 100 * len(operations[share::4])


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_an_answer_links_to_can_be_asked(schema: Any, new_key: Callable[..., str]) -> None:
    """Sequences of requests along the links of the description: ask, then read, prove and explain what was asked."""
    headers, asked = {"Authorization": f"Bearer {new_key('check,read,audit')}"}, 0

    class Client(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": headers}

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            nonlocal asked
            asked += 1
            case.validate_response(response, headers=headers, excluded_checks=left_out())

    rounds = hypothesis_settings(
        EACH, max_examples=8, stateful_step_count=8, derandomize=False, phases=[Phase.generate]
    )
    while asked < 400:
        with suppress(FlakyStrategyDefinition):  # the gate remembers what was asked before, so no round repeats another
            Client.run(settings=rounds)
