"""The public page of a receipt: what was found, whether it still holds; nothing about people."""

from __future__ import annotations

import json
from datetime import timedelta

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale
from werkzeug.exceptions import TooManyRequests

from compliance.access.users_guard import Guard
from compliance.audit import document
from compliance.audit.checks import CheckRecord
from compliance.deployment import deployment
from compliance.proof.receipt import read_code
from compliance.web import language, permits, records
from compliance.web.blueprint import pages
from compliance.web.language import _
from compliance.web.visitors import allow


def guard() -> Guard:
    """Wrong codes of one address: a person mistypes a few, a guesser many."""
    gate = deployment()
    return Guard("receipt", 20, timedelta(minutes=10), gate.settings.secret_key.encode(), gate.clock)


@pages.route("/r")
@allow()
def receipt_form() -> ResponseReturnValue:
    typed = request.args.get("kode", "").strip()
    return redirect(url_for("web.receipt", typed=typed[:40])) if typed else render_template("pages/receipt_form.html")


@pages.route("/r/<path:typed>")
@allow()
def receipt(typed: str) -> ResponseReturnValue:
    address = request.remote_addr or ""
    if guard().locked_until(address):
        raise TooManyRequests
    code = read_code(typed[:40])
    record = deployment().log.check_by_code(code) if code else None
    shown = records.show(record) if record else None
    if record is None or shown is None:
        guard().failed(address)
        error = (
            _("Kode ini tidak tercatat di sini.")
            if code
            else _("Salah ketik? Periksa kembali tiap huruf dan angkanya.")
        )
        return render_template("pages/receipt_form.html", typed=typed[:40], error=error), 404
    return _page(record, shown)


def _page(record: CheckRecord, shown: records.Shown) -> ResponseReturnValue:
    texts, given = {}, json.loads(record.document)
    for spoken in language.LANGUAGES:
        with force_locale(spoken):
            told = document.build(shown.entry, given["receipt"], deployment().log.origin, spoken)
            texts[spoken] = (told["label"], _state(record))
    facts = [
        (_("Kode"), record.receipt_code),
        (_("Nomor permohonan"), record.reference),
        (_("Jenis izin"), f"{permits.name(record.permit_type)} – {permits.region_name(record.region)}"),
        (_("Nama usaha"), _masked(shown)),
        (_("Dinilai per"), language.day(record.as_at)),
        (_("Diperiksa"), language.moment(record.checked_at, permits.zone(record.region))),
    ]
    return render_template(
        "pages/receipt.html",
        code=record.receipt_code,
        verdict=record.verdict,
        label={name: text[0] for name, text in texts.items()},
        state={name: text[1] for name, text in texts.items()},
        marks=shown.marks,
        faded=shown.on_trial or not _holds(record),
        backdated=record.backdated,
        facts=[(name, value) for name, value in facts if value],
    )


def _holds(record: CheckRecord) -> bool:
    """Whether it is neither expired nor replaced."""
    gate = deployment()
    today = gate.policy.today(record.region, gate.clock())
    return not record.superseded_by and (record.valid_until is None or record.valid_until >= today)


def _state(record: CheckRecord) -> str:
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
    if not _holds(record):
        return _("Bukti ini asli, tetapi masa berlakunya berakhir pada %(until)s.", until=until)
    return _("Bukti ini asli dan berlaku sampai %(until)s.", until=until)


def _masked(shown: records.Shown) -> str:
    """The business's name; of a person's business only how its words begin (contract §2)."""
    name = shown.name or ""
    if shown.entry.body["facts"]["application"].get("legal_form") != "17":
        return name
    return " ".join(word[:2] + "…" if len(word) > 2 else word for word in name.split())
