"""The clerk's work: ask, see the result, find earlier checks, see what waits."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import refresh
from werkzeug.exceptions import NotFound

from compliance.access.once import Once, OnceKey
from compliance.access.users import User
from compliance.audit.checks import CheckFilter, CheckRecord
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import AskedInProgress, AskedOtherwise, BadInput, FieldError, LogUnavailable
from compliance.gate import Asker, Question, Recorded
from compliance.intake import read_question, refused
from compliance.proof.receipt import read_code
from compliance.web import fields, language, paper, permits, records
from compliance.web.blueprint import pages
from compliance.web.errors import request_id
from compliance.web.language import _
from compliance.web.visitors import CHECKERS, allow, me, sign_in_page

MAIN = ("permit_type", "region")
PER_PAGE = 25
WAITING = 100


def rescue(signed_out: bool) -> ResponseReturnValue:
    """A form came after its session had ended: nothing that was typed is lost."""
    if signed_out:
        return sign_in_page("", _("Sesi Anda berakhir. Masuk lagi; isian Anda tidak hilang."), typed_fields())
    return form_page(
        typed_fields(), others=[_("Formulir ini sudah kedaluwarsa. Tekan Periksa sekali lagi.")], status=400
    )


@pages.route("/periksa", methods=["GET", "POST"])
@allow(*CHECKERS, rescue=rescue)
def check_form() -> ResponseReturnValue:
    if request.method == "GET":
        again = records.find(request.args.get("ulang", ""), me().regions)
        return form_page(again.stated) if again else type_page({"stage": "new"})
    typed, step = typed_fields(), request.form.get("step", "check")
    if step in language.LANGUAGES:
        session["language"] = step
        refresh()
        return form_page(typed)
    if step == "type" or not typed.get("permit_type"):
        return type_page(typed, _("Isi kode jenis izin.") if step == "fields" else "")
    return form_page(typed) if step == "fields" else run(typed, request.form.get("once", ""))


def refill(typed: dict[str, str]) -> ResponseReturnValue:
    """The form as it was before the session ended."""
    return form_page(typed) if typed.get("permit_type") else type_page(typed)


def typed_fields() -> dict[str, str]:
    """What was typed into fields that exist, and no more than a field takes."""
    known = {*fields.BY_NAME, *MAIN}
    return {name: text[:1000] for name, text in request.form.items() if name in known and text.strip()}


def type_page(typed: dict[str, str], other_error: str = "") -> ResponseReturnValue:
    region = _region(typed)
    carried = {name: text for name, text in typed.items() if name not in MAIN}
    page = render_template(
        "pages/check_type.html",
        permits=permits.offered(region),
        region=region,
        carried=carried,
        other_error=other_error,
    )
    return page, 422 if other_error else 200


def form_page(
    typed: dict[str, str],
    errors: tuple[FieldError, ...] = (),
    others: list[str] | None = None,
    status: int = 200,
    once: str = "",
) -> ResponseReturnValue:
    """The form with what was typed; `once` keeps a repeated click one check."""
    region, permit_type = _region(typed), typed["permit_type"].strip()
    rule = permits.rule(region, permit_type)
    asked = fields.needed(rule.grounds if rule else ())
    names = {field.name for field in asked}
    unplaced = [f"{error.pointer}: {error.detail}" for error in errors if fields.field_of(error.pointer) not in names]
    page = render_template(
        "pages/check_form.html",
        boxes=fields.boxes(asked, typed, errors),
        others=[*(others or ()), *unplaced],
        region=region,
        permit_type=permit_type,
        permit_name=permits.name(permit_type),
        stage=rule.stage.value if rule else "off",
        carried={name: text for name, text in typed.items() if name not in names and name not in MAIN},
        once=once or secrets.token_urlsafe(18),
        parts=fields.parts(),
    )
    return page, status


def run(typed: dict[str, str], once: str) -> ResponseReturnValue:
    """Make the check and show its page; a wrong field or a log that fails leaves all that was typed on the form."""
    user, once = me(), once or secrets.token_urlsafe(18)
    try:
        stated = _stated(typed, user)
        try:
            question = _question(stated, user)
        except BadInput as error:
            _refused(error, user)
            return form_page(typed, error.errors, status=422, once=once)
        recorded = _ask(question, stated, once, user)
    except AskedInProgress:
        waits = _("Pemeriksaan ini masih berjalan. Tunggu beberapa detik, lalu tekan Periksa sekali lagi.")
        return form_page(typed, others=[waits], status=409, once=once)
    except LogUnavailable:
        nothing = _("Catatan tidak dapat ditulis, jadi tidak ada hasil; permohonan tidak ditolak. Coba lagi nanti.")
        return form_page(typed, others=[nothing], status=503, once=once)
    return redirect(url_for("web.result", check_id=recorded.id), 303)


def _refused(error: BadInput, user: User) -> None:
    """A refused question leaves an entry: where it was wrong, never what it said (contract §3)."""
    body = urlencode(list(request.form.items(multi=True)), errors="replace").encode()
    refused(
        deployment().log,
        Asker("user", user.id),
        deployment().clock(),
        request_id=request_id(),
        path="/periksa",
        status=422,
        pointers=[wrong.pointer for wrong in error.errors],
        body_sha256=hashlib.sha256(body).hexdigest(),
        body_length=len(body),
    )


def _stated(typed: dict[str, str], user: User) -> dict[str, Any]:
    region, permit_type = _region(typed), typed["permit_type"].strip()
    rule = permits.rule(region, permit_type)
    stated = fields.read(typed, fields.needed(rule.grounds if rule else ()))
    return stated | {"permit_type": permit_type, "region": region, "officer": {"name": user.name}}


def _question(stated: dict[str, Any], user: User) -> Question:
    gate = deployment()
    return read_question(
        stated,
        regions=user.regions,
        policy=gate.policy,
        now=gate.clock(),
        asker=Asker("user", user.id),
        request_id=request_id(),
        language=language.current(),
    )


def _ask(question: Question, stated: dict[str, Any], once: str, user: User) -> Recorded:
    """Ask once for this form as it was filled in; going back and changing something is another question."""
    gate, clock = deployment().gate, deployment().clock
    settings = deployment().settings
    db.session.remove()  # no connection is held while the agency is asked

    def ask(check_id: str, replaces: str | None) -> Recorded:
        return gate.check(replace(question, id=check_id, replaces=replaces))

    keeper = Once(find, clock, settings.secret_key.encode(), settings.registry_timeout)
    key = OnceKey(f"user:{user.id}", "/periksa", once[:100])
    try:
        return keeper.run(key, stated, ask, wait=settings.registry_timeout + 2)[0]
    except AskedOtherwise:
        again = OnceKey(key.owner, key.path, secrets.token_urlsafe(18))
        return keeper.run(again, stated, ask)[0]


def find(check_id: str) -> Recorded | None:
    """A check that is in the log, with its answer."""
    record = deployment().log.check(check_id)
    return Recorded(record.id, record.pos, record.document) if record else None


def _region(typed: dict[str, str]) -> str:
    """The region that was chosen, if it is one of the person's."""
    regions, chosen = me().regions, typed.get("region", "")
    return chosen if chosen in regions else regions[0]


