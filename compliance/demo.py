"""What `make run` does: a demo deployment with the sandbox agency, on this machine only, until Ctrl-C.
Keys and passwords are random, made at the first start and kept under instance/demo (readable by the owner alone), so
that a second start shows the same ones. Nothing here runs unless DEMO=1, which only this program sets."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from compliance.cli import show
from compliance.proof.note import write_whole
from config import HERE, INSTANCE

FOLDER = INSTANCE / "demo"
HOST, PORT = "127.0.0.1", 8000
BASE = f"http://{HOST}:{PORT}"
BIN = Path(sys.executable).parent
FLASK = (str(BIN / "flask"), "--app", "wsgi")
CHECK = {
    "reference": "503/0123/DPMPTSP/2026",
    "permit_type": "RESTORAN",
    "region": "73.09",
    "business": {"name": "CV Sumber Rejeki", "nib": "8120001234567", "npwp": "01.234.567.8-801.000", "scale": "small"},
    "workforce": {"employs_workers": True, "declared": 12},
}


def main() -> int:
    """Prepare, start, show, serve. Returns the exit status."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError:
            wrong = f"Port {PORT} is held by another program (ss -ltnp names it); stop it, then type make run again."
            print(wrong, file=sys.stderr)
            return 2
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    _kept("secret", lambda: secrets.token_urlsafe(48))
    how: dict[str, Any] = {"cwd": HERE, "env": _environment()}
    print("Preparing the database …", flush=True)
    if subprocess.run([*FLASK, "db", "upgrade"], check=False, **how).returncode:
        return 1
    accounts = [*FLASK, "demo-accounts"]
    shown = json.loads(_kept("credentials.json", lambda: subprocess.check_output(accounts, text=True, **how)))
    print("Starting the sandbox agency and the gate …", flush=True)
    for end in (signal.SIGINT, signal.SIGTERM):  # also when started in the background, where Ctrl-C is ignored
        signal.signal(end, signal.default_int_handler)
    command = [str(BIN / "honcho"), "start", "-f", str(HERE / "Procfile")]
    servers = subprocess.Popen(command, start_new_session=True, **how)
    try:
        _show_when_ready(servers, **shown)
        return servers.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            servers.send_signal(signal.SIGTERM)
        with contextlib.suppress(KeyboardInterrupt):
            servers.wait(timeout=40)


def _environment() -> dict[str, str]:
    """The demo's settings, with a free port for the agency."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        agency = str(probe.getsockname()[1])
    fixed = {
        **{"DEMO": "1", "REGION": "73.09", "LOG_ORIGIN": "demo.gate.example/log", "PYTHONUNBUFFERED": "1"},
        **{"PUBLIC_URL": BASE, "BIND": f"{HOST}:{PORT}"},
        **{"AGENCY_PORT": agency, "REGISTRY_URL": f"http://{HOST}:{agency}"},
        **{"SECRET_KEY_FILE": str(FOLDER / "secret"), "LOG_SIGNING_KEY": str(FOLDER / "log.key")},
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    own = {"DATABASE_URL": f"sqlite:///{FOLDER / 'gate.db'}", "REGISTRY": "sandbox", "LOG_LEVEL": "WARNING"}
    return own | os.environ | fixed


def _kept(name: str, make: Callable[[], str]) -> str:
    """The text of a file under instance/demo that only its owner can read; made at the first start."""
    path = FOLDER / name
    if not path.exists():
        write_whole(path, make(), 0o600)
    return path.read_text(encoding="utf-8")


def _show_when_ready(servers: subprocess.Popen[Any], keys: dict[str, str], accounts: list[dict[str, str]]) -> None:
    """Print keys, accounts and one real check with its answer."""
    for _ in range(300):
        if servers.poll() is not None:
            raise SystemExit("The servers ended while starting; the lines above say why.")
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{BASE}/readyz", timeout=2).status_code == 200:
                break
        time.sleep(0.1)
    else:
        raise SystemExit("The gate did not become ready within 30 seconds; the lines above say why.")
    key = keys["73.09"]
    answer = requests.post(f"{BASE}/api/v1/checks", json=CHECK, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    document = answer.json()
    document.get("receipt", {}).update(jws="…", proof="…")
    asked, answered = json.dumps(CHECK, ensure_ascii=False), json.dumps(document, ensure_ascii=False, indent=2)
    show("demo", keys=keys, accounts=accounts, base=BASE, key=key, asked=asked, answered=answered)


if __name__ == "__main__":
    sys.exit(main())
