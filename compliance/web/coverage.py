"""Who is covered: the sentence of a region on a day, its sources and trend, and the lists behind it.

All roles of a region see it; its supervisors and administrators change lists and ask the agency.
"""

import hashlib
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from flask import Response, abort, render_template, request
from flask.typing import ResponseReturnValue

from compliance.access.users import Role
from compliance.coverage import acts, lines, sheet, standing
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError, ImportRefused
from compliance.gate import Asker
from compliance.registry.reading.sheets import sheets
from compliance.web import desk, language
from compliance.web.audit import looked
from compliance.web.fields import FORM, Field
from compliance.web.pages import _, pages
from compliance.web.visitors import EVERYBODY, allow, me

CHANGERS = (Role.SUPERVISOR, Role.ADMINISTRATOR)
LARGEST, PER_PAGE = 5 * 1024 * 1024, 25


@pages.app_template_global("coverage_word")
def word(fact: str, code: str | None) -> str:
    """A code of a fact as people say it; other texts as they are."""
    choices = FORM["choices"].get(fact, {})
    return _(choices[code]) if code in choices else code or ""


def _asked(kind: str = "") -> dict[str, Any]:
    """What the address asks for: one's own region, a day that has come, and all that was known there then.

    An auditor's look, and an export by anybody, is an entry first.
    """
    here, regions = deployment(), me().regions or abort(403)
    if (region := request.args.get("daerah") or regions[0]) not in regions:
        abort(404)
    today, wrong = here.policy.today(region, here.clock()), ""
    try:
        day = date.fromisoformat(request.args.get("per") or today.isoformat())
    except ValueError:
        day = date.max
    if day > today:
        day, wrong = today, _("Isi tanggal yang sudah tiba, misalnya %(day)s.", day=today.isoformat())
    if kind == "export" or (kind and me().role == Role.AUDITOR):
        looked("coverage", kind, region=region, as_of=day.isoformat())
    with db.engine.connect() as connection:
        rows = standing.known(connection, region, day)
    told = {"regions": regions, "region": region, "day": day, "today": today, "wrong": wrong, "rows": rows}
    return told | {"those": standing.institutions(rows, day), "room": standing, "may_change": me().role in CHANGERS}


@pages.route("/cakupan")
@allow(*EVERYBODY)
def coverage() -> ResponseReturnValue:
    """The sentence, and the institutions behind it or behind one of its numbers."""
    told, wanted = _asked("looked"), {name: request.args[name] for name in standing.ABOUT if name in request.args}
    found = [one for one in told["those"] if all(one.about[name] == wanted[name] for name in wanted)]
    page = max(request.args.get("halaman", 1, type=int), 1)
    told |= {"wanted": wanted, "found": found, "page": page, "per_page": PER_PAGE, "kinds": FORM["choices"]["kind"]}
    return render_template("coverage/sentence.html", **told), 422 if told["wrong"] else 200


@pages.route("/cakupan/rapat.xlsx")
@allow(*EVERYBODY)
def coverage_export() -> ResponseReturnValue:
    """The workbook for the coordination meeting; that it was taken is in the log."""
    told = _asked("export")
    made = sheet.workbook(render_template("coverage/workbook.txt", **told, kinds=FORM["choices"]["kind"]))
    headers = {"Content-Disposition": f'attachment; filename="cakupan-{told["region"]}-{told["day"]}.xlsx"'}
    return Response(made, mimetype=sheet.XLSX, headers=headers)


@pages.get("/cakupan/lembaga/<one>")
@allow(*EVERYBODY)
def institution(one: str) -> ResponseReturnValue:
    """One institution with all that was ever said of it."""
    return _institution(one)


@pages.post("/cakupan/lembaga/<one>")
@allow(*CHANGERS)
def change_institution(one: str) -> ResponseReturnValue:
    return _institution(one)


@pages.route("/cakupan/baru", methods=["GET", "POST"])
@allow(*CHANGERS)
def new_institution() -> ResponseReturnValue:
    return _institution("")


def _institution(one: str) -> ResponseReturnValue:
    told, here, asker = _asked(), deployment(), Asker("user", me().id)
    known = next((each for each in told["those"] if each.id == one), None)
    if one and not known:
        abort(404)
    if me().role == Role.AUDITOR:
        looked("institution", region=told["region"], institution=one)
    region, today = told["region"], told["today"]

    def show(boxes: list[Field], others: list[str]) -> str:
        past = [row for row in told["rows"] if row.institution == one][::-1]
        return render_template("coverage/one.html", **told, known=known, past=past, boxes=boxes, others=others)

    def act(typed: dict[str, str]) -> ResponseReturnValue:
        asked, key = request.form.get("act"), one
        if known and asked == "ask":
            db.session.remove()  # no connection is held while the agency is asked
            message = word("why", acts.ask(here, region, known, asker))
        elif known and asked == "remove":
            acts.change(here, region, one, {"as_of": today.isoformat(), "removed": True}, asker)
            return desk.done(_("Dikeluarkan dari daftar mulai hari ini."), "coverage", daerah=region)
        else:
            typed |= {name: known.facts[name] for name in ("kind", "name")} if known else {}
            if missing := [name for name in ("kind", "name") if not typed[name]]:
                raise BadInput(*(FieldError(f"/{name}", _("wajib diisi")) for name in missing))
            [facts] = lines.read([("", list(typed)), ("", list(typed.values()))], today, language.current())
            if not known and (key := lines.identity(facts)) in {each.id for each in told["those"]}:
                raise BadInput(FieldError("/name", _("Lembaga ini sudah ada di daftar; ubahlah di halamannya.")))
            acts.change(here, region, key, dict.fromkeys(typed) | facts, asker)
            message = _("Perubahan dicatat.")
        return desk.done(message, "institution", one=key, daerah=region)

    return desk.run(
        "institution", show, act, {k: str(v) for k, v in known.facts.items() if v is not None} if known else {}
    )


@pages.route("/cakupan/impor", methods=["GET", "POST"])
@allow(*CHANGERS, most=LARGEST)
def coverage_import() -> ResponseReturnValue:
    told, here, sent = _asked(), deployment(), request.files.get("file")

    def show(boxes: list[Field], others: list[str]) -> str:
        return render_template("coverage/import.html", **told, boxes=boxes, others=others)

    def take(typed: dict[str, str]) -> ResponseReturnValue:
        if not sent or not sent.filename:
            raise BadInput(FieldError("/file", _("Pilih berkas daftar, CSV atau XLSX.")))
        with tempfile.TemporaryDirectory() as folder:
            sent.save(path := Path(folder) / "daftar")
            try:
                opened = sheets(path, lambda cells: len(lines.columns(cells)))
                rows = [(row.place, row.cells) for _name, each in opened for row in each]
            except ImportRefused as error:
                raise BadInput(FieldError("/file", _("Tidak terbaca: %(why)s", why=str(error)))) from error
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        who, complete = Asker("user", me().id), typed["complete"] == "yes"
        taken = acts.take_list(here, told["region"], rows, digest, who, language.current(), complete)
        counts = ", ".join(f"{count} {word('kind', kind)}" for kind, count in taken.items())
        return desk.done(_("Daftar diterima: %(counts)s.", counts=counts), "coverage", daerah=told["region"])

    return desk.run("institutions", show, take)
