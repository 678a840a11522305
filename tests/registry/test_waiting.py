"""While the agency lets them wait, callers hold no database connection, and nobody else notices."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from compliance import create_app
from compliance.access.clients import Clients
from compliance.database import db
from compliance.deployment import deployment
from config import Settings
from tests.api.conftest import question
from tests.conftest import Clock
from tests.registry.agency import Agency, Request, Wire, says

CALLERS = 30


@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "with idempotency keys"])
def test_no_connection_is_held_while_the_agency_is_asked(keyed: bool, settings: Settings, clock: Clock) -> None:
    reached = threading.Semaphore(0)
    release = threading.Event()

    def waits(wire: Wire, request: Request) -> None:
        reached.release()
        release.wait(20)
        says(b"", 500)(wire, request)

    with Agency(waits) as agency:
        app = create_app(
            replace(settings, registry="http", registry_url=agency.url, registry_timeout=20.0, metrics_token="m" * 20),
            clock=clock,
        )
        with app.app_context():
            key = Clients(deployment().log, deployment().clock).create("uji", ("73.09",), ["check"], by="test")[1]
        seen: list[tuple[int, str]] = []

        def call(number: int) -> None:
            headers = {"Authorization": f"Bearer {key}"} | ({"Idempotency-Key": f"k{number}"} if keyed else {})
            answer = app.test_client().post("/api/v1/checks", json=question(reference=f"A/{number}"), headers=headers)
            seen.append((answer.status_code, answer.json["verdict"]))  # type: ignore[index]

        callers = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        for _ in range(CALLERS):
            assert reached.acquire(timeout=20)
        with app.app_context():
            pool = db.engine.pool
            assert pool.checkedout() == 0  # type: ignore[attr-defined]
        assert app.test_client().get("/healthz").status_code == 200
        assert seen == []  # it was answered while all of them wait
        release.set()
        for caller in callers:
            caller.join(20)
        assert seen == [(201, "UNDETERMINED")] * CALLERS
        told = app.test_client().get("/readyz", headers={"Authorization": f"Bearer {'m' * 20}"})
        assert "agency: not answering since" in told.text
        assert app.test_client().get("/readyz").text == "ok\n"
        with app.app_context():
            db.engine.dispose()
