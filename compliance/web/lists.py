"""Lists: of applications to check, with what OSS is told of them; of institutions, and who of a region is covered."""

import hashlib
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from flask import Response, abort, redirect, render_template, request, url_for
from ulid import ULID

from compliance.access.users import Role
from compliance.batches import reading, run
from compliance.coverage import acts, lines
from compliance.database import db
from compliance.delivery import outbox as oss
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError, ImportRefused, TooMuch
from compliance.gate import Asker
from compliance.registry.reading.sheets import sheets
from compliance.web import BOTH, CHANGERS, CHECKERS, EVERYBODY, POST, Reply, _, done, download, language, me, mine, page
from compliance.web.audit import looked
from compliance.web.fields import FORM, Form, must, today, word

LARGEST, PER_PAGE = 5 * 1024 * 1024, 25


def _asker() -> Asker:
    return Asker("user", me().id)


@page("/kumpulan", *CHECKERS, methods=BOTH, most=reading.MOST_BYTES + 10_000)
def batches() -> Reply:
    """The form's `once` and the file make the batch's id: a second click is the same batch, another file is not."""
    here, regions, sent, wrong = deployment(), me().regions, request.files.get("file"), tuple[FieldError, ...]()
    with Form("batch") as form:
        if form.sent:
            must(file=(sent and sent.filename, _("Pilih berkas CSV.")))
            raw, once = request.files["file"].read(), request.form.get("once", type=ULID.from_str) or abort(400)
            batch_id = str(ULID(once.bytes[:6] + hashlib.sha256(once.bytes + raw).digest()[:10]))
            try:
                if not run.status(here.log.engine, batch_id):
                    rows = reading.read_csv(raw, language())
                    run.start(here, batch_id, list(reading.judge(here, rows, regions, _asker(), language())), _asker())
                return redirect(url_for("web.batch", batch_id=batch_id), 303)
            except TooMuch:
                must(file=(False, _("Paling banyak %(most)s baris.", most=reading.MOST)))
            except BadInput as error:
                wrong = error.errors
                must(file=(False, _("Ada yang salah di dalamnya; tidak ada yang diperiksa.")))
    told = {"wrong": wrong, "once": str(ULID()), "most": reading.MOST, "columns": reading.TYPES}
    return form.show("batches/new.html", rows=run.recent(here.log.engine, regions), **told)


@page("/kumpulan/<batch_id>", *CHECKERS, methods=BOTH)
@page("/kumpulan/<batch_id>/hasil.csv", *CHECKERS, name="batch_results", defaults={"results": True})
def batch(batch_id: str, results: bool = False) -> Reply:
    engine, still = deployment().log.engine, "diam" in request.args
    found = mine(run.status(engine, batch_id))
    open_still = found.state in ("queued", "running")
    if results:
        looked("batch", "export", batch=batch_id)
        return download(run.results(engine, found), f"hasil-{batch_id}.csv", "text/csv")
    if request.method == "POST" and open_still:
        run.cancel(deployment(), batch_id, _asker())
        return done(_("Sisa baris tidak diperiksa lagi."), "batch", batch_id=batch_id)
    refresh = {"Refresh": "10"} if open_still and not still else {}
    return Response(render_template("batches/one.html", batch=found, still=still), headers=refresh)


@page("/oss/status", Role.SUPERVISOR, methods=BOTH)
def oss_status() -> Reply:
    """The list of OSS's newest permits; with `nib` and `izin` in the address the form of one: a supervisor says it."""
    here, wanted = deployment(), (request.args.get("nib", ""), request.args.get("izin", ""))
    known = oss.permits(here, me().regions)
    permit, check = next((each for each in known if (each[0].nib, each[0].id_izin) == wanted), (None, None))
    if not permit or not check:
        return abort(404) if any(wanted) else render_template("batches/oss.html", known=known, on=here.settings.oss_url)
    with Form("oss_status") as form:
        if form.sent:
            private = {"name": me().name} | {name: text for name, text in form.sent.items() if text}
            status = private.pop("status", "")
            once = request.form.get("once", type=ULID.from_str) or abort(400)
            oss.tell(here, *wanted, status, once=str(once), by=me().id, private=private)
            return done(_("Dicatat; OSS diberi tahu."), "oss_status")
    fits = [status for status, action in oss.STATES.items() if action in (None, check.action)]
    return form.show("batches/oss_one.html", permit=permit, check=check, fits=fits, once=str(ULID()))


