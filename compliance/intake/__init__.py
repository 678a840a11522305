"""What a caller stated becomes a Question, or every wrong field is named. For the API, the pages and the commands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from marshmallow import ValidationError
from ulid import ULID

from compliance.errors import BadInput, FieldError, ForeignRegion, LawNotInForce, UnknownRegion
from compliance.gate import Asker, Log, Officer, Question
from compliance.intake import rules
from compliance.intake.fields import Say
from compliance.intake.schema import KNOWN, QUESTION
from compliance.law.facts import Application, Contract, Identity, Workforce
from compliance.law.policy import Policy

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
UNPRINTABLE = Say("holds a control character or half a character; remove it", "memuat karakter kendali; hapuslah")
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
    data = _load(stated, broken)
    if isinstance(stated, dict):
        broken += rules.identified(stated)
        broken += rules.counted(data.get("workforce", {}))
        _on_days(data, stated, regions, policy, now, broken)
    if broken:
        raise bad_input(broken, language)
    return _question(data, asker, request_id)


def clean(value: Any, broken: list[rules.Broken], pointer: str = "") -> Any:
    """The same without nulls (they mean left out); control characters and lone surrogates are complained about."""
    if isinstance(value, str):
        if CONTROL.search(value):
            broken.append((pointer, UNPRINTABLE))
        return value
    if isinstance(value, Mapping):
        kept = {}
        for name, inner in value.items():
            below = f"{pointer}/{escaped(name)}"
            if CONTROL.search(name):
                broken.append((below, UNPRINTABLE))
            elif inner is not None:
                kept[name] = clean(inner, broken, below)
        return kept
    if isinstance(value, list):
        return [clean(inner, broken, f"{pointer}/{index}") for index, inner in enumerate(value)]
    return value


def bad_input(broken: Iterable[rules.Broken], language: str) -> BadInput:
    """The error that names each field once, the first complaint about it."""
    first: dict[str, Say] = {}
    for pointer, say in broken:
        first.setdefault(pointer, say)
    return BadInput(*(FieldError(pointer, getattr(say, language)) for pointer, say in first.items()))


def refused(
    log: Log,
    asker: Asker,
    at: datetime,
    *,
    request_id: str,
    path: str,
    status: int,
    pointers: Iterable[str],
    body_sha256: str | None,
    body_length: int,
) -> None:
    """Log a refused request (contract §3): where it was wrong, never what it said.

    Names of fields are the caller's words too, so unknown ones are left out of the pointers. `body_sha256` is None
    when the body was too long to be read to its end.
    """
    entry = {
        "asker": {"kind": asker.kind, "id": asker.id},
        "path": path,
        "status": status,
        "pointers": sorted({_known(pointer) for pointer in pointers})[:100],
        "body_sha256": body_sha256,
        "body_length": body_length,
        "request_id": request_id,
    }
    log.append("check.refused", entry, entry_id=str(ULID()), private={}, at=at)


def escaped(name: str) -> str:
    """A field's name as a JSON pointer's token (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _known(pointer: str) -> str:
    tokens = pointer.split("/")
    return "/".join(t if t in KNOWN or not t or WORDS.fullmatch(t) else "?" for t in tokens)


def _load(stated: Any, broken: list[rules.Broken]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = QUESTION.load(stated)
        return found
    except ValidationError as error:
        broken += pointed(error.messages)
        return error.valid_data if isinstance(error.valid_data, dict) else {}


def pointed(messages: Any, pointer: str = "") -> Iterator[rules.Broken]:
    """marshmallow's nested messages as pointers; `_schema` is the object itself."""
    if isinstance(messages, dict):
        for name, inner in messages.items():
            yield from pointed(inner, pointer if name == "_schema" else f"{pointer}/{escaped(str(name))}")
    elif isinstance(messages, list):
        for inner in messages:
            yield from pointed(inner, pointer)
    else:
        yield pointer, messages


def _on_days(
    data: dict[str, Any],
    stated: Mapping[str, Any],
    regions: tuple[str, ...],
    policy: Policy,
    now: datetime,
    broken: list[rules.Broken],
) -> None:
    """Fill in region and day, and judge all days by that region's calendar."""
    region = data.setdefault("region", regions[0]) if "region" in data or "region" not in stated else None
    if region is None:
        return
    try:
        today = policy.today(region, now)
    except UnknownRegion as error:
        served = ", ".join(error.known)
        broken.append(("/region", Say(f"is not served here, e.g. {served}", f"tidak dilayani di sini, mis. {served}")))
        return
    if region not in regions:
        raise ForeignRegion(region, regions)
    broken += _as_at(data, region, today, policy, "as_at" in stated)
    if isinstance(project := stated.get("project"), Mapping):
        broken += rules.contracted(data.get("project", {}), project, today)


def _as_at(data: dict[str, Any], region: str, today: date, policy: Policy, given: bool) -> Iterator[rules.Broken]:
    day = data.get("as_at")
    if day is None and given:
        return
    if day is None:
        day = data["as_at"] = today
    if day > today:
        yield "/as_at", rules.not_after(today)
        return
    try:
        policy.on(day, region)
    except LawNotInForce as error:
        yield "/as_at", rules.not_before(error.first_day)


def _question(data: dict[str, Any], asker: Asker, request_id: str) -> Question:
    business, owner, officer = data.get("business", {}), data.get("owner", {}), data.get("officer")
    numbers = {name: business.get(name) for name in ("nib", "npwp", "npp")} | {"nik": owner.get("nik")}
    return Question(
        reference=data["reference"],
        application=Application(
            permit_type=data["permit_type"],
            region=data["region"],
            as_at=data["as_at"],
            stage=data.get("stage", "new"),
            scale=business.get("scale"),
            legal_form=business.get("legal_form"),
            nib_status=business.get("nib_status"),
            workforce=Workforce(**data.get("workforce", {})),
            contract=_contract(data.get("project", {}), data["region"]),
            given=tuple(name for name, value in numbers.items() if value),
        ),
        identity=Identity(name=business.get("name"), owner_name=owner.get("name"), **numbers),
        asker=asker,
        officer=Officer(**officer) if officer else None,
        request_id=request_id,
    )


def _contract(project: Mapping[str, Any], region: str) -> Contract | None:
    if "contract_date" not in project:
        return None
    return Contract(project["contract_date"], project.get("region", region), project.get("number"))
