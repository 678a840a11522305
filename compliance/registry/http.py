"""The agency over HTTP: a question's calls and retries within one budget, and what each call's outcome means."""

from __future__ import annotations

import json
import random
import re
import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from itertools import count
from ssl import SSLError
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import uuid4

import structlog

from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry.mapping import Agreed
from compliance.registry.port import Purpose
from compliance.registry.reach import Client, deadline, left
from compliance.registry.turns import aside
from compliance.registry.wire import MAX_BYTES, read_document, understand

if TYPE_CHECKING:
    from compliance.registry.auth import Auth

TRIES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0  # seconds; the first doubles, with jitter
LONGEST_WAIT = timedelta(days=30)
OK = frozenset({200})
_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,128}")
_GATEWAY_CODE = re.compile(rb"code\W{1,4}90090([12])\b")


@dataclass(eq=False)
class HttpSource:
    """Asks `url` in the words of `wire`. Thread-safe; `clock` is the gate's."""

    url: str
    client: Client
    auth: Auth
    wire: Agreed
    clock: Callable[[], datetime]
    name: str

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        document = read_document(self.raw(ask, purpose))
        return understand(ask, self.wire.shape(ask, document), self.clock(), self.name)

    def raw(self, ask: Ask, purpose: Purpose) -> bytes:
        """The answer's body, not yet understood. Raises RegistryUnavailable or RegistryMisunderstood."""
        with aside(), deadline(purpose.ends_at):
            for attempt in count(1):
                try:
                    return self.auth.unwrap(self._call(ask, purpose))
                except RegistryUnavailable as error:
                    jitter = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311 (no secret)
                    told = (error.retry_at - self.clock()).total_seconds() if error.retry_at else 0.0
                    pause = min(told + jitter, LONGEST_PAUSE)
                    if attempt == TRIES or pause >= purpose.seconds_left:
                        raise
                    time.sleep(pause)
                except TimeoutError:
                    raise RegistryUnavailable("no complete answer within the time") from None
        raise AssertionError("unreachable")

    def _call(self, ask: Ask, purpose: Purpose) -> bytes:
        method, path, params = self.wire.call(ask, purpose.reference)
        request_id = purpose.request_id if _REQUEST_ID.fullmatch(purpose.request_id) else uuid4().hex
        sent = {"Accept": "application/json", "User-Agent": "compliance-gate", "X-Request-ID": request_id}
        if trace := structlog.contextvars.get_contextvars().get("trace_id"):  # W3C trace context, a span of our own
            sent["traceparent"] = f"00-{trace}-{secrets.token_hex(8)}-01"
        url, body = f"{self.url}{path}?{urlencode(params)}", None
        if method == "POST":
            url, body = f"{self.url}{path}", json.dumps(params).encode()
            sent["Content-Type"] = "application/json"
        used = self.auth.headers()
        try:
            return fetch(self.client, method, url, sent | used, body, self.wire.statuses, self.clock)
        except Refused:
            if not self.auth.renew(used):
                raise
        return fetch(self.client, method, url, sent | self.auth.headers(), body, self.wire.statuses, self.clock)


class Refused(RegistryMisunderstood):
    """Status 401: a fresh token may help."""


def fetch(
    client: Client,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    statuses: frozenset[int] = OK,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> bytes:
    """The body of one answer, at most 1 MiB, within this thread's deadline.

    Raises RegistryUnavailable or RegistryMisunderstood. Their causes are left out, for they name the whole address.
    """
    try:
        with client.call(method, url, headers, body) as response:
            why = gateway_error(response.read1(4096)) if response.status in {401, 403} - statuses else ""
            judge(response.status, response.headers.get("Retry-After", ""), statuses, clock, why)
            return decode(response.headers.get("Content-Encoding", ""), _read(response))
    except (OSError, HTTPException) as error:
        why = "no trusted TLS connection" if isinstance(error, SSLError) else "the connection failed or broke off"
        try:
            left()
        except TimeoutError:
            why = "no complete answer within the time"
        raise RegistryUnavailable(why) from None


def judge(
    status: int, retry_after: str, statuses: frozenset[int], clock: Callable[[], datetime], why: str = ""
) -> None:
    """Raise what a status means that is not among `statuses`; `why` is the gateway's word on it."""
    if status in statuses:
        return
    if status == 429 or status >= 500:
        raise RegistryUnavailable(f"status {status}", _retry_at(retry_after, clock()))
    if status == 401:
        raise Refused(f"status 401: {why or 'the credentials are not accepted'}")
    raise RegistryMisunderstood(f"status {status}{why and ': '}{why}")


def gateway_error(body: bytes) -> str:
    """What a gateway's error (code 900901, 900902) says of the credentials, else ""."""
    found = _GATEWAY_CODE.search(body)
    what = {b"1": "invalid (code 900901)", b"2": "missing (code 900902)"}
    return f"the gateway finds the credentials {what[found[1]]}" if found else ""


def _read(response: HTTPResponse) -> bytes:
    """The raw bytes as they come, piece by piece: `read1` returns after each, so size and time are seen in between."""
    body, piece = bytearray(), b" "
    while piece:
        if len(body) + (response.length or 0) > MAX_BYTES:
            raise RegistryMisunderstood("the answer is larger than 1 MiB")
        left()
        piece = response.read1(65_536)
        body += piece
    if response.length:
        raise HTTPException("fewer bytes than announced")
    return bytes(body)


def decode(encoding: str, body: bytes) -> bytes:
    """Undo gzip or deflate, never beyond the cap; they were not asked for, but gateways add them."""
    if encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise RegistryMisunderstood("the answer is packed in a way that is not known")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = unpack.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        raise RegistryMisunderstood("the answer cannot be unpacked") from None
    if len(plain) <= MAX_BYTES and not unpack.eof:
        raise RegistryMisunderstood("the packed answer has no end")
    return plain


def _retry_at(text: str, now: datetime) -> datetime | None:
    """`Retry-After` in seconds or as a date, as a moment not before now; None when it is neither."""
    try:
        if text.strip().isascii() and text.strip().isdecimal():
            wait = timedelta(seconds=min(int(text.strip()[:10]), LONGEST_WAIT.total_seconds()))
        else:
            wait = parsedate_to_datetime(text).astimezone(UTC) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return now + max(min(wait, LONGEST_WAIT), timedelta())
