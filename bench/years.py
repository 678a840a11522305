"""A log of years: search over BENCH_ENTRIES checks, and an export of BENCH_ROWS of them with a proof of each.

BENCH_ENTRIES=1000000 is what the bar of the search speaks of; the default is a quick one. The checks are made in bulk
from one that the gate really answered: entries that the guards let in, and the rows that the projections leave.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from flask import Flask
from sqlalchemy import Table, insert, select

from bench.checks import _environment, flask
from bench.log import Last
from bench.servers import databases, resident
from compliance import create_app
from compliance.audit.entry import Draft
from compliance.audit.table import audit_disclosure, audit_entry, check_record
from compliance.audit.turn import next_row
from compliance.deployment import Deployment
from compliance.gate import Asker, Question
from compliance.law.facts import Application, Identity, Scale, Workforce
from compliance.proof.receipt import disclosed
from compliance.reports.export import export
from compliance.reports.search import CHECKS, FINDINGS, Wanted, search
from config import Settings

ENTRIES = int(os.environ.get("BENCH_ENTRIES", "50000"))
ROWS = min(ENTRIES, int(os.environ.get("BENCH_ROWS", "20000")))
TIMES, PAGE = 20, 26
ALL = ("73.08", "73.09", "76.05")
MIX = {"MET": 60, "NOT_MET": 20, "MET_WITH_NOTE": 12, "OFFICER_REVIEW": 5, "UNDETERMINED": 2.9, "BLOCKED": 0.1}
FOUND = {"NOT_MET": "PROGRAMMES_MISSING", "OFFICER_REVIEW": "HEADCOUNT_DIFFERS", "BLOCKED": "TMP2T_IN_FORCE"}
START = date(2024, 1, 1)
COLUMNS = {table: [column.name for column in table.columns] for table in (CHECKS, check_record)}
LOOKS: tuple[dict[str, Any], ...] = (
    *({}, {"verdict": "NOT_MET"}, {"verdict": "BLOCKED"}, {"finding": "TMP2T_IN_FORCE"}, {"office": "Kantor 7"}),
    *({"finding": "PROGRAMMES_MISSING", "office": "Kantor 7"}, {"permit_type": "KAPAL", "verdict": "BLOCKED"}),
    *({"reference": "B/4711"}, {"nib": f"{4711:013}"}, {"asker": f"user:{7:026}"}),
    {"since": date(2025, 3, 1), "until": date(2025, 3, 31), "verdict": "OFFICER_REVIEW"},
)


def main() -> None:
    """Prints two lines per database."""
    print(f"\nA log of {ENTRIES} checks: {len(LOOKS)} searches in one region and in three; an export of {ROWS} rows")
    with databases() as urls:
        for name, url in urls.items():
            with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
                env = _environment(url, Path(folder)) | {"REGISTRY_URL": ""}
                flask(env, "db", "upgrade")
                _measure(name, create_app(Settings.from_environment(env)))


def _measure(name: str, app: Flask) -> None:
    with app.app_context():
        here: Deployment = app.extensions["compliance"]
        begun = time.perf_counter()
        fill(here)
        filled = time.perf_counter() - begun
        took: list[float] = []
        for regions in (("73.09",), ALL):
            for look in LOOKS:
                for _ in range(TIMES):
                    begun = time.perf_counter()
                    search(here.log.engine, Wanted(regions, **look), PAGE)
                    took.append(1000 * (time.perf_counter() - begun))
        p95 = quantiles(took, n=20)[-1]
        told = f"median {median(took):.1f} ms, p95 {p95:.1f}, most {max(took):.1f}"
        print(f"{name}: filled in {filled:.0f} s; search {told}")
        for form in ("csv", "jsonl"):
            _export(name, here, form)
        here.log.engine.dispose()


def _export(name: str, here: Deployment, form: str) -> None:
    begun, size, tenth = time.perf_counter(), 0, 0
    since = START + timedelta(days=(ENTRIES - ROWS) * 1050 // ENTRIES)
    for piece in export(here, Wanted(ALL, since=since), form, {}):
        size += len(piece)
        tenth = tenth or resident(os.getpid())
    spent, most = time.perf_counter() - begun, resident(os.getpid())
    rate = f"{ROWS / spent:.0f} rows/s, {size / ROWS:.0f} bytes a row"
    print(
        f"{name}: export of {ROWS} rows as {form}: {spent:.1f} s, {rate}; memory {tenth} MB at first, {most} MB at last"
    )


def fill(here: Deployment) -> None:
    """The tables as ENTRIES checks of three years leave them: three regions, forty offices, two hundred clerks."""
    application = Application("RESTORAN", "73.09", date(2026, 11, 20), Scale.SMALL, workforce=Workforce(True, 12))
    identity = Identity(name="CV Sumber Rejeki", nib="8120001234567")
    question = Question("B/0", application, identity, Asker("user", f"{0:026}", "Kantor 0"))
    record = here.log.check(json.loads(here.gate.check(question).document)["id"])
    assert record
    entry, told = here.log.entry(record.id), here.log.disclosures([record.id])[record.id]
    assert entry
    with here.log.engine.connect() as connection:
        last: Any = connection.execute(select(audit_entry).order_by(audit_entry.c.pos.desc()).limit(1)).one()
    dice, many = random.Random(1), 10_000
    for first in range(last.pos + 1, ENTRIES, many):
        rows: dict[Table, list[dict[str, Any]]] = defaultdict(list)
        for number in range(first, min(first + many, ENTRIES)):
            new, reference = f"{number:026}", f"B/{number // 2}"
            raw = entry.raw.replace(record.id.encode(), new.encode()).replace(b'"B/0"', f'"{reference}"'.encode())
            last = Last(next_row(last, Draft(new, raw)))
            rows[audit_entry].append(last.row)
            rows[audit_disclosure] += [
                {"entry_id": new, "field": disclosed(text)[0], "disclosure": text} for text in told
            ]
            _project(rows, number, {"id": new, "reference": reference, **_some(dice, number)}, record._asdict())
        with here.log.engine.begin() as connection:
            for table, some in rows.items():
                connection.execute(insert(table), some)


def _some(dice: random.Random, number: int) -> dict[str, Any]:
    verdict = dice.choices(list(MIX), list(MIX.values()))[0]
    return {
        "verdict": verdict,
        "action": {"NOT_MET": "STOP", "BLOCKED": "STOP", "MET": "PROCEED", "MET_WITH_NOTE": "PROCEED"}.get(
            verdict, "HOLD"
        ),
        "region": dice.choice(("73.09", "73.09", "73.08", "76.05")),
        "day": START + timedelta(days=number * 1050 // ENTRIES),
        "nib": f"{dice.randrange(300_000):013}",
        "clerk": dice.randrange(200),
        "permit_type": dice.choice(("RESTORAN", "PERDAGANGAN", "INDUSTRI", "HOTEL", "PBG", "TENDER", "KAPAL")),
    }


def _project(rows: dict[Table, list[dict[str, Any]]], pos: int, told: dict[str, Any], record: dict[str, Any]) -> None:
    """The rows of one check, as the projections would write them."""
    at = datetime(told["day"].year, told["day"].month, told["day"].day, 3, tzinfo=UTC)
    row = {
        "pos": pos,
        "at": at,
        "checked_at": at,
        "office": f"Kantor {told['clerk'] % 40}",
        "receipt_code": f"{pos:014}",
    }
    row |= {"asker": f"user:{told['clerk']:026}", "asker_id": f"{told['clerk']:026}", "document": "{}", **told}
    del row["clerk"]
    rows[CHECKS].append({name: row[name] for name in COLUMNS[CHECKS]})
    rows[check_record].append({name: row.get(name, record.get(name)) for name in COLUMNS[check_record]})
    if code := FOUND.get(told["verdict"]):
        rows[FINDINGS].append({"pos": pos, "code": code, "region": told["region"], "day": told["day"]})


if __name__ == "__main__":
    main()
