"""Webhooks: signed, retried, told once, and never to whom they are not for."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from compliance import work
from compliance.access.clients import Client, Clients
from compliance.audit.projection import rebuild
from compliance.batches import run
from compliance.database import db
from compliance.delivery import outbox
from compliance.deployment import Deployment, deployment
from compliance.errors import BadInput
from tests.api.conftest import Agency, question
from tests.conftest import Clock
from tests.registry.agency import Agency as Listener
from tests.registry.agency import Behaviour, in_turn, response, says

TAKEN = says(b"", 204)


@pytest.fixture
def here(app: Flask) -> Deployment:
    with app.app_context():
        return deployment()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener(TAKEN) as running:
        yield running


@pytest.fixture
def client(app: Flask, key: str) -> Client:
    with app.app_context():
        return Clients(deployment().log, deployment().clock).all()[0]


@pytest.fixture
def hook(here: Deployment, client: Client, listener: Listener) -> outbox.Hook:
    url = f"{listener.url}/perizinan/gate"
    return outbox.set_hook(here, client, url, by="test")


def run_all(app: Flask, here: Deployment) -> None:
    with app.app_context():
        while work.do_due(here):
            pass


@pytest.fixture
def final(
    app: Flask, http: FlaskClient, headers: dict[str, str], agency: Agency, clock: Clock, here: Deployment
) -> Callable[[], str]:
    """A check that had no answer gets one; returns the id of the final one."""

    def make() -> str:
        agency.fails = True
        first = http.post("/api/v1/checks", json=question(), headers=headers).get_json()
        assert first["verdict"] == "UNDETERMINED"
        agency.fails = False
        clock.tick(minutes=10)
        run_all(app, here)
        again = http.get(f"/api/v1/checks/{first['id']}", headers=headers).get_json()
        return str(again["superseded_by"])

    return make


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver does it (docs/integration.md)."""
    parts = dict(part.split("=", 1) for part in headers["x-gate-signature"].split(","))
    signed = hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(signed, parts["v1"])


def test_the_final_answer_is_told_as_the_api_gives_it(
    final: Callable[[], str], hook: outbox.Hook, listener: Listener, http: FlaskClient, headers: dict[str, str],
    here: Deployment, entries: Callable[..., Any],
) -> None:  # fmt: skip
    check_id = final()
    (told,) = listener.requests
    assert (told.method, told.path, told.headers["content-type"]) == ("POST", "/perizinan/gate", "application/json")
    assert told.headers["x-gate-event"] == "check.final"
    assert told.body == http.get(f"/api/v1/checks/{check_id}", headers=headers).data
    assert verified(hook.secret(here.settings.secret_key), told.headers, told.body)
    assert not verified(hook.secret("another secret of another gate"), told.headers, told.body)
    assert not verified(hook.secret(here.settings.secret_key), told.headers, told.body + b" ")
    (sent,) = entries("delivery.sent")
    assert (sent["subject"], sent["tries"], sent["status"]) == (check_id, 1, 204)


def test_what_was_not_taken_is_told_again_under_the_same_id(
    app: Flask, final: Callable[[], str], hook: outbox.Hook, listener: Listener, here: Deployment, clock: Clock,
    entries: Callable[..., Any],
) -> None:  # fmt: skip
    listener.behaviour = in_turn(says(b"", 500), lambda wire, request: wire.reset(), says(b"", 404), TAKEN)
    final()
    for _ in range(3):
        assert entries("delivery.sent") == []
        clock.tick(minutes=6)
        run_all(app, here)
    assert len(listener.requests) == 4
    assert len({told.headers["x-gate-delivery"] for told in listener.requests}) == 1
    assert len({told.body for told in listener.requests}) == 1
    assert len({told.headers["x-gate-signature"] for told in listener.requests}) == 4
    secret = hook.secret(here.settings.secret_key)
    assert all(verified(secret, told.headers, told.body) for told in listener.requests)
    assert [sent["tries"] for sent in entries("delivery.sent")] == [4]
    run_all(app, here)
    assert len(listener.requests) == 4


def test_after_three_days_it_is_given_up_and_the_log_says_so(
    app: Flask, final: Callable[[], str], hook: outbox.Hook, listener: Listener, here: Deployment, clock: Clock,
    entries: Callable[..., Any],
) -> None:  # fmt: skip
    listener.behaviour = says(b"", 503)
    final()
    began, pauses = clock.now, []
    waits = select(work.WORK.c.due_at).where(work.WORK.c.id.startswith("webhook:"))
    while not entries("delivery.failed"):
        with here.log.engine.connect() as connection:
            due = connection.execute(waits).scalar_one()
        pauses.append((due - clock.now).total_seconds())
        clock.now = due
        run_all(app, here)
    assert 70 < (clock.now - began).total_seconds() / 3600 < 73
    assert pauses == sorted(pauses)
    (failed,) = entries("delivery.failed")
    assert (failed["tries"], failed["status"]) == (len(listener.requests), 503)


