"""How the gate proves to the agency who it is: chosen by REGISTRY_AUTH."""

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

TOKEN_SECONDS, TOKEN_MARGIN = 300, 30  # when the token's server does not say; how long before its end it is renewed
_VISIBLE = re.compile(r"[\x21-\x7e]+")
Headers = Mapping[str, str]


class Auth:
    """The same headers on every call, or what `sign` makes of the moment; also REGISTRY_AUTH=none. Thread-safe."""

    def __init__(self, headers: Headers, sign: Callable[[], Headers] = dict) -> None:
        self._headers, self._sign = headers, sign

    def headers(self) -> dict[str, str]:
        """Headers for one call. Raises RegistryUnavailable or RegistryMisunderstood when a token cannot be had."""
        return {**self._headers, **self._sign()}

    def renew(self, used: Headers) -> bool:
        """After a 401 with the headers `used`: whether trying once more can help."""
        return False

    def unwrap(self, body: bytes) -> bytes:
        """The answer inside the gateway's envelope. Raises RegistryMisunderstood."""
        return body


class Splp(Auth):
    """SPLP gateway: its headers, and with a salt the AES-256-GCM envelope around every answer."""

    def __init__(self, headers: Headers, salt: str) -> None:
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

    def __init__(self, client: Client, url: str, known_as: str, scope: str) -> None:
        basic = base64.b64encode(known_as.encode()).decode()
        super().__init__({"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"})
        self._client, self._url, self._scope = client, url, {"scope": scope} if scope else {}
        self._token, self._ends_at, self._lock = "", 0.0, threading.Lock()

    def headers(self) -> dict[str, str]:
        if not self._lock.acquire(timeout=left()):
            raise RegistryUnavailable("no token within the time")
        try:
            if not self._token or time.monotonic() >= self._ends_at:
                self._fetch()
            return {"Authorization": f"Bearer {self._token}"}
        finally:
            self._lock.release()

    def renew(self, used: Headers) -> bool:
        if used.get("Authorization") == f"Bearer {self._token}":
            self._token = ""
        return True

    def _fetch(self) -> None:
        form = urlencode({"grant_type": "client_credentials"} | self._scope).encode()
        document = read_document(fetch(self._client, "POST", self._url, self._headers, form))
        token, seconds = document.get("access_token"), document.get("expires_in", TOKEN_SECONDS)
        if not isinstance(token, str) or not _VISIBLE.fullmatch(token):
            raise RegistryMisunderstood("the token's server gave no access_token")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise RegistryMisunderstood("the token's server gave an expires_in that is no number")
        self._token, self._ends_at = token, time.monotonic() + max(min(seconds, 86_400) - TOKEN_MARGIN, 1)


def build(way: str, credentials: Mapping[str, str], client: Client, clock: Callable[[], datetime]) -> Auth:
    """The way that REGISTRY_AUTH names, with REGISTRY_AUTH_x as `x`. Raises Misconfigured naming what is missing."""

    def need(name: str, default: str = "") -> str:
        value = credentials.get(name) or default
        if not value:
            raise Misconfigured(f"REGISTRY_AUTH={way} needs REGISTRY_AUTH_{name.upper()} (or _{name.upper()}_FILE)")
        if not _VISIBLE.fullmatch(value):
            raise Misconfigured(f"REGISTRY_AUTH_{name.upper()} holds a character that no header may hold")
        return value

    def signed() -> Headers:
        """BPJS style: the consumer's id and the time in UTC seconds, signed with HMAC-SHA256 on every call."""
        stamp = str(int(clock().timestamp()))
        digest = hmac.digest(need("secret").encode(), f"{need('cons_id')}&{stamp}".encode(), "sha256")
        signature = base64.b64encode(digest).decode()
        return {"X-cons-id": need("cons_id"), "X-timestamp": stamp, "X-signature": signature}

    match way, credentials.get("style") or "apikey":
        case "apikey", _:
            return Auth({need("header", "X-API-Key"): need("key")})
        case "oauth2", _:
            url = checked_url(need("token_url"), "REGISTRY_AUTH_TOKEN_URL")
            known_as = f"{need('client_id')}:{need('client_secret')}"
            return ClientCredentials(client, url, known_as, credentials.get("scope", ""))
        case "hmac", _:
            signed()  # names what is missing now, not with the first call
            return Auth({"user_key": need("user_key")} if credentials.get("user_key") else {}, signed)
        case "splp", ("apikey" | "bearer" | "sicantik") as style:
            bearer = {"bearer": "AuthorizationSPLP", "sicantik": "auth"}.get(style)
            headers = {bearer: f"Bearer {need('token')}"} if bearer else {}
            headers |= {"apikey": need("key")} if style != "bearer" else {}
            return Splp(headers, credentials.get("salt", ""))
        case "splp", _:
            raise Misconfigured("REGISTRY_AUTH_STYLE must be apikey, bearer or sicantik")
    return Auth({})
