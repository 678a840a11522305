"""Forms of form.toml on pages: their fields, what was typed into them, and what is wrong with it.

A field is named as in the API's document with dots (`business.nib`), so that an error's pointer finds its field.
"""

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, cast

from flask import render_template, request

from compliance.errors import BadInput, FieldError
from compliance.web import Reply, _, web

FORM = tomllib.loads(Path(__file__).with_name("form.toml").read_text(encoding="utf-8"))
STAND_FOR = {"business": "business.nib", "workforce": "workforce.declared", "project": "project.contract_date"}
Field = dict[str, Any]  # what form.toml says, with part, id and choices; on a page also value and error


def _field(part: str, told: Field) -> Field:
    choices = FORM["choices"].get(told["name"].rpartition(".")[2], {})
    return {"kind": "text", "part": part, "id": re.sub("[._]", "-", told["name"]), "choices": choices} | told


FIELDS = {told["name"]: _field(part["name"], told) for part in FORM["part"] for told in part["field"]}
FORMS = {name: [_field(name, told) for told in form] for name, form in FORM["form"].items()}


class Form:
    """A form on a page, `[[form.NAME]]`, with what was `stated` before; within `with` it keeps a BadInput.

    `sent` is what was typed, nothing by a GET. Of several forms and buttons `act` of what is sent says which it was.
    """

    def __init__(self, name: str, stated: Mapping[str, str] | None = None) -> None:
        self.fields, self.errors, self.sent = FORMS[name], tuple[FieldError, ...](), dict[str, str]()
        if request.method == "POST":
            self.sent = {each["name"]: " ".join(request.form.getlist(each["name"])).strip() for each in self.fields}
        self.typed = dict(self.sent or stated or {})

    def __enter__(self) -> "Form":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self.errors = error.errors if isinstance(error, BadInput) else ()
        return isinstance(error, BadInput)

    def show(self, template: str, **told: Any) -> Reply:
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


def needed(grounds: Collection[str]) -> list[Field]:
    """The fields of a check for a rule with these grounds, in the order of the page."""
    return [field for field in FIELDS.values() if "needed_for" not in field or {*field["needed_for"]} & {*grounds}]


def read(typed: Mapping[str, str], asked: Iterable[Field]) -> dict[str, Any]:
    """The document of a check (contract §2) from what was typed; what was left empty is left out.

    Spaces and dots inside numbers are how people write them; anything else is for the intake to judge.
    """
    document: dict[str, Any] = {}
    for field in asked:
        if text := typed.get(field["name"], "").strip():
            value, kind, number = cast(Any, text), field["kind"], re.sub(r"[\s.]", "", text)
            if kind == "yesno":
                value = {"yes": True, "no": False}.get(text, text)
            elif kind in ("digits", "count"):
                value = int(number) if kind == "count" and re.fullmatch("[0-9]{1,9}", number) else number
            above, _dot, last = field["name"].rpartition(".")
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


def filled(asked: Iterable[Field], typed: Mapping[str, str], errors: Iterable[FieldError]) -> tuple[Any, list[str]]:
    """Every field with what was typed and the first thing that is wrong with it; and what is wrong in none of them."""
    names = [error.pointer.strip("/").replace("/", ".") for error in errors]
    placed = [(STAND_FOR.get(name, name), error) for name, error in zip(names, errors, strict=True)]
    first = {name: error.detail for name, error in reversed(placed)}
    boxes = [field | {"value": typed.get(field["name"], ""), "error": first.get(field["name"], "")} for field in asked]
    strange = [error for name, error in placed if name not in {field["name"] for field in asked}]
    return boxes, [f"{error.pointer}: {error.detail}".removeprefix(": ") for error in strange]
