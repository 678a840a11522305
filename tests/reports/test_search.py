"""Search: every filter, paging, regions, and that a million checks are found by an index."""

from __future__ import annotations

import re
import time
from datetime import date
from statistics import quantiles
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event

from compliance.audit import projection
from compliance.deployment import Deployment
from compliance.gate import Asker
from compliance.law.facts import Scale
from compliance.reports.search import Wanted, search, stream
from tests.conftest import Clock
from tests.reports.conftest import OUT, Ask, fill

MAROS, ALL = ("73.09",), ("73.08", "73.09", "76.05")


def found(here: Deployment, **wanted: Any) -> list[str]:
    return [row.reference for row in search(here.log.engine, Wanted(**{"regions": MAROS} | wanted), 50)]


@pytest.fixture
def five(here: Deployment, ask: Ask, clock: Clock) -> None:
    ask("A")
    ask("B", scale=Scale.MEDIUM)
    ask("C", "KAPAL", nib=OUT, asker=Asker("client", "C1"))
    clock.tick(days=1)
    ask("D", region="73.08")
    ask("E", "INDUSTRI", asker=Asker("user", "U2", "UPT Bantimurung"))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "ECBA"),
        ({"regions": ("73.09", "73.08")}, "EDCBA"),
        ({"regions": ()}, ""),
        ({"verdict": "NOT_MET"}, "B"),
        ({"finding": "PROGRAMMES_MISSING"}, "B"),
        ({"finding": "PROGRAMMES_MISSING", "until": date(2026, 11, 19)}, ""),
        ({"permit_type": "KAPAL"}, "C"),
        ({"office": "UPT Bantimurung"}, "E"),
        ({"asker": "client:C1"}, "C"),
        ({"nib": OUT}, "C"),
        ({"nib": OUT, "verdict": "MET"}, ""),
        ({"reference": "B", "regions": ("73.08",)}, ""),
        ({"since": date(2026, 11, 21)}, "E"),
        ({"until": date(2026, 11, 20)}, "CBA"),
        ({"verdict": "MET", "office": "DPMPTSP Maros"}, "A"),
        ({"among": []}, ""),
    ],
)
def test_each_filter_finds_what_it_says_and_nothing_of_another_region(
    here: Deployment, five: None, wanted: dict[str, Any], expected: str
) -> None:
    assert "".join(found(here, **wanted)) == expected


def test_pages_follow_each_other_without_gap_or_repetition(here: Deployment, ask: Ask, clock: Clock) -> None:
    for number in range(9):
        ask(f"{number}", region=("73.09", "73.08")[number % 2])
        clock.tick(hours=7)
    for wanted in (Wanted(("73.09", "73.08")), Wanted(("73.08", "73.09"), finding="PROGRAMMES_MISSING")):
        whole, paged, before = search(here.log.engine, wanted, 50), [], None
        while rows := search(here.log.engine, Wanted(wanted.regions, finding=wanted.finding, before=before), 2):
            paged += rows
            before = (rows[-1].day, rows[-1].pos)
        assert paged == whole
    assert len([row for batch in stream(here.log.engine, Wanted(("73.09", "73.08"))) for row in batch]) == 9


def test_a_rebuild_from_the_log_finds_the_same(here: Deployment, five: None) -> None:
    before = search(here.log.engine, Wanted(ALL), 50)
    projection.rebuild(here.log)
    assert search(here.log.engine, Wanted(ALL), 50) == before
    assert found(here, finding="PROGRAMMES_MISSING") == ["B"]


FEW = {"verdict", "finding", "office", "asker", "permit_type"}
QUERIES: list[dict[str, Any]] = [
    {},
    {"verdict": "BLOCKED"},
    {"verdict": "NOT_MET", "permit_type": "KAPAL"},
    {"finding": "TMP2T_IN_FORCE"},
    {"finding": "ARREARS", "office": "Kantor 7"},
    {"office": "Kantor 3", "verdict": "UNDETERMINED"},
    {"asker": f"user:{11:026}"},
    {"asker": f"user:{11:026}", "permit_type": "HOTEL"},
    {"nib": f"{77_777:013}"},
    {"nib": f"{77_777:013}", "verdict": "MET"},
    {"reference": "503/400000"},
    {"since": date(2025, 3, 1), "until": date(2025, 3, 31)},
    {"until": date(2024, 1, 31), "verdict": "OFFICER_REVIEW"},
    {"until": date(2024, 2, 1), "finding": "ARREARS"},
    {"before": (date(2025, 6, 30), 500_000)},
    {"among": list(range(5_000, 900_000, 1_000)), "verdict": "NOT_MET"},
]


@pytest.mark.parametrize("wanted", QUERIES, ids=range(len(QUERIES)))
def test_every_search_goes_through_an_index_and_sorts_nothing(
    here: Deployment, wanted: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    fill(here.log.engine, 3_000)
    if here.log.engine.dialect.name != "sqlite":  # only the tables' owner may gather what the planner goes by
        with psycopg.connect(request.getfixturevalue("postgres_admin_url"), autocommit=True) as owner:
            owner.execute("ANALYZE report_check, report_finding")
    said = plan(here.log.engine, Wanted(MAROS, **wanted))
    assert not re.search(r"SCAN report_|Seq Scan", said), said
    index = next((name for name in ("nib", "reference") if name in wanted), "(?!day)" if wanted.keys() & FEW else "")
    leads = "PRIMARY KEY|pk_report_check" if "among" in wanted else f"ix_report_(check|finding)_{index}"
    assert re.search(leads, said), said
    assert "among" in wanted or not re.search(r"TEMP B-TREE|Sort Key", said), said


def plan(engine: Engine, wanted: Wanted) -> str:
    """What the database says it would do, with an index wherever there is one."""
    said: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith("SELECT report_check"):
            word = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
            cursor.execute(word + statement, parameters)
            said.extend(str(row) for row in cursor.fetchall())

    if engine.dialect.name != "sqlite":
        shunned = "".join(f"SET LOCAL enable_{way} = off;" for way in ("seqscan", "sort", "bitmapscan", "hashjoin"))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(shunned))
    event.listen(engine, "before_cursor_execute", explain)
    search(engine, wanted, 26)
    return "\n".join(said)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_million_checks_are_searched_within_a_tenth_of_a_second(here: Deployment) -> None:
    engine = here.log.engine
    fill(engine, 1_000_000)
    took = {}
    for regions in (MAROS, ALL):
        for wanted in QUERIES:
            times = []
            for _ in range(20):
                began = time.perf_counter()
                search(engine, Wanted(regions, **wanted), 26)
                times.append((time.perf_counter() - began) * 1000)
            took[f"{len(regions)} {str(wanted)[:80]}"] = quantiles(times, n=20)[-1]
    print("\n".join(f"{ms:8.1f} ms  {name}" for name, ms in sorted(took.items(), key=lambda each: each[1])))
    assert quantiles(took.values(), n=20)[-1] < 100
