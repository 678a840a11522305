"""One field of an agreed answer, read closed: the value as its type, or RegistryMisunderstood naming the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NoReturn, TypeVar

from compliance.errors import BadIdentifier, RegistryMisunderstood
from compliance.law import identifiers

Record = Mapping[str, Any]
Value = TypeVar("Value")
MAX_TEXT = 500
MAX_COUNT = 10_000_000
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def refuse(key: str, why: str) -> NoReturn:
    raise RegistryMisunderstood(f"{key}: {why}")


def there(document: Record, key: str) -> Any:
    return document[key] if key in document else refuse(key, "missing")


def optional(document: Record, key: str, read: Callable[[Record, str], Value]) -> Value | None:
    """None when the field is null or absent."""
    return None if document.get(key) is None else read(document, key)


def nullable(document: Record, key: str, read: Callable[[Record, str], Value]) -> Value | None:
    """None when the field is null; absent is an error."""
    return None if there(document, key) is None else read(document, key)


def word(document: Record, key: str, words: tuple[str, ...]) -> str:
    return one_of(key, there(document, key), words)


def one_of(key: str, value: Any, words: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in words else refuse(key, "a word that is not known")


def count(document: Record, key: str) -> int:
    value = there(document, key)
    if type(value) is not int or not 0 <= value <= MAX_COUNT:  # a bool is an int to Python
        refuse(key, "not a whole number from 0")
    return int(value)


def text(document: Record, key: str) -> str:
    value = there(document, key)
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or _CONTROL.search(value):
        refuse(key, f"not a text of 1 to {MAX_TEXT} printable characters")
    return value


def _kind(kind: type[Value], what: str) -> Callable[[Record, str], Value]:
    def read(document: Record, key: str) -> Value:
        value = there(document, key)
        return value if isinstance(value, kind) else refuse(key, what)

    return read


def _calendar(form: str, parse: Callable[[str], Value]) -> Callable[[Record, str], Value]:
    def read(document: Record, key: str) -> Value:
        value = there(document, key)
        if not isinstance(value, str) or not re.fullmatch(form, value):
            refuse(key, "not written as agreed")
        try:
            return parse(value)
        except (ValueError, OverflowError):
            refuse(key, "not a day of the calendar")

    return read


def _number(check: Callable[[str], str]) -> Callable[[Record, str], str]:
    """A reader of an identifier in the law's canonical form; its error never shows the number."""

    def read(document: Record, key: str) -> str:
        try:
            return check(text(document, key))
        except BadIdentifier as error:
            refuse(key, f"not {error.rule}")

    return read


flag, items, table = _kind(bool, "not true or false"), _kind(list, "not a list"), _kind(dict, "not an object")
day = _calendar(_DAY, date.fromisoformat)
month = _calendar("[0-9]{4}-[0-9]{2}", lambda text: date.fromisoformat(f"{text}-01"))
moment = _calendar(
    _DAY + r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
    lambda text: datetime.fromisoformat(text).astimezone(UTC),
)
nib, npwp, npp = _number(identifiers.nib), _number(identifiers.npwp), _number(identifiers.npp)
project_number, region = _number(identifiers.project_number), _number(identifiers.region_or_province)
