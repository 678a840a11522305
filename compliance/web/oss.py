"""Filling the form from what OSS wrote of a NIB: pasted or uploaded, read, and forgotten."""

import json
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from compliance.errors import BadInput, FieldError
from compliance.intake import oss
from compliance.web import checks, desk, fields, language
from compliance.web.pages import _, pages
from compliance.web.visitors import CHECKERS, allow, me

LIMIT = 1024 * 1024


@pages.route("/periksa/oss", methods=["GET", "POST"])
@allow(*CHECKERS, most=2 * LIMIT + 10_000)
def from_oss() -> ResponseReturnValue:
    """One permit of this region goes straight to the form; of several the clerk chooses."""

    def read(typed: dict[str, str]) -> ResponseReturnValue:
        items = oss.read(_document(typed["text"]), language.current())
        mine = [fields.flat(item.stated) for item in items if item.region in me().regions]
        if not mine:
            none = _("Tidak ada izin untuk daerah Anda di dalamnya.") if items else _("Daftar izinnya kosong.")
            raise BadInput(FieldError("/text", none))
        if len(mine) == 1:
            return checks.form_page(mine[0])
        return render_template("pages/oss_choice.html", items=mine, others=len(items) - len(mine))

    return desk.run("oss", desk.page("pages/oss.html"), read)


def _document(text: str) -> Any:
    """The JSON of the file, else of the text. Raises BadInput that says where it is wrong, not what it said."""
    sent = request.files.get("file")
    name, raw = ("/file", sent.read()) if sent and sent.filename else ("/text", text.encode(errors="replace"))
    if not raw.strip():
        raise BadInput(FieldError("/text", _("Tempel isi pesan OSS, atau pilih berkasnya.")))
    if len(raw) > LIMIT:
        raise BadInput(FieldError(name, _("Lebih besar dari 1 MiB. Kirim satu NIB saja.")))
    try:
        found = json.loads(raw.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        where = {"line": error.lineno, "column": error.colno}
        told = _("Bukan JSON yang utuh: berhenti di baris %(line)s, kolom %(column)s. Salin sekali lagi.", **where)
        raise BadInput(FieldError(name, told)) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(FieldError(name, _("Bukan teks UTF-8, atau terlalu dalam bersarang."))) from error
    return {"dataNIB": found} if isinstance(found, dict) and "nib" in found else found
