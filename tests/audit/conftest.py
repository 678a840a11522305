"""A log on a real database, and a check as the gate writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import create_engine
from ulid import ULID

from compliance.audit.log import AuditLog
from compliance.audit.turn import engine_options
from compliance.gate import Recorded
from config import Settings
from tests.conftest import Clock

QUESTION = "5f" * 32


def check_body(**changes: Any) -> dict[str, Any]:
    """What gate._entry writes for a check that is not met."""
    decision = {
        "verdict": "NOT_MET",
        "action": "STOP",
        "enforced": True,
        "stage": "enforce",
        "label": {"id": "Tidak memenuhi", "en": "Not met"},
        "summary": {"id": "Belum terdaftar.", "en": "Not registered."},
        "findings": [
            {
                "code": "NOT_REGISTERED",
                "effect": "NOT_MET",
                "message": {"id": "Tidak ditemukan.", "en": "Not found."},
                "remedy": {"id": "Daftarkan.", "en": "Register."},
                "basis": [{"cite": "UU 24/2011 Pasal 15 ayat (1)", "certainty": "text"}],
            }
        ],
        "cure": {"steps": {"id": ["Daftarkan."], "en": ["Register."]}, "recheck_after": "2026-11-23"},
        "valid_until": None,
        "retry_at": None,
    }
    body = {
        "reference": "503/0123/DPMPTSP/2026",
        "request_id": "r-1",
        "asker": {"kind": "client", "id": "c1"},
        "business": {"nib": "8120001234567"},
        "backdated": False,
        "facts": {
            "application": {"permit_type": "RESTORAN", "region": "73.09", "as_at": "2026-11-20"},
            "today": "2026-11-20",
            "evidence": {
                "source": "http",
                "received_at": "2026-11-20T08:00:00Z",
                "as_of": "2026-11-19T10:00:00Z",
                "reference": "BPJSTK-1",
            },
        },
        "decision": decision,
        "policy": {"region": "73.09", "version": "1", "sha256": "00" * 32},
    }
    return body | changes


PRIVATE = {"name": "CV Sumber Rejeki", "nik": "7309054403880002", "question": QUESTION}


@pytest.fixture
def log(settings: Settings, clock: Clock) -> Iterator[AuditLog]:
    yield from open_log(settings, clock)


def open_log(settings: Settings, clock: Clock) -> Iterator[AuditLog]:
    engine = create_engine(settings.database_url, **engine_options(settings.database_url))
    yield AuditLog(engine, settings, clock)
    engine.dispose()


@pytest.fixture
def admin_log(log: AuditLog, request: pytest.FixtureRequest, clock: Clock) -> Iterator[AuditLog]:
    """The same log as the owner of the database sees it: who may do everything."""
    if log.settings.database_url.startswith("sqlite"):
        yield log
        return
    url = request.getfixturevalue("postgres_admin_url")
    yield from open_log(replace(log.settings, database_url=url), clock)


@pytest.fixture
def add(log: AuditLog, clock: Clock) -> Callable[..., Recorded]:
    """Append a check; a keyword changes its body."""

    def add(entry_id: str | None = None, private: dict[str, Any] | None = None, **changes: Any) -> Recorded:
        chosen = PRIVATE if private is None else private
        return log.append("check", check_body(**changes), entry_id=entry_id or str(ULID()), private=chosen, at=clock())

    return add
