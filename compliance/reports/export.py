"""What an auditor takes along: a zip of rows, a proof of each, and a signed statement of what the zip holds.

`flask receipt verify statement.jws` shows the head and the files' SHA-256; each line of proofs.jsonl, saved as a file,
is one for `flask log verify`: both need the public key alone.
"""

import codecs
import csv
import io
import itertools
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce
from hashlib import sha256
from typing import IO, Any

from openpyxl import Workbook

from compliance.deployment import Deployment
from compliance.proof.note import b64
from compliance.proof.receipt import disclosed, sign_claims
from compliance.reports.search import Wanted, stream

FORMS, SHEET, CHUNK = ("csv", "xlsx", "jsonl"), 1_000_000, 1 << 16
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a text begins that a spreadsheet takes for a formula
COLUMNS = (
    *("index", "id", "at", "facts.application.region", "asker.office", "asker.kind", "asker.id", "reference"),
    *("facts.application.permit_type", "facts.application.as_at", "name", "business.nib", "decision.verdict"),
    *("decision.action", "decision.enforced", "decision.findings.code", "receipt_code", "leaf_hash"),
)


class _Pipe(io.RawIOBase):
    """Takes what is written, until somebody takes it on."""

    held = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.held += data
        return len(data)

    def take(self) -> bytes:
        taken, self.held = self.held, b""
        return taken


def _proved(here: Deployment, wanted: Wanted, checkpoint: str) -> Iterator[tuple[bytes, list[Any]]]:
    """Proof and cells of each check; of personal values only the business's name."""
    for batch in stream(here.log.engine, wanted):
        entries = here.log.entries_at(row.pos for row in batch)
        strings = here.log.disclosures(entry.id for entry in entries)
        for entry in reversed(entries):
            told = {"index": entry.position, "leaf_hash": b64(entry.leaf_hash)}
            proof = [b64(step) for step in here.log.inclusion(entry.position, wanted.below or 0)]
            shown = [text for text in strings.get(entry.id, []) if disclosed(text)[0] == "name"]
            package = told | {"body": b64(entry.raw), "proof": proof, "checkpoint": checkpoint, "disclosures": shown}
            whole = told | entry.body | {"name": entry.disclosed.get("name", "")}
            yield json.dumps(package).encode() + b"\n", [reduce(_part, path.split("."), whole) for path in COLUMNS]


def _part(value: Any, name: str) -> Any:
    return " ".join(each[name] for each in value) if isinstance(value, list) else value.get(name, "")


def _safe(cells: list[Any]) -> list[Any]:
    return [f"'{each}" if isinstance(each, str) and each.startswith(FORMULA) else each for each in cells]


def export(here: Deployment, wanted: Wanted, form: str, asked: dict[str, Any]) -> Iterator[bytes]:
    """The zip as it grows, in constant memory (rows wait in a file); nothing in it is newer than the head it names."""
    (size, root), pipe, number = here.log.durable_head(), _Pipe(), 0
    signer, checkpoint = here.log.keyring.signers[0], here.log.keyring.head(size, root)
    sums = {"proofs.jsonl": sha256(), f"checks.{form}": sha256()}
    with tempfile.TemporaryFile() as rows, zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as whole:
        put, finish = _writer(rows, form)
        with whole.open("proofs.jsonl", "w", force_zip64=True) as proofs:
            for proof, cells in _proved(here, replace(wanted, below=size), checkpoint):
                number += 1
                sums["proofs.jsonl"].update(proof)
                proofs.write(proof)
                put(cells)
                if len(pipe.held) > CHUNK:
                    yield pipe.take()
        finish()
        rows.seek(0)
        with whole.open(f"checks.{form}", "w", force_zip64=True) as member:
            while chunk := rows.read(CHUNK):
                sums[f"checks.{form}"].update(chunk)
                member.write(chunk)
                yield pipe.take()
        told = {"iss": here.log.origin, "export": asked, "rows": number, "size": size, "root": b64(root)}
        told["sha256"] = {name: each.hexdigest() for name, each in sums.items()}
        whole.writestr("statement.jws", sign_claims(told, signer))
        whole.writestr("checkpoint", checkpoint)
    yield pipe.take()


def _writer(file: IO[bytes], form: str) -> tuple[Callable[[list[Any]], Any], Callable[[], Any]]:
    """How a row is put into the file, and how the file is ended."""
    text = codecs.getwriter("utf-8")(file)
    if form == "jsonl":

        def say(cells: list[Any]) -> None:
            text.write(json.dumps(dict(zip(COLUMNS, cells, strict=True)), ensure_ascii=False) + "\n")

        return say, file.flush
    book, rows = Workbook(write_only=True), csv.writer(text)
    if form == "csv":
        rows.writerow(COLUMNS)
        return lambda cells: rows.writerow(_safe(cells)), file.flush
    book.create_sheet().append(COLUMNS)
    numbers = itertools.count()

    def put(cells: list[Any]) -> None:
        if (number := next(numbers)) and number % SHEET == 0:
            book.create_sheet().append(COLUMNS)
        book.worksheets[-1].append(_safe(cells))

    return put, lambda: book.save(file)
