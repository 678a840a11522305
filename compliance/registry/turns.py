"""Hundreds may wait for the agency, few work at a time: else every other request stands in line behind all of them.

Python lets one thread run, and a request that comes among a hundred runnable ones waits a round for each of its steps.
"""

import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

AT_ONCE = 4  # of one process
HERD = {"/api/v1/checks", "/api/v1/oss/receive-nib"}
LARGEST = 1024 * 1024
_mine = threading.local()


class Turns:
    """WSGI: who asks for a check works in his turn; the body is read before, so that a slow sender holds none."""

    def __init__(self, app: Any) -> None:
        self._app, self._turns = app, threading.BoundedSemaphore(AT_ONCE)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or ""
        asks = environ["REQUEST_METHOD"] == "POST" and environ.get("PATH_INFO") in HERD
        if not (asks and length.isdecimal() and int(length) <= LARGEST):
            return self._app(environ, start_response)  # type: ignore[no-any-return]
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with self._turns:
            _mine.turns = self._turns
            try:
                return self._app(environ, start_response)  # type: ignore[no-any-return]
            finally:
                del _mine.turns


@contextmanager
def aside() -> Iterator[None]:
    """While this thread waits inside, its turn is another's; once it has none, a second call changes nothing."""
    if not (turns := getattr(_mine, "turns", None)):
        yield
        return
    _mine.turns = None
    turns.release()
    try:
        yield
    finally:
        turns.acquire()
        _mine.turns = turns
