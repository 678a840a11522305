"""A witness (C2SP tlog-witness): it cosigns a log's head only if it extends the last one that it cosigned.
Run by the inspectorate, on a machine that the operator does not own: `python -m compliance.proof.witness --help`."""

import argparse
import re
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from compliance.errors import LogBroken
from compliance.proof import note as notes
from compliance.proof.merkle import EMPTY_ROOT, verify_consistency
from compliance.proof.note import Head, Keys, Signer, VerifierKey, unb64, write_whole

LARGEST = 64 * 1024
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class Refused(Exception):  # by HTTP status, and the size where the witness stands, if that is the reason
    def __init__(self, status: int, reason: str, size: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.size = status, size


class Witness:
    """Keeps, for each log it knows, the last head it cosigned. `clock` gives Unix seconds. One process per folder."""

    def __init__(self, signer: Signer, logs: Keys, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._signer, self._logs, self._folder, self._clock = signer, logs, folder, clock
        self._turn = threading.Lock()

    def add_checkpoint(self, body: str) -> str:
        """Answer one submission with a cosignature line. Raises Refused."""
        top, blank, note = body.partition("\n\n")
        stated, *lines = top.split("\n")
        match = _OLD.fullmatch(stated)
        try:
            proof, head = [unb64(line) for line in lines], Head.parse(notes.signature_lines(note)[0])
        except LogBroken as error:
            raise Refused(400, str(error)) from error
        if not match or not blank or len(proof) > 63 or any(len(step) != 32 for step in proof):
            raise Refused(400, "not a submission")
        old = int(match[1])
        if not (keys := [key for key in self._logs if key.name == head.origin]):
            raise Refused(404, "this log is not known here")
        try:
            head = notes.open_head(note, keys)
        except LogBroken as error:
            raise Refused(403, str(error)) from error
        with self._turn:
            last = self.last(head.origin)
            if old > head.size:
                raise Refused(400, "the old size is larger than the new one")
            if old != last.size or (old == head.size and head.root != last.root):
                raise Refused(409, "another head was cosigned last", last.size)
            try:
                verify_consistency(old, head.size, last.root, head.root, proof)
            except LogBroken as error:
                raise Refused(422, str(error)) from error
            # Durable before the cosignature leaves: a witness that forgets could be made to sign two histories.
            write_whole(self._path(head.origin), str(head))
        return self._signer.line(str(head), int(self._clock()))

    def last(self, origin: str) -> Head:
        """The last head that was cosigned; of size 0 when there is none."""
        path = self._path(origin)
        return Head.parse(path.read_text(encoding="utf-8")) if path.exists() else Head(origin, 0, EMPTY_ROOT)

    def _path(self, origin: str) -> Path:
        return self._folder / f"{sha256(origin.encode()).hexdigest()}.head"


def serve(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound but does not run yet."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            length, kind = self.headers.get("Content-Length", ""), "text/plain; charset=utf-8"
            try:
                if self.path != "/add-checkpoint":
                    raise Refused(404, "there is only /add-checkpoint")
                if not length.isdecimal() or int(length) > LARGEST:
                    raise Refused(413, "too large")
                status, text = 200, witness.add_checkpoint(self.rfile.read(int(length)).decode())
            except UnicodeDecodeError:
                status, text = 400, "not UTF-8\n"
            except Refused as refused:
                status, text = refused.status, f"{refused}\n"
                if refused.size is not None:
                    text, kind = f"{refused.size}\n", "text/x.tlog.size"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {format % args}", flush=True)

    return ThreadingHTTPServer((host, port), Handler)


def main() -> None:
    """Run a witness until it is interrupted. Its key is made at first use, readable by its owner alone."""
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m compliance.proof.witness", description=about)
    parser.add_argument("--name", required=True, help="the witness's name, e.g. inspektorat.example/witness")
    parser.add_argument("--logs", required=True, type=Path, help="file with the public key of each log, one a line")
    parser.add_argument("--folder", required=True, type=Path, help="where the key and the last heads are kept")
    parser.add_argument("--listen", default="127.0.0.1:8600", help="address and port (default %(default)s)")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    key: Path = given.folder / "witness.key"
    if not key.exists():
        write_whole(key, Signer.generate(given.name, notes.WITNESS_KEY).secret_line() + "\n", 0o600)
    signer = Signer.parse(key.read_text(encoding="ascii"))
    logs = [VerifierKey.parse(line) for line in given.logs.read_text().splitlines() if line.strip()]
    host, _, port = given.listen.rpartition(":")
    server = serve(Witness(signer, logs, given.folder), host, int(port))
    print(f"witness {signer.key} listens on {host}:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
