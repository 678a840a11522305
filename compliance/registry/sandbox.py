"""The sandbox agency: invented employers, one for each branch of the law, and failures on request.

All of it stands in sandbox_world.toml. Any other NIB gets a record made from its digits, always the same one.
A program of its own: `python -m compliance.registry.sandbox --port N`, or gunicorn with
`compliance.registry.sandbox:app`. `/` shows the table.
"""

import argparse
import contextlib
import errno
import gzip
import hashlib
import json
import os
import re
import select
import socket
import struct
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from jinja2 import Template

from compliance.errors import RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry.http import decode, judge
from compliance.registry.port import Purpose
from compliance.registry.wire import Agreed, read_document, understand

Json = dict[str, Any]
HERE = Path(__file__)
WORLD: Json = tomllib.loads(HERE.with_name("sandbox_world.toml").read_text(encoding="utf-8"))
HANG = 60.0  # seconds; a caller that leaves ends it
_TOKEN = re.compile(r"\{(month|day)([+-][0-9]+)\}")
_PLAIN_SHARE = 192  # of 256: how many NIB of no scenario are in order


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over the wire; `manner`: answer, hang, drip, cut, reset or slow."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: str = "answer"


def reply(path: str, query: Mapping[str, str], now: datetime) -> Reply:
    """The agency's answer to one call at the moment `now`."""
    key, value = next(((key, query[key]) for key in ("nib", "npwp", "npp", "nik", "nomor") if key in query), ("", ""))
    number = _number(key, value)
    failure = _row("failure", number) or {}
    match key and path:
        case "/v1/badan-usaha":
            found = _employer(key, value, number, failure)
        case "/v1/proyek" if key == "npp":
            project = (_row("scenario", number) or {}).get("project")
            found = project and {"nomor": f"79{number[2:13]}", "npp": value, **project}
        case "/v1/peserta" | "/v1/proyek":
            kind = "person" if path == "/v1/peserta" else "project"
            row = _row(kind, number) or (WORLD[kind][0] if failure else None)
            found = row and row["answer"] | ({"nomor": number} if kind == "project" else {})
        case _:
            return Reply(b'{"error": "tidak dikenal"}', 404)
    head = {"per_tanggal": now.isoformat(timespec="seconds"), "no_ref": f"SANDBOX-{now:%Y%m%d}-{number[-4:]}"}
    document = {"ditemukan": found is not None} | head | (found or {}) | failure.get("answer", {})
    return _spoil(failure, document, now.date())


def _number(key: str, value: str) -> str:
    """The NIB (or NIK, or project number) behind a number: NPWP `0` + 12 digits of the NIB + `000`, NPP `P` + NIB."""
    if key == "npwp" and value.startswith("0") and value.endswith("000"):
        return (value[1] if value[1] in "67" else "8") + value[1:13]
    return value[1:] if key == "npp" and value.startswith("P") else value


def _row(kind: str, number: str) -> Any:
    return next((row for row in WORLD[kind] if number.startswith(row["prefix"])), None)


def _employer(key: str, value: str, number: str, failure: Json) -> Json | None:
    if firm := next((firm for firm in WORLD["firm"] if firm.get(key) == value), None):
        return _record(firm, firm["npp"]) | {name: firm[name] for name in ("nama", "nib", "npwp")}
    digest = hashlib.sha256(number.encode()).digest()
    row: Json | None = failure or _row("scenario", number)
    if not row and re.fullmatch(r"(?!66|77)[0-9]{13}", number):  # mostly in order, else one scenario
        row = WORLD["scenario"][0 if digest[0] < _PLAIN_SHARE else digest[1] % len(WORLD["scenario"])]
    if not row or key in row.get("missing", ()):
        return None
    nib, npwp, names = number[:13], f"0{number[1:13]}000", WORLD["names"]
    words = (names[kind][digest[place] % len(names[kind])] for place, kind in enumerate(("forms", "first", "second")))
    numbers = {"nama": " ".join(words), "nib": nib, "npwp": npwp if _number("npwp", npwp) == nib else None}
    return numbers | _record(row, value if key == "npp" else f"P{nib}") | _nulled(row.get("answer", {}))


def _record(row: Json, npp: str) -> Json:
    accounts = [WORLD["account"] | {"npp": npp} | _nulled(row.get("account", {}))]
    if "second" in row:
        accounts.append(WORLD["account"] | {"npp": f"{npp[:19]}X"} | row["second"])
    return {"kepesertaan": accounts, "teguran": None, "tmp2t": None}


def _nulled(changes: Json) -> Json:
    """TOML has no null: `null` lists the fields that are."""
    return {key: value for key, value in changes.items() if key != "null"} | dict.fromkeys(changes.get("null", ()))


def _spoil(failure: Json, document: Json, today: date) -> Reply:
    """The document as bytes, its days and months counted from `today`, with what the failure does to it."""

    def when(match: re.Match[str]) -> str:
        if match[1] == "day":
            return (today + timedelta(days=int(match[2]))).isoformat()
        months = today.year * 12 + today.month - 1 + int(match[2])
        return f"{months // 12:04d}-{months % 12 + 1:02d}"

    document.pop(failure.get("without", ""), None)
    text = failure.get("body", _TOKEN.sub(when, json.dumps(document)))
    text = text.replace(*failure["replace"]) if "replace" in failure else text
    if levels := failure.get("deep"):
        text = f'{text[:-1]}, "lain": {"[" * levels}{"]" * levels}}}'
    body = text.encode(failure.get("charset", "utf-8"))[: failure.get("cut")] + b" " * failure.get("pad", 0)
    headers = {"Content-Type": "application/json"} | failure.get("headers", {})
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.compress(body, 1)
    return Reply(body, failure.get("status", 200), headers, failure.get("manner", "answer"))


class InProcess:
    """The sandbox agency without HTTP: the same answers and failures, at once."""

    name = "sandbox"

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        now = self.clock()
        _, path, query = Agreed().call(ask, purpose.reference)
        got = reply(path, query, now)
        if got.manner not in ("answer", "slow"):
            raise RegistryUnavailable(f"sandbox: {got.manner}")
        judge(got.status, got.headers.get("Retry-After", ""), Agreed.statuses, now)
        return understand(ask, read_document(decode(got.headers.get("Content-Encoding", ""), got.body)), now, self.name)


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """WSGI. Behaves as the number asked for demands, down to the socket."""
    path, query = environ.get("PATH_INFO", "/"), dict(parse_qsl(environ.get("QUERY_STRING", "")))
    if path == "/":
        page = Template(HERE.with_name("sandbox.html").read_text("utf-8"), autoescape=True).render(world=WORLD)
        got = Reply(page.encode(), headers={"Content-Type": "text/html; charset=utf-8"})
    else:
        got = reply(path, query, datetime.now(UTC))
    if got.manner == "slow":
        time.sleep(3)
    elif got.manner != "answer":
        _misbehave(environ.get("gunicorn.socket") or environ["werkzeug.socket"], got)
    start_response(
        f"{got.status} {HTTPStatus(got.status).phrase}", [*got.headers.items(), ("Content-Length", str(len(got.body)))]
    )
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


if __name__ == "__main__":  # serve on this machine with gunicorn, in this process
    options = argparse.ArgumentParser(description="The sandbox agency, on this machine only.")
    options.add_argument("--port", type=int, default=8001)
    bind = f"127.0.0.1:{options.parse_args().port}"
    serve = ["-k", "gthread", "--threads", "64", "--no-control-socket", "--log-level", "warning", "-b", bind]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *serve, f"{__spec__.name}:app"])  # noqa: S606
