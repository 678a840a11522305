"""Hundreds wait for the agency, few work at a time; whoever is slow to send, or fails, keeps nobody's turn."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import pytest

from compliance.registry.port import AT_ONCE, HERD, Turns, aside


class Desk:
    """An application that counts how many work and how many wait at the same time."""

    def __init__(self) -> None:
        self.lock, self.working, self.most, self.waiting, self.most_waiting = threading.Lock(), 0, 0, 0, 0
        self.answered = threading.Event()

    def _work(self) -> None:
        with self.lock:
            self.working += 1
            self.most = max(self.most, self.working)
        time.sleep(0.01)
        with self.lock:
            self.working -= 1

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        if body == b"fail":
            raise RuntimeError
        self._work()
        with aside():
            with self.lock:
                self.waiting += 1
                self.most_waiting = max(self.most_waiting, self.waiting)
            assert self.answered.wait(10)
        self._work()
        return [body]


def post(body: bytes = b"{}", path: str = min(HERD), **more: Any) -> dict[str, Any]:
    stream = more.pop("stream", None) or io.BytesIO(body)
    return {"REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_LENGTH": str(len(body)), "wsgi.input": stream} | more


def test_many_wait_and_few_work() -> None:
    desk = Desk()
    turns = Turns(desk)
    threads = [threading.Thread(target=turns, args=(post(), None)) for _ in range(60)]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + 10
    while desk.waiting < 60 and time.monotonic() < ends:
        time.sleep(0.01)
    assert desk.most_waiting == 60
    desk.answered.set()
    for thread in threads:
        thread.join(10)
    assert 0 < desk.most <= AT_ONCE


def test_a_failure_gives_the_turn_back() -> None:
    desk = Desk()
    desk.answered.set()
    turns = Turns(desk)
    for _ in range(AT_ONCE + 1):
        with pytest.raises(RuntimeError):
            turns(post(b"fail"), None)
    assert turns(post(b"ok"), None) == [b"ok"]


@pytest.mark.parametrize("environ", [post(path="/healthz"), post(REQUEST_METHOD="GET"), post(CONTENT_LENGTH="")])
def test_nobody_else_takes_turns(environ: dict[str, Any]) -> None:
    desk = Desk()
    turns = Turns(desk)
    threads = [threading.Thread(target=turns, args=(post(), None)) for _ in range(AT_ONCE)]
    for _ in range(AT_ONCE):
        turns._turns.acquire()
    for thread in threads:
        thread.start()
    desk.answered.set()
    assert turns(environ, None)
    assert desk.most == 1, "all turns are taken, and only this one was answered"
    turns._turns.release(AT_ONCE)
    for thread in threads:
        thread.join(10)


def test_a_slow_sender_holds_no_turn() -> None:
    class Slow(io.BytesIO):
        def read(self, *args: Any) -> bytes:
            sending.wait(10)
            return super().read(*args)

    desk, sending = Desk(), threading.Event()
    desk.answered.set()
    turns = Turns(desk)
    threads = [threading.Thread(target=turns, args=(post(stream=Slow(b"{}")), None)) for _ in range(3 * AT_ONCE)]
    for thread in threads:
        thread.start()
    assert turns(post(b"ok"), None) == [b"ok"]
    sending.set()
    for thread in threads:
        thread.join(10)
