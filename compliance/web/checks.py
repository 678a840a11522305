"""The clerk's work: ask (typed, or filled in from OSS), find earlier checks, see what waits."""

import hashlib
import json
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import g, redirect, render_template, request, session, url_for
from flask_babel import refresh
from flask_wtf.csrf import CSRFError

from compliance.access.once import OnceKey, check_once
from compliance.audit.checks import CheckFilter
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import AskedInProgress, AskedOtherwise, BadInput, FieldError, LogUnavailable
from compliance.gate import Asker, Question
from compliance.intake import oss, read_question, refused
from compliance.proof.receipt import read_code
from compliance.web import (
    BOTH,
    CHECKERS,
    LANGUAGES,
    Reply,
    _,
    fields,
    language,
    me,
    page,
    records,
    region,
    sign_in_page,
)
from compliance.web.fields import must

MAIN = ("permit_type", "region")
PER_PAGE, WAITING, MIB = 25, 100, 1024 * 1024
STATUS = {BadInput: 422, AskedInProgress: 409, LogUnavailable: 503, CSRFError: 400}


def rescue(signed_out: bool) -> Reply:
    """A form came after its session had ended: nothing that was typed is lost."""
    return sign_in_page("", "ended", _typed()) if signed_out else form_page(_typed(), CSRFError())


@page("/periksa", *CHECKERS, methods=BOTH, rescue=rescue)
def check_form() -> Reply:
    if request.method == "GET":
        again = request.args.get("ulang")
        return form_page(records.find(again).stated) if again else type_page({"stage": "new"})
    typed, step = _typed(), request.form.get("step", "check")
    if step in LANGUAGES:
        session["language"] = step
        refresh()
        return form_page(typed)
    if step == "type" or "permit_type" not in typed:
        return type_page(typed, "no permit type" if step == "fields" else "")
    return form_page(typed) if step == "fields" else run(typed)


def _typed() -> dict[str, str]:
    """What was typed into fields that exist, and no more than a field takes."""
    known = {*fields.FIELDS, *MAIN}
    return {name: text[:1000] for name, text in request.form.items() if name in known and text.strip()}


def _region(typed: dict[str, str]) -> str:
    """The region that was chosen, if it is one of the person's."""
    return typed["region"] if typed.get("region") in me().regions else me().regions[0]


def type_page(typed: dict[str, str], failure: str = "") -> Reply:
    where, carried = _region(typed), {name: text for name, text in typed.items() if name not in MAIN}
    told = {"region": where, "carried": carried, "permits": region.offered(where), "failure": failure}
    return render_template("pages/check_type.html", **told), 422 if failure else 200


def form_page(typed: dict[str, str], failure: Exception | None = None) -> Reply:
    """The form with what was typed; its `once` keeps a repeated click one check. No permit type: the first page."""
    why = type(failure).__name__ if failure else ""
    if "permit_type" not in typed:
        return type_page(typed, why)
    where, permit_type = _region(typed), typed["permit_type"].strip()
    rule = region.rule(where, permit_type)
    asked = fields.needed(rule.grounds if rule else ())
    boxes, others = fields.filled(asked, typed, failure.errors if isinstance(failure, BadInput) else ())
    shown = {*MAIN, *(field["name"] for field in asked)}
    told: dict[str, Any] = {"region": where, "permit_type": permit_type, "stage": rule.stage if rule else "off"}
    told |= {"carried": {name: text for name, text in typed.items() if name not in shown}, "boxes": boxes}
    told |= {"once": request.form.get("once") or secrets.token_urlsafe(18), "parts": fields.FORM["part"]}
    page = render_template("pages/check_form.html", failure=why, others=others, **told)
    return page, STATUS.get(type(failure), 200)


def run(typed: dict[str, str]) -> Reply:
    """Make the check and show its page; a wrong field or a log that fails leaves all that was typed on the form.

    One form is one check, however often it is sent; going back and changing something is another question.
    """
    where, permit_type = _region(typed), typed["permit_type"].strip()
    rule, about = region.rule(where, permit_type), {"permit_type": permit_type, "region": where}
    stated = fields.read(typed, fields.needed(rule.grounds if rule else ())) | about | {"officer": {"name": me().name}}
    owner, path, another = f"user:{me().id}", "/periksa", secrets.token_urlsafe(18)
    once, patience = request.form.get("once", "")[:100] or another, deployment().settings.registry_timeout + 2
    try:
        question = _question(stated)
        db.session.remove()  # no connection is held while the agency is asked
        try:
            recorded, _again = check_once(OnceKey(owner, path, once), stated, question, wait=patience)
        except AskedOtherwise:
            recorded, _again = check_once(OnceKey(owner, path, another), stated, question)
    except (BadInput, AskedInProgress, LogUnavailable) as error:
        return form_page(typed, error)
    return redirect(url_for("web.result", check_id=recorded.id), 303)


