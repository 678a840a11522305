"""A small load generator: raw keep-alive connections over asyncio, so that it leaves the cores to the server.

Runs as a program of its own (`python -m bench.load`, a JSON job on standard input) and prints a JSON result.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any


async def _caller(
    host: str, port: int, next_request: Any, ends_at: float, out: list[tuple[float, int]], turns: Iterator[float]
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for begun in turns:
        if max(begun, time.perf_counter()) >= ends_at:
            break
        await asyncio.sleep(begun - time.perf_counter())
        data = next_request()
        begun = begun or time.perf_counter()  # late is late, whoever kept it waiting
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        out.append((time.perf_counter() - begun, status))
        if b"connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection(host, port)
    writer.close()


async def run(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: host, port, path, headers, bodies (list of JSON texts, used in turn), callers, seconds.

    With `rate`, requests are due so many a second, and each is timed from when it was due; without, as fast as can be.
    """
    sent = 0
    begun = time.perf_counter()

    def next_request() -> bytes:
        nonlocal sent
        body = job["bodies"][sent % len(job["bodies"])].replace("{n}", str(sent)).encode()
        sent += 1
        lines = [f"POST {job['path']} HTTP/1.1", f"Host: {job['host']}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in job["headers"].items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    out: list[tuple[float, int]] = []
    ends_at = begun + job["seconds"]
    turns = (begun + number / job["rate"] for number in itertools.count()) if "rate" in job else itertools.repeat(0.0)
    callers = [_caller(job["host"], job["port"], next_request, ends_at, out, turns) for _ in range(job["callers"])]
    await asyncio.gather(*callers)
    return summary(out, time.perf_counter() - begun)


def summary(out: list[tuple[float, int]], seconds: float) -> dict[str, Any]:
    """Rate of good answers (201), p50 and p99 in milliseconds, and how many were anything else."""
    good = sorted(took for took, status in out if status == 201)
    bad = len(out) - len(good)
    at = lambda share: round(1000 * good[int(len(good) * share)], 1) if good else None  # noqa: E731
    return {"rate": round(len(good) / seconds, 1), "p50": at(0.5), "p99": at(0.99), "bad": bad}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
