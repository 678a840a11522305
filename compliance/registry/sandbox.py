"""The sandbox agency as a program of its own, for demonstrations and for developers of licensing software.

`python -m compliance.registry.sandbox --port N`, or gunicorn with `compliance.registry.sandbox:app`.
`/` shows the table.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from compliance.registry.sandbox_world import WORLD, Reply, reply

HANG = 60.0  # seconds; a caller that leaves ends it
STATUS = {200: "OK", 204: "No Content", 302: "Found", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
KINDS = {
    "scenario": "Badan usaha: awalan NIB / NIK · Employers: first digits of NIB or NIK",
    "person": "Orang: awalan NIK · Persons: first digits of the NIK",
    "project": "Proyek: awalan nomor · Projects: first digits of the number",
    "failure": "Gangguan: awalan NIB, NIK, nomor proyek · Failures: first digits of NIB, NIK or project number",
}


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """WSGI. Behaves as the number asked for demands, down to the socket."""
    path = environ.get("PATH_INFO", "/")
    if path == "/":
        page = _page().encode()
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))])
        return [page]
    got = reply(path, dict(parse_qsl(environ.get("QUERY_STRING", ""))), datetime.now(UTC))
    if got.manner == "slow":
        time.sleep(3)
    elif got.manner != "answer":
        _misbehave(environ.get("gunicorn.socket") or environ["werkzeug.socket"], got)
    headers = {**got.headers, "Content-Length": str(len(got.body))}
    start_response(f"{got.status} {STATUS.get(got.status, 'Error')}", list(headers.items()))
    return [got.body]


def _misbehave(wire: socket.socket, got: Reply) -> NoReturn:
    """Do it on the bare socket, then end the connection: the server closes without a word."""
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(got.body)
    with contextlib.suppress(OSError):
        if got.manner == "hang":
            select.select([wire], [], [], HANG)
        elif got.manner == "cut":
            wire.sendall(start + got.body[: len(got.body) // 2])
        elif got.manner == "drip":
            wire.sendall(start)
            for byte in got.body[: int(HANG)]:
                wire.sendall(bytes([byte]))
                time.sleep(1)
        elif got.manner == "reset":
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionResetError(errno.ECONNRESET, got.manner)


def _page() -> str:
    """The table of what is answered: HTML, of which the frame stands in sandbox.html."""
    firms = "".join(
        f"<tr><td>{firm['nib']}<td>{firm['npwp']}<td>{firm['npp']}<td>{escape(firm['nama'])}" for firm in WORLD["firm"]
    )
    tables = ""
    for kind, title in KINDS.items():
        tables += f"<h2>{escape(title)}</h2><table><tr><th>Awalan<th>Jawaban<th lang=en>Answer"
        for row in WORLD[kind]:
            tables += f"<tr><td>{row['prefix']}…<td>{escape(row['id'])}<td lang=en>{escape(row['en'])}"
        tables += "</table>"
    frame = Path(__file__).with_name("sandbox.html").read_text(encoding="utf-8")
    return frame.replace("{firms}", firms).replace("{tables}", tables)


def main() -> None:
    """Serve on 127.0.0.1 with gunicorn, in this process."""
    options = argparse.ArgumentParser(description="The sandbox agency, on this machine only.")
    options.add_argument("--port", type=int, default=8001)
    bind = f"127.0.0.1:{options.parse_args().port}"
    serve = ["-k", "gthread", "--threads", "64", "--no-control-socket", "--log-level", "warning", "-b", bind]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *serve, f"{__spec__.name}:app"])  # noqa: S606


if __name__ == "__main__":
    main()
