"""The sandbox agency: it speaks the contract, reaches every branch, and fails as its table says."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
import requests

from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import Ask, Employer, Participant, Project, Subject
from compliance.registry.port import Source
from compliance.registry.sandbox import WORLD, InProcess
from compliance.registry.sources import build, http
from config import HERE, Settings
from tests.registry.answers import BY_NIB, BY_NPP, BY_NPWP, PROJECT
from tests.registry.conftest import now, purpose

UNAVAILABLE = {"6601", "6602", "6603", "6604", "6605", "6608", "6616"}
REST = "123456789"


@pytest.fixture(scope="module")
def agency() -> Iterator[str]:
    """The program itself, as `make run` starts it."""
    with requests.packages.urllib3.util.connection.socket.socket() as free:  # type: ignore[attr-defined]
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = ["-m", "gunicorn", "-k", "gthread", "--threads", "64", "--no-control-socket", "-b", f"127.0.0.1:{port}"]
    server = subprocess.Popen([sys.executable, *serve, "compliance.registry.sandbox:app"], cwd=HERE)
    url = f"http://127.0.0.1:{port}"
    for _ in range(100):
        try:
            requests.get(url, timeout=1)
            break
        except requests.ConnectionError:
            time.sleep(0.1)
    yield url
    server.terminate()
    server.wait(10)


@pytest.fixture(params=["over HTTP", "in process"])
def source(request: pytest.FixtureRequest) -> Source:
    clock = lambda: datetime.now(UTC)  # noqa: E731
    if request.param == "in process":
        found, _ = build(Settings(registry="sandbox"), None, clock)  # type: ignore[arg-type]
        assert isinstance(found, InProcess)
        return found
    return http(Settings(registry="sandbox", registry_url=request.getfixturevalue("agency")), clock)


def test_the_contracts_firm_is_found_by_each_number(source: Source) -> None:
    for ask in (BY_NIB, BY_NPWP, BY_NPP):
        record = source.ask(ask, purpose(5)).record
        assert isinstance(record, Employer)
        assert (record.name, record.accounts[0].npp) == ("SUMBER REJEKI, CV", "15070955")
    assert isinstance(source.ask(PROJECT, purpose(5)).record, Project)


@pytest.mark.parametrize("row", WORLD["scenario"], ids=lambda row: row["prefix"])
def test_each_scenario_is_understood_and_the_same_by_nib_and_npwp(row: dict[str, str], source: Source) -> None:
    nib, npwp, npp = f"{row['prefix']}{REST}", f"0{row['prefix'][1:]}{REST}000", f"P{row['prefix']}{REST}"
    asks = {key: Ask(Subject.EMPLOYER, key, value) for key, value in {"nib": nib, "npwp": npwp, "npp": npp}.items()}
    missing = set(row.get("missing", ())) | ({"npp"} if row["prefix"] == "7713" else set())
    if row["prefix"] == "7725":
        missing.add("npwp")
    for key, ask in asks.items():
        if row["prefix"] in ("7713", "7725") and key in missing:
            with pytest.raises(RegistryMisunderstood):
                source.ask(ask, purpose(5))
        else:
            assert (source.ask(ask, purpose(5)).record is None) == (key in missing)


@pytest.mark.parametrize("row", WORLD["failure"], ids=lambda row: row["prefix"])
def test_each_failure_is_what_its_table_says(row: dict[str, str], source: Source) -> None:
    for ask in (
        Ask(Subject.EMPLOYER, "nib", row["prefix"] + REST),
        Ask(Subject.EMPLOYER, "npwp", f"0{row['prefix'][1:]}{REST}000"),
    ):
        if row.get("manner") == "slow":
            assert source.ask(ask, purpose(6)).record
            continue
        with pytest.raises(RegistryUnavailable if row["prefix"] in UNAVAILABLE else RegistryMisunderstood):
            source.ask(ask, purpose(0.5))


@pytest.mark.parametrize("row", WORLD["person"], ids=lambda row: row["prefix"])
def test_each_person_is_understood_and_employs_nobody(row: dict[str, str], source: Source) -> None:
    nik = row["prefix"].ljust(16, "1")
    assert isinstance(source.ask(Ask(Subject.PARTICIPANT, "nik", nik), purpose(5)).record, Participant)
    assert source.ask(Ask(Subject.EMPLOYER, "nik", nik), purpose(5)).record is None


@pytest.mark.parametrize("row", WORLD["project"], ids=lambda row: row["prefix"])
def test_each_project_is_understood(row: dict[str, str], source: Source) -> None:
    number = row["prefix"].ljust(13, "1")
    assert isinstance(source.ask(Ask(Subject.PROJECT, "nomor", number), purpose(5)).record, Project)


def test_a_contractors_project_is_found_by_npp(source: Source) -> None:
    with_project, without = f"P7728{REST}", f"P7701{REST}"
    found = source.ask(Ask(Subject.PROJECT, "npp", with_project, "73.09"), purpose(5)).record
    assert isinstance(found, Project)
    assert found.npp == with_project
    assert source.ask(Ask(Subject.PROJECT, "npp", without, "73.09"), purpose(5)).record is None


def test_thousands_of_other_employers_are_invented_always_the_same() -> None:
    source = InProcess(now)
    asks = [Ask(Subject.EMPLOYER, "nib", f"{number:013d}") for number in range(10**12, 10**12 + 3000)]
    first = [source.ask(ask, purpose()).record for ask in asks]
    assert first == [source.ask(ask, purpose()).record for ask in asks]
    found = [record for record in first if isinstance(record, Employer)]
    assert 2500 < len(found) < 3000
    assert len({record.name for record in found}) > 500
    plain = sum(len(record.accounts) == 1 and record.accounts[0].paid_through == date(2026, 10, 1) for record in found)
    assert plain > len(found) * 0.7


def test_paid_through_stays_fresh() -> None:
    for day, month in (("2027-01-03", date(2026, 12, 1)), ("2030-12-31", date(2030, 11, 1))):
        moment = datetime.fromisoformat(f"{day}T08:00:00+00:00")
        record = InProcess(lambda moment=moment: moment).ask(BY_NIB, purpose()).record  # type: ignore[misc]
        assert record.accounts[0].paid_through == month  # type: ignore[union-attr]


def test_its_page_shows_the_table_in_both_languages(agency: str) -> None:
    page = requests.get(agency, timeout=5)
    assert page.headers["Content-Type"].startswith("text/html")
    for kind in ("scenario", "person", "project", "failure"):
        for row in WORLD[kind]:
            assert row["prefix"] in page.text
    assert "Tidak pernah menjawab" in page.text
    assert "Never answers" in page.text


def test_an_unknown_path_is_404(agency: str) -> None:
    assert requests.get(f"{agency}/v1/lain?nib=1", timeout=5).status_code == 404
    assert requests.get(f"{agency}/v1/badan-usaha", timeout=5).status_code == 404


def test_with_an_address_the_sandbox_is_asked_over_http(tmp_path: object) -> None:
    settings = Settings(
        registry="sandbox", registry_url="http://127.0.0.1:1", database_url=f"sqlite:///{tmp_path}/gate.db"
    )
    found, standby = build(settings, None, now)  # type: ignore[arg-type]
    assert (found.name, standby) == ("sandbox", None)
    with pytest.raises(RegistryUnavailable):
        found.ask(BY_NIB, purpose(0.3))
    assert build(replace(settings, registry="http"), None, now)[0].name == "http"  # type: ignore[arg-type]
