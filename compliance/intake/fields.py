"""The fields of a question, each with its rule and an example in English and Indonesian."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from marshmallow import ValidationError, fields

from compliance.errors import BadIdentifier

DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
MOST_WORKERS = 9_999_999


@dataclass(frozen=True, slots=True)
class Say:
    """One sentence in both languages."""

    en: str
    id: str


REQUIRED = Say("is required", "wajib diisi")
UNKNOWN = Say("is not a field of this document; leave it out", "tidak dikenal dalam dokumen ini; hapuslah")
NOT_OBJECT = Say(
    'must be an object, e.g. {"nib": "8120001234567"}', 'harus berupa objek, mis. {"nib": "8120001234567"}'
)
NOT_TEXT = Say("must be a text between quotes", "harus berupa teks di antara tanda kutip")
UNPRINTABLE = Say("must consist of printable characters", "harus terdiri atas karakter yang dapat dicetak")
EMPTY = Say("must not be empty; leave it out instead", "tidak boleh kosong; hapus saja bila tidak ada")


class Field(fields.Field[Any]):
    """A field that may be null (which means left out) and that speaks both languages."""

    default_error_messages: Any = {"required": REQUIRED, "null": REQUIRED}  # noqa: RUF012

    def __init__(self, *, example: Any = None, **options: Any) -> None:
        shown = options.pop("shown", {}) | ({} if example is None else {"example": example})
        options.setdefault("allow_none", not options.get("required", False))
        super().__init__(metadata=shown, **options)


class Text(Field):
    """Words of 1 to `most` characters, trimmed. The schema says what is left after trimming.

    `upper`: a code, which is the same in either case (so that a slip of the shift key opens no gate).
    """

    def __init__(self, most: int = 200, *, printable: bool = False, upper: bool = False, **options: Any) -> None:
        super().__init__(shown={"type": "string", "minLength": 1, "maxLength": most}, **options)
        self.most, self.printable, self.upper = most, printable, upper
        self.too_long = Say(f"must be at most {most} characters long", f"paling banyak {most} karakter")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError([NOT_TEXT])
        text = value.strip().upper() if self.upper else value.strip()
        if not text:
            raise ValidationError([EMPTY])
        if len(text) > self.most:
            raise ValidationError([self.too_long])
        if self.printable and not text.isprintable():
            raise ValidationError([UNPRINTABLE])
        return text


class Pattern(Field):
    """A text that matches a pattern as a whole."""

    def __init__(self, pattern: str, rule: Say, example: str, **options: Any) -> None:
        options.setdefault("shown", {"type": "string", "pattern": f"^(?:{pattern})$"})
        super().__init__(example=example, **options)
        self.pattern, self.wrong = re.compile(pattern, re.ASCII), _with(rule, example)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError([NOT_TEXT])
        if not self.pattern.fullmatch(value):
            raise ValidationError([self.wrong])
        return value


class Identifier(Pattern):
    """A number that law.identifiers reads: returned in canonical form."""

    def __init__(self, read: Callable[[str], str], pattern: str, rule: Say, example: str, **options: Any) -> None:
        super().__init__(pattern, rule, example, **options)
        self.read = read

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError([NOT_TEXT])
        try:
            return self.read(value)
        except BadIdentifier as error:
            raise ValidationError([self.wrong]) from error


class Word(Field):
    """One of a closed list of words."""

    def __init__(self, words: type[StrEnum] | tuple[str, ...], **options: Any) -> None:
        self.words = {str(word): word for word in words}
        listed = ", ".join(self.words)
        super().__init__(shown={"type": "string", "enum": list(self.words)}, **options)
        self.wrong = Say(f"must be one of {listed}", f"harus salah satu dari {listed}")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValidationError([self.wrong])
        return self.words[value]


class Day(Field):
    """A calendar day written yyyy-mm-dd, and in no other way."""

    wrong = Say("must be a calendar day as yyyy-mm-dd, e.g. 2026-11-20", "harus tanggal yyyy-mm-dd, mis. 2026-11-20")

    def __init__(self, **options: Any) -> None:
        super().__init__(shown={"type": "string", "format": "date"}, example="2026-11-20", **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> date:
        if not isinstance(value, str) or not DAY.fullmatch(value):
            raise ValidationError([self.wrong])
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise ValidationError([self.wrong]) from error


class Count(Field):
    """A number of people: an integer, also when JSON writes it 12.0 (RFC 8785 makes the two equal); never a boolean."""

    wrong = Say(
        f"must be a whole number from 0 to {MOST_WORKERS}, e.g. 12",
        f"harus bilangan bulat dari 0 sampai {MOST_WORKERS}, mis. 12",
    )

    def __init__(self, **options: Any) -> None:
        shown = {"type": "integer", "minimum": 0, "maximum": MOST_WORKERS}
        super().__init__(shown=shown, example=12, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_WORKERS:
            raise ValidationError([self.wrong])
        return value


class YesNo(Field):
    """true or false, nothing that merely looks like it."""

    wrong = Say("must be true or false, without quotes", "harus true atau false, tanpa tanda kutip")

    def __init__(self, **options: Any) -> None:
        super().__init__(shown={"type": "boolean"}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **more: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError([self.wrong])
        return value


def _with(rule: Say, example: str) -> Say:
    return Say(f"{rule.en}, e.g. {example}", f"{rule.id}, mis. {example}")
