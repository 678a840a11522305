"""Administrators' pages: people who sign in, and software that asks with keys. Every change is an entry of the log."""

import secrets
from datetime import date, datetime, time, timedelta
from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from compliance.access.clients import Client, Clients
from compliance.access.users import Role, User
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError
from compliance.web import desk, permits
from compliance.web.fields import FORM
from compliance.web.pages import _, pages
from compliance.web.visitors import allow, me, sign_ins

PRINTED = ("name", "office")
SOON = timedelta(days=14)
OVERLAPS = {"0": 0, "24": 24, "168": 168, "720": 720}  # hours that the old keys still hold beside a new one


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
    right = {"role": typed["role"] in list(Role), "active": typed.get("active", "yes") in ("yes", "no")}
    right |= {"regions": bool(regions) and set(regions) <= set(me().regions), "name": typed["name"] != ""}
    right |= {name: right.get(name, True) and len(typed[name]) <= 200 and typed[name].isprintable() for name in PRINTED}
    if wrong := [FieldError(f"/{name}", name) for name, holds in right.items() if not holds]:
        raise BadInput(*wrong)
    about = {"name": typed["name"], "role": Role(typed["role"]), "regions": regions, "office": typed["office"]}
    return about | ({"active": typed["active"] == "yes"} if "active" in typed else {})


@pages.route("/pengguna", methods=["GET", "POST"])
@allow(Role.ADMINISTRATOR)
def users() -> ResponseReturnValue:
    def add(typed: dict[str, str]) -> str:
        password, about = secrets.token_urlsafe(12), _about(typed)
        user = sign_ins().users.create(typed["sign_in"], **about, password=password, by=me().id, given=True)
        return render_template("pages/secret.html", secret=password, person=user)

    mine = {"regions": me().regions[0], "office": me().office}
    return desk.run("user", desk.page("pages/users.html", people=_people()), add, mine)


@pages.route("/pengguna/<user_id>", methods=["GET", "POST"])
@allow(Role.ADMINISTRATOR)
def user(user_id: str) -> ResponseReturnValue:
    """One person; nobody changes himself here, so that it takes two and an administrator is always left."""
    person = next((one for one in _people() if one.id == user_id), None) or abort(404)
    people, by = sign_ins().users, me().id
    if request.method == "POST" and person.id == by:
        abort(403)

    def act(typed: dict[str, str]) -> ResponseReturnValue:
        asked = request.form.get("act")
        if asked == "password":
            password = secrets.token_urlsafe(12)
            people.set_password(person, password, by, given=True)
            return render_template("pages/secret.html", secret=password, person=person)
        if asked == "telephone":
            people.forget_second_factor(person, by)
            return desk.done(_("Telepon dilepas: kode kedua dipasang lagi saat masuk."), "user", user_id=person.id)
        people.change(person, by, **_about(typed))
        return desk.done(_("Perubahan disimpan dan langsung berlaku."), "user", user_id=person.id)

    words = {"name": person.name, "role": person.role.value, "office": person.office}
    words |= {"regions": " ".join(person.regions), "active": "yes" if person.active else "no"}
    show = desk.page("pages/user.html", person=person, telephone=sign_ins().has_second_factor(person))
    return desk.run("person", show, act, words)


def _clients() -> Clients:
    return Clients(deployment().log, deployment().clock)


def _mine() -> list[Client]:
    """Those that ask for no other region than the administrator's, the newest first."""
    return [client for client in _clients().all()[::-1] if set(client.regions) <= set(me().regions)]


@pages.app_template_global("client_state")
def state(client: Client) -> str:
    """revoked, expired, soon (to expire), or alive."""
    now, ends = deployment().clock(), client.expires_at
    if client.revoked_at or not client.alive(now):
        return "revoked" if client.revoked_at else "expired"
    return "soon" if ends and ends - now < SOON else "alive"


def _end(text: str, region: str) -> datetime | None:
    """The end of the day that was typed, in the region's zone. Raises BadInput for a day that is past, or none."""
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        day = date.min
    if day and not permits.today(region) <= day < date.max:
        raise BadInput(FieldError("/expires", "must be a day that is not past"))
    return datetime.combine(day + timedelta(days=1), time(), permits.zone(region)) if day else None


@pages.route("/aplikasi", methods=["GET", "POST"])
@allow(Role.ADMINISTRATOR)
def clients() -> ResponseReturnValue:
    def add(typed: dict[str, str]) -> str:
        regions, scopes = typed["regions"].split(), typed["scopes"].split()
        if not set(regions) <= set(me().regions):
            raise BadInput(FieldError("/regions", "must be among yours"))
        ends, addresses = _end(typed["expires"], me().regions[0]), typed["addresses"].split()
        made, key = _clients().create(typed["name"], regions, scopes, by=me().id, expires_at=ends, addresses=addresses)
        return render_template("pages/secret.html", secret=key, client=made)

    show = desk.page("pages/clients.html", clients=_mine())
    return desk.run("client", show, add, {"regions": me().regions[0], "scopes": "check"})


@pages.route("/aplikasi/<client_id>", methods=["GET", "POST"])
@allow(Role.ADMINISTRATOR)
def client(client_id: str) -> ResponseReturnValue:
    known = next((one for one in _mine() if one.id == client_id), None) or abort(404)
    region, by = known.regions[0], me().id
    if request.method == "POST" and known.revoked_at:
        abort(403)

    def act(typed: dict[str, str]) -> ResponseReturnValue:
        asked = request.form.get("act")
        if asked == "revoke":
            _clients().revoke(known, by)
            return desk.done(_("Aplikasi dicabut; kuncinya tidak berlaku lagi."), "client", client_id=known.id)
        if asked == "rotate":
            if (hours := OVERLAPS.get(request.form.get("hours", ""))) is None:
                abort(400)
            key = _clients().rotate(known, by, timedelta(hours=hours))
            return render_template("pages/secret.html", secret=key, client=known)
        _clients().limit(known, by, _end(typed["expires"], region), typed["addresses"].split())
        return desk.done(_("Perubahan disimpan dan langsung berlaku."), "client", client_id=known.id)

    last = known.expires_at and (known.expires_at - timedelta(seconds=1)).astimezone(permits.zone(region))
    ends = last.date().isoformat() if last else ""
    show = desk.page("pages/client.html", client=known, keys=_clients().keys(known), region=region)
    return desk.run("limits", show, act, {"expires": ends, "addresses": " ".join(known.addresses)})
