"""What `make run` does: a demo deployment with the sandbox agency, on this machine only, until Ctrl-C.

Keys and passwords are random, made at the first start and kept under instance/demo (readable by the owner alone), so
that a second start shows the same ones. Nothing here runs unless DEMO=1, which only this program sets.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from config import HERE, INSTANCE

FOLDER = INSTANCE / "demo"
HOST, PORT = "127.0.0.1", 8000
BASE = f"http://{HOST}:{PORT}"
BIN = Path(sys.executable).parent
FLASK = (BIN / "flask", "--app", "wsgi")
CHECK = {
    "reference": "503/0123/DPMPTSP/2026",
    "permit_type": "RESTORAN",
    "region": "73.09",
    "business": {"name": "CV Sumber Rejeki", "nib": "8120001234567", "npwp": "01.234.567.8-801.000", "scale": "small"},
    "workforce": {"employs_workers": True, "declared": 12},
}


def main() -> int:
    """Prepare, start, show, serve. Returns the exit status."""
    if holder := _holder(PORT):
        print(f"Port {PORT} is held by {holder}; stop it, then type make run again.", file=sys.stderr)
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    env = _environment()
    print("Preparing the database …", flush=True)
    if subprocess.run([*FLASK, "db", "upgrade"], cwd=HERE, env=env, check=False).returncode:
        return 1
    shown = json.loads(
        _kept(
            "credentials.json", lambda: subprocess.check_output([*FLASK, "demo-accounts"], cwd=HERE, env=env, text=True)
        )
    )
    print("Starting the sandbox agency and the gate …", flush=True)
    for end in (signal.SIGINT, signal.SIGTERM):  # also when started in the background, where Ctrl-C is ignored
        signal.signal(end, signal.default_int_handler)
    command = [str(BIN / "honcho"), "start", "-f", str(HERE / "Procfile")]
    servers = subprocess.Popen(command, cwd=HERE, env=env, start_new_session=True)
    try:
        _wait_until_ready(servers)
        _show(shown)
        return servers.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            servers.send_signal(signal.SIGTERM)
        with contextlib.suppress(KeyboardInterrupt):
            servers.wait(timeout=40)


def _environment() -> dict[str, str]:
    """The demo's settings, with a secret of its own that is kept between starts."""
    _kept("secret", lambda: secrets.token_urlsafe(48))
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        agency = str(probe.getsockname()[1])
    fixed = {
        "DEMO": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "SECRET_KEY_FILE": str(FOLDER / "secret"),
        "LOG_SIGNING_KEY": str(FOLDER / "log.key"),
        "LOG_ORIGIN": "demo.gate.example/log",
        "PUBLIC_URL": BASE,
        "REGION": "73.09",
        "BIND": f"{HOST}:{PORT}",
        "AGENCY_PORT": agency,
        "REGISTRY_URL": f"http://{HOST}:{agency}",
    }
    own = {"DATABASE_URL": f"sqlite:///{FOLDER / 'gate.db'}", "REGISTRY": "sandbox", "LOG_LEVEL": "WARNING"}
    return own | os.environ | fixed


def _kept(name: str, make: Any) -> str:
    """The text of a file under instance/demo that only its owner can read; made at the first start."""
    path = FOLDER / name
    if not path.exists():
        text = make()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    return path.read_text(encoding="utf-8")


def _wait_until_ready(servers: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if servers.poll() is not None:
            raise SystemExit("The servers ended while starting; the lines above say why.")
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{BASE}/readyz", timeout=2).status_code == 200:
                return
        time.sleep(0.1)
    raise SystemExit("The gate did not become ready within 30 seconds; the lines above say why.")


def _show(shown: dict[str, Any]) -> None:
    """Print keys, accounts and one real check with its answer."""
    key = shown["keys"]["73.09"]
    answer = requests.post(f"{BASE}/api/v1/checks", json=CHECK, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    print("\nClient keys (one per region, demo only):")
    for region, value in shown["keys"].items():
        print(f"  {region}  {value}")
    print("Accounts (demo only):")
    for account in shown["accounts"]:
        second = "" if account["role"] == "clerk" else "   (sets up a second factor at the first sign-in)"
        print(f"  {account['role']:<14} {account['name']:<10} {account['password']}{second}")
    print(f"\nOne real check:\n  curl -s {BASE}/api/v1/checks -H 'Authorization: Bearer {key}' \\")
    print(f"    -H 'Content-Type: application/json' -d '{json.dumps(CHECK, ensure_ascii=False)}'\n")
    document = answer.json()
    document.get("receipt", {}).update(jws="…", proof="…")
    print(json.dumps(document, ensure_ascii=False, indent=2))
    print(f"\nServing on {BASE}  (API: {BASE}/api/docs). Ctrl-C ends it.", flush=True)


def _holder(port: int) -> str | None:
    """Who listens on the port, as far as /proc tells; None when it is free."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return None
    with contextlib.suppress(OSError):
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == port}
        for handle in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                if os.readlink(handle) in inodes:
                    return f"process {handle.parts[2]}"
    return "another program"


if __name__ == "__main__":
    sys.exit(main())
