"""The public page of a receipt: what was found, whether it still holds; nothing about people."""

from datetime import timedelta
from functools import partial

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale
from werkzeug.exceptions import TooManyRequests

from compliance.access.users_sign_in import Guard
from compliance.deployment import deployment
from compliance.proof.receipt import read_code
from compliance.web import language, permits, records
from compliance.web.pages import pages
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
    found = records.show([record]) if record else []
    if not record or not found:
        guard.failed(address)
        unknown = "unknown" if code else "mistyped"
        return render_template("pages/receipt_form.html", typed=typed[:40], error=unknown), 404
    shown = records.whole(found[0])
    expired = record.valid_until is not None and record.valid_until < permits.today(record.region)
    label = shown.entry.body["decision"]["label"]
    said = partial(render_template, "pages/receipt_state.html", record=record, expired=expired)
    state = {spoken: force_locale(spoken)(said)() for spoken in language.LANGUAGES}
    name = shown.entry.disclosed.get("name") or ""
    if shown.entry.body["facts"]["application"].get("legal_form") == "17":  # a person's: only how its words begin
        name = " ".join(word[:2] + "…" if len(word) > 2 else word for word in name.split())
    faded = shown.on_trial or expired or record.superseded_by
    return render_template("pages/receipt.html", shown=shown, label=label, state=state, name=name, faded=faded)
