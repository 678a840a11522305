"""Lists of institutions as they are read (every line is right, or each wrong one is named), and workbooks of them."""

import hashlib
import io
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl

from compliance.errors import BadIdentifier, BadInput, FieldError
from compliance.law import identifiers

WORDS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST, MOST_ERRORS = 5_000, 200
NUMBERS = {"npp": identifiers.npp, "npwp": identifiers.npwp, "nib": identifiers.nib}
Rows = Iterable[tuple[str, Sequence[object]]]  # places and cells


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


def read(rows: Rows, today: date, language: str) -> list[dict[str, Any]]:
    """The facts of each institution; `as_of` is set. Raises BadInput naming every wrong place."""
    place, found, seen = "", dict[str, int](), dict[str, str]()
    lines, errors = list[dict[str, Any]](), list[FieldError]()

    def wrong(fact: str, what: str, given: str = "", /, **words: object) -> None:
        told = WORDS["wrong"]["line"][language].format(place=place) if place else ""
        shown = f"…{given[-4:]}" if _holds_nik(given) else given[:40]
        told += WORDS["wrong"][what][language].format(given=shown, **words)
        errors.append(FieldError(f"/{place}/{fact}".rstrip("/"), told))

    for place, cells in rows:
        texts = [_text(cell) for cell in cells]
        header = {"kind", "name"} <= set(named := columns(texts))
        if header or not found:
            found = named if header else {}
            for text in texts:
                if re.fullmatch(WORDS["personal"], _plain(text)):
                    wrong("", "personal_column", text)
        elif any(texts):
            lines.append(_line({fact: texts[at] for fact, at in found.items() if at < len(texts)}, today, wrong))
            for at, text in enumerate(texts):
                if at != found.get("npwp") and _holds_nik(text):
                    wrong("", "personal_number", text)
            if (key := identity(lines[-1])) in seen:
                wrong("name", "duplicate", seen[key])
            seen[key] = place
        if len(errors) >= MOST_ERRORS or len(lines) > MOST:
            break
    if len(lines) > MOST or not (lines or errors):
        place = ""
        wrong("", "too_many" if lines else "no_line" if found else "no_header", most=MOST)
    if errors:
        raise BadInput(*errors)
    return lines


def identity(facts: Mapping[str, Any]) -> str:
    """The id of an institution: its kind and its name as names are compared."""
    key = f"{facts.get('kind')}|{identifiers.normal(facts.get('name', ''))}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _line(given: Mapping[str, str], today: date, wrong: Callable[..., Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"as_of": today.isoformat()}
    for fact in ("kind", "name"):
        if not given.get(fact):
            wrong(fact, "missing")
    for fact, text in given.items():
        if text and (value := _value(fact, text, wrong)) is not None:
            facts[fact] = value
    total, covered, stated = facts.get("total"), facts.get("covered"), facts.get("registered")
    if facts["as_of"] > today.isoformat():
        wrong("as_of", "future", facts["as_of"])
    if total is not None and covered is not None and covered > total:
        wrong("covered", "more", covered=covered, total=total)
    if facts.get("kind") == "bpu_group" and not (given.get("total") and given.get("covered")):
        wrong("total", "group_counts")
    if covered and stated == "no":
        wrong("covered", "contradicts", str(covered))
    return facts | ({"registered": "yes" if covered else "no"} if covered is not None and not stated else {})


def _value(fact: str, text: str, wrong: Callable[..., Any]) -> Any:
    """The value of a text; None when it is wrong, after saying so."""
    if fact in CHOICES:
        allowed = ", ".join(words[0] for words in WORDS["choices"][fact].values())
        return CHOICES[fact].get(_plain(text)) or wrong(fact, "unknown", text, allowed=allowed)
    if fact in ("total", "covered"):
        if not re.fullmatch(r"-?([0-9]{1,3}(\.[0-9]{3})+|[0-9]{1,7})", text, re.ASCII):
            return wrong(fact, "no_count", text)
        people = int(text.replace(".", ""))
        return people if people >= 0 else wrong(fact, "negative", text)
    if fact in ("as_of", "until"):
        for form in ("%Y-%m-%d", "%d-%m-%Y", "%d/%m/%Y", "%d.%m.%Y"):
            with suppress(ValueError):
                return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007 (a day has no zone)
        return wrong(fact, "no_day", text)
    if fact in NUMBERS:
        try:
            number = NUMBERS[fact](text)
        except BadIdentifier as error:
            example = str(error).rpartition("e.g. ")[2]
            return wrong(fact, "no_number", text, fact=fact.upper(), example=example)
        personal = fact == "npwp" and identifiers.npwp_is_personal(number)
        return wrong(fact, "personal_number", text) if personal else number
    return text if len(text) <= 120 and text.isprintable() else wrong(fact, "too_long", text)


def _text(cell: object) -> str:
    """A cell as a person reads it: no `.0` after a whole number, no midnight after a day."""
    whole = int(cell) if isinstance(cell, float) and cell.is_integer() else cell
    return "" if whole is None else " ".join(str(whole).split()).removesuffix(" 00:00:00")


def _holds_nik(text: str) -> bool:
    return bool(re.search(r"(?<![0-9])[1-9][0-9]{15}(?![0-9])", re.sub("[ .]", "", text)))


def workbook(text: str) -> bytes:
    """An XLSX of lines with tabs between cells, the first of them the sheet's name; no text of it is a formula."""
    book, file = openpyxl.Workbook(write_only=True), io.BytesIO()
    for title, *cells in (line.split("\t") for line in text.splitlines() if line.strip()):
        sheet = book[title] if title in book.sheetnames else book.create_sheet(title)
        plain = [int(cell) if re.fullmatch("0|[1-9][0-9]{0,8}", cell) else cell or None for cell in cells]
        sheet.append([f"'{cell}" if str(cell).startswith(("=", "+", "-", "@")) else cell for cell in plain])
    book.save(file)
    return file.getvalue()
