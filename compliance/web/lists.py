"""Lists: of applications to check, with what OSS is told of them; of institutions, and who of a region is covered. And
what is in force: a region's law, what it asks of a permit type, how the agency answers."""

import datetime as dt
import hashlib
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import abort, redirect, render_template, request, url_for
from ulid import ULID

from compliance.access.users import Role
from compliance.audit.table import check_record
from compliance.batches import reading, run
from compliance.coverage import acts, lines
from compliance.database import db, rows
from compliance.delivery import outbox as oss
from compliance.errors import BadInput, FieldError, ImportRefused, TooMuch
from compliance.gate import Asker
from compliance.law.facts import Programme, Scale
from compliance.registry import snapshot, sources, watchers
from compliance.registry.reading.sheets import sheets
from compliance.web import Told, _, done, download, fields, here, language, me, mine
from compliance.web.audit import looked
from compliance.web.fields import FORM, Form, must, today, word

PER_PAGE, YEAR = 25, dt.timedelta(days=365)


def _asker() -> Asker:
    return Asker("user", me.id)


def _turn() -> AbstractContextManager[None]:
    """While a large file is held. Raises BadInput when as many are as may be."""
    waits = _("Beberapa berkas besar sedang dibaca. Tunggu setengah menit, lalu kirim lagi.")
    return reading.turn(request.content_length, BadInput(FieldError("/file", waits)))


def batches() -> Told:
    """The form's `once` and the file make the batch's id: a second click is the same batch, another file is not."""
    sent, wrong = request.files.get("file"), tuple[FieldError, ...]()
    with Form("batch") as form:
        if form.sent:
            must(file=(sent and sent.filename, _("Pilih berkas CSV.")))
            once = request.form.get("once", type=ULID.from_str) or abort(400)
            with _turn():
                raw = request.files["file"].read()
                batch_id = str(ULID(once.bytes[:6] + hashlib.sha256(once.bytes + raw).digest()[:10]))
                try:
                    if not run.status(here.log.engine, batch_id):
                        read = reading.read_csv(raw, language())
                        judged = list(reading.judge(here, read, me.regions, _asker(), language()))
                        run.start(here, batch_id, judged, _asker())
                    return redirect(url_for("web.batch", batch_id=batch_id), 303)
                except TooMuch:
                    must(file=(False, _("Paling banyak %(most)s baris.", most=reading.MOST)))
                except BadInput as error:
                    wrong = error.errors
                    must(file=(False, _("Ada yang salah di dalamnya; tidak ada yang diperiksa.")))
    told = {"wrong": wrong, "once": str(ULID()), "most": reading.MOST, "columns": reading.TYPES}
    return form.page | told | {"rows": run.recent(here.log.engine, me.regions)}


def batch(batch_id: str) -> Told:
    found, still = mine(run.status(here.log.engine, batch_id)), "diam" in request.args
    open_still = found.state in ("queued", "running")
    if request.method == "POST" and open_still:
        run.cancel(here, batch_id, _asker())
        return done(_("Sisa baris tidak diperiksa lagi."), "batch", batch_id=batch_id)
    headers = {"Refresh": "10"} if open_still and not still else {}
    return {"batch": found, "still": still, "headers": headers}


def batch_results(batch_id: str) -> Told:
    found = mine(run.status(here.log.engine, batch_id))
    looked("batch", "export", batch=batch_id)
    return download(run.results(here.log.engine, found), f"hasil-{batch_id}.csv", "text/csv")


def oss_status() -> Told:
    """The list of OSS's newest permits; with `nib` and `izin` in the address the form of one: a supervisor says it."""
    wanted, known = (request.args.get("nib", ""), request.args.get("izin", "")), oss.permits(here, me.regions)
    permit, check = next((each for each in known if (each[0].nib, each[0].id_izin) == wanted), (None, None))
    if not permit or not check:
        return abort(404) if any(wanted) else render_template("batches/oss.html", known=known, on=here.settings.oss_url)
    with Form("oss_status") as form:
        if form.sent:
            private = {"name": me.name} | {name: text for name, text in form.sent.items() if text}
            status = private.pop("status", "")
            once = request.form.get("once", type=ULID.from_str) or abort(400)
            oss.tell(here, *wanted, status, once=str(once), by=me.id, private=private)
            return done(_("Dicatat; OSS diberi tahu."), "oss_status")
    fits = [status for status, action in oss.STATES.items() if action in (None, check.action)]
    return form.page | {"permit": permit, "check": check, "fits": fits, "once": str(ULID())}