@pytest.mark.parametrize(
    "behaviour",
    [
        says(b"", 302, {"Location": "http://127.0.0.1:9/"}),
        lambda wire, request: wire.send(b"no HTTP at all\r\n\r\n"),
        lambda wire, request: wire.close(),
    ],
    ids=["redirect", "no HTTP", "hangs up"],
)
def test_only_a_2xx_is_taken_and_nothing_is_followed(
    final: Callable[[], str], hook: outbox.Hook, listener: Listener, behaviour: Behaviour,
    entries: Callable[..., Any],
) -> None:  # fmt: skip
    listener.behaviour = behaviour
    final()
    assert (len(listener.requests), entries("delivery.sent")) == (1, [])


def test_an_endless_answer_is_not_read(
    final: Callable[[], str], hook: outbox.Hook, listener: Listener, entries: Callable[..., Any]
) -> None:
    listener.behaviour = lambda wire, request: wire.send(response(b"x" * 300_000, length=10**12))
    final()
    assert len(entries("delivery.sent")) == 1


def test_the_secret_is_kept_nowhere_and_changes_with_the_address(
    app: Flask, hook: outbox.Hook, here: Deployment, client: Client
) -> None:
    secret = hook.secret(here.settings.secret_key)
    again = outbox.set_hook(here, client, hook.url, by="test")
    assert again.secret(here.settings.secret_key) != secret
    with app.app_context():
        for table in db.metadata.sorted_tables:
            for row in db.session.execute(text(f"SELECT * FROM {table.name}")):
                assert secret[6:] not in str(tuple(bytes(c) if isinstance(c, memoryview) else c for c in row))
    assert secret not in repr(hook)


WRONG = (
    *("http://perizinan.example/x", "https://user:pw@perizinan.example/", "https://perizinan.example/?token=1"),
    *("ftp://perizinan.example", "https://", "perizinan.example", "https://perizinan.example/" + "x" * 500),
    *("https://perizinan.example/\n", "https://[::1", "https://perizinan.example/é"),
    *("https://perizinan.example:99999/x", "https://:pw@perizinan.example/"),
)


@pytest.mark.parametrize("url", WRONG)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_address_must_be_https_without_secrets(here: Deployment, client: Client, url: str) -> None:
    with pytest.raises(BadInput):
        outbox.set_hook(here, client, url, by="test")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_private_addresses_are_reached_only_when_the_operator_says_so(
    app: Flask, here: Deployment, client: Client, final: Callable[[], str], entries: Callable[..., Any]
) -> None:
    outbox.set_hook(here, client, "https://192.168.13.37/x", by="test")
    final()
    assert entries("delivery.sent") == []
    assert outbox.call(here, "https://192.168.13.37/x", b"{}", {}) == (0, b"")


def test_no_more_is_told_to_who_may_see_no_more(
    app: Flask, final: Callable[[], str], hook: outbox.Hook, listener: Listener, here: Deployment, client: Client,
    clock: Clock, entries: Callable[..., Any],
) -> None:  # fmt: skip
    listener.behaviour = says(b"", 500)
    final()
    with app.app_context():
        Clients(here.log, here.clock).revoke(client, by="test")
    clock.tick(hours=1)
    run_all(app, here)
    assert (len(listener.requests), len(entries("delivery.dropped"))) == (1, 1)
    with here.log.engine.begin() as connection:
        outbox.post(connection, client.id, "check.final", "x", "no such check", here.clock())
    run_all(app, here)
    assert len(listener.requests) == 1


def test_the_same_key_is_told_once_and_a_client_without_address_nothing(
    app: Flask, final: Callable[[], str], hook: outbox.Hook, listener: Listener, here: Deployment, client: Client
) -> None:
    check_id = final()
    with here.log.engine.begin() as connection:
        for key in ("a", "a", "b"):
            outbox.post(connection, client.id, "watch.lapsed", key, check_id, here.clock())
        outbox.post(connection, "nobody", "watch.lapsed", "a", check_id, here.clock())
    run_all(app, here)
    assert [told.headers["x-gate-event"] for told in listener.requests] == ["check.final", *["watch.lapsed"] * 2]
    with here.log.engine.begin() as connection:
        outbox.post(connection, client.id, "watch.lapsed", "a", check_id, here.clock())
    run_all(app, here)
    assert len(listener.requests) == 3


def test_a_rebuild_of_the_tables_tells_nothing_twice(
    app: Flask, final: Callable[[], str], hook: outbox.Hook, listener: Listener, here: Deployment
) -> None:
    final()
    rebuild(here.log)
    run_all(app, here)
    assert len(listener.requests) == 1
    assert outbox.hook(here.log.engine, hook.client_id) == hook


def test_the_end_of_a_batch_is_told_and_its_lines_are_not(
    app: Flask, hook: outbox.Hook, listener: Listener, http: FlaskClient, headers: dict[str, str], here: Deployment,
    agency: Agency, clock: Clock,
) -> None:  # fmt: skip
    here = replace(here, settings=replace(here.settings, batch_rate=10_000))
    agency.fails = True
    batch = http.post("/api/v1/batches", json={"checks": [question()]}, headers=headers).get_json()
    run_all(app, here)
    agency.fails = False
    clock.tick(minutes=10)
    run_all(app, here)
    (told,) = listener.requests
    assert told.headers["x-gate-event"] == "batch.finished"
    done = {**batch, "state": "done", "done": 1, "by_verdict": {"MET": 1}}
    assert json.loads(told.body) == done == run.status(here.log.engine, batch["id"]).document()
