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
from compliance.registry.reach import Client, checked_url, deadline, left, read
from compliance.registry.wire import MAX_BYTES, OK, Wire, read_document, understand

TRIES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 20.0  # seconds; the first doubles, with jitter
LONGEST_WAIT = timedelta(days=30)
TOKEN_SECONDS, TOKEN_MARGIN = 300, 30  # when the token's server does not say; how long before its end it is renewed
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_GATEWAY_CODE = re.compile(rb"code\W{1,4}90090([12])\b")
Headers = dict[str, str]
# By REGISTRY_AUTH (and _STYLE): which REGISTRY_AUTH_x it needs, and the headers that it sends, those not empty.
WAYS: dict[str, tuple[str, Headers]] = {
    "none": ("", {}),
    "apikey": ("key header", {"{header}": "{key}"}),
    "hmac": (
        "secret cons_id",
        {"X-cons-id": "{cons_id}", "X-timestamp": "{stamp}", "X-signature": "{signature}", "user_key": "{user_key}"},
    ),
    "oauth2": ("token_url client_id client_secret", {"Authorization": "Bearer {token}"}),
    "splp apikey": ("key", {"apikey": "{key}"}),
    "splp bearer": ("token", {"AuthorizationSPLP": "Bearer {token}"}),
    "splp sicantik": ("token key", {"auth": "Bearer {token}", "apikey": "{key}"}),
}
UNLESS_GIVEN = {"header": "X-API-Key", "style": "apikey", "user_key": "", "scope": "", "salt": ""}


class Refused(RegistryMisunderstood):  # status 401: a fresh token may help
    pass


@dataclass(eq=False)
class HttpSource:  # asks `url` in the words of `wire`; thread-safe; `clock` is the gate's
    url: str
    auth: "Auth"
    wire: Wire
    clock: Callable[[], datetime]
    name: str

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        document = read_document(self.raw(ask, purpose))
        return understand(ask, self.wire.shape(ask, document), self.clock(), self.name)

    def raw(self, ask: Ask, purpose: Purpose) -> bytes:
        """The answer's body, not yet understood. Raises RegistryUnavailable or RegistryMisunderstood."""
        attempt = 1
        with aside(), deadline(purpose.ends_at):
            while True:
                try:
                    return self._call(ask, purpose)
                except RegistryUnavailable as error:
                    jitter = FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311 (no secret)
                    told = (error.retry_at - self.clock()).total_seconds() if error.retry_at else 0.0
                    pause = min(told + jitter, LONGEST_PAUSE)
                    if attempt == TRIES or time.monotonic() + pause >= purpose.ends_at:
                        raise
                    time.sleep(pause)
                    attempt += 1
                except TimeoutError:
                    raise RegistryUnavailable("no complete answer within the time") from None

    def _call(self, ask: Ask, purpose: Purpose) -> bytes:
        method, path, params = self.wire.call(ask, purpose.reference)
        fit = re.fullmatch(r"[0-9A-Za-z._-]{1,128}", purpose.request_id)
        request_id = purpose.request_id if fit else secrets.token_hex(16)
        sent = {"Accept": "application/json", "User-Agent": "compliance-gate", "X-Request-ID": request_id}
        if trace := structlog.contextvars.get_contextvars().get("trace_id"):  # W3C trace context, a span of our own
            sent["traceparent"] = f"00-{trace}-{secrets.token_hex(8)}-01"
        url, body = f"{self.url}{path}?{urlencode(params)}", None
        if method == "POST":
            url, body = f"{self.url}{path}", json.dumps(params).encode()
            sent["Content-Type"] = "application/json"
        return self.auth.call(method, url, sent, body, self.wire.statuses)


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