def _asked(kind: str = "") -> dict[str, Any]:
    """All that was known in a region on a day that has come; an auditor's look, and an export, is an entry first."""
    regions = me.regions or abort(403)
    if (code := request.args.get("daerah") or regions[0]) not in regions:
        abort(404)
    now, errors = today(code), ""
    day = request.args.get("per", dt.date.max if request.args.get("per") else now, type=dt.date.fromisoformat)
    if day > now:
        day, errors = now, _("Isi tanggal yang sudah tiba, misalnya %(day)s.", day=now.isoformat())
    if kind == "export" or (kind and me.role == Role.AUDITOR):
        looked("coverage", kind, region=code, as_of=day.isoformat())
    facts = acts.known(here, code, day)
    told = {"region": code, "day": day, "today": now, "errors": errors, "rows": facts, "room": acts}
    return told | {"those": acts.institutions(facts, day), "kinds": FORM["choices"]["kind"]}


def coverage() -> Told:
    """The sentence, and the institutions behind it or behind one of its numbers."""
    told, page = _asked("looked"), max(request.args.get("halaman", 1, type=int), 1)
    wanted = {name: request.args[name] for name in acts.ABOUT if name in request.args}
    found = [one for one in told["those"] if all(one.about[name] == wanted[name] for name in wanted)]
    return told | {"wanted": wanted, "found": found, "page": page, "per_page": PER_PAGE}


def coverage_export() -> Told:
    """The workbook for a meeting."""
    told = _asked("export")
    made = lines.workbook(render_template("coverage/workbook.txt", **told))
    return download(made, f"cakupan-{told['region']}-{told['day']}.xlsx", lines.XLSX)


def institution(one: str = "") -> Told:
    """One institution with all that was ever said of it; or a new one."""
    told, act = _asked(), request.form.get("act")
    code, now, those = told["region"], told["today"], {each.id: each for each in told["those"]}
    if one and one not in those:
        abort(404)
    if me.role == Role.AUDITOR:
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
    return told | form.page | {"known": known, "past": past}


def coverage_import() -> Told:
    told, sent = _asked(), request.files.get("file")
    with Form("institutions") as form:
        if form.sent:
            must(file=(sent and sent.filename, _("Pilih berkas daftar, CSV atau XLSX.")))
            with _turn(), tempfile.TemporaryDirectory() as folder:
                request.files["file"].save(path := Path(folder) / "daftar")
                try:
                    opened = sheets(path, lambda cells: len(lines.columns(cells)))
                    read = [(row.place, row.cells) for _name, each in opened for row in each]
                except ImportRefused as error:
                    raise BadInput(FieldError("/file", _("Tidak terbaca: %(why)s", why=str(error)))) from error
                digest, complete = hashlib.sha256(path.read_bytes()).hexdigest(), form.sent["complete"] == "yes"
                taken = acts.take_list(here, told["region"], read, digest, _asker(), language(), complete)
            counts = ", ".join(f"{count} {word('kind', kind)}" for kind, count in taken.items())
            return done(_("Daftar diterima: %(counts)s.", counts=counts), "coverage", daerah=told["region"])
    return told | form.page


def needs() -> Told:
    """What will be asked and what is owed, before anybody applies; nothing of it is kept."""
    regions, given, told = here.policy.regions, request.args, dict[str, Any]()
    region = given["daerah"] if given.get("daerah") in regions else here.settings.region or next(iter(regions))
    scale, permit_type = given.get("skala", type=Scale), given.get("izin", "").strip().upper()[:200]
    if permit_type and scale:
        found, law = fields.rule(region, permit_type, scale=scale), fields.law_of(region)
        owed = law.entries["programmes", (scale,)]
        codes = {*owed.data["owed"], *(found.programmes if found else ())}
        told = {"rule": found, "law": law, "asked": fields.needed(found), "basis": owed.basis, "today": today(region)}
        told |= {"owed": [one for one in Programme if one in codes], "coming": fields.coming(region)}
    chosen = {"region": region, "permit_type": permit_type, "scale": scale, "regions": regions}
    return chosen | {"offered": fields.offered(region), "told": told}


def law() -> Told:
    """What a region's law says today, and every change of it that is known already."""
    region = request.args["daerah"] if request.args.get("daerah") in me.regions else me.regions[0]
    now = today(region)
    years = {year: here.policy.calendar.years.get(year) for year in (now.year, now.year + 1)}
    told = {"region": region, "years": years, "today": now, "law": fields.law_of(region)}
    return told | {"coming": fields.coming(region), "unlooked": here.policy.unlooked(now - YEAR)}


def agency() -> Told:
    """How the agency answers."""
    gaps, c = watchers.OUTAGES, check_record.c
    answered = sa.select(sa.func.max(c.received_at)).where(c.region.in_(me.regions))
    told = {"gate": here.gate, "zone": me.regions[0], "sentinels": here.settings.registry_sentinels}
    told |= {"brakes": watchers.brake_states(db.engine), "breaker": sources.breaker_state(here.gate.source)}
    told["outages"] = rows(db.engine, sa.select(gaps).order_by(gaps.c.since.desc()).limit(10))
    told["imports"] = [row for row in snapshot.current_imports(db.engine) if row.region in ("", *me.regions)]
    return told | {"answered": rows(db.engine, answered)[0][0]}
