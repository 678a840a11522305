"""Fact types to JSON values and back, so that a log entry can be judged again years later.

Fields that hold their default are left out; `from_json` puts them back. Sets are written sorted. Unknown keys raise
KeyError: an entry that this code does not understand must not be replayed as if it did.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from typing import Any

Json = Any


def moment(value: datetime) -> str:
    """An aware moment as `2026-11-20T08:00:00.123Z` (milliseconds only when there are any)."""
    text = value.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def to_json(value: Any) -> Json:
    """Turn a fact into JSON values (dict, list, str, int, bool, None)."""
    if value is None or value.__class__ in _PLAIN:
        return value
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, (frozenset, set)):
        return sorted(to_json(item) for item in value)
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    written = {}
    for name, default in _fields(value.__class__):
        item = getattr(value, name)
        if item != default or item.__class__ is not default.__class__:
            written[name] = to_json(item)
    return written


def from_json(kind: Any, data: Json) -> Any:
    """Rebuild a fact of type `kind`. Raises KeyError, TypeError or ValueError when `data` is not of that shape."""
    return _reader(kind)(data)


_PLAIN = {str, int, bool, float}


@cache
def _fields(kind: type) -> list[tuple[str, Any]]:
    found = []
    for entry in dataclasses.fields(kind):
        default = entry.default_factory() if entry.default_factory is not dataclasses.MISSING else entry.default
        found.append((entry.name, default))
    return found


@cache
def _reader(kind: Any) -> Callable[[Json], Any]:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        inner = [_reader(part) for part in typing.get_args(kind) if part is not type(None)]
        return lambda data: None if data is None else inner[0](data)
    if origin is tuple:
        item = _reader(typing.get_args(kind)[0])
        return lambda data: tuple(item(part) for part in data)
    if origin is frozenset:
        member = _reader(typing.get_args(kind)[0])
        return lambda data: frozenset(member(part) for part in data)
    if kind is datetime:
        return datetime.fromisoformat
    if kind is date:
        return date.fromisoformat
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(typing.cast(type, kind))
    return lambda data: data


def _dataclass_reader(kind: type) -> Callable[[Json], Any]:
    hints = typing.get_type_hints(kind)
    readers = {entry.name: _reader(hints[entry.name]) for entry in dataclasses.fields(kind)}
    return lambda data: kind(**{name: readers[name](item) for name, item in data.items()})
