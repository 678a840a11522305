"""Client keys: shown once, kept as a hash, bounded, ended at once; every change is an entry first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from compliance import create_app
from compliance.access.clients import Clients, Scope
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput, LogUnavailable
from config import Settings
from tests.api.conftest import Agency
from tests.conftest import Clock


@pytest.fixture
def app(settings: Settings, clock: Clock) -> Iterator[Flask]:
    app = create_app(settings, source=Agency(), clock=clock)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def clients(app: Flask) -> Clients:
    return Clients(deployment().log, deployment().clock)


def kinds() -> list[str]:
    return [entry.kind for entry in deployment().log.entries(kinds=("access.",))]


def stored() -> str:
    """Everything that the database holds about clients, as text."""
    tables = [table for name, table in db.metadata.tables.items() if name.startswith(("access_client", "audit_entry"))]
    return repr([db.session.execute(table.select()).all() for table in tables])


def test_a_key_opens_its_client_and_is_kept_nowhere(clients: Clients) -> None:
    client, key = clients.create("SiCantik", ["73.09", "73.08"], ["check", "read"], by="op")
    assert clients.authenticate(key) == client
    assert (client.regions, client.scopes) == (("73.09", "73.08"), {Scope.CHECK, Scope.READ})
    assert key.split(".")[2] not in stored()
    assert hashlib.sha256(key.encode()).hexdigest() not in stored()
    assert kinds() == ["access.client_created"]


@pytest.mark.parametrize("damage", ["", ".", "..", "cg..x", "cg.x.", "x" * 5000, "cg.☃.☃"])
def test_nonsense_opens_nothing(clients: Clients, damage: str) -> None:
    _, key = clients.create("SiCantik", ["73.09"], ["check"], by="op")
    assert clients.authenticate(damage) is None
    assert clients.authenticate(key + damage) is None or damage == ""
    assert clients.authenticate(key.replace("cg.", "xx.")) is None


def test_a_key_does_not_open_another_client(clients: Clients) -> None:
    keys = [clients.create(name, ["73.09"], ["check"], by="op")[1].split(".") for name in "ab"]
    assert clients.authenticate(".".join([*keys[0][:2], keys[1][2]])) is None


def test_a_revoked_key_is_shut_at_once_and_for_good(clients: Clients) -> None:
    client, key = clients.create("SiCantik", ["73.09"], ["check"], by="op")
    clients.revoke(client, by="op")
    assert clients.authenticate(key) is None
    assert clients.all()[0].revoked_at is not None
    assert kinds() == ["access.client_created", "access.client_revoked"]


def test_a_key_ends_at_its_moment(clients: Clients, clock: Clock) -> None:
    _, key = clients.create("SiCantik", ["73.09"], ["check"], by="op", expires_at=clock() + timedelta(days=1))
    clock.tick(hours=23, minutes=59)
    assert clients.authenticate(key)
    clock.tick(minutes=1)
    assert clients.authenticate(key) is None


def test_an_old_key_holds_for_the_grace_of_a_rotation(clients: Clients, clock: Clock) -> None:
    client, old = clients.create("SiCantik", ["73.09"], ["check"], by="op")
    new = clients.rotate(client, "op", timedelta(hours=1))
    assert clients.authenticate(old) == clients.authenticate(new) == client
    clock.tick(hours=1)
    assert clients.authenticate(old) is None
    assert clients.authenticate(new) == client
    newest = clients.rotate(client, "op")
    assert clients.authenticate(new) is None
    assert clients.authenticate(newest) == client


@pytest.mark.parametrize(
    ("name", "regions", "scopes"),
    [("", ["73.09"], ["check"]), ("x", [], ["check"]), ("x", ["73.09"], []), ("x", ["73.09"], ["admin"])],
)
def test_a_client_needs_name_region_and_scope(
    clients: Clients, name: str, regions: list[str], scopes: list[str]
) -> None:
    with pytest.raises(BadInput):
        clients.create(name, regions, scopes, by="op")
    assert not kinds()


def test_what_is_not_in_the_log_did_not_happen(clients: Clients, monkeypatch: Any) -> None:
    client, key = clients.create("SiCantik", ["73.09"], ["check"], by="op")

    def full(*args: Any, **more: Any) -> Any:
        raise LogUnavailable("the disk is full")

    monkeypatch.setattr(deployment().log, "append", full)
    for change in (
        lambda: clients.create("x", ["73.09"], ["check"], by="op"),
        lambda: clients.revoke(client, by="op"),
        lambda: clients.rotate(client, "op"),
    ):
        with pytest.raises(LogUnavailable):
            change()
    assert clients.authenticate(key) == client
    assert len(clients.all()) == 1


def test_clients_are_rebuilt_from_the_log(app: Flask, clients: Clients) -> None:
    one, key = clients.create("Satu", ["73.09"], ["check"], by="op")
    two, _ = clients.create("Dua", ["73.08"], ["read"], by="op")
    clients.revoke(two, by="op")
    before = clients.all()
    from compliance.audit.projection import clear, project

    with db.engine.begin() as connection:
        clear(connection)
        for _ in range(2):  # a projection may run twice
            for entry in deployment().log.entries():
                project(connection, entry.kind, entry)
    assert clients.all() == before
    assert clients.authenticate(key) == one


def test_the_commands_create_list_rotate_and_revoke(app: Flask, clients: Clients) -> None:
    run = app.test_cli_runner().invoke
    made = run(
        args=["client", "create", "SiCantik", "--region", "73.09", "--region", "73.08", "--scopes", "check,read"]
    )
    assert made.exit_code == 0, made.output
    client = clients.authenticate(made.output.splitlines()[-1])
    assert client
    assert client.regions == ("73.09", "73.08")
    assert "SiCantik" in run(args=["client", "list"]).output
    rotated = run(args=["client", "rotate", client.id]).output.splitlines()[-1]
    assert clients.authenticate(rotated) == client
    assert run(args=["client", "revoke", client.id]).exit_code == 0
    assert clients.authenticate(rotated) is None
    for wrong in (
        ["create", "x", "--region", "99.99"],
        ["create", "x"],
        ["create", "x", "--region", "73.09", "--scopes", "all"],
        ["revoke", "nobody"],
        ["rotate", client.id],
    ):
        assert run(args=["client", *wrong]).exit_code == 2, wrong


def test_oss_is_known_by_its_token_of_the_day(clients: Clients, clock: Clock) -> None:
    client, _ = clients.create("OSS", ["73.09"], ["check"], by="op")
    clients.keep_oss_user(client, "oss-maros", "s3cr3t-word", by="op")
    assert "s3cr3t-word" not in stored()

    def token(day: str, nib: str = "8120001234567", password: str = "s3cr3t-word") -> str:
        return hashlib.sha1(f"oss-maros{password}{nib}{day}".encode()).hexdigest()

    assert clients.by_oss_token(token("20261120"), "8120001234567") == client
    assert clients.by_oss_token(token("20261120").upper(), "8120001234567") == client
    clock.tick(hours=8, minutes=30)  # 2026-11-20 23:30 in Jakarta, already the 21st in Maros
    assert clients.by_oss_token(token("20261120"), "8120001234567") == client
    assert clients.by_oss_token(token("20261121"), "8120001234567") is None
    assert clients.by_oss_token(token("20261120"), "8120001234568") is None
    assert clients.by_oss_token(token("20261120", password="other"), "8120001234567") is None
    clients.revoke(client, by="op")
    assert clients.by_oss_token(token("20261120"), "8120001234567") is None
