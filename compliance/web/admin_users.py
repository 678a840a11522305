"""Administrators' pages of people: add, change, deactivate, a new password, a lost telephone. All in the log."""

from __future__ import annotations

import secrets
from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from compliance.access.users import Role, User
from compliance.errors import BadInput, FieldError
from compliance.web import desk
from compliance.web.fields import FORM, Field
from compliance.web.pages import _, pages
from compliance.web.visitors import allow, me, sign_ins


@pages.app_template_global()
def role_name(role: str) -> str:
    names = FORM["choices"]["role"]
    return _(names[role])


def _people() -> list[User]:
    """Those who work for no other region than the administrator does."""
    return [person for person in sign_ins().users.all() if set(person.regions) <= set(me().regions)]


def _about(typed: dict[str, str]) -> dict[str, Any]:
    """What is said of a person. Raises BadInput; the form's own words tell the rule."""
    regions = tuple(typed["regions"].split())
    right = {
        "name": 1 <= len(typed["name"]) <= 200 and typed["name"].isprintable(),
        "role": typed["role"] in list(Role),
        "regions": bool(regions) and set(regions) <= set(me().regions),
        "office": len(typed["office"]) <= 200 and typed["office"].isprintable(),
        "active": typed.get("active", "yes") in ("yes", "no"),
    }
    if wrong := [FieldError(f"/{name}", name) for name, holds in right.items() if not holds]:
        raise BadInput(*wrong)
    about = {"name": typed["name"], "role": Role(typed["role"]), "regions": regions, "office": typed["office"]}
    return about | ({"active": typed["active"] == "yes"} if "active" in typed else {})


def _given(person: User, password: str) -> str:
    told = {"sign_in": person.sign_in, "back": ("web.user", {"user_id": person.id})}
    return render_template("pages/secret.html", what="password", secret=password, about=person.name, **told)


@pages.route("/pengguna", methods=["GET", "POST"])
@allow(Role.ADMINISTRATOR)
def users() -> ResponseReturnValue:
    def show(boxes: list[Field], others: list[str]) -> str:
        return render_template("pages/users.html", boxes=boxes, others=others, people=_people())

    def add(typed: dict[str, str]) -> str:
        password, about = secrets.token_urlsafe(12), _about(typed)
        user = sign_ins().users.create(typed["sign_in"], **about, password=password, by=me().id, given=True)
        return _given(user, password)

    return desk.run("user", show, add)


@pages.route("/pengguna/<user_id>", methods=["GET", "POST"])
@allow(Role.ADMINISTRATOR)
def user(user_id: str) -> ResponseReturnValue:
    """One person; nobody changes himself here, so that it takes two and an administrator is always left."""
    person = next((one for one in _people() if one.id == user_id), None) or abort(404)
    people, by = sign_ins().users, me().id
    if request.method == "POST" and person.id == by:
        abort(403)

    def show(boxes: list[Field], others: list[str]) -> str:
        told = {"person": person, "own": person.id == by, "telephone": sign_ins().has_second_factor(person)}
        return render_template("pages/user.html", boxes=boxes, others=others, **told)

    def act(typed: dict[str, str]) -> ResponseReturnValue:
        asked = request.form.get("act")
        if asked == "password":
            password = secrets.token_urlsafe(12)
            people.set_password(person, password, by, given=True)
            return _given(person, password)
        if asked == "telephone":
            people.forget_second_factor(person, by)
            return desk.done(_("Telepon dilepas: kode kedua dipasang lagi saat masuk."), "user", user_id=person.id)
        people.change(person, by, **_about(typed))
        return desk.done(_("Perubahan disimpan dan langsung berlaku."), "user", user_id=person.id)

    words = {"name": person.name, "role": person.role.value, "office": person.office}
    words |= {"regions": " ".join(person.regions), "active": "yes" if person.active else "no"}
    return desk.run("person", show, act, words)
