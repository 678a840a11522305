"""The fields of a question, each with its rule and an example in English and Indonesian (words.toml)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields

from compliance.errors import BadIdentifier

MOST_WORKERS = 9_999_999
WORDS = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Say:
    """One sentence in both languages."""

    en: str
    id: str


def say(rule: str, example: str = "", **values: object) -> Say:
    """What to tell about a rule of words.toml, with its values filled in."""
    english, indonesian = (text.format(**values) for text in WORDS[rule])
    return Say(f"{english}, e.g. {example}", f"{indonesian}, mis. {example}") if example else Say(english, indonesian)


class Field(fields.Field[Any]):
    """A field that may be null (which means left out). When `read` cannot read a value, `wrong` is told."""

    default_error_messages: Any = dict.fromkeys(("required", "null"), say("required"))

    def __init__(self, read: Callable[[Any], Any], wrong: Say, shown: dict[str, Any], **options: Any) -> None:
        super().__init__(metadata=shown, allow_none=not options.get("required", False), **options)
        self.read, self.wrong = read, wrong

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> Any:
        try:
            return self.read(value)
        except (LookupError, ValueError, BadIdentifier) as error:
            raise ValidationError([self.wrong]) from error


def text(most: int = 200, *, printable: bool = False, upper: bool = False, example: str = "", **options: Any) -> Field:
    """Words of 1 to `most` characters, trimmed.

    `upper`: a code, which is the same in either case (so that a slip of the shift key opens no gate).
    """

    def read(value: Any) -> str:
        found = read_text(value).strip()
        found = found.upper() if upper else found
        if not found:
            raise ValidationError([say("empty")])
        if printable and not found.isprintable():
            raise ValidationError([say("printable")])
        return str(_if(len(found) <= most, found))

    shown = {"type": "string", "minLength": 1, "maxLength": most} | ({"example": example} if example else {})
    return Field(read, say("too_long", most=most), shown, **options)


def number(
    pattern: str, rule: str, example: str, read: Callable[[str], Any] = str, shown: Any = None, **options: Any
) -> Field:
    """A text that matches a pattern as a whole; `read` (of law.identifiers) gives its canonical form."""
    matches = re.compile(pattern, re.ASCII)

    def match(value: Any) -> Any:
        return read(_if(bool(matches.fullmatch(read_text(value))), value))

    described = {"type": "string", "pattern": f"^(?:{pattern})$", "example": example} | (shown or {})
    return Field(match, say(rule, example), described, **options)


def word(words: Iterable[str]) -> Field:
    """One of a closed list of words."""
    known = {str(one): one for one in words}
    shown = {"type": "string", "enum": list(known)}
    return Field(lambda value: known[read_text(value)], say("one_of", words=", ".join(known)), shown)


def day(**options: Any) -> Field:
    """A calendar day written yyyy-mm-dd, and in no other way."""
    return number(r"\d{4}-\d{2}-\d{2}", "day", "2026-11-20", date.fromisoformat, {"format": "date"}, **options)


def count() -> Field:
    """A number of people: an integer, also when JSON writes it 12.0 (RFC 8785 makes the two equal); never a boolean."""

    def read(value: Any) -> int:
        found = int(value) if isinstance(value, float) and value.is_integer() else value
        return int(_if(type(found) is int and 0 <= found <= MOST_WORKERS, found))

    shown = {"type": "integer", "minimum": 0, "maximum": MOST_WORKERS, "example": 12}
    return Field(read, say("count", "12", most=MOST_WORKERS), shown)


def yes_no() -> Field:
    """true or false, nothing that merely looks like it."""
    return Field(lambda value: _if(isinstance(value, bool), value), say("yes_no"), {"type": "boolean"})


def _if(holds: bool, value: Any) -> Any:
    if not holds:
        raise ValueError
    return value


def read_text(value: Any) -> str:
    """Raises ValidationError for anything but a text."""
    if not isinstance(value, str):
        raise ValidationError([say("text")])
    return value
