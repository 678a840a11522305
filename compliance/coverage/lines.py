"""Reads lists of institutions and groups: every line is right, or each wrong one is named and nothing is taken."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from compliance.errors import BadIdentifier, BadInput, FieldError
from compliance.law import identifiers, names

WORDS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
MOST = 5_000
MOST_ERRORS = 200
DAYS = ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%d.%m.%Y")
NUMBERS = {"npp": identifiers.npp, "npwp": identifiers.npwp, "nib": identifiers.nib}


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).upper()


COLUMNS = {_plain(word): fact for fact, words in WORDS["columns"].items() for word in words}
CHOICES = {
    fact: {_plain(word): code for code, words in codes.items() for word in (code, *words)}
    for fact, codes in WORDS["choices"].items()
}


class _Wrong(ValueError):
    """`args`: the message's name in words.toml, and the words that it shows."""


def say(language: str, what: str, words: Mapping[str, object]) -> str:
    return str(WORDS["wrong"][what]["en" if language == "en" else "id"].format(**words))


def columns(cells: Sequence[object]) -> dict[str, int]:
    """Which facts a row names as a header would."""
    return {COLUMNS[key]: index for index, cell in enumerate(cells) if (key := _plain(_text(cell))) in COLUMNS}


def read(rows: Iterable[tuple[str, Sequence[object]]], today: date, language: str) -> list[dict[str, Any]]:
    """The facts of each institution, of rows with their places; `as_of` is set. Raises BadInput naming every place."""
    found: dict[str, int] = {}
    lines: list[dict[str, Any]] = []
    seen: dict[str, str] = {}
    errors: list[FieldError] = []
    for place, cells in rows:
        texts = [_text(cell) for cell in cells]
        header = {"kind", "name"} <= set(named := columns(texts))
        wrong: list[tuple[str, str, dict[str, object]]] = []
        if header or not found:
            found = named if header else {}
            personal = [text for text in texts if re.fullmatch(WORDS["personal"], _plain(text))]
            wrong = [("", "personal_column", {"given": text[:40]}) for text in personal]
        elif any(texts):
            facts, wrong = _line({fact: texts[index] for fact, index in found.items() if index < len(texts)}, today)
            others = (text for index, text in enumerate(texts) if index != found.get("npwp"))
            wrong += [("", "personal_number", {"given": _masked(text)}) for text in others if _has_nik(text)]
            if (key := identity(facts)) in seen:
                wrong.append(("name", "duplicate", {"given": seen[key]}))
            seen[key] = place
            lines.append(facts)
        errors += [FieldError(f"/{place}/{fact}".rstrip("/"), say(language, *told)) for fact, *told in wrong]
        if len(errors) >= MOST_ERRORS or len(lines) > MOST:
            break
    if not lines and not errors:
        errors = [FieldError("", say(language, "no_line" if found else "no_header", {}))]
    if len(lines) > MOST:
        errors.append(FieldError("", say(language, "too_many", {"most": MOST})))
    if errors:
        raise BadInput(*errors)
    return lines


def read_one(given: Mapping[str, str], today: date, language: str) -> dict[str, Any]:
    """The same for what was typed on a page: one institution. Raises BadInput."""
    facts, wrong = _line(given, today)
    wrong += [(fact, "personal_number", {"given": _masked(text)}) for fact, text in given.items() if _has_nik(text)]
    if errors := [FieldError(f"/{fact}", say(language, *told)) for fact, *told in wrong]:
        raise BadInput(*errors)
    return facts


def identity(facts: Mapping[str, Any]) -> str:
    """The id of an institution: its kind and its name as names are compared."""
    key = f"{facts.get('kind')}|{names.normal(facts.get('name', ''))}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _line(given: Mapping[str, str], today: date) -> tuple[dict[str, Any], list[tuple[str, str, dict[str, object]]]]:
    facts: dict[str, Any] = {}
    wrong: list[tuple[str, str, dict[str, object]]] = []
    for fact, text in given.items():
        try:
            if text:
                facts[fact] = _value(fact, text)
        except _Wrong as error:
            wrong.append((fact, *error.args))
    facts.setdefault("as_of", today.isoformat())
    total, covered = facts.get("total"), facts.get("covered")
    missing = [fact for fact in ("kind", "name") if not given.get(fact)]
    wrong += [(fact, "missing", {}) for fact in missing]
    if facts["as_of"] > today.isoformat():
        wrong.append(("as_of", "future", {"given": facts["as_of"]}))
    if total is not None and covered is not None and covered > total:
        wrong.append(("covered", "more", {"covered": covered, "total": total}))
    if facts.get("kind") == "bpu_group" and not (given.get("total") and given.get("covered")):
        wrong.append(("total", "group_counts", {}))
    if covered and facts.get("registered") == "no":
        wrong.append(("covered", "contradicts", {"given": covered}))
    if covered is not None and "registered" not in facts:
        facts["registered"] = "yes" if covered else "no"
    return facts, wrong


def _value(fact: str, text: str) -> Any:
    if fact in CHOICES:
        if not (code := CHOICES[fact].get(_plain(text))):
            allowed = ", ".join(words[0] for words in WORDS["choices"][fact].values())
            raise _Wrong("unknown", {"given": text[:40], "allowed": allowed})
        return code
    if fact in ("total", "covered"):
        if not re.fullmatch(r"-?([0-9]{1,3}(\.[0-9]{3})+|[0-9]{1,7})", text, re.ASCII):
            raise _Wrong("no_count", {"given": text[:40]})
        if (number := int(text.replace(".", ""))) < 0:
            raise _Wrong("negative", {"given": number})
        return number
    if fact in ("as_of", "until"):
        for form in DAYS:
            try:
                return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007 (a day has no zone)
            except ValueError:
                continue
        raise _Wrong("no_day", {"given": text[:40]})
    if fact in NUMBERS:
        try:
            number16 = NUMBERS[fact](text)
        except BadIdentifier as error:
            raise _Wrong("no_number", {"given": text[:40], "fact": fact.upper(), "example": _example(error)}) from error
        if fact == "npwp" and identifiers.npwp_is_personal(number16):
            raise _Wrong("personal_number", {"given": _masked(text)})
        return number16
    if len(text) > 200 or not text.isprintable():
        raise _Wrong("too_long", {})
    return text


def _example(error: BadIdentifier) -> str:
    return str(error).rpartition("e.g. ")[2]


def _text(cell: object) -> str:
    """A cell as a person reads it: no `.0` after a whole number, no midnight after a day."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else " ".join(str(cell).split()).removesuffix(" 00:00:00")


def _has_nik(text: str) -> bool:
    return bool(re.search(r"(?<![0-9])[1-9][0-9]{15}(?![0-9])", text.replace(" ", "").replace(".", "")))


def _masked(text: str) -> str:
    return f"…{text[-4:]}"
