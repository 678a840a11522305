"""Forms of form.toml on pages: their fields, what was typed into them, and what is wrong with it.

A field is named as in the API's document with dots (`business.nib`), so that an error's pointer finds its field.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from compliance.errors import BadInput, FieldError
from compliance.web.pages import _, web

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


class Form:
    """A simple page with a form, `[[form.NAME]]`. `with` gives what was sent (nothing by a GET) and keeps a BadInput.

    On a page with several forms and buttons, `act` of what is sent says which it was.
    """

    def __init__(self, name: str, stated: Mapping[str, str] | None = None) -> None:
        self.fields, self.typed, self.errors = FORMS[name], dict(stated or {}), tuple[FieldError, ...]()
        if request.method == "POST":
            self.typed = {each.name: " ".join(request.form.getlist(each.name)).strip() for each in self.fields}

    def __enter__(self) -> dict[str, str]:
        return dict(self.typed) if request.method == "POST" else {}

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self.errors = error.errors if isinstance(error, BadInput) else ()
        return isinstance(error, BadInput)

    def show(self, template: str, **told: Any) -> ResponseReturnValue:
        """The page with its `boxes` and what is wrong in none of them, `others`."""
        boxes, others = filled(self.fields, self.typed, self.errors)
        return render_template(template, boxes=boxes, others=others, **told), 422 if self.errors else 200


def must(**rules: tuple[object, str]) -> None:
    """Raise BadInput that names each field whose rule does not hold, with its words."""
    if wrong := [FieldError(f"/{name}", words) for name, (holds, words) in rules.items() if not holds]:
        raise BadInput(*wrong)


def days(typed: Mapping[str, str], *names: str) -> dict[str, date]:
    """The days in these fields. Raises BadInput naming each that is none."""
    found = dict.fromkeys(names, date.min)
    for name in names:
        try:
            found[name] = date.fromisoformat(typed[name])
        except ValueError:
            continue
    must(**{name: (day > date.min, _("Tulis tanggal seperti 2026-11-20.")) for name, day in found.items()})
    return found


@web.app_template_global()
def word(about: str, code: str | None) -> str:
    """A code as people say it; other texts as they are."""
    choices = FORM["choices"].get(about, {})
    return _(choices[code]) if code in choices else code or ""


def needed(grounds: Iterable[str]) -> list[Field]:
    """The fields of a check for a rule with these grounds, in the order of the page."""
    return [field for field in FIELDS.values() if not field.needed_for or set(field.needed_for) & set(grounds)]


def read(typed: Mapping[str, str], asked: Iterable[Field]) -> dict[str, Any]:
    """The document of a check (contract §2) from what was typed; what was left empty is left out.

    Spaces and dots inside numbers are how people write them; anything else is for the intake to judge.
    """
    document: dict[str, Any] = {}
    for field in asked:
        if text := typed.get(field.name, "").strip():
            value: Any = text
            if field.kind == "yesno":
                value = {"yes": True, "no": False}.get(text, text)
            elif field.kind in ("digits", "count"):
                value = "".join(text.split()).replace(".", "")
                count = field.kind == "count" and value.isascii() and value.isdigit() and len(value) < 10
                value = int(value) if count else value
            above, _dot, last = field.name.rpartition(".")
            (document.setdefault(above, {}) if above else document)[last] = value
    return document


def flat(document: Mapping[str, Any]) -> dict[str, str]:
    """The inverse of `read`: a check's document as typed into the fields."""
    typed: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            typed |= {f"{name}.{last}": text for last, text in flat(value).items()}
        elif value is not None:
            typed[name] = ("no", "yes")[value] if isinstance(value, bool) else str(value)
    return typed


def filled(
    asked: Iterable[Field], typed: Mapping[str, str], errors: Iterable[FieldError]
) -> tuple[list[Field], list[str]]:
    """Every field with what was typed and the first thing that is wrong with it; and what is wrong in none of them."""
    names = [error.pointer.strip("/").replace("/", ".") for error in errors]
    placed = [(STAND_FOR.get(name, name), error) for name, error in zip(names, errors, strict=True)]
    first = {name: error.detail for name, error in reversed(placed)}
    boxes = [replace(f, value=typed.get(f.name, ""), error=first.get(f.name, "")) for f in asked]
    strange = [error for name, error in placed if name not in {box.name for box in boxes}]
    return boxes, [f"{error.pointer}: {error.detail}".removeprefix(": ") for error in strange]
