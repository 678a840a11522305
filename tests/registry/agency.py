"""An agency on a bare socket that misbehaves byte by byte as a test says, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[["Wire", Request], None]


class Wire:
    """One connection; a behaviour writes to it and says whether it stays open."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock, self.stopping, self.keep = sock, stopping, True

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait(self, seconds: float) -> None:
        """Pause, but end at once when the test does."""
        if self.stopping.wait(seconds):
            raise ConnectionAbortedError

    def close(self) -> None:
        self.keep = False

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


class Agency:
    """`with Agency(behaviour) as agency:` serves on `agency.url`; `behaviour` may be changed at any time."""

    def __init__(self, behaviour: Behaviour, context: ssl.SSLContext | None = None) -> None:
        self.behaviour, self._context = behaviour, context
        self.requests: list[Request] = []
        self.connections = 0
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        scheme = "https" if context else "http"
        self.port = self._listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Agency:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)

    def _spawn(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            self._spawn(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), plain:
            sock = self._context.wrap_socket(plain, server_side=True) if self._context else plain
            self._open.append(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock, sock.makefile("rb") as reader:
                wire = Wire(sock, self._stopping)
                while wire.keep and (request := _read(reader)):
                    self.requests.append(request)
                    self.behaviour(wire, request)
                    wire.keep = wire.keep and request.headers.get("connection", "").lower() != "close"


def _read(reader: Any) -> Request | None:
    line = reader.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = {}
    while (header := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    parts = urlsplit(line[1])
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    return Request(line[0], parts.path, query, headers, body)


def response(body: bytes, status: int = 200, headers: dict[str, str] | None = None, length: int | None = None) -> bytes:
    """A whole HTTP/1.1 response as bytes; `length` announces another length than the body has."""
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body) if length is None else length)}
    lines |= headers or {}
    head = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def says(body: bytes | dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Behaviour:
    """An agency that always answers the same."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda wire, request: wire.send(response(raw, status, headers))


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One behaviour after the other; the last one stays."""
    rest = list(behaviours)
    lock = threading.Lock()

    def act(wire: Wire, request: Request) -> None:
        with lock:
            behaviour = rest.pop(0) if len(rest) > 1 else rest[0]
        behaviour(wire, request)

    return act


def bytes_then_close(data: bytes) -> Behaviour:
    def act(wire: Wire, request: Request) -> None:
        wire.send(data)
        wire.close()

    return act


def drips(data: bytes, every: float) -> Behaviour:
    """One byte after the other, without end in sight."""

    def act(wire: Wire, request: Request) -> None:
        for byte in data:
            wire.send(bytes([byte]))
            wire.wait(every)
        wire.close()

    return act


def hangs(wire: Wire, request: Request) -> None:
    wire.wait(60)


def resets(wire: Wire, request: Request) -> None:
    wire.reset()


def slow(seconds: float, then: Behaviour) -> Behaviour:
    def act(wire: Wire, request: Request) -> None:
        time.sleep(seconds)
        then(wire, request)

    return act
