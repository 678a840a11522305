"""Simple pages in one way: a form of form.toml (`[[form.NAME]]`), and acts that end in a message or in named errors."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from compliance.errors import BadInput
from compliance.web import fields

Show = Callable[[list[fields.Field], list[str]], str]  # a page with a form's fields, and errors that are no field's
Do = Callable[[dict[str, str]], ResponseReturnValue]  # an act with what was typed; raises BadInput


def page(template: str, **told: Any) -> Show:
    """A template that gets the form's `boxes` and `others`, and all that is told."""
    return lambda boxes, others: render_template(template, boxes=boxes, others=others, **told)


def run(form: str, show: Show, do: Do, stated: Mapping[str, str] | None = None) -> ResponseReturnValue:
    """GET: the page with `stated` in its form. POST: act; after a BadInput the page again with all that was typed.

    On a page with several forms and buttons, `act` of what is sent says which it was.
    """
    asked = fields.FORMS[form]
    if request.method == "GET":
        return show(fields.filled(asked, stated or {}), [])
    typed = {field.name: " ".join(request.form.getlist(field.name)).strip() for field in asked}
    try:
        return do(typed)
    except BadInput as error:
        names = {field.name for field in asked}
        strange = [wrong for wrong in error.errors if fields.field_of(wrong.pointer) not in names]
        others = [f"{wrong.pointer}: {wrong.detail}".removeprefix(": ") for wrong in strange]
        return show(fields.filled(asked, typed, error.errors), others), 422


def done(message: str, endpoint: str, **where: Any) -> ResponseReturnValue:
    """Go on to a page that says, this once, what was done."""
    flash(message)
    return redirect(url_for(f"web.{endpoint}", **where), 303)
