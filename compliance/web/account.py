"""Signing in and out, and one's own account; for administrators other people's, and software that asks with keys."""

import base64
import hmac
import secrets
from datetime import date, datetime, time, timedelta
from typing import Any

import pyotp
from flask import abort, g, redirect, render_template, request, session, url_for

from compliance import web as pages
from compliance.access.clients import Client, Clients
from compliance.access.users import Role
from compliance.access.users_sign_in import SignedIn, SignInFailed
from compliance.deployment import deployment
from compliance.errors import BadInput
from compliance.web import (
    BOTH,
    EVERYBODY,
    POST,
    Reply,
    _,
    done,
    fields,
    me,
    mine,
    ours,
    page,
    sign_ins,
)
from compliance.web.fields import Form, days, must

FIRST = {Role.CLERK: "check_form", Role.SUPERVISOR: "check_form", Role.AUDITOR: "audit", Role.ADMINISTRATOR: "users"}
SOON = timedelta(days=14)
LARGEST = 4 * 1024 * 1024  # bytes of a sign-in: it carries what was typed elsewhere
OVERLAPS = ("0", "24", "168", "720")  # hours that the old keys still hold beside a new one


@page("/")
def home() -> Reply:
    return redirect(url_for(f"web.{FIRST[me().role]}")) if pages.visitor() else render_template("pages/home.html")


def begin(signed_in: SignedIn | None) -> None:
    """A new session, for who has just proved who he or she is; of the old one only the language stays."""
    kept = session.get("language")
    session.clear()
    session["language"], g.visitor = kept, signed_in
    if signed_in:
        session["signed_in"], session["given"] = signed_in.token, sign_ins().must_choose_password(signed_in.user)


@page("/masuk", methods=BOTH, most=LARGEST)
def sign_in() -> Reply:
    """To a page of this service that was asked for, or to the first; nobody is sent elsewhere after signing in."""
    given, typed, onward = request.form, request.form.get("sign_in", ""), request.values.get("next", "")
    if "password" not in given:
        return pages.sign_in_page(typed, None, pages.brought(), onward)
    try:
        found = sign_ins().password(typed, given["password"], request.remote_addr or "")
    except SignInFailed as failure:
        return pages.sign_in_page(typed, failure, pages.brought(), onward)
    if not found.complete:
        session["pending"] = found.token
        return redirect(url_for("web.second_factor", next=onward or None), 307 if pages.brought() else 302)
    begin(found)
    return _onward()


def _onward() -> Reply:
    """To the page of this service that was asked for, with what was typed there (307: the same form), or the first."""
    onward = request.values.get("next", "")
    safe = onward.startswith("/") and not onward.startswith(("//", "/\\")) and onward.isprintable()
    return redirect(onward if safe else url_for("web.home"), 307 if safe and pages.brought() else 302)


@page("/masuk/kode", methods=BOTH, name="second_factor", most=LARGEST)
@page("/masuk/telepon", methods=BOTH, name="enrol", defaults={"enrolling": True})
def second_factor(enrolling: bool = False) -> Reply:
    """The code of a telephone; or setting one up, with a seed made from this sign-in: it is not stored unconfirmed."""
    pending, failure = sign_ins().current(session.get("pending", ""), complete=False), None
    if not pending:
        return redirect(url_for("web.sign_in"))
    if enrolling is sign_ins().has_second_factor(pending.user):
        return redirect(url_for("web.second_factor" if enrolling else "web.enrol"))
    digest = hmac.digest(deployment().settings.secret_key.encode(), f"totp|{pending.token}".encode(), "sha256")
    seed, code = base64.b32encode(digest[:20]).decode(), request.form.get("code", "").strip()
    if "code" in request.form:
        try:
            if enrolling:
                complete, codes = sign_ins().enrol(pending, seed, code)
                begin(complete)
                return render_template("pages/recovery.html", codes=codes)
            begin(sign_ins().second_factor(pending, code))
            return _onward()
        except SignInFailed as error:
            failure = error
    told, status = {"failure": failure}, 401 if failure else 200
    if not enrolling:
        carried = {"carried": pages.brought(), "onward": request.values.get("next", "")}
        return render_template("pages/second_factor.html", **told, **carried), status
    address = pyotp.TOTP(seed).provisioning_uri(name=pending.user.sign_in, issuer_name="Pemeriksaan Kepatuhan")
    return render_template("pages/enrol.html", seed=seed, address=address, **told), status


@page("/keluar", *EVERYBODY, methods=POST)
@page("/akun/keluar-semua", *EVERYBODY, methods=POST, name="sign_out_everywhere", defaults={"everywhere": True})
def sign_out(everywhere: bool = False) -> Reply:
    """End the session, or all of the person's, for good, here and in the database."""
    if everywhere:
        sign_ins().users.end_sessions(me().id)
    sign_ins().end(session.get("signed_in", ""))
    begin(None)
    return redirect(url_for("web.sign_in" if everywhere else "web.home"))


@page("/akun", *EVERYBODY, methods=BOTH)
def account() -> Reply:
    failure: Exception | None = None
    if request.method == "POST":
        try:
            sign_ins().confirm(me(), request.form.get("password", ""))
            sign_ins().users.set_password(me(), request.form.get("new_password", ""), me().id)
            return sign_out(everywhere=True)
        except (BadInput, SignInFailed) as error:
            failure = error
    return render_template("pages/account.html", failure=failure), 422 if failure else 200


