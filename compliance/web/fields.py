"""What the clerk is asked: only the fields of form.toml that the permit type needs, with what was typed into them.

A field is named as in the API's document with dots (`business.nib`), so that an error's pointer finds its field.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compliance.errors import FieldError

FORM = tomllib.loads(Path(__file__).with_name("form.toml").read_text(encoding="utf-8"))
STAND_FOR = {"business": "business.nib", "workforce": "workforce.declared", "project": "project.contract_date"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field, on a page also what was typed and what is wrong with it. Texts are Indonesian; templates translate.

    `kind`: text, digits, count, choice, select, yesno, date, many (boxes to tick, their words with spaces between),
    long (several lines), file. `needed_for` grounds; always if there is none. `wrong`: told instead of the error.
    """

    name: str
    part: str
    label: str
    hint: str = ""
    kind: str = "text"
    needed_for: tuple[str, ...] = ()
    rare: bool = False
    wrong: str = ""
    value: str = ""
    error: str = ""

    @property
    def choices(self) -> dict[str, str]:
        found: dict[str, str] = FORM["choices"].get(self.name.rpartition(".")[2], {})
        return found

    @property
    def id(self) -> str:
        return self.name.replace(".", "-").replace("_", "-")


FIELDS = {told["name"]: Field(part=part["name"], **told) for part in FORM["part"] for told in part["field"]}
FORMS = {name: [Field(part=name, **told) for told in form] for name, form in FORM["form"].items()}


def needed(grounds: Iterable[str]) -> list[Field]:
    """The fields for a rule with these grounds, in the order of the page."""
    return [field for field in FIELDS.values() if not field.needed_for or set(field.needed_for) & set(grounds)]


def read(typed: Mapping[str, str], asked: Iterable[Field]) -> dict[str, Any]:
    """The document of a check (contract §2) from what was typed; what was left empty is left out."""
    document: dict[str, Any] = {}
    for field in asked:
        if text := typed.get(field.name, "").strip():
            above, _, last = field.name.rpartition(".")
            (document.setdefault(above, {}) if above else document)[last] = _value(field.kind, text)
    return document


def flat(document: Mapping[str, Any]) -> dict[str, str]:
    """The inverse of `read`: a check's document as typed into the fields."""
    typed: dict[str, Any] = {}
    for name, value in document.items():
        typed |= (
            {f"{name}.{last}": part for last, part in value.items()} if isinstance(value, Mapping) else {name: value}
        )
    words = {True: "yes", False: "no"}
    return {name: words.get(part, str(part)) for name, part in typed.items() if part is not None}


def _value(kind: str, text: str) -> Any:
    """Spaces and dots inside numbers are how people write them; anything else is for the intake to judge."""
    if kind == "yesno":
        return {"yes": True, "no": False}.get(text, text)
    if kind not in ("digits", "count"):
        return text
    plain = "".join(text.split()).replace(".", "")
    return int(plain) if kind == "count" and plain.isascii() and plain.isdigit() and len(plain) < 10 else plain


def filled(asked: Iterable[Field], typed: Mapping[str, str], errors: Iterable[FieldError] = ()) -> list[Field]:
    """Every field with what was typed and the first thing that is wrong with it."""
    wrong: dict[str, str] = {}
    for error in errors:
        wrong.setdefault(field_of(error.pointer), error.detail)
    return [replace(f, value=typed.get(f.name, ""), error=wrong.get(f.name, "")) for f in asked]


def field_of(pointer: str) -> str:
    """The field that an error's pointer (`/business/nib`) means."""
    name = pointer.strip("/").replace("/", ".")
    return STAND_FOR.get(name, name)
