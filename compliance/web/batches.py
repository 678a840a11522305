"""Many applications in one file: upload, a report of every wrong line, progress, results."""

import hashlib

from flask import Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from ulid import ULID

from compliance.batches import reading, run
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError, TooMuch
from compliance.gate import Asker
from compliance.web import desk, language
from compliance.web.fields import Field
from compliance.web.pages import _, pages
from compliance.web.visitors import CHECKERS, allow, me


@pages.route("/kumpulan", methods=["GET", "POST"])
@allow(*CHECKERS, most=reading.MOST_BYTES + 10_000)
def batches() -> ResponseReturnValue:
    """The form's `once` and the file make the batch's id: a second click is the same batch, another file is not."""
    here, sent, wrong = deployment(), request.files.get("file"), list[tuple[str, str, str]]()
    once = request.form.get("once", "") or str(ULID())

    def show(boxes: list[Field], others: list[str]) -> str:
        told = {"boxes": boxes, "others": others, "wrong": wrong, "once": str(ULID()), "most": reading.MOST}
        rows = run.recent(here.log.engine, me().regions)
        return render_template("batches/new.html", rows=rows, columns=reading.TYPES, **told)

    def take(typed: dict[str, str]) -> ResponseReturnValue:
        if not sent or not sent.filename:
            raise BadInput(FieldError("/file", _("Pilih berkas CSV.")))
        try:
            raw, begun = sent.read(), ULID.from_str(once).bytes
            batch_id = str(ULID(begun[:6] + hashlib.sha256(begun + raw).digest()[:10]))
            if not run.status(here.log.engine, batch_id):
                asker, spoken = Asker("user", me().id), language.current()
                rows = reading.read_csv(raw, spoken)
                run.start(here, batch_id, list(reading.judge(here, rows, me().regions, asker, spoken)), asker)
        except TooMuch as error:
            raise BadInput(FieldError("/file", _("Paling banyak %(most)s baris.", most=reading.MOST))) from error
        except BadInput as error:
            wrong.extend(_line(one) for one in error.errors)
            raise BadInput(FieldError("/file", _("Ada yang salah di dalamnya; tidak ada yang diperiksa."))) from error
        except ValueError:
            abort(400)
        return redirect(url_for("web.batch", batch_id=batch_id), 303)

    return desk.run("batch", show, take)


def _line(error: FieldError) -> tuple[str, str, str]:
    """The spreadsheet's line (the header is its first), the column, and what is wrong."""
    _empty, checks, *rest = f"{error.pointer}/".split("/")
    return (str(int(rest[0]) + 2), ".".join(rest[1:-1]), error.detail) if checks and rest[0] else ("", "", error.detail)


def _mine(batch_id: str) -> run.Status:
    found = run.status(deployment().log.engine, batch_id)
    return found if found and set(found.regions) <= set(me().regions) else abort(404)


@pages.route("/kumpulan/<batch_id>", methods=["GET", "POST"])
@allow(*CHECKERS)
def batch(batch_id: str) -> ResponseReturnValue:
    found = _mine(batch_id)
    if request.method == "POST" and found.state in ("queued", "running"):
        run.cancel(deployment(), batch_id, Asker("user", me().id))
        return desk.done(_("Sisa baris tidak diperiksa lagi."), "batch", batch_id=batch_id)
    still = "diam" in request.args
    page = Response(render_template("batches/one.html", batch=found, still=still))
    if found.state in ("queued", "running") and not still:
        page.headers["Refresh"] = "10"
    return page


@pages.route("/kumpulan/<batch_id>/hasil.csv")
@allow(*CHECKERS)
def batch_results(batch_id: str) -> ResponseReturnValue:
    found = _mine(batch_id)
    headers = {"Content-Disposition": f'attachment; filename="hasil-{batch_id}.csv"'}
    return Response(
        run.results(deployment().log.engine, found), content_type="text/csv; charset=utf-8", headers=headers
    )
