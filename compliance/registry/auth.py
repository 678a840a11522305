"""How the gate proves to the agency who it is: one class per way, chosen by REGISTRY_AUTH."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compliance.errors import Misconfigured, RegistryMisunderstood, RegistryUnavailable
from compliance.registry.http import fetch, gateway_error
from compliance.registry.reach import Client, checked_url, left
from compliance.registry.wire import read_document

TOKEN_SECONDS = 300  # when the token's server does not say
TOKEN_MARGIN = 30
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Auth:
    """The same headers on every call; also REGISTRY_AUTH=none. Thread-safe, as every other way is."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def headers(self) -> dict[str, str]:
        """Headers for one call. Raises RegistryUnavailable or RegistryMisunderstood when a token cannot be had."""
        return dict(self._headers)

    def renew(self, used: Mapping[str, str]) -> bool:
        """After a 401 with the headers `used`: whether trying once more can help."""
        return False

    def unwrap(self, body: bytes) -> bytes:
        """The answer inside the gateway's envelope. Raises RegistryMisunderstood."""
        return body


class Signed(Auth):
    """BPJS style: the consumer's id and the time in UTC seconds, signed with HMAC-SHA256 on every call."""

    def __init__(self, consumer: str, secret: str, extra: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        super().__init__(extra)
        self._consumer, self._secret, self._clock = consumer, secret, clock

    def headers(self) -> dict[str, str]:
        stamp = str(int(self._clock().timestamp()))
        digest = hmac.digest(self._secret.encode(), f"{self._consumer}&{stamp}".encode(), "sha256")
        signed = {"X-cons-id": self._consumer, "X-timestamp": stamp, "X-signature": base64.b64encode(digest).decode()}
        return self._headers | signed


class Splp(Auth):
    """SPLP gateway: its headers, and with a salt the AES-256-GCM envelope around every answer."""

    def __init__(self, headers: Mapping[str, str], salt: str) -> None:
        super().__init__(headers)
        self._cipher = AESGCM(hashlib.sha256(salt.encode()).digest()) if salt else None

    def unwrap(self, body: bytes) -> bytes:
        if why := gateway_error(body):
            raise RegistryMisunderstood(why)
        if not self._cipher:
            return body
        sealed = read_document(body).get("data")
        if not isinstance(sealed, str) or not re.fullmatch(r"(?:[0-9A-Fa-f]{2}){28,}", sealed):
            raise RegistryMisunderstood("the gateway's envelope is not {data: hex}")
        raw = bytes.fromhex(sealed)
        try:
            return self._cipher.decrypt(raw[:12], raw[12:], None)
        except InvalidTag:
            raise RegistryMisunderstood("the gateway's envelope does not open with this salt") from None


class ClientCredentials(Auth):
    """OAuth2: a token for many calls, fetched by one thread at a time, renewed before it ends or once after a 401."""

    def __init__(self, client: Client, url: str, known_as: tuple[str, str], scope: str) -> None:
        self._client, self._url = client, url
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        basic = base64.b64encode(":".join(known_as).encode()).decode()
        self._sent = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        self._token, self._ends_at, self._lock = "", 0.0, threading.Lock()

    def headers(self) -> dict[str, str]:
        if not self._lock.acquire(timeout=left()):
            raise RegistryUnavailable("no token within the time")
        try:
            if not self._token or time.monotonic() >= self._ends_at:
                self._token, seconds = self._fetch()
                self._ends_at = time.monotonic() + seconds
            return {"Authorization": f"Bearer {self._token}"}
        finally:
            self._lock.release()

    def renew(self, used: Mapping[str, str]) -> bool:
        if used.get("Authorization") == f"Bearer {self._token}":
            self._token = ""
        return True

    def _fetch(self) -> tuple[str, float]:
        document = read_document(fetch(self._client, "POST", self._url, self._sent, urlencode(self._form).encode()))
        token, seconds = document.get("access_token"), document.get("expires_in", TOKEN_SECONDS)
        if not isinstance(token, str) or not _VISIBLE.fullmatch(token):
            raise RegistryMisunderstood("the token's server gave no access_token")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise RegistryMisunderstood("the token's server gave an expires_in that is no number")
        return token, max(min(seconds, 86_400) - TOKEN_MARGIN, 1)


def build(way: str, credentials: Mapping[str, str], client: Client, clock: Callable[[], datetime]) -> Auth:
    """The way that REGISTRY_AUTH names, with REGISTRY_AUTH_x as `x`. Raises Misconfigured naming what is missing."""

    def need(name: str) -> str:
        value = credentials.get(name, "")
        if not value:
            raise Misconfigured(f"REGISTRY_AUTH={way} needs REGISTRY_AUTH_{name.upper()} (or _{name.upper()}_FILE)")
        return _header(name, value)

    salt = credentials.get("salt", "")
    match way, credentials.get("style") or "apikey":
        case "apikey", _:
            return Auth({_header("header", credentials.get("header") or "X-API-Key"): need("key")})
        case "oauth2", _:
            url = checked_url(need("token_url"), "REGISTRY_AUTH_TOKEN_URL")
            known_as = need("client_id"), need("client_secret")
            return ClientCredentials(client, url, known_as, credentials.get("scope", ""))
        case "hmac", _:
            extra = {"user_key": need("user_key")} if credentials.get("user_key") else {}
            return Signed(need("cons_id"), need("secret"), extra, clock)
        case "splp", "apikey":
            return Splp({"apikey": need("key")}, salt)
        case "splp", "bearer":
            return Splp({"AuthorizationSPLP": f"Bearer {need('token')}"}, salt)
        case "splp", "sicantik":
            return Splp({"auth": f"Bearer {need('token')}", "apikey": need("key")}, salt)
        case "splp", _:
            raise Misconfigured("REGISTRY_AUTH_STYLE must be apikey, bearer or sicantik")
    return Auth({})


def _header(name: str, value: str) -> str:
    if not _VISIBLE.fullmatch(value):
        raise Misconfigured(f"REGISTRY_AUTH_{name.upper()} holds a character that no header may hold")
    return value
