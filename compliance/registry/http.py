"""The agency over HTTP: calls and retries within one budget, who the gate says it is, what each outcome means."""

import base64
import hashlib
import hmac
import json
import random
import re
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from ssl import SSLError
from urllib.parse import urlencode

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compliance.errors import Misconfigured, RegistryMisunderstood, RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry.port import Purpose, aside
from compliance.registry.reach import Client, checked_url, deadline, left
from compliance.registry.wire import MAX_BYTES, Agreed, read_document, understand

TRIES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0  # seconds; the first doubles, with jitter
LONGEST_WAIT = timedelta(days=30)
TOKEN_SECONDS, TOKEN_MARGIN = 300, 30  # when the token's server does not say; how long before its end it is renewed
_REQUEST_ID = re.compile(r"[0-9A-Za-z._-]{1,128}")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_GATEWAY_CODE = re.compile(rb"code\W{1,4}90090([12])\b")
Headers = dict[str, str]


class Refused(RegistryMisunderstood):  # status 401: a fresh token may help
    pass


@dataclass(frozen=True)
class Auth:  # who the gate says it is: headers of a call, whether others may help after a 401, what opens the answer
    headers: Callable[[], Headers] = dict
    renew: Callable[[Headers], bool] = lambda used: False
    unwrap: Callable[[bytes], bytes] = bytes


@dataclass(eq=False)
class HttpSource:  # asks `url` in the words of `wire`; thread-safe; `clock` is the gate's
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
            for attempt in range(1, TRIES + 1):
                try:
                    return self.auth.unwrap(self._call(ask, purpose))
                except RegistryUnavailable as error:
                    jitter = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311 (no secret)
                    told = (error.retry_at - self.clock()).total_seconds() if error.retry_at else 0.0
                    pause = min(told + jitter, LONGEST_PAUSE)
                    if attempt == TRIES or time.monotonic() + pause >= purpose.ends_at:
                        raise
                    time.sleep(pause)
                except TimeoutError:
                    raise RegistryUnavailable("no complete answer within the time") from None
        raise AssertionError("unreachable")

    def _call(self, ask: Ask, purpose: Purpose) -> bytes:
        method, path, params = self.wire.call(ask, purpose.reference)
        request_id = purpose.request_id if _REQUEST_ID.fullmatch(purpose.request_id) else secrets.token_hex(16)
        sent = {"Accept": "application/json", "User-Agent": "compliance-gate", "X-Request-ID": request_id}
        if trace := structlog.contextvars.get_contextvars().get("trace_id"):  # W3C trace context, a span of our own
            sent["traceparent"] = f"00-{trace}-{secrets.token_hex(8)}-01"
        url, body = f"{self.url}{path}?{urlencode(params)}", None
        if method == "POST":
            url, body = f"{self.url}{path}", json.dumps(params).encode()
            sent["Content-Type"] = "application/json"
        told, used = (body, self.clock, self.wire.statuses), self.auth.headers()
        try:
            return fetch(self.client, method, url, sent | used, *told)
        except Refused:
            if not self.auth.renew(used):
                raise
        return fetch(self.client, method, url, sent | self.auth.headers(), *told)


def fetch(
    client: Client, method: str, url: str, headers: Headers, body: bytes | None, clock: Callable[[], datetime],
    statuses: frozenset[int] = Agreed.statuses,
) -> bytes:  # fmt: skip
    """The body of one answer, at most 1 MiB, within this thread's deadline. Raises RegistryUnavailable or
    RegistryMisunderstood; their causes are left out, for they name the whole address."""
    raw, piece = bytearray(), b" "
    try:
        with client.call(method, url, headers, body) as response:
            why = gateway_error(response.read1(4096)) if response.status in {401, 403} - statuses else ""
            judge(response.status, response.headers.get("Retry-After", ""), statuses, clock(), why)
            while piece:  # as they come: `read1` returns after each, so size and time are seen in between
                if len(raw) + (response.length or 0) > MAX_BYTES:
                    raise RegistryMisunderstood("the answer is larger than 1 MiB")
                left()
                piece = response.read1(65_536)
                raw += piece
            if response.length:
                raise HTTPException("fewer bytes than announced")
            return decode(response.headers.get("Content-Encoding", ""), bytes(raw))
    except (OSError, HTTPException) as error:
        why = "no trusted TLS connection" if isinstance(error, SSLError) else "the connection failed or broke off"
        try:
            left()
        except TimeoutError:
            why = "no complete answer within the time"
        raise RegistryUnavailable(why) from None


def judge(status: int, retry_after: str, statuses: frozenset[int], now: datetime, why: str = "") -> None:
    """Raise what a status means that is not among `statuses`; `why` is the gateway's word on it."""
    if status in statuses:
        return
    if status == 429 or status >= 500:
        raise RegistryUnavailable(f"status {status}", _retry_at(retry_after.strip(), now))
    if status == 401:
        raise Refused(f"status 401: {why or 'the credentials are not accepted'}")
    raise RegistryMisunderstood(f"status {status}{why and ': '}{why}")


def _retry_at(text: str, now: datetime) -> datetime | None:
    """`Retry-After` in seconds or as a date, as a moment not before now; None when it is neither."""
    try:
        if text.isascii() and text.isdecimal():
            wait = timedelta(seconds=min(int(text[:10]), LONGEST_WAIT.total_seconds()))
        else:
            wait = parsedate_to_datetime(text).astimezone(UTC) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return now + max(min(wait, LONGEST_WAIT), timedelta())