def _asked(kind: str = "") -> dict[str, Any]:
    """All that was known in a region on a day that has come; an auditor's look, and an export, is an entry first."""
    regions = me().regions or abort(403)
    if (code := request.args.get("daerah") or regions[0]) not in regions:
        abort(404)
    now, wrong = today(code), ""
    unread = date.max if request.args.get("per") else now
    day = request.args.get("per", unread, type=date.fromisoformat)
    if day > now:
        day, wrong = now, _("Isi tanggal yang sudah tiba, misalnya %(day)s.", day=now.isoformat())
    if kind == "export" or (kind and me().role == Role.AUDITOR):
        looked("coverage", kind, region=code, as_of=day.isoformat())
    rows = acts.known(deployment(), code, day)
    told = {"regions": regions, "region": code, "day": day, "today": now, "wrong": wrong, "rows": rows}
    told |= {"those": acts.institutions(rows, day), "room": acts, "may_change": me().role in CHANGERS}
    return told | {"kinds": FORM["choices"]["kind"]}


@page("/cakupan", *EVERYBODY)
@page("/cakupan/rapat.xlsx", *EVERYBODY, name="coverage_export", defaults={"book": True})
def coverage(book: bool = False) -> Reply:
    """The sentence, and the institutions behind it or behind one of its numbers; or the workbook for a meeting."""
    told = _asked("export" if book else "looked")
    if book:
        made = lines.workbook(render_template("coverage/workbook.txt", **told))
        return download(made, f"cakupan-{told['region']}-{told['day']}.xlsx", lines.XLSX)
    wanted = {name: request.args[name] for name in acts.ABOUT if name in request.args}
    found = [one for one in told["those"] if all(one.about[name] == wanted[name] for name in wanted)]
    told |= {"wanted": wanted, "found": found, "page": max(request.args.get("halaman", 1, type=int), 1)}
    return render_template("coverage/sentence.html", **told, per_page=PER_PAGE), 422 if told["wrong"] else 200


@page("/cakupan/lembaga/<one>", *EVERYBODY)
@page("/cakupan/lembaga/<one>", *CHANGERS, methods=POST, name="change_institution")
@page("/cakupan/baru", *CHANGERS, methods=BOTH, name="new_institution")
def institution(one: str = "") -> Reply:
    """One institution with all that was ever said of it; or a new one."""
    told, here, act = _asked(), deployment(), request.form.get("act")
    code, now, those = told["region"], told["today"], {each.id: each for each in told["those"]}
    if one and one not in those:
        abort(404)
    if me().role == Role.AUDITOR:
        looked("institution", region=code, institution=one)
    known = those.get(one)
    with Form("institution", {k: str(v) for k, v in known.facts.items() if v is not None} if known else {}) as form:
        if known and act == "ask":
            db.session.remove()  # no connection is held while the agency is asked
            return done(word("why", acts.ask(here, code, known, _asker())), "institution", one=one, daerah=code)
        if known and act == "remove":
            acts.change(here, code, one, {"as_of": now.isoformat(), "removed": True}, _asker())
            return done(_("Dikeluarkan dari daftar mulai hari ini."), "coverage", daerah=code)
        if form.sent:
            typed = form.sent | ({name: known.facts[name] for name in ("kind", "name")} if known else {})
            must(**{name: (typed[name], _("wajib diisi")) for name in ("kind", "name")})
            [facts] = lines.read([("", list(typed)), ("", list(typed.values()))], now, language())
            key, again = one or lines.identity(facts), _("Lembaga ini sudah ada di daftar; ubahlah di halamannya.")
            must(name=(known or key not in those, again))
            acts.change(here, code, key, dict.fromkeys(typed) | facts, _asker())
            return done(_("Perubahan dicatat."), "institution", one=key, daerah=code)
    past = [row for row in told["rows"] if row.institution == one][::-1]
    return form.show("coverage/one.html", **told, known=known, past=past)


@page("/cakupan/impor", *CHANGERS, methods=BOTH, most=LARGEST)
def coverage_import() -> Reply:
    told, sent = _asked(), request.files.get("file")
    with Form("institutions") as form:
        if form.sent:
            must(file=(sent and sent.filename, _("Pilih berkas daftar, CSV atau XLSX.")))
            with tempfile.TemporaryDirectory() as folder:
                request.files["file"].save(path := Path(folder) / "daftar")
                try:
                    opened = sheets(path, lambda cells: len(lines.columns(cells)))
                    rows = [(row.place, row.cells) for _name, each in opened for row in each]
                except ImportRefused as error:
                    raise BadInput(FieldError("/file", _("Tidak terbaca: %(why)s", why=str(error)))) from error
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            code, complete = told["region"], form.sent["complete"] == "yes"
            taken = acts.take_list(deployment(), code, rows, digest, _asker(), language(), complete)
            counts = ", ".join(f"{count} {word('kind', kind)}" for kind, count in taken.items())
            return done(_("Daftar diterima: %(counts)s.", counts=counts), "coverage", daerah=code)
    return form.show("coverage/import.html", **told)
