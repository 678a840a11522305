"""The public page of a receipt: what was found, whether it still holds; nothing about people."""

from __future__ import annotations

from datetime import timedelta

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale
from werkzeug.exceptions import TooManyRequests

from compliance.access.users_sign_in import Guard
from compliance.audit.checks import CheckRecord
from compliance.deployment import deployment
from compliance.proof.receipt import read_code
from compliance.web import language, records
from compliance.web.pages import _, pages
from compliance.web.visitors import allow


@pages.route("/r")
@allow()
def receipt_form() -> ResponseReturnValue:
    typed = request.args.get("kode", "").strip()
    return redirect(url_for("web.receipt", typed=typed[:40])) if typed else render_template("pages/receipt_form.html")


@pages.route("/r/<path:typed>")
@allow()
def receipt(typed: str) -> ResponseReturnValue:
    """Wrong codes of one address are counted: a person mistypes a few, a guesser many."""
    running, address = deployment(), request.remote_addr or ""
    guard = Guard("receipt", 20, timedelta(minutes=10), running.settings.secret_key.encode(), running.clock)
    if guard.locked_until(address):
        raise TooManyRequests
    code = read_code(typed[:40])
    record = running.log.check_by_code(code) if code else None
    shown = records.show([record]) if record else []
    if not record or not shown:
        guard.failed(address)
        unknown, mistyped = (
            _("Kode ini tidak tercatat di sini."),
            _("Salah ketik? Periksa kembali tiap huruf dan angkanya."),
        )
        error = unknown if code else mistyped
        return render_template("pages/receipt_form.html", typed=typed[:40], error=error), 404
    today = running.policy.today(record.region, running.clock())
    expired = record.valid_until is not None and record.valid_until < today
    label = shown[0].entry.body["decision"]["label"]
    state = {spoken: force_locale(spoken)(_state)(record, expired) for spoken in language.LANGUAGES}
    name = shown[0].entry.disclosed.get("name") or ""
    if shown[0].entry.body["facts"]["application"].get("legal_form") == "17":  # a person's: only how its words begin
        name = " ".join(word[:2] + "…" if len(word) > 2 else word for word in name.split())
    faded = shown[0].on_trial or expired or record.superseded_by
    return render_template("pages/receipt.html", shown=shown[0], label=label, state=state, name=name, faded=faded)


def _state(record: CheckRecord, expired: bool) -> str:
    """Valid, expired or replaced, in one sentence."""
    until = language.day(record.valid_until)
    if record.superseded_by:
        return _("Bukti ini asli, tetapi sudah diganti oleh pemeriksaan yang lebih baru.")
    if record.action == "STOP":
        return _("Bukti ini asli: permohonan belum boleh dilanjutkan.")
    if record.action == "HOLD":
        return _("Bukti ini asli: permohonan ditahan sampai ada kepastian. Ini bukan penolakan.")
    if record.valid_until is None:
        return _("Bukti ini asli. Aturannya belum diberlakukan, jadi permohonan boleh dilanjutkan.")
    if expired:
        return _("Bukti ini asli, tetapi masa berlakunya berakhir pada %(until)s.", until=until)
    return _("Bukti ini asli dan berlaku sampai %(until)s.", until=until)