@pages.route("/periksa/<check_id>")
@allow(*CHECKERS)
def result(check_id: str) -> ResponseReturnValue:
    shown = _mine(check_id)
    qr = paper.qr(shown.document["receipt"]["url"])
    return render_template("pages/result.html", shown=shown, certainty=permits.certainty(), qr=qr)


@pages.route("/periksa/<check_id>/hasil.pdf", endpoint="paper")
@allow(*CHECKERS)
def pdf(check_id: str) -> ResponseReturnValue:
    shown = _mine(check_id)
    name = f"hasil-{shown.document['receipt']['code']}.pdf"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(paper.draw(shown), mimetype="application/pdf", headers=headers)


def _mine(check_id: str) -> records.Shown:
    shown = records.find(check_id, me().regions)
    if shown is None:
        raise NotFound
    return shown


@pages.route("/riwayat")
@allow(*CHECKERS)
def earlier() -> ResponseReturnValue:
    query = request.args.get("q", "").strip()[:100]
    before = request.args.get("sebelum", type=_position)
    found = _search(query, before)
    rows = [row for record in found[:PER_PAGE] if (row := records.row(record))]
    onward = url_for("web.earlier", q=query or None, sebelum=found[PER_PAGE - 1].pos) if len(found) > PER_PAGE else ""
    return render_template("pages/list.html", heading=_("Riwayat"), search=True, query=query, rows=rows, onward=onward)


def _position(text: str) -> int:
    """A place in the log; ValueError for what can be none."""
    return int(text[:15])


def _search(query: str, before: int | None) -> list[CheckRecord]:
    """By receipt code, NIB or reference if it is one, else by how words of the business's name begin."""
    log, regions = deployment().log, me().regions
    code, plain = read_code(query), query.replace(" ", "")
    if code and (record := log.check_by_code(code)):
        return [record] if record.region in regions else []
    wanted = CheckFilter(regions, before=before)
    if not query:
        return log.checks(wanted, PER_PAGE + 1)
    if len(plain) == 13 and plain.isdigit():
        return log.checks(replace(wanted, nib=plain), PER_PAGE + 1)
    if log.checks(CheckFilter(regions, reference=query), 1):
        return log.checks(replace(wanted, reference=query), PER_PAGE + 1)
    return log.checks(replace(wanted, name=query), PER_PAGE + 1)


@pages.route("/tindak-lanjut")
@allow(*CHECKERS)
def waiting() -> ResponseReturnValue:
    held = deployment().log.checks(CheckFilter(me().regions, action="HOLD"), WAITING)
    newest: dict[tuple[str, str], CheckRecord] = {}
    for record in held:
        latest = deployment().log.checks(
            CheckFilter((record.region,), reference=record.reference, permit_type=record.permit_type), 1
        )
        if latest and latest[0].id == record.id:
            newest.setdefault((record.reference, record.permit_type), record)
    rows = [records.with_deadline(row, record) for record in newest.values() if (row := records.row(record))]
    return render_template("pages/list.html", heading=_("Perlu tindak lanjut"), search=False, rows=rows, query="")
