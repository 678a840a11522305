"""Where the gate may call to, and whom it believes: addresses, names, TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from compliance.errors import Misconfigured, RegistryMisunderstood, RegistryUnavailable
from compliance.registry import reach
from compliance.registry.http import HttpSource
from tests.registry.agency import Agency, drips, response, says
from tests.registry.answers import BY_NIB, employer
from tests.registry.conftest import purpose

Connect = Callable[..., HttpSource]


@dataclass
class Authority:
    """A certificate authority of this test's own."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = self.folder / "ca.pem"
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test CA {id(self)}")])
        self.file.write_bytes(self._sign(self.key, self.name, None, ca=True))

    def issue(self, host: str, days: int = 10) -> tuple[str, str]:
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, keyfile = self.folder / f"{host}.pem", self.folder / f"{host}.key"
        certificate.write_bytes(
            self._sign(key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), host, days=days)
        )
        keyfile.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(certificate), str(keyfile)

    def _sign(
        self, key: ec.EllipticCurvePrivateKey, name: x509.Name, host: str | None, ca: bool = False, days: int = 10
    ) -> bytes:
        now = dt.datetime.now(dt.UTC)
        start = now - dt.timedelta(days=20)
        builder = x509.CertificateBuilder(
            self.name, name, key.public_key(), x509.random_serial_number(), start, now + dt.timedelta(days=days)
        ).add_extension(x509.BasicConstraints(ca, None), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, **usage), critical=True
        )
        if host:
            names = [x509.IPAddress(ipaddress.ip_address(host))] if host[0].isdigit() else [x509.DNSName(host)]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def serves(self, host: str = "127.0.0.1", days: int = 10, clients: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.issue(host, days))
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_an_agency_with_the_given_authority_is_believed(authority: Authority, connect: Connect) -> None:
    with Agency(says(employer()), authority.serves()) as agency:
        source = connect(agency.url, ca=str(authority.file))
        assert source.ask(BY_NIB, purpose()).record
        assert source.ask(BY_NIB, purpose()).record
    assert agency.connections == 1


def test_an_unknown_authority_is_unavailable(authority: Authority, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    with Agency(says(employer()), authority.serves()) as agency:
        for credentials in ({}, {"ca": str(other.file)}):
            with pytest.raises(RegistryUnavailable, match="TLS"):
                connect(agency.url, **credentials).ask(BY_NIB, purpose())
    assert agency.requests == []


@pytest.mark.parametrize(("host", "days"), [("127.0.0.2", 10), ("agency.example", 10), ("127.0.0.1", -1)])
def test_another_name_or_an_old_certificate_is_unavailable(
    host: str, days: int, authority: Authority, connect: Connect
) -> None:
    with (
        Agency(says(employer()), authority.serves(host, days)) as agency,
        pytest.raises(RegistryUnavailable, match="TLS"),
    ):
        connect(agency.url, ca=str(authority.file)).ask(BY_NIB, purpose())


def test_a_client_certificate_is_shown_when_there_is_one(authority: Authority, connect: Connect) -> None:
    certificate, key = authority.issue("gate")
    with Agency(says(employer()), authority.serves(clients=True)) as agency:
        assert connect(agency.url, ca=str(authority.file), cert=certificate, cert_key=key).ask(BY_NIB, purpose()).record
        with pytest.raises(RegistryUnavailable):
            connect(agency.url, ca=str(authority.file)).ask(BY_NIB, purpose(1))


def test_tls_switched_off_at_the_agency_is_unavailable(connect: Connect) -> None:
    with Agency(says(employer())) as agency, pytest.raises(RegistryUnavailable):
        connect(agency.url.replace("http:", "https:")).ask(BY_NIB, purpose(1))


def test_a_handshake_that_never_ends_keeps_the_budget(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable):
            connect(f"https://127.0.0.1:{listener.getsockname()[1]}").ask(BY_NIB, purpose(0.6))
        assert time.monotonic() - started < 1.6  # the budget and a second


def test_dripping_over_tls_keeps_the_budget(authority: Authority, connect: Connect) -> None:
    with Agency(drips(response(b" " * 500), 0.05), authority.serves()) as agency:
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable):
            connect(agency.url, ca=str(authority.file)).ask(BY_NIB, purpose(0.6))
        assert time.monotonic() - started < 1.6  # the budget and a second


