"""Many applications in one file: upload, a report of every wrong line, progress, results; and what OSS is told."""

import hashlib

from flask import Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from ulid import ULID

from compliance.access.users import Role
from compliance.batches import reading, run
from compliance.delivery import oss
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError, TooMuch
from compliance.gate import Asker
from compliance.web import region
from compliance.web.fields import Form, must
from compliance.web.pages import BOTH, CHECKERS, _, done, download, me, ours, page


def _once() -> ULID:
    """The id that a form came with; whatever else is sent in its place is refused."""
    try:
        return ULID.from_str(request.form.get("once", "") or str(ULID()))
    except ValueError:
        abort(400)


@page("/kumpulan", *CHECKERS, methods=BOTH, most=reading.MOST_BYTES + 10_000)
def batches() -> ResponseReturnValue:
    """The form's `once` and the file make the batch's id: a second click is the same batch, another file is not."""
    here, sent, form, wrong = deployment(), request.files.get("file"), Form("batch"), list[tuple[str, str, str]]()
    with form as typed:
        if typed:
            must(file=(sent and sent.filename, _("Pilih berkas CSV.")))
            raw, begun = request.files["file"].read(), _once().bytes
            batch_id = str(ULID(begun[:6] + hashlib.sha256(begun + raw).digest()[:10]))
            asker, spoken = Asker("user", me().id), region.language()
            try:
                if not run.status(here.log.engine, batch_id):
                    lines = list(reading.judge(here, reading.read_csv(raw, spoken), me().regions, asker, spoken))
                    run.start(here, batch_id, lines, asker)
                return redirect(url_for("web.batch", batch_id=batch_id), 303)
            except TooMuch:
                must(file=(False, _("Paling banyak %(most)s baris.", most=reading.MOST)))
            except BadInput as error:
                wrong = [_line(one) for one in error.errors]
                must(file=(False, _("Ada yang salah di dalamnya; tidak ada yang diperiksa.")))
    told = {"wrong": wrong, "once": str(ULID()), "most": reading.MOST, "columns": reading.TYPES}
    return form.show("batches/new.html", rows=run.recent(here.log.engine, me().regions), **told)


def _line(error: FieldError) -> tuple[str, str, str]:
    """The spreadsheet's line (the header is its first), the column, and what is wrong."""
    _empty, checks, *rest = f"{error.pointer}/".split("/")
    return (str(int(rest[0]) + 2), ".".join(rest[1:-1]), error.detail) if checks and rest[0] else ("", "", error.detail)


def _mine(batch_id: str) -> run.Status:
    found = run.status(deployment().log.engine, batch_id)
    return found if found and ours(found.regions) else abort(404)


@page("/kumpulan/<batch_id>", *CHECKERS, methods=BOTH)
def batch(batch_id: str) -> ResponseReturnValue:
    found, still = _mine(batch_id), "diam" in request.args
    if request.method == "POST" and found.state in ("queued", "running"):
        run.cancel(deployment(), batch_id, Asker("user", me().id))
        return done(_("Sisa baris tidak diperiksa lagi."), "batch", batch_id=batch_id)
    shown = Response(render_template("batches/one.html", batch=found, still=still))
    if found.state in ("queued", "running") and not still:
        shown.headers["Refresh"] = "10"
    return shown


@page("/kumpulan/<batch_id>/hasil.csv", *CHECKERS)
def batch_results(batch_id: str) -> ResponseReturnValue:
    lines = run.results(deployment().log.engine, _mine(batch_id))
    return download(lines, f"hasil-{batch_id}.csv", "text/csv; charset=utf-8")


@page("/oss/status", Role.SUPERVISOR, methods=BOTH)
def oss_status() -> ResponseReturnValue:
    """The list of OSS's newest permits; with `nib` and `izin` in the address the form of one: a supervisor says it."""
    here, wanted = deployment(), (request.args.get("nib", ""), request.args.get("izin", ""))
    known = oss.permits(here, me().regions)
    permit, check = next((each for each in known if (each[0].nib, each[0].id_izin) == wanted), (None, None))
    if not permit or not check:
        return abort(404) if any(wanted) else render_template("batches/oss.html", known=known, on=here.settings.oss_url)
    form = Form("oss_status")
    with form as typed:
        if typed:
            status, private = typed.pop("status"), {"name": me().name} | {k: v for k, v in typed.items() if v}
            try:
                oss.tell(here, *wanted, status, once=str(_once()), by=me().id, private=private)
            except BadInput:
                must(status=(False, _("Status ini tidak sesuai dengan pemeriksaan terakhir.")))
            return done(_("Dicatat; OSS diberi tahu."), "oss_status")
    fits = [status for status, action in oss.STATES.items() if action in (None, check.action)]
    return form.show("batches/oss_one.html", permit=permit, check=check, fits=fits, once=str(ULID()))
