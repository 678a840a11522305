"""Signing in and out, and one's own account; for administrators other people's, and software that asks with keys."""

import base64
import hmac
import secrets
from datetime import date, datetime, time, timedelta
from typing import Any, cast

import pyotp
from flask import abort, g, redirect, render_template, request, session, url_for
from werkzeug.local import LocalProxy

from compliance import web
from compliance.access.clients import Client, Clients
from compliance.access.users import Role, Users
from compliance.access.users_sign_in import SignedIn, SignInFailed
from compliance.errors import BadInput
from compliance.web import Reply, Told, _, done, fields, here, me, mine, ours, secret, sign_ins

FIRST = {Role.CLERK: "check_form", Role.SUPERVISOR: "check_form", Role.AUDITOR: "audit", Role.ADMINISTRATOR: "users"}
SOON = timedelta(days=14)
OVERLAPS = ("0", "24", "168", "720")  # hours that the old keys still hold beside a new one
people = cast(Users, LocalProxy(lambda: sign_ins.users))
software = cast(Clients, LocalProxy(lambda: Clients(here.log, here.clock)))


def home() -> Told:
    return redirect(url_for(f"web.{FIRST[me.role]}")) if me else {}


def begin(signed_in: SignedIn | None) -> None:
    """A new session, for who has just proved who he or she is; of the old one only the language stays."""
    kept = session.get("language")
    session.clear()
    session["language"], g.visitor = kept, signed_in and signed_in.user
    if signed_in:
        session["signed_in"], session["given"] = signed_in.token, sign_ins.must_choose_password(signed_in.user)


def sign_in() -> Told:
    """To a page of this service that was asked for, or to the first; nobody is sent elsewhere after signing in."""
    typed, failure, onward = request.form.get("sign_in", ""), None, request.values.get("next", "")
    if "password" in request.form:
        try:
            found = sign_ins.password(typed, request.form["password"], request.remote_addr or "")
            if found.complete:
                begin(found)
                return _onward()
            session["pending"] = found.token
            return redirect(url_for("web.second_factor", next=onward or None), 307 if web.brought() else 302)
        except SignInFailed as error:
            failure = error
    told = {"typed": typed, "failure": failure, "carried": web.brought(), "onward": onward}
    return told | {"status": 401 if failure else 200}


def _onward() -> Reply:
    """To the page of this service that was asked for, with what was typed there (307: the same form), or the first."""
    onward = request.values.get("next", "")
    safe = onward.startswith("/") and not onward.startswith(("//", "/\\")) and onward.isprintable()
    return redirect(onward if safe else url_for("web.home"), 307 if safe and web.brought() else 302)


def second_factor(enrolling: bool = False) -> Told:
    """The code of a telephone; or setting one up, with a seed made from this sign-in: it is not stored unconfirmed."""
    pending, failure = sign_ins.current(session.get("pending", ""), complete=False), None
    if not pending:
        return redirect(url_for("web.sign_in"))
    if enrolling is sign_ins.has_second_factor(pending.user):
        return redirect(url_for("web.second_factor" if enrolling else "web.enrol"))
    digest = hmac.digest(secret(), f"totp|{pending.token}".encode(), "sha256")
    seed, code = base64.b32encode(digest[:20]).decode(), request.form.get("code", "").strip()
    if "code" in request.form:
        try:
            if enrolling:
                complete, codes = sign_ins.enrol(pending, seed, code)
                begin(complete)
                return render_template("pages/recovery.html", codes=codes)
            begin(sign_ins.second_factor(pending, code))
            return _onward()
        except SignInFailed as error:
            failure = error
    address = pyotp.TOTP(seed).provisioning_uri(name=pending.user.sign_in, issuer_name="Pemeriksaan Kepatuhan")
    shown = {"seed": seed, "address": address} if enrolling else {"carried": web.brought()}
    return shown | {"failure": failure, "onward": request.values.get("next", ""), "status": 401 if failure else 200}


def sign_out(everywhere: bool = False) -> Reply:
    """End the session, or all of the person's, for good, here and in the database."""
    if everywhere:
        people.end_sessions(me.id)
    sign_ins.end(session.get("signed_in", ""))
    begin(None)
    return redirect(url_for("web.sign_in" if everywhere else "web.home"))


def account() -> Told:
    try:
        if request.method == "POST":
            sign_ins.confirm(me, request.form.get("password", ""))
            people.set_password(me, request.form.get("new_password", ""), me.id)
            return sign_out(everywhere=True)
    except (BadInput, SignInFailed) as error:
        return {"failure": error, "status": 422}
    return {}


