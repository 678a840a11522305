"""Reads lists of institutions and groups: every line is right, or each wrong one is named and nothing is taken."""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from compliance.errors import BadIdentifier, BadInput, FieldError
from compliance.law import identifiers, names

WORDS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
MOST, MOST_ERRORS = 5_000, 200
NUMBERS = {"npp": identifiers.npp, "npwp": identifiers.npwp, "nib": identifiers.nib}
Wrong = tuple[str, str, dict[str, object]]  # a fact, the message's name in words.toml, the words that it shows


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).upper()


COLUMNS = {_plain(word): fact for fact, words in WORDS["columns"].items() for word in words}
CHOICES = {
    fact: {_plain(word): code for code, words in codes.items() for word in (code, *words)}
    for fact, codes in WORDS["choices"].items()
}


def columns(cells: Sequence[object]) -> dict[str, int]:
    """Which facts a row names as a header would, and where."""
    return {COLUMNS[key]: index for index, cell in enumerate(cells) if (key := _plain(_text(cell))) in COLUMNS}


def read(rows: Iterable[tuple[str, Sequence[object]]], today: date, language: str) -> list[dict[str, Any]]:
    """The facts of each institution, of rows with their places; `as_of` is set. Raises BadInput naming every place."""
    found: dict[str, int] = {}
    lines: list[dict[str, Any]] = []
    seen: dict[str, str] = {}
    errors: list[tuple[str, Wrong]] = []
    for place, cells in rows:
        texts = [_text(cell) for cell in cells]
        header = {"kind", "name"} <= set(named := columns(texts))
        wrong: list[Wrong] = []
        if header or not found:
            found = named if header else {}
            personal = [text for text in texts if re.fullmatch(WORDS["personal"], _plain(text))]
            wrong = [("", "personal_column", {"given": text[:40]}) for text in personal]
        elif any(texts):
            facts, wrong = _line({fact: texts[at] for fact, at in found.items() if at < len(texts)}, today)
            others = [text for at, text in enumerate(texts) if at != found.get("npwp")]
            wrong += [("", "personal_number", {"given": f"…{text[-4:]}"}) for text in others if _holds_nik(text)]
            if (key := identity(facts)) in seen:
                wrong.append(("name", "duplicate", {"given": seen[key]}))
            seen[key] = place
            lines.append(facts)
        errors += [(place, one) for one in wrong]
        if len(errors) >= MOST_ERRORS or len(lines) > MOST:
            break
    if len(lines) > MOST or not (lines or errors):
        what = "too_many" if lines else "no_line" if found else "no_header"
        errors.append(("", ("", what, {"most": MOST})))
    if errors:
        raise BadInput(*(_told(place, fact, what, words, language) for place, (fact, what, words) in errors))
    return lines


def _told(place: str, fact: str, what: str, words: Mapping[str, object], language: str) -> FieldError:
    line = WORDS["wrong"]["line"][language].format(place=place) if place else ""
    return FieldError(f"/{place}/{fact}".rstrip("/"), line + WORDS["wrong"][what][language].format(**words))


def identity(facts: Mapping[str, Any]) -> str:
    """The id of an institution: its kind and its name as names are compared."""
    key = f"{facts.get('kind')}|{names.normal(facts.get('name', ''))}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _line(given: Mapping[str, str], today: date) -> tuple[dict[str, Any], list[Wrong]]:
    facts: dict[str, Any] = {}
    wrong: list[Wrong] = [(fact, "missing", {}) for fact in ("kind", "name") if not given.get(fact)]
    for fact, text in given.items():
        value, what, words = _value(fact, text) if text else (None, "", {})
        wrong += [(fact, what, {"given": f"…{text[-4:]}" if _holds_nik(text) else text[:40]} | words)] if what else []
        facts |= {fact: value} if value is not None else {}
    facts.setdefault("as_of", today.isoformat())
    total, covered, stated = facts.get("total"), facts.get("covered"), facts.get("registered")
    if facts["as_of"] > today.isoformat():
        wrong.append(("as_of", "future", {"given": facts["as_of"]}))
    if total is not None and covered is not None and covered > total:
        wrong.append(("covered", "more", {"covered": covered, "total": total}))
    if facts.get("kind") == "bpu_group" and not (given.get("total") and given.get("covered")):
        wrong.append(("total", "group_counts", {}))
    if covered and stated == "no":
        wrong.append(("covered", "contradicts", {"given": covered}))
    return facts | ({"registered": "yes" if covered else "no"} if covered is not None and not stated else {}), wrong


def _value(fact: str, text: str) -> tuple[Any, str, dict[str, object]]:
    """The value of a text; or None, what is wrong, and further words for that message."""
    if fact in CHOICES:
        allowed = ", ".join(words[0] for words in WORDS["choices"][fact].values())
        code = CHOICES[fact].get(_plain(text))
        return code, "" if code else "unknown", {"allowed": allowed}
    if fact in ("total", "covered"):
        if not re.fullmatch(r"-?([0-9]{1,3}(\.[0-9]{3})+|[0-9]{1,7})", text, re.ASCII):
            return None, "no_count", {}
        people = int(text.replace(".", ""))
        return (people, "", {}) if people >= 0 else (None, "negative", {})
    if fact in ("as_of", "until"):
        for form in ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%d.%m.%Y"):
            with suppress(ValueError):
                return datetime.strptime(text, form).date().isoformat(), "", {}  # noqa: DTZ007 (a day has no zone)
        return None, "no_day", {}
    if fact in NUMBERS:
        try:
            number = NUMBERS[fact](text)
        except BadIdentifier as error:
            return None, "no_number", {"fact": fact.upper(), "example": str(error).rpartition("e.g. ")[2]}
        if fact == "npwp" and identifiers.npwp_is_personal(number):
            return None, "personal_number", {}
        return number, "", {}
    return (text, "", {}) if len(text) <= 120 and text.isprintable() else (None, "too_long", {})


def _text(cell: object) -> str:
    """A cell as a person reads it: no `.0` after a whole number, no midnight after a day."""
    whole = int(cell) if isinstance(cell, float) and cell.is_integer() else cell
    return "" if whole is None else " ".join(str(whole).split()).removesuffix(" 00:00:00")


def _holds_nik(text: str) -> bool:
    return bool(re.search(r"(?<![0-9])[1-9][0-9]{15}(?![0-9])", re.sub("[ .]", "", text)))
