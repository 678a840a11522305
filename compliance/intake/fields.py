"""The fields of a question, each with its rule and an example in English and Indonesian."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from marshmallow import ValidationError, fields

from compliance.errors import BadIdentifier

MOST_WORKERS = 9_999_999
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Say:
    """One sentence in both languages."""

    en: str
    id: str

    def with_example(self, example: str) -> Say:
        return Say(f"{self.en}, e.g. {example}", f"{self.id}, mis. {example}")


REQUIRED = Say("is required", "wajib diisi")
UNKNOWN = Say("is not a field of this document; leave it out", "tidak dikenal dalam dokumen ini; hapuslah")
NOT_OBJECT = Say("must be an object", "harus berupa objek").with_example('{"nib": "8120001234567"}')
NOT_TEXT = Say("must be a text between quotes", "harus berupa teks di antara tanda kutip")
UNPRINTABLE = Say("must consist of printable characters", "harus terdiri atas karakter yang dapat dicetak")
EMPTY = Say("must not be empty; leave it out instead", "tidak boleh kosong; hapus saja bila tidak ada")
CALENDAR_DAY = Say("must be a calendar day as yyyy-mm-dd", "harus tanggal yyyy-mm-dd").with_example("2026-11-20")
HEADS = Say(f"must be a whole number from 0 to {MOST_WORKERS}", f"harus bilangan bulat 0 sampai {MOST_WORKERS}")
TRUE_FALSE = Say("must be true or false, without quotes", "harus true atau false, tanpa tanda kutip")
THIRTEEN, SIXTEEN = Say("must be 13 digits", "harus 13 angka"), Say("must be 16 digits", "harus 16 angka")


class Field(fields.Field[Any]):
    """A field that may be null (which means left out). `read` returns the value or raises ValueError: then `wrong`."""

    default_error_messages: Any = {"required": REQUIRED, "null": REQUIRED}  # noqa: RUF012

    def __init__(self, read: Callable[[Any], Any], wrong: Say, shown: dict[str, Any], **options: Any) -> None:
        super().__init__(metadata=shown, allow_none=not options.get("required", False), **options)
        self.read, self.wrong = read, wrong

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> Any:
        try:
            return self.read(value)
        except (ValueError, BadIdentifier) as error:
            raise ValidationError([self.wrong]) from error


def text(most: int = 200, *, printable: bool = False, upper: bool = False, **options: Any) -> Field:
    """Words of 1 to `most` characters, trimmed.

    `upper`: a code, which is the same in either case (so that a slip of the shift key opens no gate).
    """
    too_long = Say(f"must be at most {most} characters long", f"paling banyak {most} karakter")

    def read(value: Any) -> str:
        found = _text(value).strip()
        found = found.upper() if upper else found
        if not found:
            raise ValidationError([EMPTY])
        if printable and not found.isprintable():
            raise ValidationError([UNPRINTABLE])
        if len(found) > most:
            raise ValueError
        return found

    example = {"example": options.pop("example")} if "example" in options else {}
    return Field(read, too_long, {"type": "string", "minLength": 1, "maxLength": most} | example, **options)


def number(pattern: str, rule: Say, example: str, read: Callable[[str], str] | None = None, **shown: Any) -> Field:
    """A text that matches a pattern as a whole; `read` (of law.identifiers) gives its canonical form."""
    matches = re.compile(pattern, re.ASCII)

    def match(value: Any) -> str:
        if not matches.fullmatch(_text(value)):
            raise ValueError
        return read(value) if read else str(value)

    described = {"type": "string", "pattern": f"^(?:{pattern})$", "example": example} | shown
    return Field(match, rule.with_example(example), described)


def word(words: Iterable[str], **options: Any) -> Field:
    """One of a closed list of words."""
    known = {str(one): one for one in words}
    listed = ", ".join(known)
    wrong = Say(f"must be one of {listed}", f"harus salah satu dari {listed}")

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise ValueError
        return known[value]

    return Field(read, wrong, {"type": "string", "enum": list(known)}, **options)


def day(**options: Any) -> Field:
    """A calendar day written yyyy-mm-dd, and in no other way."""

    def read(value: Any) -> date:
        if not isinstance(value, str) or not _DAY.fullmatch(value):
            raise ValueError
        return date.fromisoformat(value)

    return Field(read, CALENDAR_DAY, {"type": "string", "format": "date", "example": "2026-11-20"}, **options)


def count() -> Field:
    """A number of people: an integer, also when JSON writes it 12.0 (RFC 8785 makes the two equal); never a boolean."""

    def read(value: Any) -> int:
        found = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= MOST_WORKERS:
            raise ValueError
        return found

    shown = {"type": "integer", "minimum": 0, "maximum": MOST_WORKERS, "example": 12}
    return Field(read, HEADS.with_example("12"), shown)


def yes_no() -> Field:
    """true or false, nothing that merely looks like it."""

    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Field(read, TRUE_FALSE, {"type": "boolean"})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValidationError([NOT_TEXT])
    return value
