"""Reads a list of questions, CSV or JSON, and judges every line of it before anything is asked."""

import csv
import io
import json
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from compliance.deployment import Deployment
from compliance.errors import BadInput, FieldError, ForeignRegion, TooMuch
from compliance.gate import Asker, Question
from compliance.intake import read_question
from compliance.intake.documents import DOCUMENTS, Document, escaped, say

MOST, MOST_BYTES = 100_000, 20 * 1024 * 1024
SHOWN = 1_000  # wrong fields that are named; more are counted
LARGE, AT_ONCE = 1024 * 1024, 2  # bytes; so many larger lists are read by one process, each takes some 300 MB meanwhile
_places = threading.BoundedSemaphore(AT_ONCE)
TYPES: dict[str, str] = {  # every column that a table may have, as a path of the question
    f"{part}.{name}" if part else name: field.shown.get("type", "string")
    for part, document in [("", DOCUMENTS["Question"]), *DOCUMENTS["Question"].fields.items()]
    if isinstance(document, Document)
    for name, field in document.fields.items()
    if not isinstance(field, Document)
}
WORDS = {"true": True, "false": False, "ya": True, "tidak": False, "yes": True, "no": False}
Row = tuple[int, Any]


@contextmanager
def turn(size: int | None, busy: Exception) -> Iterator[None]:
    """To be held while a list of so many bytes (None: nobody knows) is read, judged and kept. Raises `busy` when as
    many large ones are being read as may be."""
    large = size is None or size > LARGE
    if large and not _places.acquire(blocking=False):
        raise busy
    try:
        yield
    finally:
        if large:
            _places.release()


def _wrong(pointer: str, language: str, rule: str, example: str = "", **values: object) -> FieldError:
    return FieldError(pointer, getattr(say(rule, example, **values), language))


def read_csv(raw: bytes, language: str = "en") -> Iterator[Row]:
    """Line numbers (1: the first below the header) and what each line states, or what is wrong with it, of UTF-8 with
    `,` or `;` whose header names paths of a question. Empty cells and lines are left out. Raises BadInput."""
    try:
        text = raw.decode("utf-8-sig")
        first = text.partition("\n")[0]
        table = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
        times = Counter(header := [cell.strip() for cell in next(table, [])])
        if not header:
            raise BadInput(_wrong("", language, "table_header", "reference,permit_type,business.nib"))
        if odd := [name[:100] for name in header if name not in TYPES or times[name] > 1]:
            raise BadInput(*(_wrong("", language, "table_column", name=repr(name)) for name in odd[:SHOWN]))
        for line, cells in enumerate(table, 1):
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) == len(header):
                yield line, stated(header, cells)
            else:
                yield line, BadInput(_wrong("", language, "table_cells", cells=len(cells), columns=len(header)))
    except UnicodeDecodeError as error:
        raise BadInput(_wrong("", language, "table_text")) from error
    except csv.Error as error:
        raise BadInput(_wrong("", language, "table_broken", line=table.line_num)) from error


def stated(header: list[str], cells: list[str]) -> dict[str, Any]:
    """The document (contract §2) whose paths have these texts; what is empty is left out."""
    document: dict[str, Any] = {}
    for path, cell in zip(header, cells, strict=True):
        part, _, name = path.rpartition(".")
        if plain := cell.strip():
            value: Any = WORDS.get(plain.lower(), cell) if TYPES[path] == "boolean" else cell
            if TYPES[path] == "integer" and re.fullmatch("[0-9]{1,9}", plain):
                value = int(plain)
            (document.setdefault(part, {}) if part else document)[name] = value
    return document


def read_document(document: Any) -> Iterator[Row]:
    """The same of `{"checks": […]}`. Raises BadInput."""
    odd = [name for name in document if name != "checks"] if isinstance(document, Mapping) else []
    if odd:
        raise BadInput(*(_wrong(f"/{escaped(name)}", "en", "unknown") for name in odd[:SHOWN]))
    if not isinstance(document, Mapping) or not isinstance(document.get("checks"), list):
        raise BadInput(_wrong("/checks", "en", "list", '{"checks": [{…}]}'))
    yield from enumerate(document["checks"], 1)


def judge(
    here: Deployment, rows: Iterable[Row], regions: tuple[str, ...], asker: Asker, language: str = "en"
) -> Iterator[tuple[int, Question, bytes]]:
    """Every line as a question and as what must be kept to ask it later, with its day and region. Ends with BadInput,
    which names every wrong field (`/checks/16/business/nib` is in line 17), or TooMuch."""
    rows, wrong, count, line = iter(rows), list[FieldError](), 0, 0
    context: dict[str, Any] = {"policy": here.policy, "now": here.clock(), "regions": regions, "asker": asker}
    for line, stated in islice(rows, MOST):
        found: tuple[FieldError, ...] = ()
        try:
            if isinstance(stated, BadInput):
                raise stated
            question = read_question(stated, request_id="", language=language, **context)
        except BadInput as error:
            found = error.errors
        except ForeignRegion:
            found = (_wrong("/region", language, "not_served", ", ".join(regions)),)
        count += len(found)
        wrong += [FieldError(f"/checks/{line - 1}{e.pointer}", e.detail) for e in found][: SHOWN - len(wrong)]
        if not count:
            fixed = {"region": question.application.region, "as_at": question.application.as_at.isoformat()}
            yield line, question, json.dumps([asker.kind, asker.id, stated | fixed]).encode()
    if next(rows, None):
        raise TooMuch(f"more than {MOST} checks; divide the list")
    if count > len(wrong):
        wrong.append(_wrong("", language, "more_wrong", count=count - len(wrong)))
    if wrong or not line:
        raise BadInput(*wrong or [_wrong("/checks", language, "no_checks")])
