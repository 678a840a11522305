"""What the clerk is asked: only the fields of form.toml that the permit type needs, with what was typed into them.

A field is named as in the API's document with dots (`business.nib`), so that an error's pointer finds its field.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.errors import FieldError
from compliance.web.language import _

FORM = tomllib.loads(Path(__file__).with_name("form.toml").read_text(encoding="utf-8"))
STAND_FOR = {"business": "business.nib", "workforce": "workforce.declared", "project": "project.contract_date"}


@dataclass(frozen=True, slots=True)
class Field:
    """`kind`: text, digits, count, choice, select, yesno, date. `needed_for` grounds; always if there is none."""

    name: str
    part: str
    label: str
    hint: str = ""
    kind: str = "text"
    needed_for: frozenset[str] = frozenset()
    rare: bool = False

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Values and their words in the reader's language."""
        listed: dict[str, str] = FORM["choices"].get(self.name.rpartition(".")[2], {})
        return [(value, _(word)) for value, word in listed.items()]


@dataclass(frozen=True, slots=True)
class Box:
    """A field as it stands on the page: with what was typed and what is wrong with it."""

    field: Field
    value: str = ""
    error: str = ""

    @property
    def label(self) -> str:
        return _(self.field.label)

    @property
    def hint(self) -> str:
        return _(self.field.hint) if self.field.hint else ""

    @property
    def sentence(self) -> str:
        """What is wrong, beginning with a capital letter as it stands alone."""
        return self.error[:1].upper() + self.error[1:]

    @property
    def id(self) -> str:
        return self.field.name.replace(".", "-").replace("_", "-")


def _fields() -> Iterator[Field]:
    for part in FORM["part"]:
        for told in part["field"]:
            yield Field(part=part["name"], **told | {"needed_for": frozenset(told.get("needed_for", ()))})


BY_NAME = {field.name: field for field in _fields()}


def parts() -> list[dict[str, str]]:
    """The form's parts in order: name, title, and what its rarely needed fields are for."""
    told = ((part["name"], part["title"], part["more"]) for part in FORM["part"])
    return [{"name": name, "title": _(title), "more": _(more) if more else ""} for name, title, more in told]


def needed(grounds: Iterable[str]) -> list[Field]:
    """The fields for a rule with these grounds, in the order of the page."""
    looked_at = frozenset(grounds)
    return [field for field in BY_NAME.values() if not field.needed_for or field.needed_for & looked_at]


def read(typed: Mapping[str, str], asked: Iterable[Field]) -> dict[str, Any]:
    """The document of a check (contract §2) from what was typed; what was left empty is left out."""
    document: dict[str, Any] = {}
    for field in asked:
        text = typed.get(field.name, "").strip()
        if not text:
            continue
        *above, last = field.name.split(".")
        inner = document
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = _value(field.kind, text)
    return document


def _value(kind: str, text: str) -> Any:
    """Spaces and dots inside numbers are how people write them; anything else is for the intake to judge."""
    if kind == "yesno":
        return {"yes": True, "no": False}.get(text, text)
    if kind not in ("digits", "count"):
        return text
    plain = "".join(text.split()).replace(".", "")
    return int(plain) if kind == "count" and plain.isascii() and plain.isdigit() and len(plain) < 10 else plain


def boxes(asked: Iterable[Field], typed: Mapping[str, str], errors: Iterable[FieldError] = ()) -> list[Box]:
    """Every field with what was typed and the first thing that is wrong with it."""
    wrong: dict[str, str] = {}
    for error in errors:
        wrong.setdefault(field_of(error.pointer), error.detail)
    return [Box(field, typed.get(field.name, ""), wrong.get(field.name, "")) for field in asked]


def field_of(pointer: str) -> str:
    """The field that an error's pointer (`/business/nib`) means; "" when it is none of the page's."""
    name = pointer.strip("/").replace("/", ".")
    return name if name in BY_NAME else STAND_FOR.get(name, "")
