"""A batch against an agency of 20 ms at its allowed rate: how much longer than rows / rate, and does memory stay.

BENCH_ROWS=100000 makes it the whole size; the default is a quick one.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from bench.agency import _agency, _key
from bench.checks import _environment
from bench.servers import BIN, HERE, databases, gunicorn, resident

DELAY, RATE = 0.02, 50
ROWS = int(os.environ.get("BENCH_ROWS", "2000"))


def main() -> None:
    """Prints one row per database."""
    print(f"\nbatch of {ROWS} rows, agency of {DELAY * 1000:.0f} ms, {RATE} a second (bar: overhead < 10 %)")
    with databases() as urls:
        for name, url in urls.items():
            with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
                env = _environment(url, Path(folder)) | {"REGISTRY_CACHE_TTL": "0", "BATCH_RATE": str(RATE)}
                print(_row(name, env, _key(env)), flush=True)


def _row(name: str, env: dict[str, str], key: str) -> str:
    header = "reference,permit_type,business.nib,business.scale,workforce.declared"
    lines = (f"B/{row},RESTORAN,77010{row:08d},small,12" for row in range(ROWS))
    table = "\n".join([header, *lines]).encode()
    with _agency(DELAY) as url, gunicorn("wsgi:app", env) as port:
        env |= {"REGISTRY_URL": url}
        begun = time.perf_counter()
        batch = _call(port, key, "", table)
        taken = time.perf_counter() - begun
        worker = subprocess.Popen([BIN / "flask", "--app", "wsgi", "work", "--loop"], cwd=HERE, env=env)
        try:
            first, held = 0.0, list[int]()
            while batch["state"] != "done":
                time.sleep(0.5)
                batch = _call(port, key, f"/{batch['id']}")
                if batch["done"]:
                    first = first or time.perf_counter() - batch["done"] / RATE
                    held.append(resident(worker.pid))
            spent = time.perf_counter() - first
            ticks = Path(f"/proc/{worker.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
            cpu = 1000 * sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") / ROWS
        finally:
            worker.terminate()
            worker.wait(60)
    over, tenth = 100 * (spent * RATE / ROWS - 1), held[len(held) // 10]
    return (
        f"{name:<12}read and sealed in {taken:.1f} s; asked in {spent:.1f} s, overhead {over:.1f} %;"
        f" {cpu:.1f} ms of CPU a row; memory at a tenth {tenth} MB, most {max(held)} MB"
    )


def _call(port: int, key: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/csv"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/batches{path}", body, headers)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return dict(json.load(answer))
