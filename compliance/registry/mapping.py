"""Another agreement's wire format as a TOML file (REGISTRY_PROFILE), not code; docs/agency.md explains it.

Whatever it yields passes the same closed parser as our own format, so a mapping cannot loosen what is understood.
"""

import json
import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jmespath
from jmespath.exceptions import JMESPathError

from compliance.errors import Misconfigured, RegistryMisunderstood
from compliance.law.facts import Ask
from compliance.registry.wire import SHAPES, Agreed, Call, Record, Unclear, asked_by

_INSIDE = ("account", "pds", "warning", "sanction")
_AROUND = {"at", "each", "none"}  # what a table of rules says of itself
_PLACES = {"value": "0", "region": "73.09", "region_digits": "7309", "reference": "x"}
_NO_CODE = Unclear("a code that is not in the table")  # an error, never a default


def _shape(kind: str) -> dict[str, Any]:
    """The names of a kind's fields, and of those inside them."""
    inside = {key: rule.split()[1].rstrip("*") for key, rule in SHAPES[kind].items()}
    return {key: _shape(kind) if kind in SHAPES else None for key, kind in inside.items()}


_SHAPES = {subject: _shape("head") | _shape(subject) for subject in ("employer", "participant", "project")}


def unread(ask: Ask, document: Record) -> list[str]:
    """Names of an answer's fields, at any level, that nobody reads; for whoever writes a profile."""
    names: set[str] = set()
    json.loads(json.dumps(document), object_hook=names.update)
    return sorted(names.difference(*(SHAPES[kind] for kind in ("head", ask.subject, *_INSIDE))))


class Profile(Agreed):
    """A wire format from a file. Raises Misconfigured naming the file and the entry that is wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._data = tomllib.loads(path.read_text(encoding="utf-8"))
            self._zone = ZoneInfo(self._data.get("zone", "Asia/Jakarta"))
        except (OSError, ValueError, KeyError) as error:
            raise self._wrong("", f"cannot be read: {error}") from error
        self.statuses = frozenset(self._data.get("statuses", [200]))
        self._answers = {}
        for name in ("employer", *({"participant", "project"} & self._data.keys())):
            if not (section := self._data.get(name)):
                raise self._wrong(name, "is missing")
            if section.get("method", "GET") not in ("GET", "POST"):
                raise self._wrong(f"{name}.method", "must be GET or POST")
            try:
                for text in (section["path"], *(text for ask in section["ask"].values() for text in ask.values())):
                    text.format(**_PLACES)
            except (KeyError, ValueError, AttributeError, TypeError) as error:
                where = f"{name}.path or {name}.ask"
                raise self._wrong(where, f"is missing or has an unknown place {error}") from error
            self._answers[name] = self._compiled(section.get("answer", {}), _SHAPES[name], f"{name}.answer")

    def _wrong(self, where: str, what: str) -> Misconfigured:
        return Misconfigured(f"REGISTRY_PROFILE {self._path.name}: {where} {what}")

    def _compiled(self, rules: dict[str, Any], shape: dict[str, Any], where: str) -> dict[str, Any]:
        """The rules with their expressions compiled: exactly the fields of the shape, so nothing is left to chance."""
        if odd := sorted((set(rules) - _AROUND) ^ set(shape)):
            raise self._wrong(where, f"must name every field of the shape and no other; look at: {', '.join(odd)}")
        made: dict[str, Any] = {}
        for key, rule in rules.items():
            try:
                inner = isinstance(shape.get(key), dict) and isinstance(rule, dict)
                made[key] = self._compiled(rule, shape[key], f"{where}.{key}") if inner else jmespath.compile(rule)
            except (JMESPathError, TypeError, AttributeError) as error:
                raise self._wrong(f"{where}.{key}", "is no JMESPath expression") from error
        return made

    def call(self, ask: Ask, reference: str) -> Call:
        section = self._data.get(ask.subject, {})
        params = section.get("ask", {}).get(asked_by(ask))
        if params is None:
            raise RegistryMisunderstood(f"this agreement has no question for {ask.subject} by {asked_by(ask)}")
        region = ask.region or ""
        words = {"value": ask.value, "region": region, "region_digits": region.replace(".", ""), "reference": reference}
        path = section["path"].format(**{key: quote(word, safe="") for key, word in words.items()})
        return section.get("method", "GET"), path, {key: text.format(**words) for key, text in params.items()}

    def shape(self, ask: Ask, document: Record) -> Record:
        return self._built(self._answers[ask.subject], document, self._data[ask.subject])

    def _built(self, rules: dict[str, Any], data: Any, section: Record, parent: str = "") -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, rule in rules.items():
            if not isinstance(rule, dict):
                if key not in _AROUND:
                    made[key] = self._translated(f"{parent}{key}", _found(rule, data), section)
            elif "none" in rule and _found(rule["none"], data) is True:
                made[key] = None
            elif "each" in rule:
                listed = _found(rule["each"], data)
                several = isinstance(listed, list)
                made[key] = [self._built(rule, item, section, f"{key}.") for item in listed] if several else listed
            elif (inner := _found(rule["at"], data) if "at" in rule else data) is not None:
                made[key] = inner if isinstance(inner, Unclear) else self._built(rule, inner, section, f"{key}.")
            # else it stays missing: only `none` says that there is none
        return made

    def _translated(self, name: str, value: Any, section: Record) -> Any:
        """One value by the section's tables: split, codes, numbers in text, formats of days and moments."""
        if isinstance(value, str) and name in section.get("split", {}):
            value = [part.strip() for part in value.split(section["split"][name])]
        if (codes := section.get("codes", {}).get(name)) and value is not None:
            words = [codes.get(item if isinstance(item, str) else json.dumps(item), _NO_CODE)
                     for item in (value if isinstance(value, list) else [value])]  # fmt: skip
            value = _NO_CODE if _NO_CODE in words else words if isinstance(value, list) else words[0]
        form = section.get("formats", {}).get(name)
        if isinstance(value, str) and name in section.get("numbers", ()) and re.fullmatch(r"[0-9]{1,9}", value):
            return int(value)
        if not isinstance(value, str) or not form:
            return value
        try:
            moment = datetime.strptime(value, form)  # noqa: DTZ007 (the zone follows)
        except ValueError:
            return Unclear(f"not written as {form}")
        if name == "per_tanggal":
            return (moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).isoformat()
        return moment.strftime("%Y-%m" if name.endswith("lunas_sampai") else "%Y-%m-%d")


def _found(expression: Any, data: Any) -> Any:
    try:
        return expression.search(data)
    except JMESPathError as error:
        return Unclear(f"does not fit the profile ({type(error).__name__})")
