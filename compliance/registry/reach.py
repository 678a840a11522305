"""Calls out within a deadline: sockets that never wait past it, and only to addresses that the operator allows.

A time-out of `requests` counts from byte to byte, so a server that drips can hold a caller for ever. Here every wait
(name, connection, handshake, each read and write) gets what is left of the thread's budget.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from compliance.errors import Misconfigured

POOL = 256
NAME_KEPT = 60.0  # seconds
_budget = threading.local()


@contextmanager
def deadline(ends_at: float) -> Iterator[None]:
    """Nothing in this thread waits past `ends_at` (`time.monotonic()`) while inside."""
    _budget.ends_at = ends_at
    try:
        yield
    finally:
        del _budget.ends_at


def left() -> float:
    """Seconds left for this thread. Raises TimeoutError when there are none."""
    left = float(getattr(_budget, "ends_at", time.monotonic() + 8.0)) - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for this question is over")
    return left


class _Timed:
    """Mixed into a socket: every wait gets what is left."""

    def recv_into(self, *args: Any) -> int:
        self.settimeout(left())  # type: ignore[attr-defined]
        return int(super().recv_into(*args))  # type: ignore[misc]

    def sendall(self, *args: Any) -> None:
        self.settimeout(left())  # type: ignore[attr-defined]
        super().sendall(*args)  # type: ignore[misc]


class _Socket(_Timed, socket.socket):
    pass


class _TLSSocket(_Timed, ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(left())
        super().do_handshake(block)


class Addresses:
    """Which addresses may be reached: public ones, loopback when the URL says so, and those `allowed` (ALLOWED_HOSTS):
    host names, addresses and networks."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._names = {entry.lower() for entry in allowed}
        self._networks = [network for network in map(_network, allowed) if network]
        self._known: dict[tuple[str, int], tuple[float, Future[list[Any]]]] = {}
        self._lock = threading.Lock()

    def connect(self, host: str, port: int) -> socket.socket:
        """A connected socket. Raises OSError (refused, unknown name, address not allowed, too late)."""
        found = [entry for entry in self._resolve(host, port) if self._permits(host, entry[4][0])]
        failure = OSError("no address of the host may be reached (see ALLOWED_HOSTS)")
        for tries_left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
            sock = _Socket(family, kind, protocol)
            try:
                sock.settimeout(left() / tries_left)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except OSError as error:
                sock.close()
                failure = error
        raise failure

    def _permits(self, host: str, address: str) -> bool:
        ip = ipaddress.ip_address(address.partition("%")[0])
        listed = host.lower() in self._names or any(ip in network for network in self._networks)
        return ip.is_global or listed or (ip.is_loopback and is_loopback(host))

    def _resolve(self, host: str, port: int) -> list[Any]:
        """Look a name up in a thread of its own, once for all who wait: the resolver knows no deadline."""
        with self._lock:
            since, future = self._known.get((host, port), (0.0, None))
            if future is None or (future.done() and (future.exception() or time.monotonic() - since > NAME_KEPT)):
                future = Future()
                self._known[(host, port)] = (time.monotonic(), future)
                threading.Thread(target=_look_up, args=(host, port, future), daemon=True).start()
        return future.result(left())


def _look_up(host: str, port: int, future: Future[list[Any]]) -> None:
    try:
        future.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        future.set_exception(OSError(f"the name is not known: {error}"))


def _adapter(addresses: Addresses, context: ssl.SSLContext) -> HTTPAdapter:
    """Keeps connections for as many threads as a worker has, and makes them through `addresses`."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return addresses.connect(self._dns_host, self.port or 80)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return addresses.connect(self._dns_host, self.port or 443)

    plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
    secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
    made = HTTPAdapter()
    made.init_poolmanager(4, POOL, ssl_context=context)
    made.poolmanager.pool_classes_by_scheme = {"http": plain, "https": secure}
    return made


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: `requests` would read a redirect's whole body even when told not to follow it."""
        return None


def session(allowed: tuple[str, ...], ca: str = "", certificate: str = "", key: str = "") -> requests.Session:
    """A session that verifies TLS always, follows nothing, keeps no cookie and reads no proxy from the environment.

    `ca`, `certificate`, `key` are files. Raises Misconfigured when they cannot be loaded.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _TLSSocket
    try:
        if certificate:
            context.load_cert_chain(certificate, key or None)
        if ca:
            context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"REGISTRY_AUTH_CA, _CERT or _CERT_KEY cannot be loaded: {error}") from error
    made = _Session()
    made.trust_env, made.verify = False, ca or True
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        made.mount(scheme, _adapter(Addresses(allowed), context))
    return made


def send(sender: requests.Session, url: str, body: bytes, headers: dict[str, str], most: int) -> tuple[int, bytes]:
    """POST a JSON body within 10 s; the answer's status (0: none came) and at most `most` bytes of it."""
    try:
        with (
            deadline(time.monotonic() + 10.0),
            sender.post(url, data=body, headers={"Content-Type": "application/json"} | headers, stream=True) as answer,
        ):
            return answer.status_code, answer.raw.read1(most)
    except (requests.RequestException, HTTPError, OSError):
        return 0, b""


def checked_url(url: str, name: str) -> str:
    """`url` if it is https, or http to this machine. Raises Misconfigured naming the setting `name`."""
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not parts.hostname or not secure or parts.username or parts.query or parts.fragment:
        raise Misconfigured(f"{name} must be an https address without user or query (http only to this machine)")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    network = _network(host)
    return host.lower() == "localhost" or bool(network and network.is_loopback)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
