"""How the gate shows the agency who it is, checked by an agency that looks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compliance.errors import Misconfigured, RegistryMisunderstood, RegistryUnavailable
from compliance.registry.http import HttpSource
from tests.registry.agency import Agency, Behaviour, Request, Wire, hangs, in_turn, response, says
from tests.registry.answers import BY_NIB, employer
from tests.registry.conftest import NOW, purpose

Connect = Callable[..., HttpSource]
GOOD = json.dumps(employer()).encode()


def demands(**headers: str) -> Behaviour:
    """Answers only a call with exactly these headers."""

    def act(wire: Wire, request: Request) -> None:
        fits = all(request.headers.get(key.replace("_", "-").lower()) == value for key, value in headers.items())
        wire.send(response(GOOD if fits else b'{"code": "900901"}', 200 if fits else 401))

    return act


@pytest.mark.parametrize(
    ("way", "credentials", "headers"),
    [
        ("none", {}, {}),
        ("apikey", {"key": "s3cret"}, {"X-API-Key": "s3cret"}),
        ("apikey", {"key": "s3cret", "header": "user_key"}, {"user-key": "s3cret"}),
        ("splp", {"key": "k"}, {"apikey": "k"}),
        ("splp", {"token": "t", "style": "bearer"}, {"AuthorizationSPLP": "Bearer t"}),
        ("splp", {"token": "t", "key": "k", "style": "sicantik"}, {"auth": "Bearer t", "apikey": "k"}),
    ],
)
def test_the_headers_of_each_way(
    way: str, credentials: dict[str, str], headers: dict[str, str], connect: Connect
) -> None:
    if "user-key" in headers:
        headers = {"user_key": "s3cret"}
    with Agency(says(employer())) as agency:
        assert connect(agency.url, way, **credentials).ask(BY_NIB, purpose()).record
    sent = agency.requests[0].headers
    assert {key.lower(): value for key, value in headers.items()}.items() <= sent.items()


def test_hmac_is_signed_anew_with_the_gates_clock(connect: Connect) -> None:
    stamp = str(int(NOW.timestamp()))
    signature = base64.b64encode(hmac.new(b"s3cret", f"4711&{stamp}".encode(), hashlib.sha256).digest()).decode()
    behaviour = demands(X_cons_id="4711", X_timestamp=stamp, X_signature=signature)
    with Agency(behaviour) as agency:
        assert connect(agency.url, "hmac", cons_id="4711", secret="s3cret").ask(BY_NIB, purpose()).record
        with pytest.raises(RegistryMisunderstood):
            connect(agency.url, "hmac", cons_id="4711", secret="wrong").ask(BY_NIB, purpose())


@pytest.mark.parametrize(
    ("way", "given", "missing"),
    [
        ("apikey", {}, "REGISTRY_AUTH_KEY"),
        ("hmac", {"cons_id": "1"}, "REGISTRY_AUTH_SECRET"),
        ("hmac", {"secret": "1"}, "REGISTRY_AUTH_CONS_ID"),
        ("oauth2", {"client_id": "a", "client_secret": "b"}, "REGISTRY_AUTH_TOKEN_URL"),
        ("oauth2", {"token_url": "http://127.0.0.1:1", "client_secret": "b"}, "REGISTRY_AUTH_CLIENT_ID"),
        ("oauth2", {"token_url": "http://10.0.0.1", "client_id": "a", "client_secret": "b"}, "REGISTRY_AUTH_TOKEN_URL"),
        ("splp", {}, "REGISTRY_AUTH_KEY"),
        ("splp", {"style": "bearer"}, "REGISTRY_AUTH_TOKEN"),
        ("splp", {"style": "sicantik", "key": "k"}, "REGISTRY_AUTH_TOKEN"),
        ("splp", {"style": "other", "key": "k"}, "REGISTRY_AUTH_STYLE"),
        ("apikey", {"key": "a\r\nX-Evil: 1"}, "REGISTRY_AUTH_KEY"),
        ("apikey", {"key": "a", "header": "X Y"}, "REGISTRY_AUTH_HEADER"),
    ],
)
def test_a_missing_credential_stops_the_start_and_is_named(
    way: str, given: dict[str, str], missing: str, connect: Connect
) -> None:
    with pytest.raises(Misconfigured, match=missing):
        connect("http://127.0.0.1:1", way, **given)


def test_credentials_are_not_shown_by_errors(connect: Connect) -> None:
    with Agency(says(b"", 401)) as agency, pytest.raises(RegistryMisunderstood) as caught:
        connect(agency.url, "apikey", key="s3cret").ask(BY_NIB, purpose())
    assert "s3cret" not in repr(caught.value)


# --- OAuth2 ----------------------------------------------------------------------------------------------------------


class Issuer:
    """Gives tokens t1, t2 …; the agency accepts the newest only."""

    def __init__(self, **answer: Any) -> None:
        self.answer, self.given, self.accepts = {"expires_in": 3600} | answer, 0, lambda token: True

    def __call__(self, wire: Wire, request: Request) -> None:
        if request.path == "/token":
            form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
            basic = "Basic " + base64.b64encode(b"gate:s3cret").decode()
            assert (request.method, form["grant_type"]) == ("POST", "client_credentials")
            assert request.headers["authorization"] == basic
            self.given += 1
            wire.send(response(json.dumps({"access_token": f"t{self.given}"} | self.answer).encode()))
            return
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        good = token == f"t{self.given}" and self.accepts(token)
        wire.send(response(GOOD if good else b"", 200 if good else 401))


def oauth(connect: Connect, agency: Agency, **more: str) -> HttpSource:
    return connect(
        agency.url, "oauth2", token_url=f"{agency.url}/token", client_id="gate", client_secret="s3cret", **more
    )


def test_one_token_serves_many_calls_and_threads(connect: Connect) -> None:
    issuer = Issuer()
    with Agency(issuer) as agency:
        source = oauth(connect, agency)
        threads = [threading.Thread(target=source.ask, args=(BY_NIB, purpose(5))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert source.ask(BY_NIB, purpose()).record
    assert issuer.given == 1


def test_a_token_is_renewed_once_after_a_401(connect: Connect) -> None:
    issuer = Issuer()
    with Agency(issuer) as agency:
        source = oauth(connect, agency)
        source.ask(BY_NIB, purpose())
        issuer.accepts = lambda token: token != "t1"
        assert source.ask(BY_NIB, purpose()).record
        assert issuer.given == 2
        issuer.accepts = lambda token: False
        with pytest.raises(RegistryMisunderstood):
            source.ask(BY_NIB, purpose())
        assert issuer.given == 3


def test_a_token_is_renewed_before_it_ends(connect: Connect) -> None:
    issuer = Issuer(expires_in=31)
    with Agency(issuer) as agency:
        source = oauth(connect, agency)
        source.ask(BY_NIB, purpose())
        threading.Event().wait(1.1)
        source.ask(BY_NIB, purpose())
    assert issuer.given == 2


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "a\r\nb"},
        {"expires_in": "soon"},
        {"expires_in": True},
    ],
)
def test_a_token_that_makes_no_sense_is_misunderstood(answer: dict[str, Any], connect: Connect) -> None:
    with Agency(Issuer(**answer)) as agency, pytest.raises(RegistryMisunderstood):
        oauth(connect, agency).ask(BY_NIB, purpose())


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (says(b"", 500), RegistryUnavailable),
        (hangs, RegistryUnavailable),
        (says(b'{"error": "invalid_client"}', 400), RegistryMisunderstood),
        (says(b'{"error": "invalid_client"}', 401), RegistryMisunderstood),
        (says(b"<html>"), RegistryMisunderstood),
    ],
)
def test_a_token_server_that_fails(behaviour: Behaviour, error: type[Exception], connect: Connect) -> None:
    with Agency(behaviour) as agency, pytest.raises(error):
        oauth(connect, agency).ask(BY_NIB, purpose(0.6))


def test_a_question_whose_time_is_over_asks_for_no_token(connect: Connect) -> None:
    with Agency(Issuer()) as agency, pytest.raises(RegistryUnavailable):
        oauth(connect, agency).ask(BY_NIB, purpose(-1))
    assert agency.requests == []


def test_waiting_for_another_threads_token_keeps_the_budget(connect: Connect) -> None:
    with Agency(hangs) as agency:
        source = oauth(connect, agency)
        results: list[type[Exception]] = []

        def call(seconds: float) -> None:
            try:
                source.ask(BY_NIB, purpose(seconds))
            except RegistryUnavailable as error:
                results.append(type(error))

        first = threading.Thread(target=call, args=(2,))
        second = threading.Thread(target=call, args=(0.5,))
        first.start()
        second.start()
        second.join(1)
        assert not second.is_alive()
        first.join()
    assert len(results) == 2


# --- SPLP's envelope -------------------------------------------------------------------------------------------------


def sealed(body: bytes, salt: str = "garam") -> bytes:
    iv = b"0123456789ab"
    return json.dumps(
        {"data": (iv + AESGCM(hashlib.sha256(salt.encode()).digest()).encrypt(iv, body, None)).hex()}
    ).encode()


def test_the_envelope_is_opened(connect: Connect) -> None:
    with Agency(says(sealed(GOOD))) as agency:
        assert connect(agency.url, "splp", key="k", salt="garam").ask(BY_NIB, purpose()).record


@pytest.mark.parametrize(
    "body",
    [
        sealed(GOOD, "gula"),
        sealed(GOOD)[:-3] + b'0"}',
        GOOD,
        b'{"data": ""}',
        b'{"data": "zz"}',
        b'{"data": 5}',
        b"[]",
        b'{"data": "00112233"}',
        sealed(b"<html>"),
        b'{"code": "900901", "message": "Invalid Credentials"}',
    ],
)
def test_an_envelope_that_does_not_open_is_misunderstood(body: bytes, connect: Connect) -> None:
    with Agency(says(body)) as agency, pytest.raises(RegistryMisunderstood):
        connect(agency.url, "splp", key="k", salt="garam").ask(BY_NIB, purpose())


@pytest.mark.parametrize(("code", "word"), [("900901", "invalid"), ("900902", "missing")])
@pytest.mark.parametrize("status", [200, 401, 403])
def test_the_gateways_errors_are_named(code: str, word: str, status: int, connect: Connect) -> None:
    for body in ({"code": code, "message": "x"}, {"fault": {"code": int(code), "message": "x"}}):
        with Agency(says(body, status)) as agency, pytest.raises(RegistryMisunderstood, match=word):
            connect(agency.url, "splp", key="k").ask(BY_NIB, purpose())


def test_a_busy_gateway_is_unavailable_and_asked_again(connect: Connect) -> None:
    with Agency(in_turn(says(b"", 429), says(b"", 503), says(sealed(GOOD)))) as agency:
        assert connect(agency.url, "splp", key="k", salt="garam").ask(BY_NIB, purpose(5)).record
