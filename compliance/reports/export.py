"""What an auditor takes along: a zip of rows, a proof of each (a line of proofs.jsonl, for `flask log verify`), and a
signed statement of the head and the files' SHA-256 (for `flask receipt verify`): both need the public key alone."""

import codecs
import csv
import itertools
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce
from hashlib import sha256
from types import SimpleNamespace
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


def _part(value: Any, name: str) -> Any:
    return " ".join(each[name] for each in value) if isinstance(value, list) else value.get(name, "")


def _proved(here: Deployment, wanted: Wanted, checkpoint: str) -> Iterator[tuple[bytes, list[Any]]]:
    """Proof and cells of each check; of personal values only the business's name."""
    for batch in stream(here.log.engine, wanted):
        entries = here.log.entries_at(row.pos for row in batch)
        strings = here.log.disclosures(entry.id for entry in entries)
        proofs = here.log.inclusions((entry.position for entry in entries), wanted.below or 0)
        for entry, steps in zip(reversed(entries), reversed(proofs), strict=True):
            told = {"index": entry.position, "leaf_hash": b64(entry.leaf_hash)}
            proof = [b64(step) for step in steps]
            shown = [text for text in strings.get(entry.id, []) if disclosed(text)[0] == "name"]
            package = told | {"body": b64(entry.raw), "proof": proof, "checkpoint": checkpoint, "disclosures": shown}
            whole = told | entry.body | {"name": entry.disclosed.get("name", "")}
            yield json.dumps(package).encode() + b"\n", [reduce(_part, path.split("."), whole) for path in COLUMNS]


def export(here: Deployment, wanted: Wanted, form: str, asked: dict[str, Any]) -> Iterator[bytes]:
    """The zip as it grows, in constant memory (rows wait in a file); nothing in it is newer than the head it names."""
    (size, root), number, proved, listed, held = here.log.durable_head(), 0, sha256(), sha256(), bytearray()
    checkpoint = here.log.keyring.head(size, root)

    def write(data: Any) -> int:
        held.extend(data)
        return len(data)

    def take() -> bytes:
        taken = bytes(held)
        held.clear()
        return taken

    pipe: Any = SimpleNamespace(write=write, flush=lambda: None)  # takes what the zip writes; there is no way back
    with tempfile.TemporaryFile() as rows, zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as whole:
        put, finish = _writer(rows, form)
        with whole.open("proofs.jsonl", "w", force_zip64=True) as member:
            for proof, cells in _proved(here, replace(wanted, below=size), checkpoint):
                number += 1
                proved.update(proof)
                member.write(proof)
                put(cells)
                if len(held) > CHUNK:
                    yield take()
        finish()
        rows.seek(0)
        with whole.open(f"checks.{form}", "w", force_zip64=True) as member:
            while chunk := rows.read(CHUNK):
                listed.update(chunk)
                member.write(chunk)
                yield take()
        told = {"iss": here.log.origin, "export": asked, "rows": number, "size": size, "root": b64(root)}
        told["sha256"] = {"proofs.jsonl": proved.hexdigest(), f"checks.{form}": listed.hexdigest()}
        whole.writestr("statement.jws", sign_claims(told, here.log.keyring.signers[0]))
        whole.writestr("checkpoint", checkpoint)
    yield take()


def _writer(file: IO[bytes], form: str) -> tuple[Callable[[list[Any]], Any], Callable[[], Any]]:
    """How a row is put into the file, and how the file is ended."""
    text, book, numbers = codecs.getwriter("utf-8")(file), Workbook(write_only=True), itertools.count()
    if form == "jsonl":
        line = json.JSONEncoder(ensure_ascii=False).encode
        return lambda cells: text.write(line(dict(zip(COLUMNS, cells, strict=True))) + "\n"), file.flush

    def put(cells: list[Any]) -> None:
        safe = [f"'{each}" if isinstance(each, str) and each.startswith(FORMULA) else each for each in cells]
        if form == "csv":
            csv.writer(text).writerow(safe)
            return
        if (number := next(numbers)) > 1 and number % SHEET == 1:
            book.create_sheet().append(COLUMNS)
        book.worksheets[-1].append(safe)

    book.create_sheet()
    put(list(COLUMNS))
    return put, file.flush if form == "csv" else lambda: book.save(file)