class Auth:
    """Calls in the gate's name, by REGISTRY_AUTH, with REGISTRY_AUTH_x as `x`. Thread-safe. Raises Misconfigured naming
    what is missing."""

    def __init__(self, way: str, credentials: Mapping[str, str], client: Client, clock: Callable[[], datetime]) -> None:
        given = UNLESS_GIVEN | {name: value for name, value in credentials.items() if value}
        self.way = f"{way} {given['style']}" if way == "splp" else way
        if self.way not in WAYS:
            raise Misconfigured("REGISTRY_AUTH_STYLE must be apikey, bearer or sicantik")
        needed, self._sent = WAYS[self.way]
        for name in needed.split():
            if not given.get(name):
                raise Misconfigured(f"REGISTRY_AUTH={way} needs REGISTRY_AUTH_{name.upper()} (or _{name.upper()}_FILE)")
        for name in ("user_key", *needed.split()):
            if given[name] and not _VISIBLE.fullmatch(given[name]):
                raise Misconfigured(f"REGISTRY_AUTH_{name.upper()} holds a character that no header may hold")
        if way == "oauth2":
            given["token_url"] = checked_url(given["token_url"], "REGISTRY_AUTH_TOKEN_URL")
        self._given, self._client, self._clock = given, client, clock
        self._kept, self._fetching = ("", 0.0), threading.Lock()  # the token, and when (monotonic) it ends

    def call(self, method: str, url: str, headers: Headers, body: bytes | None, statuses: frozenset[int]) -> bytes:
        """The body of the answer to a call in the gate's name. Raises RegistryUnavailable, RegistryMisunderstood, or
        TimeoutError when the thread's time is over."""
        token = self._token() if self.way == "oauth2" else ""
        try:
            raw = self._fetch(method, url, headers | self._headers(token), body, statuses)
        except Refused:
            if not token:
                raise
            token = self._token(refused=token)
            raw = self._fetch(method, url, headers | self._headers(token), body, statuses)
        return self._opened(raw)

    def _fetch(self, method: str, url: str, headers: Headers, body: bytes | None, statuses: frozenset[int]) -> bytes:
        """At most 1 MiB. The causes of errors are left out, for they name the whole address."""
        try:
            with self._client.call(method, url, headers, body) as response:
                why = gateway_error(response.read1(4096)) if response.status in {401, 403} - statuses else ""
                judge(response.status, response.headers.get("Retry-After", ""), statuses, self._clock(), why)
                raw = read(response, MAX_BYTES + 1)
                if len(raw) > MAX_BYTES:
                    raise RegistryMisunderstood("the answer is larger than 1 MiB")
                if response.length:
                    raise HTTPException("fewer bytes than announced")
                return decode(response.headers.get("Content-Encoding", ""), raw)
        except TimeoutError:
            raise
        except SSLError:
            raise RegistryUnavailable("no trusted TLS connection") from None
        except (OSError, HTTPException):
            raise RegistryUnavailable("the connection failed or broke off") from None

    def _headers(self, token: str) -> Headers:
        words = self._given | ({"token": token} if token else {})
        if self.way == "hmac":  # BPJS style: the consumer's id and the time in UTC seconds, signed anew on every call
            words["stamp"] = str(int(self._clock().timestamp()))
            digest = hmac.digest(words["secret"].encode(), "{cons_id}&{stamp}".format_map(words).encode(), "sha256")
            words["signature"] = base64.b64encode(digest).decode()
        sent = {name.format_map(words): value.format_map(words) for name, value in self._sent.items()}
        return {name: value for name, value in sent.items() if value}

    def _token(self, refused: str = "") -> str:
        """OAuth2's token, for many calls: renewed before it ends, or once when it was refused."""
        if not self._fetching.acquire(timeout=left()):
            raise RegistryUnavailable("no token within the time")
        try:
            if self._kept[0] == refused or time.monotonic() >= self._kept[1]:
                scope = {"scope": self._given["scope"]} if self._given["scope"] else {}
                form = urlencode({"grant_type": "client_credentials"} | scope).encode()
                basic = base64.b64encode("{client_id}:{client_secret}".format_map(self._given).encode()).decode()
                sent = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
                document = read_document(self._fetch("POST", self._given["token_url"], sent, form, OK))
                token, seconds = document.get("access_token"), document.get("expires_in", TOKEN_SECONDS)
                if not isinstance(token, str) or not _VISIBLE.fullmatch(token):
                    raise RegistryMisunderstood("the token's server gave no access_token")
                if isinstance(seconds, bool) or not isinstance(seconds, int | float):
                    raise RegistryMisunderstood("the token's server gave an expires_in that is no number")
                self._kept = token, time.monotonic() + max(min(seconds, 86_400) - TOKEN_MARGIN, 1)
            return self._kept[0]
        finally:
            self._fetching.release()

    def _opened(self, body: bytes) -> bytes:
        """The answer inside SPLP's AES-256-GCM envelope, if there is one."""
        if not self.way.startswith("splp"):
            return body
        if why := gateway_error(body):
            raise RegistryMisunderstood(why)
        if not self._given["salt"]:
            return body
        sealed = read_document(body).get("data")
        if not isinstance(sealed, str) or not re.fullmatch(r"(?:[0-9A-Fa-f]{2}){28,}", sealed):
            raise RegistryMisunderstood("the gateway's envelope is not {data: hex}")
        try:
            cipher = AESGCM(hashlib.sha256(self._given["salt"].encode()).digest())
            return cipher.decrypt(bytes.fromhex(sealed[:24]), bytes.fromhex(sealed[24:]), None)
        except InvalidTag:
            raise RegistryMisunderstood("the gateway's envelope does not open with this salt") from None
