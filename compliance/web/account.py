"""Signing in and out, the second factor, and a person's own account."""

import base64
import hmac

import pyotp
from flask import redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from compliance.access.users import Role
from compliance.access.users_sign_in import SignedIn, SignInFailed
from compliance.deployment import deployment
from compliance.errors import BadInput
from compliance.web import checks, visitors
from compliance.web.pages import pages
from compliance.web.visitors import CARRIED, CHECKERS, EVERYBODY, allow, me, sign_ins

FIRST = {Role.CLERK: "check_form", Role.SUPERVISOR: "check_form", Role.AUDITOR: "audit", Role.ADMINISTRATOR: "users"}


@pages.route("/")
@allow()
def home() -> ResponseReturnValue:
    if not visitors.visitor():
        return render_template("pages/home.html")
    return redirect(url_for(f"web.{FIRST[me().role]}"))


@pages.route("/masuk", methods=["GET", "POST"])
@allow()
def sign_in() -> ResponseReturnValue:
    typed = request.form.get("sign_in", "")
    carried = {name.removeprefix(CARRIED): text for name, text in request.form.items() if name.startswith(CARRIED)}
    if "password" not in request.form:
        return visitors.sign_in_page(typed, carried=carried)
    try:
        found = sign_ins().password(typed, request.form["password"], request.remote_addr or "")
    except SignInFailed as failure:
        return visitors.sign_in_page(typed, failure, carried)
    if not found.complete:
        session["pending"] = found.token
        return redirect(url_for("web.second_factor"))
    visitors.begin(found)
    if carried and found.user.role in CHECKERS:
        return checks.form_page(carried)
    return redirect(_local(request.form.get("next", "")))


def _local(onward: str) -> str:
    """A path of this service, or the first page: nobody is sent elsewhere after signing in."""
    safe = onward.startswith("/") and not onward.startswith(("//", "/\\")) and onward.isprintable()
    return onward if safe else url_for("web.home")


def _pending() -> SignedIn | None:
    return sign_ins().current(session.get("pending", ""), complete=False)


@pages.route("/masuk/kode", methods=["GET", "POST"])
@allow()
def second_factor() -> ResponseReturnValue:
    pending, failure = _pending(), None
    if not pending:
        return redirect(url_for("web.sign_in"))
    if not sign_ins().has_second_factor(pending.user):
        return redirect(url_for("web.enrol"))
    if request.method == "POST":
        try:
            visitors.begin(sign_ins().second_factor(pending, request.form.get("code", "")))
            return redirect(url_for("web.home"))
        except SignInFailed as error:
            failure = error
    return render_template("pages/second_factor.html", failure=failure), 401 if failure else 200


@pages.route("/masuk/telepon", methods=["GET", "POST"])
@allow()
def enrol() -> ResponseReturnValue:
    """Set up the telephone. Its seed is made from this sign-in, so that it is not stored before it is confirmed."""
    pending, failure = _pending(), None
    if not pending or sign_ins().has_second_factor(pending.user):
        return redirect(url_for("web.second_factor"))
    secret = deployment().settings.secret_key.encode()
    seed = base64.b32encode(hmac.digest(secret, f"totp|{pending.token}".encode(), "sha256")[:20]).decode()
    if request.method == "POST":
        try:
            done, codes = sign_ins().enrol(pending, seed, request.form.get("code", "").strip())
            visitors.begin(done)
            return render_template("pages/recovery.html", codes=codes)
        except SignInFailed as error:
            failure = error
    address = pyotp.TOTP(seed).provisioning_uri(name=pending.user.sign_in, issuer_name="Pemeriksaan Kepatuhan")
    return render_template("pages/enrol.html", failure=failure, seed=seed, address=address), 401 if failure else 200


@pages.route("/keluar", methods=["POST"])
@allow(*EVERYBODY)
def sign_out() -> ResponseReturnValue:
    return visitors.leave("web.home")


@pages.route("/akun/keluar-semua", methods=["POST"])
@allow(*EVERYBODY)
def sign_out_everywhere() -> ResponseReturnValue:
    sign_ins().users.end_sessions(me().id)
    return visitors.leave("web.sign_in")


@pages.route("/akun", methods=["GET", "POST"])
@allow(*EVERYBODY)
def account() -> ResponseReturnValue:
    user, failure = me(), None
    if request.method == "POST":
        try:
            sign_ins().confirm(user, request.form.get("password", ""))
            sign_ins().users.set_password(user, request.form.get("new_password", ""), user.id)
            return visitors.leave("web.sign_in")
        except (BadInput, SignInFailed) as error:
            failure = error
    return render_template("pages/account.html", failure=failure), 422 if failure else 200
