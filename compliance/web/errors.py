"""Error pages in words, for everything that is not the API's: what happened, and what to do."""

from __future__ import annotations

from flask import Flask, current_app, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from compliance.errors import LogUnavailable
from compliance.web.language import _


def register(app: Flask) -> None:
    """The API answers for its own paths before these are asked."""
    app.register_error_handler(HTTPException, _page)
    app.register_error_handler(LogUnavailable, _no_log)


def _page(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error
    return _render(error, error.code)


def _no_log(error: LogUnavailable) -> ResponseReturnValue:
    current_app.logger.error("log unavailable on %s: %s", request.path, error)
    return _render(error, 503)


def _render(error: Exception, code: int) -> ResponseReturnValue:
    return render_template("pages/error.html", code=code, what=_words(error, code), request_id=request_id()), code


def request_id() -> str:
    """The number of this request, as the service's log knows it."""
    return str(getattr(g, "request_id", ""))


def _words(error: Exception, code: int) -> tuple[str, str]:
    """A heading, and what to do now."""
    if isinstance(error, CSRFError):
        return (
            _("Formulir ini sudah kedaluwarsa"),
            _("Kembali ke halaman sebelumnya, muat ulang, lalu kirim sekali lagi. Tidak ada yang tersimpan."),
        )
    words = {
        403: (
            _("Anda tidak berwenang membuka halaman ini"),
            _("Masuk dengan akun yang berwenang, atau mintalah kepada administrator kantor Anda."),
        ),
        404: (
            _("Halaman tidak ditemukan"),
            _("Periksa kembali alamat atau kodenya. Mungkin salah ketik, atau bukan bagian dari daerah Anda."),
        ),
        413: (_("Kiriman terlalu besar"), _("Kirim berkas yang lebih kecil.")),
        429: (_("Terlalu banyak percobaan"), _("Tunggu beberapa menit, lalu coba lagi.")),
        503: (
            _("Catatan tidak dapat ditulis, jadi tidak ada hasil"),
            _(
                "Gerbang ini tidak memberi hasil yang tidak tercatat. Permohonan tidak ditolak dan tidak disetujui. "
                "Coba lagi beberapa menit lagi; bila tetap begini, hubungi administrator."
            ),
        ),
    }
    return words.get(code) or (
        (
            _("Terjadi gangguan"),
            _("Bukan kesalahan Anda. Coba lagi; bila berulang, sebutkan nomor ini kepada administrator."),
        )
        if code >= 500
        else (_("Permintaan tidak dapat diproses"), _("Kembali ke halaman sebelumnya dan coba lagi."))
    )
