"""POST /api/v1/checks with the agency cached, beside a bare one-row insert: same gunicorn, same database, in turns."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench.servers import BIN, HERE, databases, gunicorn
from compliance.demo import CHECK

ROUNDS, SECONDS, CALLERS = 3, 6, 16


def main() -> None:
    """Prints one row per database: rates, p99 and the ratio of the medians of the rounds."""
    print(
        f"\nPOST /checks, agency cached, {CALLERS} callers, {ROUNDS} rounds of {SECONDS} s in turn with a bare insert"
    )
    print(
        f"{'database':<12}{'checks/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'bare/s':>10}{'p99 ms':>9}{'ratio':>8}{'bad':>6}"
    )
    with databases() as urls:
        for name, url in urls.items():
            print(_row(name, url), flush=True)


def prepared(url: str, folder: Path) -> tuple[dict[str, str], str]:
    """The environment of a gate with tables, a bare row's table and a client; and that client's key."""
    env = _environment(url, folder)
    flask(env, "db", "upgrade")
    subprocess.run([sys.executable, "-m", "bench.bare"], cwd=HERE, env=env, check=True)
    return env, flask(env, "client", "create", "bench", "--region", "73.09", "--scopes", "check").splitlines()[-1]


def flask(env: dict[str, str], *words: str) -> str:
    command = [BIN / "flask", "--app", "wsgi", *words]
    return subprocess.run(command, cwd=HERE, env=env, check=True, capture_output=True, text=True).stdout.strip()


def _row(name: str, url: str) -> str:
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
        env, key = prepared(url, Path(folder))
        agency = ("--workers", "1", "--threads", "16")
        with (
            gunicorn("compliance.registry.sandbox:app", env, *agency) as agency_port,
            gunicorn("wsgi:app", env | {"REGISTRY_URL": f"http://127.0.0.1:{agency_port}"}) as gate,
            gunicorn("bench.bare:create_bare()", env) as bare,
        ):
            return _measure(name, key, gate, bare)


def _measure(name: str, key: str, gate: int, bare: int) -> str:
    bodies = [json.dumps(CHECK | {"reference": "B/{n}/2026"})]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    load(gate, "/api/v1/checks", headers, bodies, 2)
    load(bare, "/rows", headers, bodies, 2)
    checks, inserts = [], []
    for _ in range(ROUNDS):
        checks.append(load(gate, "/api/v1/checks", headers, bodies, SECONDS))
        inserts.append(load(bare, "/rows", headers, bodies, SECONDS))
    full, plain = (median(r["rate"] for r in rows) for rows in (checks, inserts))
    p50, p99 = (median(r[key] or 0 for r in checks) for key in ("p50", "p99"))
    bare99 = median(r["p99"] or 0 for r in inserts)
    bad = sum(r["bad"] for r in checks + inserts)
    return f"{name:<12}{full:>10.0f}{p50:>9.1f}{p99:>9.1f}{plain:>10.0f}{bare99:>9.1f}{full / plain:>8.2f}{bad:>6}"


def load(
    port: int, path: str, headers: dict[str, str], bodies: list[str], seconds: float, **more: Any
) -> dict[str, Any]:
    """One round of the load generator in a process of its own."""
    job = {"host": "127.0.0.1", "port": port, "path": path, "headers": headers, "bodies": bodies}
    text = json.dumps(job | {"callers": CALLERS, "seconds": seconds} | more)
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], cwd=HERE, input=text, check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout))


def _environment(url: str, folder: Path) -> dict[str, str]:
    return os.environ | {
        "DEMO": "1",
        "DATABASE_URL": url,
        "SECRET_KEY": secrets.token_urlsafe(32),
        "LOG_SIGNING_KEY": str(folder / f"{url.split(chr(58))[0]}.key"),
        "LOG_ORIGIN": "bench.example/log",
        "REGISTRY": "sandbox",
        "REGISTRY_URL": "http://127.0.0.1:1",
        "REGISTRY_CACHE_TTL": "3600",
        "RATE_LIMIT": "10000000",
        "FLASK_SKIP_DOTENV": "1",
    }


if __name__ == "__main__":
    main()
