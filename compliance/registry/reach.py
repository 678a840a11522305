"""Calls out within a deadline: sockets that never wait past it, and only to addresses that the operator allows.
A socket's own time-out begins anew with each byte. Here each wait gets what is left of the thread's budget."""

import ipaddress
import itertools
import select
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import certifi

from compliance.errors import Misconfigured

PORTS = {"http": 80, "https": 443}
UNICAST = ipaddress.ip_network("2000::/3")
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
    if (seconds := float(getattr(_budget, "ends_at", time.monotonic() + 8.0)) - time.monotonic()) <= 0:
        raise TimeoutError("the time for this question is over")
    return seconds


class _Timed:  # mixed into a socket: every wait gets what is left
    def recv_into(self, *args: Any) -> int:
        self.settimeout(left())  # type: ignore[attr-defined]
        return int(super().recv_into(*args))  # type: ignore[misc]

    def sendall(self, *args: Any) -> None:
        self.settimeout(left())  # type: ignore[attr-defined]
        super().sendall(*args)  # type: ignore[misc]


class _Socket(_Timed, socket.socket):
    pass


class _TLSSocket(_Timed, ssl.SSLSocket):
    pass


class Client:
    """HTTP to public addresses, to whom ALLOWED_HOSTS names, and to this machine when the URL says so. Verifies TLS,
    follows nothing, keeps no cookie, reads no proxy. Thread-safe. Raises Misconfigured for files that do not load."""

    def __init__(self, allowed: tuple[str, ...], ca: str = "", certificate: str = "", key: str = "") -> None:
        self._kept: dict[tuple[str, str, int], list[HTTPConnection]] = defaultdict(list)
        self._names = {entry.lower() for entry in allowed}
        self._networks = [network for network in map(_network, allowed) if network]
        self._looked_up: dict[tuple[str, int], Future[list[Any]]] = {}
        self._lock = threading.Lock()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # at least TLS 1.2
        self._context.sslsocket_class = _TLSSocket
        try:
            if certificate:
                self._context.load_cert_chain(certificate, key or None)
            self._context.load_verify_locations(ca or certifi.where())
        except OSError as error:
            raise Misconfigured(f"REGISTRY_AUTH_CA, _CERT or _CERT_KEY cannot be loaded: {error}") from error

    def __del__(self) -> None:
        for connection in itertools.chain.from_iterable(self._kept.values()):
            connection.close()

    @contextmanager
    def call(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Iterator[HTTPResponse]:
        """One answer, its body not yet read; kept is the connection of a whole one. Raises OSError, HTTPException."""
        parts, whole = urlsplit(url), False
        place = parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme]
        connection = self._connection(*place)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body, dict(headers))
            with connection.getresponse() as response:
                yield response
                whole = response.length == 0 or response.isclosed()
        finally:
            if whole and connection.sock:
                self._kept[place].append(connection)
            else:
                connection.close()

    def _connection(self, scheme: str, host: str, port: int) -> HTTPConnection:
        with suppress(IndexError):
            while True:
                connection = self._kept[scheme, host, port].pop()
                heard = select.poll()
                heard.register(connection.sock, select.POLLIN)
                if not heard.poll(0):
                    return connection
                connection.close()  # what can be read already is its end, or an answer that nobody asked for
        connection = HTTPConnection(host, port)
        connection.auto_open, connection.default_port = 0, PORTS[scheme]
        sock = self.connect(host, port)
        sock.settimeout(left())  # for the whole handshake
        connection.sock = self._context.wrap_socket(sock, server_hostname=host) if scheme == "https" else sock
        return connection

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
        ip = getattr(ip, "ipv4_mapped", None) or ip
        public = ip.is_global and not ip.is_multicast
        if isinstance(ip, ipaddress.IPv6Address):  # what leads to an address of IPv4 may lead to a private one
            public = public and ip in UNICAST and not ip.sixtofour
        listed = host.lower() in self._names or any(ip in network for network in self._networks)
        return public or listed or (ip.is_loopback and _is_loopback(host))

    def _resolve(self, host: str, port: int) -> list[Any]:
        """Look a name up in a thread of its own, once for all who wait: the resolver knows no deadline."""
        with self._lock:
            future = self._looked_up.get((host, port))
            if future is None or future.done():
                future = self._looked_up[host, port] = Future()
                threading.Thread(target=_look_up, args=(host, port, future), daemon=True).start()
        return future.result(left())


def _look_up(host: str, port: int, future: Future[list[Any]]) -> None:
    try:
        future.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        future.set_exception(OSError(f"the name is not known: {error}"))


def read(response: HTTPResponse, most: int) -> bytes:
    """At most so many bytes of the body, as they come: `read1` returns after each piece, and each waits in time."""
    body = bytearray()
    while len(body) < most and (piece := response.read1(min(most - len(body), 65_536))):
        body += piece
    return bytes(body)


def send(client: Client, url: str, body: bytes, headers: Mapping[str, str], most: int) -> tuple[int, bytes]:
    """POST a JSON body within 10 seconds: the status (0: no answer came) and at most so many bytes of the answer."""
    sent = {"Content-Type": "application/json"} | dict(headers)
    within = deadline(time.monotonic() + 10)
    with suppress(OSError, HTTPException), within, client.call("POST", url, sent, body) as response:
        return response.status, read(response, most)
    return 0, b""


def checked_url(url: str, name: str) -> str:
    """`url` if it is https, or http to this machine. Raises Misconfigured naming the setting `name`."""
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
        bare = parts.port != 0 and not ("@" in parts.netloc or parts.query or parts.fragment)
        right = secure and parts.hostname and bare
    except ValueError:  # brackets that do not close, a port that is none
        right = False
    if not right:
        raise Misconfigured(f"{name} must be an https address without user or query (http only to this machine)")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    network = _network(host)
    return host.lower() == "localhost" or bool(network and network.is_loopback)


def _network(text: str) -> Any:
    with suppress(ValueError):
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    return None
