"""Signing in and out, the second factor, and a person's own account."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pyotp
from flask import redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from compliance.access.users import Role
from compliance.access.users_sign_in import SignedIn, SignInLocked, SignInRefused
from compliance.deployment import deployment
from compliance.errors import BadInput
from compliance.web import checks, language, paper
from compliance.web.blueprint import pages
from compliance.web.language import _
from compliance.web.visitors import (
    CARRIED,
    CHECKERS,
    EVERYBODY,
    allow,
    begin,
    leave,
    me,
    people,
    sign_in_page,
    sign_ins,
)


@pages.route("/")
@allow()
def home() -> ResponseReturnValue:
    if not current_user.is_authenticated:
        return render_template("pages/home.html")
    return redirect(url_for("web.check_form" if me().role in CHECKERS else "web.account"))


@pages.route("/masuk", methods=["GET", "POST"])
@allow()
def sign_in() -> ResponseReturnValue:
    typed = request.form.get("sign_in", "")
    carried = carried_fields()
    if request.method == "GET" or "password" not in request.form:
        return sign_in_page(typed, carried=carried)
    try:
        found = sign_ins().password(typed, request.form["password"], request.remote_addr or "")
    except SignInRefused:
        return sign_in_page(typed, _("Nama pengguna atau kata sandi tidak cocok."), carried)
    except SignInLocked as lock:
        return sign_in_page(typed, _locked(lock), carried)
    if not found.complete:
        session["pending"] = found.token
        return redirect(url_for("web.second_factor"))
    begin(found)
    if carried and found.user.role in CHECKERS:
        return checks.refill(carried)
    return redirect(local(request.form.get("next", "")))


def carried_fields() -> dict[str, str]:
    return {name.removeprefix(CARRIED): text for name, text in request.form.items() if name.startswith(CARRIED)}


@pages.route("/masuk/kode", methods=["GET", "POST"])
@allow()
def second_factor() -> ResponseReturnValue:
    pending = _pending()
    if not pending:
        return redirect(url_for("web.sign_in"))
    if not sign_ins().has_second_factor(pending.user):
        return redirect(url_for("web.enrol"))
    error = ""
    if request.method == "POST":
        try:
            begin(sign_ins().second_factor(pending, request.form.get("code", "")))
            return redirect(url_for("web.home"))
        except SignInRefused:
            error = _("Kode tidak cocok atau sudah dipakai. Tunggu kode berikutnya.")
        except SignInLocked as lock:
            error = _locked(lock)
    return render_template("pages/second_factor.html", error=error), 401 if error else 200


@pages.route("/masuk/telepon", methods=["GET", "POST"])
@allow()
def enrol() -> ResponseReturnValue:
    pending = _pending()
    if not pending or sign_ins().has_second_factor(pending.user):
        return redirect(url_for("web.second_factor"))
    seed, error = _seed(pending.token), ""
    if request.method == "POST":
        try:
            done, codes = sign_ins().enrol(pending, seed, request.form.get("code", "").strip())
            begin(done)
            return render_template("pages/recovery.html", codes=codes)
        except SignInRefused:
            error = _("Kode tidak cocok. Periksa jam di telepon Anda, lalu coba kode berikutnya.")
        except SignInLocked as lock:
            error = _locked(lock)
    address = pyotp.TOTP(seed).provisioning_uri(name=pending.user.sign_in, issuer_name="Pemeriksaan Kepatuhan")
    page = render_template("pages/enrol.html", error=error, seed=seed, qr=paper.qr(address))
    return page, 401 if error else 200


@pages.route("/keluar", methods=["POST"])
@allow(*EVERYBODY)
def sign_out() -> ResponseReturnValue:
    leave()
    return redirect(url_for("web.home"))


@pages.route("/akun/keluar-semua", methods=["POST"])
@allow(*EVERYBODY)
def sign_out_everywhere() -> ResponseReturnValue:
    people().end_sessions(me().id)
    leave()
    return redirect(url_for("web.sign_in"))


@pages.route("/akun", methods=["GET", "POST"])
@allow(*EVERYBODY)
def account() -> ResponseReturnValue:
    error, user = "", me()
    if request.method == "POST":
        try:
            sign_ins().confirm(user, request.form.get("password", ""))
            people().set_password(user, request.form.get("new_password", ""), user.id)
            leave()
            return redirect(url_for("web.sign_in"))
        except BadInput:
            error = _("Kata sandi baru harus 12 sampai 200 karakter dan tidak memuat nama pengguna.")
        except SignInRefused:
            error = _("Kata sandi sekarang tidak cocok.")
        except SignInLocked as lock:
            error = _locked(lock)
    return render_template("pages/account.html", error=error, role=role_name(user.role)), 422 if error else 200


def role_name(role: Role) -> str:
    names = {
        Role.CLERK: _("Petugas"),
        Role.SUPERVISOR: _("Penyelia"),
        Role.AUDITOR: _("Pemeriksa (auditor)"),
        Role.ADMINISTRATOR: _("Administrator"),
    }
    return names[role]


def local(onward: str) -> str:
    """A path of this service, or the first page: nobody is sent elsewhere after signing in."""
    safe = onward.startswith("/") and not onward.startswith(("//", "/\\"))
    return onward if safe and onward.isprintable() else url_for("web.home")


def _pending() -> SignedIn | None:
    return sign_ins().current(session.get("pending", ""), complete=False)


def _seed(token: str) -> str:
    """A seed that belongs to this sign-in, so that it need not be stored before it is confirmed."""
    secret = deployment().settings.secret_key.encode()
    return base64.b32encode(hmac.new(secret, f"totp|{token}".encode(), hashlib.sha256).digest()[:20]).decode()


def _locked(lock: SignInLocked) -> str:
    at: Any = language.moment(lock.until, "Asia/Makassar")
    return _("Terlalu banyak percobaan. Coba lagi setelah %(at)s, atau hubungi administrator.", at=at)