def _about(typed: dict[str, str]) -> dict[str, Any]:
    """What is said of a person. Raises BadInput; the form's own words tell the rule."""
    regions, active = typed["regions"].split(), typed.get("active", "yes")
    holds = {name: len(typed[name]) <= 200 and typed[name].isprintable() for name in ("name", "office")}
    holds |= {"role": typed["role"] in list(Role), "active": active in ("yes", "no"), "regions": ours(regions)}
    holds["name"] = holds["name"] and typed["name"] != ""
    must(**{name: (right, name) for name, right in holds.items()})
    about = {"name": typed["name"], "role": Role(typed["role"]), "regions": tuple(regions), "office": typed["office"]}
    return about | ({"active": active == "yes"} if "active" in typed else {})


@page("/pengguna", Role.ADMINISTRATOR, methods=BOTH)
def users() -> Reply:
    """Those who work for no other region than the administrator does."""
    people, password = sign_ins().users, secrets.token_urlsafe(12)
    with Form("user", {"regions": me().regions[0], "office": me().office}) as form:
        if typed := form.sent:
            about = _about(typed) | {"password": password, "given": True}
            made = people.create(typed["sign_in"], **about, by=me().id)
            return render_template("pages/secret.html", secret=password, person=made)
    return form.show("pages/users.html", people=[person for person in people.all() if ours(person.regions)])


@page("/pengguna/<user_id>", Role.ADMINISTRATOR, methods=BOTH)
def user(user_id: str) -> Reply:
    """One person; nobody changes himself here, so that it takes two and an administrator is always left."""
    people, by, act = sign_ins().users, me().id, request.form.get("act")
    person = mine(people.get(user_id))
    if request.method == "POST" and person.id == by:
        abort(403)
    said, password = _("Perubahan disimpan dan langsung berlaku."), secrets.token_urlsafe(12)
    stated = {"name": person.name, "role": person.role.value, "office": person.office}
    stated |= {"regions": " ".join(person.regions), "active": "yes" if person.active else "no"}
    with Form("person", stated) as form:
        if act == "password":
            people.set_password(person, password, by, given=True)
            return render_template("pages/secret.html", secret=password, person=person)
        if act == "telephone":
            people.forget_second_factor(person, by)
            said = _("Telepon dilepas: kode kedua dipasang lagi saat masuk.")
        elif form.sent:
            people.change(person, by, **_about(form.sent))
        if form.sent:
            return done(said, "user", user_id=person.id)
    return form.show("pages/user.html", person=person, telephone=sign_ins().has_second_factor(person))


def all_clients() -> Clients:
    return Clients(deployment().log, deployment().clock)


@pages.web.app_template_global()
def client_state(client: Client) -> str:
    """revoked, expired, soon (to expire), or alive."""
    now, ends = deployment().clock(), client.expires_at
    if not client.alive(now):
        return "revoked" if client.revoked_at else "expired"
    return "soon" if ends and ends - now < SOON else "alive"


def _limits(typed: dict[str, str], code: str) -> dict[str, Any]:
    """Until the end of the day that was typed, in the region's zone. Raises BadInput for one that is past, or none."""
    addresses, day = typed["addresses"].split(), days(typed, *(["expires"] if typed["expires"] else [])).get("expires")
    must(expires=(not day or fields.today(code) <= day < date.max, "is past"))
    zone = deployment().policy.region(code).zone
    return {"addresses": addresses, "expires_at": day and datetime.combine(day + timedelta(days=1), time(), zone)}


@page("/aplikasi", Role.ADMINISTRATOR, methods=BOTH)
def clients() -> Reply:
    """Those that ask for no other region than the administrator's, the newest first."""
    with Form("client", {"regions": me().regions[0], "scopes": "check"}) as form:
        if typed := form.sent:
            regions, limits = typed["regions"].split(), _limits(typed, me().regions[0])
            must(regions=(ours(regions), "must be among yours"))
            made, key = all_clients().create(typed["name"], regions, typed["scopes"].split(), by=me().id, **limits)
            return render_template("pages/secret.html", secret=key, client=made)
    return form.show("pages/clients.html", clients=[one for one in all_clients().all()[::-1] if ours(one.regions)])


@page("/aplikasi/<client_id>", Role.ADMINISTRATOR, methods=BOTH)
def client(client_id: str) -> Reply:
    known = mine(next((one for one in all_clients().all() if one.id == client_id), None))
    if request.method == "POST" and known.revoked_at:
        abort(403)
    code, by, act, hours = known.regions[0], me().id, request.form.get("act"), request.form.get("hours", "")
    said, zone = _("Perubahan disimpan dan langsung berlaku."), deployment().policy.region(code).zone
    last = known.expires_at and (known.expires_at - timedelta(seconds=1)).astimezone(zone).date()
    with Form("limits", {"expires": str(last or ""), "addresses": " ".join(known.addresses)}) as form:
        if act == "rotate":
            overlap = timedelta(hours=int(hours)) if hours in OVERLAPS else abort(400)
            key = all_clients().rotate(known, by, overlap)
            return render_template("pages/secret.html", secret=key, client=known)
        if act == "revoke":
            all_clients().revoke(known, by)
            said = _("Aplikasi dicabut; kuncinya tidak berlaku lagi.")
        elif form.sent:
            all_clients().limit(known, by, **_limits(form.sent, code))
        if form.sent:
            return done(said, "client", client_id=known.id)
    return form.show("pages/client.html", client=known, keys=all_clients().keys(known), region=code)
