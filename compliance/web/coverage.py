"""Who is covered: the sentence of a region on a day, its sources and trend, and the lists behind it.

All roles of a region see it; its supervisors and administrators change lists and ask the agency.
"""

import hashlib
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from compliance.access.users import Role
from compliance.coverage import acts, lines
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError, ImportRefused
from compliance.gate import Asker
from compliance.registry.reading.sheets import sheets
from compliance.web import region
from compliance.web.audit import looked
from compliance.web.fields import FORM, Form, must, word
from compliance.web.pages import BOTH, EVERYBODY, POST, _, done, download, me, page

CHANGERS = (Role.SUPERVISOR, Role.ADMINISTRATOR)
LARGEST, PER_PAGE = 5 * 1024 * 1024, 25


def _asked(kind: str = "") -> dict[str, Any]:
    """What the address asks for: one's own region, a day that has come, and all that was known there then.

    An auditor's look, and an export by anybody, is an entry first.
    """
    regions = me().regions or abort(403)
    if (code := request.args.get("daerah") or regions[0]) not in regions:
        abort(404)
    today, wrong = region.today(code), ""
    try:
        day = date.fromisoformat(request.args.get("per") or today.isoformat())
    except ValueError:
        day = date.max
    if day > today:
        day, wrong = today, _("Isi tanggal yang sudah tiba, misalnya %(day)s.", day=today.isoformat())
    if kind == "export" or (kind and me().role == Role.AUDITOR):
        looked("coverage", kind, region=code, as_of=day.isoformat())
    with db.engine.connect() as connection:
        rows = acts.known(connection, code, day)
    told = {"regions": regions, "region": code, "day": day, "today": today, "wrong": wrong, "rows": rows}
    told |= {"those": acts.institutions(rows, day), "room": acts, "may_change": me().role in CHANGERS}
    return told | {"kinds": FORM["choices"]["kind"]}


@page("/cakupan", *EVERYBODY)
def coverage() -> ResponseReturnValue:
    """The sentence, and the institutions behind it or behind one of its numbers."""
    told, wanted = _asked("looked"), {name: request.args[name] for name in acts.ABOUT if name in request.args}
    found = [one for one in told["those"] if all(one.about[name] == wanted[name] for name in wanted)]
    told |= {"wanted": wanted, "found": found, "page": max(request.args.get("halaman", 1, type=int), 1)}
    return render_template("coverage/sentence.html", **told, per_page=PER_PAGE), 422 if told["wrong"] else 200


@page("/cakupan/rapat.xlsx", *EVERYBODY)
def coverage_export() -> ResponseReturnValue:
    """The workbook for the coordination meeting; that it was taken is in the log."""
    told = _asked("export")
    made = lines.workbook(render_template("coverage/workbook.txt", **told))
    return download(made, f"cakupan-{told['region']}-{told['day']}.xlsx", lines.XLSX)


@page("/cakupan/lembaga/<one>", *EVERYBODY)
@page("/cakupan/lembaga/<one>", *CHANGERS, methods=POST, name="change_institution")
@page("/cakupan/baru", *CHANGERS, methods=BOTH, name="new_institution")
def institution(one: str = "") -> ResponseReturnValue:
    """One institution with all that was ever said of it; or a new one."""
    told, here, asker = _asked(), deployment(), Asker("user", me().id)
    known = next((each for each in told["those"] if each.id == one), None)
    if one and not known:
        abort(404)
    code, today, act = told["region"], told["today"], request.form.get("act")
    if me().role == Role.AUDITOR:
        looked("institution", region=code, institution=one)
    form = Form("institution", {k: str(v) for k, v in known.facts.items() if v is not None} if known else {})
    with form as typed:
        if known and act == "ask":
            db.session.remove()  # no connection is held while the agency is asked
            return done(word("why", acts.ask(here, code, known, asker)), "institution", one=one, daerah=code)
        if known and act == "remove":
            acts.change(here, code, one, {"as_of": today.isoformat(), "removed": True}, asker)
            return done(_("Dikeluarkan dari daftar mulai hari ini."), "coverage", daerah=code)
        if typed:
            typed |= {name: known.facts[name] for name in ("kind", "name")} if known else {}
            must(**{name: (typed[name], _("wajib diisi")) for name in ("kind", "name")})
            [facts] = lines.read([("", list(typed)), ("", list(typed.values()))], today, region.language())
            key = one or lines.identity(facts)
            listed = not known and key in {each.id for each in told["those"]}
            must(name=(not listed, _("Lembaga ini sudah ada di daftar; ubahlah di halamannya.")))
            acts.change(here, code, key, dict.fromkeys(typed) | facts, asker)
            return done(_("Perubahan dicatat."), "institution", one=key, daerah=code)
    past = [row for row in told["rows"] if row.institution == one][::-1]
    return form.show("coverage/one.html", **told, known=known, past=past)


@page("/cakupan/impor", *CHANGERS, methods=BOTH, most=LARGEST)
def coverage_import() -> ResponseReturnValue:
    told, sent, form = _asked(), request.files.get("file"), Form("institutions")
    with form as typed:
        if typed:
            must(file=(sent and sent.filename, _("Pilih berkas daftar, CSV atau XLSX.")))
            with tempfile.TemporaryDirectory() as folder:
                request.files["file"].save(path := Path(folder) / "daftar")
                try:
                    opened = sheets(path, lambda cells: len(lines.columns(cells)))
                    rows = [(row.place, row.cells) for _name, each in opened for row in each]
                except ImportRefused as error:
                    raise BadInput(FieldError("/file", _("Tidak terbaca: %(why)s", why=str(error)))) from error
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            who, complete, code = Asker("user", me().id), typed["complete"] == "yes", told["region"]
            taken = acts.take_list(deployment(), code, rows, digest, who, region.language(), complete)
            counts = ", ".join(f"{count} {word('kind', kind)}" for kind, count in taken.items())
            return done(_("Daftar diterima: %(counts)s.", counts=counts), "coverage", daerah=code)
    return form.show("coverage/import.html", **told)
