"""A gate whose agency answers as a test tells it, and lists of institutions as files."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import pytest
from flask import Flask

from compliance import create_app
from compliance.coverage import acts, lines
from compliance.coverage.acts import Institution
from compliance.database import db
from compliance.deployment import Deployment, deployment
from compliance.gate import Asker
from compliance.law.facts import Account, Answer, Ask, Employer
from compliance.registry.port import Purpose
from compliance.registry.reading.sheets import sheets
from config import Settings
from tests.conftest import Clock

REGION, BY = "76.05", Asker("operator", "test")


@dataclass
class Agency:
    """Knows the NPP in `known`; fails with `error`; keeps what it was asked."""

    clock: Clock
    name: str = "http"
    known: dict[str, Employer] = field(default_factory=dict)
    error: Exception | None = None
    complete: bool = True
    asked: list[str] = field(default_factory=list)

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        self.asked.append(ask.value)
        if self.error:
            raise self.error
        return Answer(self.known.get(ask.value), self.name, self.clock(), "R-1", complete=self.complete)

    def knows(self, npp: str, name: str, **account: object) -> None:
        facts: dict[str, object] = {"active_workers": 10, "first_payment": True, "paid_through": date(2026, 10, 1)}
        self.known[npp] = Employer(name, None, None, (Account(npp, **({"active": True} | facts | account)),))  # type: ignore[arg-type]


@pytest.fixture
def agency(clock: Clock) -> Agency:
    return Agency(clock)


@pytest.fixture
def app(settings: Settings, agency: Agency, clock: Clock, tmp_path: Path) -> Iterator[Flask]:
    key = tmp_path / "log.key"  # of this test's own: the signer remembers the log that it signed
    shutil.copy(settings.log_signing_key, key)
    app = create_app(replace(settings, log_signing_key=key), source=agency, clock=clock)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def here(app: Flask) -> Deployment:
    with app.app_context():
        return deployment()


def take(here: Deployment, path: Path, region: str = REGION, complete: bool = False) -> Counter[str]:
    """Import a file as page and command do."""
    opened = sheets(path, lambda cells: len(lines.columns(cells)))
    rows = [(row.place, row.cells) for _name, each in opened for row in each]
    return acts.take_list(here, region, rows, hashlib.sha256(path.read_bytes()).hexdigest(), BY, "id", complete)


def write(path: Path, *rows: Sequence[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def at(here: Deployment, day: date, region: str = REGION) -> list[Institution]:
    return acts.institutions(acts.known(here, region, day), day)


def said(here: Deployment, day: date, kind: str, called: str) -> str:
    return acts.sentence(kind, called, acts.tally(at(here, day), "kind")[kind], "id")
