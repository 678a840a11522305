"""One field of an agreed answer, read closed: the value as its type, or RegistryMisunderstood naming the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NoReturn, TypeVar

from compliance.errors import BadIdentifier, RegistryMisunderstood

Record = Mapping[str, Any]
Day = TypeVar("Day", date, datetime)
Value = TypeVar("Value")
MAX_TEXT = 500
MAX_COUNT = 10_000_000
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def word(document: Record, key: str, words: tuple[str, ...]) -> str:
    return one_of(key, there(document, key), words)


def one_of(key: str, value: Any, words: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in words:
        refuse(key, "a word that is not known")
    return value


def flag(document: Record, key: str) -> bool:
    value = there(document, key)
    return value if isinstance(value, bool) else refuse(key, "not true or false")


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


def day(document: Record, key: str) -> date:
    return _calendar(key, there(document, key), _DAY, date.fromisoformat)


def month(document: Record, key: str) -> date:
    return _calendar(key, there(document, key), _MONTH, lambda text: date.fromisoformat(f"{text}-01"))


def moment(document: Record, key: str) -> datetime:
    return _calendar(key, there(document, key), _MOMENT, lambda text: datetime.fromisoformat(text).astimezone(UTC))


def _calendar(key: str, value: Any, form: re.Pattern[str], read: Callable[[str], Day]) -> Day:
    if not isinstance(value, str) or not form.fullmatch(value):
        refuse(key, "not written as agreed")
    try:
        return read(value)
    except (ValueError, OverflowError):
        refuse(key, "not a day of the calendar")


def number_of(check: Callable[[str], str]) -> Callable[[Record, str], str]:
    """A reader of an identifier in the law's canonical form; its error never shows the number."""

    def read(document: Record, key: str) -> str:
        try:
            return check(text(document, key))
        except BadIdentifier as error:
            refuse(key, f"not {error.rule}")

    return read


def optional(document: Record, key: str, read: Callable[[Record, str], Value]) -> Value | None:
    """None when the field is null or absent."""
    return None if document.get(key) is None else read(document, key)


def nullable(document: Record, key: str, read: Callable[[Record, str], Value]) -> Value | None:
    """None when the field is null; absent is an error."""
    return None if there(document, key) is None else read(document, key)


def there(document: Record, key: str) -> Any:
    return document[key] if key in document else refuse(key, "missing")


def items(document: Record, key: str) -> list[Any]:
    value = there(document, key)
    return value if isinstance(value, list) else refuse(key, "not a list")


def table(document: Record, key: str) -> dict[str, Any]:
    value = there(document, key)
    return value if isinstance(value, dict) else refuse(key, "not an object")


def refuse(key: str, why: str) -> NoReturn:
    raise RegistryMisunderstood(f"{key}: {why}")