def users() -> Told:
    """Those who work for no other region than the administrator does."""
    password = secrets.token_urlsafe(12)
    with fields.Form("user", {"regions": me.regions[0], "office": me.office}) as form:
        if typed := form.fit():
            about: dict[str, Any] = {"role": Role(typed["role"]), "regions": typed["regions"].split()}
            made = people.create(**typed | about, password=password, by=me.id, given=True)
            return render_template("pages/secret.html", secret=password, person=made)
    return form.page | {"people": [person for person in people.all() if ours(person.regions)]}


def user(user_id: str) -> Told:
    """One person; nobody changes himself here, so that it takes two and an administrator is always left."""
    person, act, password = mine(people.get(user_id)), request.form.get("act"), secrets.token_urlsafe(12)
    if request.method == "POST" and person.id == me.id:
        abort(403)
    stated = {"name": person.name, "role": person.role.value, "office": person.office}
    stated |= {"regions": " ".join(person.regions), "active": "yes" if person.active else "no"}
    with fields.Form("person", stated) as form:
        if act == "password":
            people.set_password(person, password, me.id, given=True)
            return render_template("pages/secret.html", secret=password, person=person)
        if act == "telephone":
            people.forget_second_factor(person, me.id)
            return done(_("Telepon dilepas: kode kedua dipasang lagi saat masuk."), "user", user_id=person.id)
        if typed := form.fit():
            about: dict[str, Any] = {"role": Role(typed["role"]), "regions": tuple(typed["regions"].split())}
            people.change(person, me.id, **typed | about | {"active": typed["active"] == "yes"})
            return done(_("Perubahan disimpan dan langsung berlaku."), "user", user_id=person.id)
    return form.page | {"person": person, "telephone": sign_ins.has_second_factor(person)}


@web.web.app_template_global()
def client_state(client: Client) -> str:
    """revoked, expired, soon (to expire), or alive."""
    now, ends = here.clock(), client.expires_at
    if not client.alive(now):
        return "revoked" if client.revoked_at else "expired"
    return "soon" if ends and ends - now < SOON else "alive"


def _limits(typed: dict[str, str], region: str) -> dict[str, Any]:
    """Until the end of the day that was typed, in the region's zone. Raises BadInput for one that is past, or none."""
    day = fields.days(typed, "expires")["expires"] if typed["expires"] else None
    fields.must(expires=(not day or fields.today(region) <= day < date.max, "is past"))
    ends = day and datetime.combine(day + timedelta(days=1), time(), here.policy.region(region).zone)
    return {"addresses": typed["addresses"].split(), "expires_at": ends}


def clients() -> Told:
    """Those that ask for no other region than the administrator's, the newest first."""
    with fields.Form("client", {"regions": me.regions[0], "scopes": "check"}) as form:
        if typed := form.sent:
            limits = _limits(typed, me.regions[0])
            form.fit()
            regions, scopes = typed["regions"].split(), typed["scopes"].split()
            made, key = software.create(typed["name"], regions, scopes, by=me.id, **limits)
            return render_template("pages/secret.html", secret=key, client=made)
    return form.page | {"clients": [client for client in software.all()[::-1] if ours(client.regions)]}


def client(client_id: str) -> Told:
    known = mine(next((one for one in software.all() if one.id == client_id), None))
    if request.method == "POST" and known.revoked_at:
        abort(403)
    region, act, hours = known.regions[0], request.form.get("act"), request.form.get("hours", "")
    stated = {"addresses": " ".join(known.addresses)}
    if ends := known.expires_at:
        stated["expires"] = str((ends - timedelta(seconds=1)).astimezone(here.policy.region(region).zone).date())
    with fields.Form("limits", stated) as form:
        if act == "rotate":
            key = software.rotate(known, me.id, timedelta(hours=int(hours)) if hours in OVERLAPS else abort(400))
            return render_template("pages/secret.html", secret=key, client=known)
        if act == "revoke":
            software.revoke(known, me.id)
            return done(_("Aplikasi dicabut; kuncinya tidak berlaku lagi."), "client", client_id=known.id)
        if form.sent:
            software.limit(known, me.id, **_limits(form.sent, region))
            return done(_("Perubahan disimpan dan langsung berlaku."), "client", client_id=known.id)
    return form.page | {"client": known, "keys": software.keys(known), "region": region}
