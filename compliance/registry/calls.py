"""One HTTP call, and what its outcome means: the whole body, or unavailable, or misunderstood."""

from __future__ import annotations

import contextlib
import logging
import re
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http.client import HTTPException
from typing import Any

import requests
from requests.exceptions import SSLError
from urllib3.exceptions import HTTPError

from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.registry.reach import left
from compliance.registry.wire import MAX_BYTES

LONGEST_WAIT = timedelta(days=30)
_GATEWAY = {b"900901": "invalid", b"900902": "missing"}
now = partial(datetime.now, UTC)
_GATEWAY_CODE = re.compile(rb"code\W{1,4}(90090[12])\b")
logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs addresses with their query: NIK and NPWP


class Refused(RegistryMisunderstood):
    """Status 401: a fresh token may help."""


def fetch(
    session: requests.Session,
    method: str,
    url: str,
    *,
    statuses: frozenset[int] = frozenset({200}),
    clock: Callable[[], datetime] = now,
    **request: Any,
) -> bytes:
    """The body of one answer, at most 1 MiB, within this thread's deadline.

    Raises RegistryUnavailable or RegistryMisunderstood. Their causes are left out, for they name the whole address.
    """
    try:
        with session.request(method, url, stream=True, allow_redirects=False, timeout=left(), **request) as response:
            judge(response.status_code, response.headers, statuses, clock, _why_refused(response))
            return decode(response.headers.get("Content-Encoding", ""), _read(response))
    except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
        why = "no trusted TLS connection" if isinstance(error, SSLError) else "the connection failed or broke off"
        try:
            left()
        except TimeoutError:
            why = "no complete answer within the time"
        raise RegistryUnavailable(why) from None


def judge(
    status: int, headers: Mapping[str, str], statuses: frozenset[int], clock: Callable[[], datetime], why: str = ""
) -> None:
    """Raise what a status means that is not among `statuses`; `why` is the gateway's word on it."""
    if status in statuses:
        return
    if status == 429 or status >= 500:
        raise RegistryUnavailable(f"status {status}", _retry_at(headers.get("Retry-After", ""), clock()))
    if status == 401:
        raise Refused(f"status 401: {why or 'the credentials are not accepted'}")
    raise RegistryMisunderstood(f"status {status}{why and ': '}{why}")


def gateway_error(body: bytes) -> str:
    """What a gateway's error (code 900901, 900902) says of the credentials, else ""."""
    found = _GATEWAY_CODE.search(body)
    return f"the gateway finds the credentials {_GATEWAY[found[1]]} (code {found[1].decode()})" if found else ""


def _why_refused(response: requests.Response) -> str:
    with contextlib.suppress(HTTPError, HTTPException, OSError):
        if response.status_code in (401, 403):
            return gateway_error(response.raw.read1(4096, decode_content=False))
    return ""


def _read(response: requests.Response) -> bytes:
    """The raw bytes as they come, piece by piece: `read1` returns after each, so size and time are seen in between."""
    announced = response.headers.get("Content-Length", "")
    body, piece = bytearray(), b" "
    while piece:
        if len(body) > MAX_BYTES or (announced.isdecimal() and int(announced) > MAX_BYTES):
            raise RegistryMisunderstood("the answer is larger than 1 MiB")
        left()
        piece = response.raw.read1(65_536, decode_content=False)
        body += piece
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
