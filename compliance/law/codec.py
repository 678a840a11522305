"""Fact types to JSON values and back, so that a log entry can be judged again years later.
Fields that hold their default are left out; `from_json` puts them back. Sets are written sorted. Unknown keys raise
KeyError: an entry that this code does not understand must not be replayed as if it did."""

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from typing import Any

from compliance.law.facts import Account, Fact

PLAIN = {str, int, bool, float, type(None)}
MANY = 20  # accounts; more are written in groups that differ in EACH only: an entry of the log holds 65,535 bytes
EACH = ("npp", "active_workers")


def moment(value: datetime) -> str:
    """An aware moment as `2026-11-20T08:00:00.123Z` (milliseconds only when there are any)."""
    text = value.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def to_json(value: Any) -> Any:
    """Turn a fact into JSON values (dict, list, str, int, bool, None)."""
    kind: Any = value.__class__
    if kind in PLAIN:
        return value
    if isinstance(value, Fact):
        written, defaults = {}, _defaults(kind)
        for name, item in vars(value).items():
            default = defaults[name]
            if item is not default and (item != default or item.__class__ is not default.__class__):
                written[name] = item if item.__class__ in PLAIN else to_json(item)
        return written
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        items = [to_json(item) for item in value]
        return _grouped(items) if len(items) > MANY and isinstance(value[0], Account) else items
    if isinstance(value, (frozenset, set)):
        return sorted(to_json(item) for item in value)
    return {key: to_json(item) for key, item in value.items()}


def _grouped(accounts: list[Any]) -> Any:
    groups: dict[str, Any] = {}
    for account in accounts:
        alike = {name: value for name, value in account.items() if name not in EACH}
        group = groups.setdefault(json.dumps(alike), {"alike": alike, "each": []})
        group["each"].append([account.get(name) for name in EACH])
    return {"groups": list(groups.values())}


@cache
def _defaults(kind: type) -> dict[str, Any]:
    """By field, in their order; MISSING where there is none."""
    fields = dataclasses.fields(kind)
    return {field.name: {} if field.default_factory is dict else field.default for field in fields}


def from_json(kind: Any, data: Any) -> Any:
    """Rebuild a fact of type `kind`. Raises KeyError, TypeError or ValueError when `data` is not of that shape."""
    return _reader(kind)(data)


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):  # of something and None
        inner = _reader(arguments[0])
        return lambda data: None if data is None else inner(data)
    if origin in (tuple, frozenset):
        item = _reader(arguments[0])
        return lambda data: origin(map(item, data if isinstance(data, list) else _ungrouped(data)))
    if kind in (datetime, date):
        return typing.cast(Callable[[Any], Any], kind.fromisoformat)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind
    if dataclasses.is_dataclass(kind):
        make, hints = typing.cast(type, kind), typing.get_type_hints(kind)
        readers = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(kind)}
        return lambda data: make(**{name: readers[name](value) for name, value in data.items()})
    return lambda data: data


def _ungrouped(data: Any) -> list[Any]:
    return [group["alike"] | dict(zip(EACH, each, strict=True)) for group in data["groups"] for each in group["each"]]