@pytest.mark.parametrize("setting", ["ca", "cert"])
def test_a_file_that_is_no_certificate_stops_the_start(setting: str, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for path in (tmp_path / "bad.pem", tmp_path / "none.pem"):
        with pytest.raises(Misconfigured, match="REGISTRY_AUTH_"):
            connect("https://agency.example", **{setting: str(path)})


@pytest.mark.parametrize(
    "url",
    [
        "http://agency.example",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1",
        "agency.example",
        "",
        "https://",
        "https://user:secret@agency.example",
        "https://agency.example/?a=b",
        "https://agency.example/#x",
        "http://[::2]",
        "https://:secret@agency.example",
        "https://agency.example:99999",
        "https://agency.example:x",
        "https://[::1",
    ],
)
def test_an_address_that_is_not_https_stops_the_start(url: str, connect: Connect) -> None:
    with pytest.raises(Misconfigured, match="REGISTRY_URL") as caught:
        connect(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://agency.example/base", "http://127.0.0.1:8001", "http://localhost:1", "http://[::1]:1"]
)
def test_https_or_this_machine_is_fine(url: str, connect: Connect) -> None:
    assert connect(url)


PRIVATE = [
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "[fd00::1]",
    "[::ffff:10.0.0.1]",
    "[fe80::1]",
    "[fec0::1]",
    "[::10.0.0.1]",
    "[64:ff9b::a00:1]",
    "[2002:a00:1::1]",
    "[ff02::1]",
    "224.0.0.1",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_not_reached_unless_listed(host: str, connect: Connect) -> None:
    started = time.monotonic()
    with pytest.raises(RegistryUnavailable):
        connect(f"https://{host}").ask(BY_NIB, purpose())
    assert time.monotonic() - started < 1.5, "it must be refused before connecting"
    with pytest.raises(OSError, match="ALLOWED_HOSTS"):
        reach.Client(()).connect(host.strip("[]"), 443)


def test_a_public_name_that_leads_to_this_machine_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **kw: real("127.0.0.1", *args, **kw))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match="ALLOWED_HOSTS"):
            reach.Client(()).connect("agency.example", port)
        for allowed in ("agency.example", "AGENCY.example", "127.0.0.1", "127.0.0.0/8"):
            reach.Client((allowed,)).connect("agency.example", port).close()


def test_a_name_that_is_looked_up_for_ever_keeps_the_budget(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def never(*args: object, **kw: object) -> None:
        released.wait(10)
        raise socket.gaierror(-3, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    source, started = connect("https://agency.example"), time.monotonic()

    def call() -> None:
        with pytest.raises(RegistryUnavailable):
            source.ask(BY_NIB, purpose(0.6))

    callers = [threading.Thread(target=call) for _ in range(20)]
    for caller in callers:
        caller.start()
    assert sum("_look_up" in thread.name for thread in threading.enumerate()) == 1, "one look-up for all"
    for caller in callers:
        caller.join()
    assert time.monotonic() - started < 1.6  # the budget and a second
    released.set()


def test_an_unknown_name_is_unavailable(connect: Connect) -> None:
    with pytest.raises(RegistryUnavailable):
        connect("https://nobody.invalid").ask(BY_NIB, purpose(1))


def test_proxies_and_netrc_of_the_environment_are_not_used(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Agency(says(employer())) as agency:
        assert connect(agency.url).ask(BY_NIB, purpose()).record


def test_a_cookie_is_never_kept(connect: Connect) -> None:
    with Agency(says(employer(), headers={"Set-Cookie": "a=b"})) as agency:
        source = connect(agency.url)
        source.ask(BY_NIB, purpose())
        source.ask(BY_NIB, purpose())
    assert "cookie" not in agency.requests[1].headers


def test_a_redirect_is_never_followed(connect: Connect) -> None:
    with (
        Agency(says(employer())) as other,
        Agency(says(b"", 302, {"Location": other.url})) as agency,
        pytest.raises(RegistryMisunderstood),
    ):
        connect(agency.url).ask(BY_NIB, purpose())
    assert other.requests == []