def _question(stated: dict[str, Any]) -> Question:
    """A refused one leaves an entry: where it was wrong, never what it said (contract §3)."""
    here, asker = deployment(), Asker("user", me().id, me().office)
    told = {"asker": asker, "request_id": g.request_id, "language": language()}
    try:
        return read_question(stated, regions=me().regions, policy=here.policy, now=here.clock(), **told)
    except BadInput as error:
        body = urlencode(list(request.form.items(multi=True)), errors="replace").encode()
        digest, pointers = hashlib.sha256(body).hexdigest(), [wrong.pointer for wrong in error.errors]
        at: dict[str, Any] = {"request_id": g.request_id, "path": "/periksa", "status": 422, "body_length": len(body)}
        refused(here.log, asker, here.clock(), pointers=pointers, body_sha256=digest, **at)
        raise


@page("/periksa/oss", *CHECKERS, methods=BOTH, most=2 * MIB + 10_000)
def from_oss() -> Reply:
    """Fill the form from what OSS wrote of a NIB: read, and forgotten.

    One permit of this region goes straight to the form; of several the clerk chooses.
    """
    with fields.Form("oss") as form:
        if form.sent:
            items = oss.read(_document(form.sent["text"]), language())
            mine = [fields.flat(item.stated) for item in items if item.region in me().regions]
            must(text=(items, _("Daftar izinnya kosong.")))
            must(text=(mine, _("Tidak ada izin untuk daerah Anda di dalamnya.")))
            if len(mine) == 1:
                return form_page(mine[0])
            return render_template("pages/oss_choice.html", items=mine, others=len(items) - len(mine))
    return form.show("pages/oss.html")


def _document(text: str) -> Any:
    """The JSON of the file, else of the text. Raises BadInput that says where it is wrong, not what it said."""
    sent = request.files.get("file")
    name, raw = ("file", sent.read()) if sent and sent.filename else ("text", text.encode(errors="replace"))
    must(text=(raw.strip(), _("Tempel isi pesan OSS, atau pilih berkasnya.")))
    must(**{name: (len(raw) <= MIB, _("Lebih besar dari 1 MiB. Kirim satu NIB saja."))})
    try:
        found = json.loads(raw.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        where = {"line": error.lineno, "column": error.colno}
        told = _("Bukan JSON yang utuh: berhenti di baris %(line)s, kolom %(column)s. Salin sekali lagi.", **where)
        raise BadInput(FieldError(f"/{name}", told)) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(FieldError(f"/{name}", _("Bukan teks UTF-8, atau terlalu dalam bersarang."))) from error
    return {"dataNIB": found} if isinstance(found, dict) and "nib" in found else found


@page("/riwayat", *CHECKERS)
def earlier() -> Reply:
    """By receipt code, NIB or reference if what is typed is one, else by how words of the business's name begin."""
    log, regions, query = deployment().log, me().regions, request.args.get("q", "").strip()[:100]
    before, plain = request.args.get("sebelum", type=lambda text: int(text[:15])), query.replace(" ", "")
    if (code := read_code(query)) and (record := log.check_by_code(code)):
        found = [record] if record.region in regions else []
    else:
        wanted = CheckFilter(regions, name=query or None)
        if len(plain) == 13 and plain.isdigit():
            wanted = CheckFilter(regions, nib=plain)
        elif query and log.checks(CheckFilter(regions, reference=query), 1):
            wanted = CheckFilter(regions, reference=query)
        found = log.checks(replace(wanted, before=before), PER_PAGE + 1)
    onward = url_for("web.earlier", q=query or None, sebelum=found[PER_PAGE - 1].pos) if len(found) > PER_PAGE else ""
    told: dict[str, Any] = {"rows": records.show(found[:PER_PAGE]), "query": query, "onward": onward}
    return render_template("pages/list.html", heading=_("Riwayat"), search=True, **told)


@page("/tindak-lanjut", *CHECKERS)
def waiting() -> Reply:
    """Held applications that no later check has settled, each once."""
    log, held = deployment().log, []
    for record in log.checks(CheckFilter(me().regions, action="HOLD"), WAITING):
        same = CheckFilter((record.region,), reference=record.reference, permit_type=record.permit_type)
        if [latest.id for latest in log.checks(same, 1)] == [record.id]:
            held.append(record)
    rows = sorted(records.show(held), key=lambda shown: shown.deadline)
    return render_template("pages/list.html", heading=_("Perlu tindak lanjut"), rows=rows)
