"""The sandbox agency: invented employers for each branch of the law, and failures on request (sandbox_world.toml).
Any other NIB gets a record made from its digits, always the same one. A program of its own for
gunicorn (`compliance.registry.sandbox:app`), whose `/` shows the table."""

import contextlib
import errno
import gzip
import hashlib
import json
import re
import select
import socket
import struct
import time
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from jinja2 import Template
from werkzeug import Request, Response

from compliance.errors import RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry.http import decode, judge
from compliance.registry.port import Purpose
from compliance.registry.wire import OK, Wire, read_document, understand

Json = dict[str, Any]
HERE = Path(__file__)
WORLD: Json = tomllib.loads(HERE.with_name("sandbox_world.toml").read_text(encoding="utf-8"))
HANG = 60.0  # seconds; a caller that leaves ends it
_TOKEN = re.compile(r"\{(month|day)([+-][0-9]+)\}")
_PLAIN_SHARE = 192  # of 256: how many NIB of no scenario are in order
JSON = {"Content-Type": "application/json"}


class Reply(NamedTuple):  # what goes over the wire; `manner`: answer, hang, drip, cut, reset or slow
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
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
    document.pop(failure.get("without", ""), None)
    text = _TOKEN.sub(partial(_when, now.date()), json.dumps(document))
    text = Template(failure["body"]).render(text=text) if "body" in failure else text
    body = text.encode(failure.get("charset", "utf-8")) + b" " * failure.get("pad", 0)
    headers = JSON | failure.get("headers", {})
    body = gzip.compress(body, 1) if "Content-Encoding" in headers else body
    return Reply(body, failure.get("status", 200), headers, failure.get("manner", "answer"))


def _when(today: date, token: re.Match[str]) -> str:
    """A day or month counted from `today`."""
    if token[1] == "day":
        return (today + timedelta(days=int(token[2]))).isoformat()
    months = today.year * 12 + today.month - 1 + int(token[2])
    return f"{months // 12:04d}-{months % 12 + 1:02d}"


def _number(key: str, value: str) -> str:
    """The NIB (or NIK, or project number) behind a number: NPWP `0` + 12 digits of the NIB + `000`, NPP `P` + NIB."""
    if key == "npwp" and value.startswith("0") and value.endswith("000"):
        return (value[1] if value[1] in "67" else "8") + value[1:13]
    return value[1:] if key == "npp" and value.startswith("P") else value


def _row(kind: str, number: str) -> Any:
    return next((row for row in WORLD[kind] if number.startswith(row["prefix"])), None)


def _employer(key: str, value: str, number: str, failure: Json) -> Json | None:
    digest = hashlib.sha256(number.encode()).digest()
    firm: Json | None = next((firm for firm in WORLD["firm"] if firm.get(key) == value), None)
    row: Json | None = firm or failure or _row("scenario", number)
    if not row and re.fullmatch(r"(?!66|77)[0-9]{13}", number):  # mostly in order, else one scenario
        row = WORLD["scenario"][0 if digest[0] < _PLAIN_SHARE else digest[1] % len(WORLD["scenario"])]
    if not row or key in row.get("missing", ()):
        return None
    nib, npwp, words = number[:13], f"0{number[1:13]}000", WORLD["names"]
    name = " ".join(words[kind][digest[i] % len(words[kind])] for i, kind in enumerate(("forms", "first", "second")))
    known: Json = {"nama": name, "nib": nib, "npwp": npwp if _number("npwp", npwp) == nib else None}
    npp = value if key == "npp" else f"P{nib}"
    if firm:
        known, npp = {key: firm[key] for key in known}, firm["npp"]
    accounts = [WORLD["account"] | {"npp": npp} | _nulled(row.get("account", {}))]
    if "second" in row:
        accounts.append(WORLD["account"] | {"npp": f"{npp[:19]}X"} | row["second"])
    return known | {"kepesertaan": accounts, "teguran": None, "tmp2t": None} | _nulled(row.get("answer", {}))


def _nulled(changes: Json) -> Json:  # TOML has no null: `null` lists the fields that are
    return {key: value for key, value in changes.items() if key != "null"} | dict.fromkeys(changes.get("null", ()))


class InProcess:
    """The sandbox agency without HTTP: the same answers and failures, at once."""

    name = "sandbox"

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock, self._wire = clock, Wire()

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        now = self.clock()
        _, path, query = self._wire.call(ask, purpose.reference)
        got = reply(path, query, now)
        if got.manner not in ("answer", "slow"):
            raise RegistryUnavailable(f"sandbox: {got.manner}")
        judge(got.status, got.headers.get("Retry-After", ""), OK, now)
        return understand(ask, read_document(decode(got.headers.get("Content-Encoding", ""), got.body)), now, self.name)


@Request.application
def app(request: Request) -> Response:
    """WSGI. Behaves as the number asked for demands, down to the socket."""
    if request.path == "/":
        page = Template(HERE.with_name("sandbox.html").read_text("utf-8"), autoescape=True).render(world=WORLD)
        return Response(page, mimetype="text/html")
    got = reply(request.path, request.args, datetime.now(UTC))
    if got.manner == "slow":
        time.sleep(3)
    elif got.manner != "answer":
        _misbehave(request.environ.get("gunicorn.socket") or request.environ["werkzeug.socket"], got)
    return Response(got.body, got.status, got.headers)


def _misbehave(wire: socket.socket, got: Reply) -> NoReturn:
    # On the bare socket; the error ends the connection without a word of the server.
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
