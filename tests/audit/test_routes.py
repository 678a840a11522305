"""The log over HTTP: an outsider rebuilds the tree from public tiles; entries are for auditors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import metamorphic_log
import pytest
from flask import Flask
from flask.testing import FlaskClient

from compliance import create_app
from compliance.access.clients import Clients
from compliance.audit.log import AuditLog
from compliance.database import db
from compliance.deployment import deployment
from compliance.gate import Recorded
from compliance.proof import export
from compliance.proof.merkle import leaf_hash
from compliance.proof.note import VerifierKey, open_head, unb64
from config import Settings
from tests.audit.test_export import all_tiles
from tests.conftest import Clock

COUNT = 300


@pytest.fixture
def app(settings: Settings, clock: Clock, log: AuditLog) -> Iterator[Flask]:
    for number in range(COUNT):
        log.append("x.filler", {"n": number}, entry_id=f"f{number}", private={}, at=clock())
    app = create_app(settings, clock=clock)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def test_outsiders_programs_verify_our_heads_and_proofs(client: FlaskClient, add: Callable[..., Recorded]) -> None:
    key = client.get("/api/v1/log/keys").text.strip()
    old = open_head(client.get("/api/v1/log/checkpoint").text, [VerifierKey.parse(key)])
    for _ in range(5):
        add()
    note = client.get("/api/v1/log/checkpoint").text
    head = metamorphic_log.checkpoint_verify(note, [key])
    assert (head.size, head.origin) == (COUNT + 5, "gate.test/log")
    proof = client.get(f"/api/v1/log/consistency/{old.size}/{head.size}").json["proof"]
    steps = [unb64(step) for step in proof]
    metamorphic_log.verify_consistency(old.size, head.size, steps, old.root, bytes(head.root))
    tile = client.get("/api/v1/log/tile/0/000").data
    for index in (0, 1, 200, 255):
        found = client.get(f"/api/v1/log/inclusion/{index}/{head.size}").json["proof"]
        leaf = tile[32 * index : 32 * index + 32]
        hashes = [unb64(step) for step in found]
        metamorphic_log.verify_inclusion(index, head.size, leaf, hashes, bytes(head.root))


def test_tiles_are_those_of_the_tree_and_do_not_change(client: FlaskClient) -> None:
    for level, index, width in all_tiles(COUNT):
        path = export.tile_path(level, index, width)
        answer = client.get(f"/api/v1/log/{path}")
        assert answer.status_code == 200
        assert len(answer.data) == 32 * width
        assert "immutable" in answer.headers["Cache-Control"]


def test_tiles_and_proofs_that_are_not_there_are_404(client: FlaskClient) -> None:
    names = ["0/001", "0/1", "1/001", "0/000.p/256", "0/000.p/0", "64/000", "0/x000/000", "0/../checkpoint", "9/000"]
    beyond = ["consistency/5/301", "consistency/9/5", "inclusion/300/300", "inclusion/0/999999"]
    huge = 10**30
    for path in [f"tile/{name}" for name in names] + beyond + [f"inclusion/0/{huge}", f"consistency/{huge}/{huge + 9}"]:
        assert client.get(f"/api/v1/log/{path}").status_code == 404, path


def test_entries_are_read_by_auditors_alone_and_the_look_is_an_entry(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        running = deployment()
        clients = Clients(running.log, running.clock)
        keys = {
            scope: clients.create("x", ("73.09",), [scope], by="operator")[1] for scope in ("check", "read", "audit")
        }
        path = "/api/v1/log/tile/entries/000"
        assert client.get(path).status_code == 401
        for scope, status in (("check", 403), ("read", 403), ("audit", 200)):
            answer = client.get(path, headers={"Authorization": f"Bearer {keys[scope]}"})
            assert answer.status_code == status
        bodies = export.unbundle(answer.data)
        assert len(bodies) == 256
        hashes = client.get("/api/v1/log/tile/0/000").data
        assert b"".join(leaf_hash(body) for body in bodies) == hashes
        looks = list(running.log.entries(COUNT, kinds=("access.entries_read",)))
        assert [look.body["what"] for look in looks] == ["tile/entries/000"]


def test_the_published_head_is_served_once_there_is_one(app: Flask, client: FlaskClient) -> None:
    from compliance.audit import witnesses

    assert client.get("/api/v1/log/witnessed").status_code == 404
    with app.app_context():
        witnesses.submit(deployment().log)
    key = VerifierKey.parse(client.get("/api/v1/log/keys").text)
    assert open_head(client.get("/api/v1/log/witnessed").text, [key]).size == COUNT
