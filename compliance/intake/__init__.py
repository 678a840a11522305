"""What a caller stated becomes a Question, or every wrong field is named. For the API, the pages and the commands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from marshmallow import Schema, ValidationError
from ulid import ULID

from compliance.errors import BadInput, FieldError
from compliance.gate import Asker, Log, Officer, Question
from compliance.intake import rules
from compliance.intake.fields import Say, say
from compliance.intake.schema import KNOWN, QUESTION
from compliance.law.facts import Application, Contract, Identity, Workforce
from compliance.law.policy import Policy

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
WORDS = re.compile(r"[0-9]{1,6}")


def read_question(
    stated: Any,
    *,
    regions: tuple[str, ...],
    policy: Policy,
    now: datetime,
    asker: Asker,
    request_id: str,
    language: str = "en",
) -> Question:
    """Read the document of contract §2 for a caller who may ask for `regions` (the first is the default).

    Raises BadInput with every wrong field, its texts in `language` ("en" or "id"), and ForeignRegion for a region that
    is served here but not to this caller.
    """
    broken: list[rules.Broken] = []
    stated = clean(stated, broken)
    data = load(QUESTION, stated, broken)
    if isinstance(stated, dict):
        broken += rules.identified(stated)
        broken += rules.counted(data.get("workforce", {}))
        broken += rules.on_days(data, stated, regions, policy, now)
    if broken:
        raise bad_input(broken, language)
    return _question(data, asker, request_id)


def clean(value: Any, broken: list[rules.Broken], pointer: str = "") -> Any:
    """The same without nulls (they mean left out); control characters and lone surrogates are complained about."""
    if isinstance(value, str):
        if CONTROL.search(value):
            broken.append((pointer, say("control")))
        return value
    if isinstance(value, Mapping):
        kept = {}
        for name, inner in value.items():
            below = f"{pointer}/{escaped(name)}"
            if CONTROL.search(name):
                broken.append((below, say("control")))
            elif inner is not None:
                kept[name] = clean(inner, broken, below)
        return kept
    if isinstance(value, list):
        return [clean(inner, broken, f"{pointer}/{index}") for index, inner in enumerate(value)]
    return value


def load(schema: Schema, stated: Any, broken: list[rules.Broken], pointer: str = "") -> dict[str, Any]:
    """What a schema reads of a document that stands at `pointer`; what it cannot read is complained about."""
    found: Any
    try:
        found = schema.load(stated)
    except ValidationError as error:
        broken += _pointed(error.messages, pointer)
        found = error.valid_data
    return found if isinstance(found, dict) else {}


def _pointed(messages: Any, pointer: str) -> Iterator[rules.Broken]:
    """marshmallow's nested messages as pointers; `_schema` is the object itself."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from _pointed(inner, pointer if name == "_schema" else f"{pointer}/{escaped(str(name))}")
    else:
        yield from ((pointer, message) for message in ([messages] if isinstance(messages, Say) else messages))


def bad_input(broken: Iterable[rules.Broken], language: str = "en") -> BadInput:
    """The error that names each field once, the first complaint about it."""
    first: dict[str, Say] = {}
    for pointer, complaint in broken:
        first.setdefault(pointer, complaint)
    return BadInput(*(FieldError(pointer, getattr(complaint, language)) for pointer, complaint in first.items()))


def refused(log: Log, asker: Asker, at: datetime, *, pointers: Iterable[str], **request: str | int | None) -> None:
    """Log a refused request (contract §3): where it was wrong, never what it said.

    Names of fields are the caller's words too, so unknown ones are left out of the pointers. `request` is request_id,
    path, status, body_length and body_sha256 (None when the body was too long to be read to its end).
    """
    known = sorted({_known(pointer) for pointer in pointers})[:100]
    entry = {"asker": {"kind": asker.kind, "id": asker.id}, "pointers": known, **request}
    log.append("check.refused", entry, entry_id=str(ULID()), private={}, at=at)


def _known(pointer: str) -> str:
    tokens = pointer.split("/")
    return "/".join(t if t in KNOWN or not t or WORDS.fullmatch(t) else "?" for t in tokens)


def escaped(name: str) -> str:
    """A field's name as a JSON pointer's token (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _question(data: dict[str, Any], asker: Asker, request_id: str) -> Question:
    business, owner, project = (data.get(part, {}) for part in ("business", "owner", "project"))
    numbers = {name: business.get(name) for name in ("nib", "npwp", "npp")} | {"nik": owner.get("nik")}
    signed, place = project.get("contract_date"), project.get("region", data["region"])
    return Question(
        reference=data["reference"],
        application=Application(
            permit_type=data["permit_type"],
            region=data["region"],
            as_at=data["as_at"],
            stage=data.get("stage", "new"),
            **{name: business.get(name) for name in ("scale", "legal_form", "nib_status")},
            workforce=Workforce(**data.get("workforce", {})),
            contract=Contract(signed, place, project.get("number")) if signed else None,
            given=tuple(name for name, value in numbers.items() if value),
        ),
        identity=Identity(name=business.get("name"), owner_name=owner.get("name"), **numbers),
        asker=asker,
        officer=Officer(**data["officer"]) if data.get("officer") else None,
        request_id=request_id,
    )
