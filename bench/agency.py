"""The agency's time and the gate's: overhead over an agency of 50 ms, and 200 callers of one that never answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bench.checks import _environment
from bench.servers import BIN, HERE, databases, free_port, gunicorn
from compliance.demo import CHECK
from compliance.registry.sandbox import reply

DELAY, RATE, SECONDS = 0.05, 50, 20
CALLERS, BUDGET = 200, 8
UNASKED = "8120001234560"  # no stored answer stands in for it
LIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def main() -> None:
    """Prints one row per database for each of the two agencies."""
    print(f"\nagency of {DELAY * 1000:.0f} ms, {RATE} checks/s for {SECONDS} s (bar: p99 overhead 30 ms)")
    print(f"agency that never answers, {CALLERS} callers at once, budget {BUDGET} s (bar: 9 s; other endpoints 250 ms)")
    with databases() as urls:
        for name, url in urls.items():
            with tempfile.TemporaryDirectory(prefix="gate-bench-") as folder:
                env = _environment(url, Path(folder)) | {"REGISTRY_CACHE_TTL": "0", "REGISTRY_TIMEOUT": str(BUDGET)}
                print(_overhead(name, env, _key(env)), flush=True)
                print(_dead(name, env, _key(env)), flush=True)


def _key(env: dict[str, str]) -> str:
    flask = [BIN / "flask", "--app", "wsgi"]
    subprocess.run([*flask, "db", "upgrade"], cwd=HERE, env=env, check=True, capture_output=True)
    create = [*flask, "client", "create", "bench", "--region", "73.09", "--scopes", "check"]
    made = subprocess.run(create, cwd=HERE, env=env, check=True, capture_output=True, text=True)
    return made.stdout.strip().splitlines()[-1]


def _overhead(name: str, env: dict[str, str], key: str) -> str:
    with _agency(DELAY) as url, gunicorn("wsgi:app", env | {"REGISTRY_URL": url}) as gate:
        _load({"port": gate, "key": key, "count": RATE * 3, "every": 1 / RATE})  # warm: connections, policies
        done = _load({"port": gate, "key": key, "count": RATE * SECONDS, "every": 1 / RATE})
    over = [1000 * (took - DELAY) for took in sorted(done["took"])]
    p50, p99 = over[len(over) // 2], over[len(over) * 99 // 100]
    return f"{name:<12}overhead p50 {p50:6.1f} ms, p99 {p99:6.1f} ms  {done['verdicts']}"


def _dead(name: str, env: dict[str, str], key: str) -> str:
    with _agency(-1) as url, gunicorn("wsgi:app", env | {"REGISTRY_URL": url}) as gate:
        done = _load({"port": gate, "key": key, "count": CALLERS, "every": 0, "nib": UNASKED})
    took, other = max(done["took"]), 1000 * max(done["other"])
    return f"{name:<12}slowest of {CALLERS}: {took:.2f} s; /healthz meanwhile ≤ {other:.0f} ms  {done['verdicts']}"


@contextlib.contextmanager
def _agency(delay: float) -> Iterator[str]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.agency", "serve", str(port), str(delay)], cwd=HERE)
    try:
        time.sleep(1.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _load(job: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.agency", "load"]
    done = subprocess.run(command, cwd=HERE, input=json.dumps(job), check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


async def _serve(port: int, delay: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                begun = time.perf_counter()
                target = urlsplit(head.split()[1].decode())
                body = reply(target.path, dict(parse_qsl(target.query)), datetime.now(UTC)).body
                await asyncio.sleep(3600 if delay < 0 else delay - (time.perf_counter() - begun))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


async def _run(job: dict[str, Any]) -> dict[str, Any]:
    """Send `count` checks, one every `every` seconds however long they take; `nib`: ask
    for that one, and look at /healthz meanwhile."""
    out: dict[str, Any] = {"took": [], "other": [], "verdicts": {}}
    idle: list[tuple[float, Any]] = []

    async def call(data: bytes) -> tuple[float, bytes]:
        while idle and time.perf_counter() - idle[0][0] > 3:  # the server closes after 5 s
            idle.pop(0)[1][1].close()
        stream = idle.pop()[1] if idle else await asyncio.open_connection("127.0.0.1", job["port"])
        begun = time.perf_counter()
        stream[1].write(data)
        head = await stream[0].readuntil(b"\r\n\r\n")
        body = await stream[0].readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        if b"connection: close" not in head.lower():
            idle.append((time.perf_counter(), stream))
        return time.perf_counter() - begun, body

    async def check(number: int) -> None:
        business = CHECK["business"] | ({"nib": job["nib"]} if "nib" in job else {})  # type: ignore[operator]
        body = json.dumps(CHECK | {"reference": f"B/{os.getpid()}/{number}", "business": business}).encode()
        head = (
            f"POST /api/v1/checks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        took, answer = await call(f"{head}\r\nAuthorization: Bearer {job['key']}\r\n\r\n".encode() + body)
        out["took"].append(took)
        verdict = json.loads(answer).get("verdict", "error")
        out["verdicts"][verdict] = out["verdicts"].get(verdict, 0) + 1

    async def watch() -> None:
        while True:
            out["other"].append((await call(LIVE))[0])
            await asyncio.sleep(0.1)

    for pause in (3, 0):  # until all workers have loaded the application
        await asyncio.gather(*(call(LIVE) for _ in range(40)))
        await asyncio.sleep(pause)
    watching = asyncio.create_task(watch()) if job.get("nib") else None
    begun, checks = time.perf_counter(), []
    for number in range(job["count"]):
        await asyncio.sleep(max(0, begun + number * job["every"] - time.perf_counter()))
        checks.append(asyncio.create_task(check(number)))
    await asyncio.gather(*checks)
    if watching:
        watching.cancel()
    return out


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", port, delay]:
            asyncio.run(_serve(int(port), float(delay)))
        case ["load"]:
            print(json.dumps(asyncio.run(_run(json.load(sys.stdin)))))
        case _:
            main()
