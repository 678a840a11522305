"""Every way in which an agency can fail on the wire, against a real server on a bare socket."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import timedelta

import pytest

from compliance.errors import RegistryError, RegistryMisunderstood, RegistryUnavailable
from compliance.registry.http import HttpSource
from compliance.registry.port import Purpose
from tests.registry.agency import (
    Agency,
    Behaviour,
    bytes_then_close,
    drips,
    hangs,
    in_turn,
    resets,
    response,
    says,
    slow,
)
from tests.registry.answers import BY_NIB, BY_NPWP, NIB, PROJECT, PROJECT_BY_NPP, employer, not_found, project
from tests.registry.conftest import NOW, purpose

Connect = Callable[..., HttpSource]
GOOD = json.dumps(employer()).encode()
BUDGET = 0.6


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n", size: bytes | None = None) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join((size or b"%x" % len(part)) + b"\r\n" + part + b"\r\n" for part in parts) + end


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def endless(piece: bytes, head: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Behaviour:
    def act(wire: object, request: object) -> None:
        wire.send(head)  # type: ignore[attr-defined]
        while True:
            wire.send(piece)  # type: ignore[attr-defined]

    return act


UNAVAILABLE: dict[str, Behaviour] = {
    "never answers": hangs,
    "drips its status line": drips(b"HTTP/1.1 200 OK\r\n" * 99, 0.05),
    "drips its headers": drips(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 99, 0.05),
    "drips its body": drips(response(GOOD), 0.05),
    "drips its chunks": drips(chunked(*(bytes([byte]) for byte in GOOD)), 0.02),
    "says 100 Continue without end": endless(b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    "sends headers, then nothing": lambda wire, request: (wire.send(response(b"", length=500)), wire.wait(60))[0],
    "sends half, then nothing": lambda wire, request: (wire.send(response(GOOD[:99], length=500)), wire.wait(60))[0],
    "status 500": says(b"{}", 500),
    "status 500 with a good body": says(GOOD, 500),
    "status 502 with HTML": says(b"<html>", 502),
    "status 503": says(b"", 503),
    "status 504": says(b"", 504),
    "status 599": says(b"", 599),
    "status 429": says(b"", 429),
    "resets at once": resets,
    "closes without a word": bytes_then_close(b""),
    "closes in the status line": bytes_then_close(b"HTTP/1.1 20"),
    "closes in the headers": bytes_then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n"),
    "sends fewer bytes than announced": bytes_then_close(response(GOOD[:-9], length=len(GOOD))),
    "announces bytes and sends none": bytes_then_close(response(b"", length=len(GOOD))),
    "sends a whole object, fewer bytes than announced": bytes_then_close(response(GOOD, length=len(GOOD) + 1)),
    "stops inside a chunk": bytes_then_close(chunked(GOOD, end=b"")[:-99]),
    "stops before the last chunk": bytes_then_close(chunked(GOOD, end=b"")),
    "announces a chunk that is no number": bytes_then_close(chunked(GOOD, size=b"zz")),
    "announces a larger chunk than it sends": bytes_then_close(chunked(GOOD, size=b"ffff")),
    "does not speak HTTP": bytes_then_close(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "sends a packed body cut short": bytes_then_close(
        response(gzip.compress(GOOD)[:-9], headers={"Content-Encoding": "gzip"}, length=len(gzip.compress(GOOD)))
    ),
}
MISUNDERSTOOD: dict[str, Behaviour] = {
    "an empty body": says(b""),
    "HTML with status 200": says(b"<!doctype html><p>Pemeliharaan", headers={"Content-Type": "text/html"}),
    "JSON cut short, as announced": says(GOOD[:-1]),
    "JSON cut short, without length": bytes_then_close(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD[:-1]),
    "a JSON list": says(b"[]"),
    "UTF-16": says(GOOD.decode().encode("utf-16")),
    "a byte-order mark": says(b"\xef\xbb\xbf" + GOOD),
    "10 MB announced": says(b" " * 10_000_000),
    "10 MB in chunks": bytes_then_close(chunked(*[b" " * 100_000] * 100)),
    "a body without end": endless(b" " * 65_536),
    "a packed body that unfolds to 50 MB": says(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}),
    "a packed body that is none": says(GOOD, headers={"Content-Encoding": "gzip"}),
    "a packed body without end": says(gzip.compress(GOOD)[:-9], headers={"Content-Encoding": "gzip"}),
    "a packing that is not known": says(GOOD, headers={"Content-Encoding": "br"}),
    "packed twice": says(gzip.compress(GOOD), headers={"Content-Encoding": "gzip, gzip"}),
    "deep nesting": says(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "fewer bytes announced than sent": bytes_then_close(response(GOOD, length=len(GOOD) - 1)),
    **{f"status {status}": says(GOOD, status) for status in (201, 202, 203, 206, 300, 400, 401, 402, 403, 404)},
    **{f"status {status}": says(GOOD, status) for status in (405, 406, 408, 409, 410, 415, 418, 422, 425, 451, 499)},
    **{f"status {status}, no body": bytes_then_close(response(b"", status)) for status in (103, 204, 205, 304)},
    **{
        f"redirect {status}": says(b"", status, {"Location": "/v1/badan-usaha?nib=1"})
        for status in (301, 302, 303, 307, 308)
    },
    "a redirect with a body without end": endless(b" " * 65_536, b"HTTP/1.1 302 X\r\nLocation: /a\r\n\r\n"),
    "a redirect to nowhere": says(b"", 302, {"Location": "http://[::1"}),
    "another firm": says(employer(nib="8120999999999")),
    "an unknown status": says(employer(kepesertaan__0__status="SUSPEND")),
    "null numbers": says(employer(kepesertaan__0__jumlah_tk_aktif=None)),
}


@pytest.mark.parametrize("case", UNAVAILABLE)
def test_an_agency_is_unavailable_that(case: str, connect: Connect) -> None:
    _fails(connect, UNAVAILABLE[case], RegistryUnavailable)


@pytest.mark.parametrize("case", MISUNDERSTOOD)
def test_an_agency_is_misunderstood_that_sends(case: str, connect: Connect) -> None:
    agency = _fails(connect, MISUNDERSTOOD[case], RegistryMisunderstood)
    assert len(agency.requests) == 1, "a misunderstood answer must not be asked for again"


def _fails(connect: Connect, behaviour: Behaviour, error: type[RegistryError]) -> Agency:
    with Agency(behaviour) as agency:
        started = time.monotonic()
        with pytest.raises(error) as caught:
            connect(agency.url).ask(BY_NIB, purpose(BUDGET))
        assert time.monotonic() - started < BUDGET + 1.0
    assert NIB not in str(caught.value)
    return agency


GOOD_WIRES: dict[str, bytes] = {
    "with its length": response(GOOD),
    "in chunks": chunked(GOOD[:100], GOOD[100:]),
    "in chunks of one byte": chunked(*(bytes([byte]) for byte in GOOD)),
    "until the connection closes": b"HTTP/1.1 200 OK\r\n\r\n" + GOOD,
    "as HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + GOOD,
    "packed with gzip": response(gzip.compress(GOOD), headers={"Content-Encoding": "gzip"}),
    "packed with deflate": response(zlib.compress(GOOD), headers={"Content-Encoding": "deflate"}),
    "after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" + response(GOOD),
    "with a wrong content type": response(GOOD, headers={"Content-Type": "text/html; charset=iso-8859-1"}),
    "with a status line without reason": b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n" % len(GOOD) + GOOD,
    "with spaces around": response(b" \r\n\t" + GOOD + b"\n"),
}


@pytest.mark.parametrize("case", GOOD_WIRES)
def test_a_good_answer_is_understood(case: str, connect: Connect) -> None:
    with Agency(bytes_then_close(GOOD_WIRES[case])) as agency:
        assert connect(agency.url).ask(BY_NIB, purpose()).record


def test_each_call_carries_what_the_contract_says(connect: Connect) -> None:
    with Agency(says(employer())) as agency:
        source = connect(agency.url)
        source.ask(BY_NIB, purpose())
        source.ask(BY_NPWP, purpose())
        agency.behaviour = says(project())
        source.ask(PROJECT, purpose())
        source.ask(PROJECT_BY_NPP, purpose())
    paths = [(request.method, request.path) for request in agency.requests]
    assert paths == [("GET", "/v1/badan-usaha")] * 2 + [("GET", "/v1/proyek")] * 2
    reference = {"keperluan": "503/0123/DPMPTSP/2026"}
    assert [request.query for request in agency.requests] == [
        {"nib": NIB} | reference,
        {"npwp": "0012345678801000"} | reference,
        {"nomor": "2300001078094"} | reference,
        {"npp": "15070955", "kd_daerah": "73.09"} | reference,
    ]
    assert {request.headers["x-request-id"] for request in agency.requests} == {"req-1"}
    assert "cookie" not in agency.requests[1].headers


def test_a_request_id_that_no_header_may_hold_is_replaced(connect: Connect) -> None:
    with Agency(says(employer())) as agency:
        connect(agency.url).ask(BY_NIB, Purpose("a\r\nX-Evil: 1", "№ 5\r\n", time.monotonic() + 2))
    assert "x-evil" not in agency.requests[0].headers
    assert len(agency.requests[0].headers["x-request-id"]) == 32


def test_connections_are_kept_and_shared_by_threads(connect: Connect) -> None:
    with Agency(slow(0.05, says(employer()))) as agency:
        source = connect(agency.url)
        for _ in range(3):
            threads = [threading.Thread(target=source.ask, args=(BY_NIB, purpose(5))) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert len(agency.requests) == 60
    assert agency.connections <= 20


def test_a_kept_connection_that_died_meanwhile_costs_no_answer(connect: Connect) -> None:
    with Agency(in_turn(says(employer()), resets, says(employer()))) as agency:
        source = connect(agency.url)
        assert source.ask(BY_NIB, purpose()).record
        assert source.ask(BY_NIB, purpose()).record


def test_an_answer_left_over_on_a_connection_is_never_taken_for_the_next(connect: Connect) -> None:
    two = response(GOOD) + response(json.dumps(not_found()).encode())
    with Agency(in_turn(lambda wire, request: wire.send(two), says(employer()))) as agency:
        source = connect(agency.url)
        assert source.ask(BY_NIB, purpose()).record
        assert source.ask(BY_NIB, purpose()).record, "the second answer of the first request said not found"


def test_an_unavailable_agency_is_tried_three_times_with_pauses(connect: Connect) -> None:
    with Agency(says(b"", 500)) as agency:
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable):
            connect(agency.url).ask(BY_NIB, purpose(5))
        assert 0.25 <= time.monotonic() - started < 2
    assert len(agency.requests) == 3


def test_a_short_failure_is_overcome(connect: Connect) -> None:
    with Agency(in_turn(says(b"", 503), resets, says(employer()))) as agency:
        assert connect(agency.url).ask(BY_NIB, purpose(5)).record


def test_retry_after_is_waited_for_when_the_budget_allows(connect: Connect) -> None:
    with Agency(in_turn(says(b"", 503, {"Retry-After": "1"}), says(employer()))) as agency:
        started = time.monotonic()
        assert connect(agency.url).ask(BY_NIB, purpose(5)).record
        assert 1 <= time.monotonic() - started < 2


RETRY_AFTER = {
    "120": timedelta(seconds=120),
    " 120 ": timedelta(seconds=120),
    "0": timedelta(),
    "Fri, 20 Nov 2026 09:00:00 GMT": timedelta(hours=1),
    "Fri, 20 Nov 2026 07:00:00 GMT": timedelta(),
    "9" * 400: timedelta(days=30),
    "Fri, 20 Nov 9999 09:00:00 GMT": timedelta(days=30),
}


@pytest.mark.parametrize("text", RETRY_AFTER)
def test_the_whole_length_of_retry_after_is_passed_on(text: str, connect: Connect) -> None:
    with Agency(says(b"", 503, {"Retry-After": text})) as agency, pytest.raises(RegistryUnavailable) as caught:
        connect(agency.url).ask(BY_NIB, purpose(1))
    assert caught.value.retry_at == NOW + RETRY_AFTER[text]


@pytest.mark.parametrize("text", ["soon", "-5", "1.5", "", "٣", "Fri, 99 Nov 2026", "1e9", "0x10"])
def test_a_retry_after_that_says_nothing_is_ignored(text: str, connect: Connect) -> None:
    with Agency(says(b"", 503, {"Retry-After": text})) as agency, pytest.raises(RegistryUnavailable) as caught:
        connect(agency.url).ask(BY_NIB, purpose(1))
    assert caught.value.retry_at is None


def test_a_long_retry_after_is_not_waited_for(connect: Connect) -> None:
    with Agency(says(b"", 429, {"Retry-After": "3600"})) as agency:
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable):
            connect(agency.url).ask(BY_NIB, purpose(5))
        assert time.monotonic() - started < 2


def test_one_budget_holds_for_all_calls_of_a_question(connect: Connect) -> None:
    with Agency(slow(0.4, says(not_found()))) as agency:
        source, shared, started = connect(agency.url), purpose(1.0), time.monotonic()
        for _ in range(2):
            source.ask(BY_NIB, shared)
        with pytest.raises(RegistryUnavailable):
            source.ask(BY_NIB, shared)
        assert time.monotonic() - started < 1.4
    assert len(agency.requests) == 3


def test_a_question_whose_time_is_over_asks_nothing(connect: Connect) -> None:
    with Agency(says(employer())) as agency, pytest.raises(RegistryUnavailable):
        connect(agency.url).ask(BY_NIB, purpose(-1))
    assert agency.requests == []


def test_a_server_that_never_accepts_is_unavailable_within_the_budget(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            started = time.monotonic()
            with pytest.raises(RegistryUnavailable):
                connect(f"http://127.0.0.1:{port}").ask(BY_NIB, purpose(BUDGET))
            assert time.monotonic() - started < BUDGET + 1.0


def test_a_refused_connection_is_unavailable(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(RegistryUnavailable):
        connect(f"http://127.0.0.1:{port}").ask(BY_NIB, purpose())


def test_a_reset_in_the_middle_of_the_body_is_unavailable(connect: Connect) -> None:
    def act(wire: object, request: object) -> None:
        wire.send(response(GOOD[:99], length=len(GOOD)))  # type: ignore[attr-defined]
        time.sleep(0.05)
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # type: ignore[attr-defined]
        wire.close()  # type: ignore[attr-defined]

    with Agency(act) as agency, pytest.raises(RegistryUnavailable):
        connect(agency.url).ask(BY_NIB, purpose())


def test_neither_logs_nor_errors_hold_the_query(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    behaviours = [
        says(employer()),
        says(b"", 500),
        resets,
        says(b"<html>"),
        bytes_then_close(b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"),
    ]
    for behaviour in behaviours:
        with Agency(behaviour) as agency:
            try:
                connect(agency.url).ask(BY_NIB, purpose(1))
            except RegistryError as error:
                chain: BaseException | None = error
                while chain:
                    assert NIB not in str(chain) or chain.__suppress_context__
                    chain = chain.__cause__
    assert NIB not in caplog.text
    assert "keperluan" not in caplog.text


def test_memory_does_not_grow_with_what_the_agency_sends(connect: Connect) -> None:
    bomb = gzip.compress(b" " * 80_000_000)
    with Agency(in_turn(endless(b" " * 65_536), says(bomb, headers={"Content-Encoding": "gzip"}))) as agency:
        source = connect(agency.url)
        tracemalloc.start()
        for _ in range(2):
            with pytest.raises(RegistryMisunderstood):
                source.ask(BY_NIB, purpose())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8_000_000