def decode(encoding: str, body: bytes) -> bytes:
    """Undo gzip or deflate, never beyond the cap; they were not asked for, but gateways add them."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise RegistryMisunderstood("the answer is packed in a way that is not known")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = unpack.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        raise RegistryMisunderstood("the answer cannot be unpacked") from None
    if len(plain) <= MAX_BYTES and not unpack.eof:
        raise RegistryMisunderstood("the packed answer has no end")
    return plain


def gateway_error(body: bytes) -> str:
    """What a gateway's error (code 900901, 900902) says of the credentials, else ""."""
    what = {b"1": "invalid (code 900901)", b"2": "missing (code 900902)"}
    return f"the gateway finds the credentials {what[found[1]]}" if (found := _GATEWAY_CODE.search(body)) else ""


def _unsealed(salt: str, body: bytes) -> bytes:  # the answer inside SPLP's AES-256-GCM envelope, if there is one
    if why := gateway_error(body):
        raise RegistryMisunderstood(why)
    if not salt:
        return body
    sealed = read_document(body).get("data")
    if not isinstance(sealed, str) or not re.fullmatch(r"(?:[0-9A-Fa-f]{2}){28,}", sealed):
        raise RegistryMisunderstood("the gateway's envelope is not {data: hex}")
    try:
        cipher = AESGCM(hashlib.sha256(salt.encode()).digest())
        return cipher.decrypt(bytes.fromhex(sealed[:24]), bytes.fromhex(sealed[24:]), None)
    except InvalidTag:
        raise RegistryMisunderstood("the gateway's envelope does not open with this salt") from None


class _Token:  # OAuth2: for many calls, fetched by one thread at a time, renewed before it ends or once after a 401
    def __init__(self, ask: Callable[[], bytes]) -> None:
        self._ask, self._token, self._ends_at, self._lock = ask, "", 0.0, threading.Lock()

    def headers(self) -> Headers:
        if not self._lock.acquire(timeout=left()):
            raise RegistryUnavailable("no token within the time")
        try:
            if not self._token or time.monotonic() >= self._ends_at:
                document = read_document(self._ask())
                token, seconds = document.get("access_token"), document.get("expires_in", TOKEN_SECONDS)
                if not isinstance(token, str) or not _VISIBLE.fullmatch(token):
                    raise RegistryMisunderstood("the token's server gave no access_token")
                if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                    raise RegistryMisunderstood("the token's server gave an expires_in that is no number")
                self._token, self._ends_at = token, time.monotonic() + max(min(seconds, 86_400) - TOKEN_MARGIN, 1)
            return {"Authorization": f"Bearer {self._token}"}
        finally:
            self._lock.release()

    def renew(self, used: Headers) -> bool:
        if used["Authorization"] == f"Bearer {self._token}":
            self._token = ""
        return True


def auth_by(way: str, credentials: Mapping[str, str], client: Client, clock: Callable[[], datetime]) -> Auth:
    """The way that REGISTRY_AUTH names, with REGISTRY_AUTH_x as `x`. Raises Misconfigured naming what is missing."""

    def need(name: str, default: str = "") -> str:
        value = credentials.get(name) or default
        if not value:
            raise Misconfigured(f"REGISTRY_AUTH={way} needs REGISTRY_AUTH_{name.upper()} (or _{name.upper()}_FILE)")
        if not _VISIBLE.fullmatch(value):
            raise Misconfigured(f"REGISTRY_AUTH_{name.upper()} holds a character that no header may hold")
        return value

    def signed() -> Headers:  # BPJS style: the consumer's id and the time in UTC seconds, anew on every call
        stamp = str(int(clock().timestamp()))
        digest = hmac.digest(need("secret").encode(), f"{need('cons_id')}&{stamp}".encode(), "sha256")
        signature = base64.b64encode(digest).decode()
        known_as = {"user_key": need("user_key")} if credentials.get("user_key") else {}
        return known_as | {"X-cons-id": need("cons_id"), "X-timestamp": stamp, "X-signature": signature}

    headers: Headers = {}
    match way, credentials.get("style") or "apikey":
        case "apikey", _:
            headers = {need("header", "X-API-Key"): need("key")}
        case "hmac", _:
            signed()  # names what is missing now, not with the first call
            return Auth(signed)
        case "oauth2", _:
            url = checked_url(need("token_url"), "REGISTRY_AUTH_TOKEN_URL")
            basic = base64.b64encode(f"{need('client_id')}:{need('client_secret')}".encode()).decode()
            sent = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
            scope = {"scope": credentials["scope"]} if credentials.get("scope") else {}
            form = urlencode({"grant_type": "client_credentials"} | scope).encode()
            token = _Token(lambda: fetch(client, "POST", url, sent, form, clock))
            return Auth(token.headers, token.renew)
        case "splp", ("apikey" | "bearer" | "sicantik") as style:
            if style != "apikey":
                headers["auth" if style == "sicantik" else "AuthorizationSPLP"] = f"Bearer {need('token')}"
            headers |= {"apikey": need("key")} if style != "bearer" else {}
            return Auth(lambda: headers, unwrap=lambda body: _unsealed(credentials.get("salt", ""), body))
        case "splp", _:
            raise Misconfigured("REGISTRY_AUTH_STYLE must be apikey, bearer or sicantik")
    return Auth(lambda: headers)
