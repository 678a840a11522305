"""The OpenAPI document says what the program does; schemathesis tries to prove otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
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
FORTY = hypothesis_settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
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


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_schemathesis_finds_no_crash_and_no_lie(app: Flask, new_key: Callable[..., str]) -> None:
    """Some hundred made-up requests for all paths; rules between fields may refuse what the schema allows."""
    app.extensions["compliance-rate"].most = 1_000_000
    headers = {"Authorization": f"Bearer {new_key('check,read,audit')}"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    checks = schemathesis.checks
    left_out = [checks.CHECKS.get_one(name) for name in ("positive_data_acceptance", "ignored_auth")]

    for result in schema.get_all_operations():
        run(result.ok(), headers, left_out)
    with app.app_context():
        assert deployment().log.head()[0] > 0


def run(operation: Any, headers: dict[str, str], left_out: list[Any]) -> None:
    @FORTY
    @given(case=operation.as_strategy())
    def attempt(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=left_out)

    attempt()
