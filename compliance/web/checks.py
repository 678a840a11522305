"""The clerk's work: ask, see the result, find earlier checks, see what waits."""

import hashlib
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import refresh
from flask_wtf.csrf import CSRFError

from compliance.access.once import OnceKey, check_once
from compliance.audit.checks import CheckFilter, CheckRecord
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import AskedInProgress, AskedOtherwise, BadInput, LogUnavailable
from compliance.gate import Asker, Question
from compliance.intake import read_question, refused
from compliance.law.law import GateRule
from compliance.proof.receipt import read_code
from compliance.web import fields, language, paper, permits, records
from compliance.web.pages import _, pages
from compliance.web.visitors import CHECKERS, allow, me, sign_in_page

MAIN = ("permit_type", "region")
PER_PAGE, WAITING = 25, 100
STATUS = {BadInput: 422, AskedInProgress: 409, LogUnavailable: 503, CSRFError: 400}


def rescue(signed_out: bool) -> ResponseReturnValue:
    """A form came after its session had ended: nothing that was typed is lost."""
    if signed_out:
        return sign_in_page("", "ended", typed_fields())
    return form_page(typed_fields(), CSRFError())


@pages.route("/periksa", methods=["GET", "POST"])
@allow(*CHECKERS, rescue=rescue)
def check_form() -> ResponseReturnValue:
    if request.method == "GET":
        again = request.args.get("ulang")
        return form_page(records.find(again, me().regions).stated) if again else type_page({"stage": "new"})
    typed, step = typed_fields(), request.form.get("step", "check")
    if step in language.LANGUAGES:
        session["language"] = step
        refresh()
        return form_page(typed)
    if step == "type" or "permit_type" not in typed:
        return type_page(typed, "no permit type" if step == "fields" else "")
    return form_page(typed) if step == "fields" else run(typed)


def typed_fields() -> dict[str, str]:
    """What was typed into fields that exist, and no more than a field takes."""
    known = {*fields.FIELDS, *MAIN}
    return {name: text[:1000] for name, text in request.form.items() if name in known and text.strip()}


def type_page(typed: dict[str, str], failure: str = "") -> ResponseReturnValue:
    region, carried = _region(typed), {name: text for name, text in typed.items() if name not in MAIN}
    told = {"region": region, "carried": carried, "permits": permits.offered(region), "failure": failure}
    return render_template("pages/check_type.html", **told), 422 if failure else 200


def form_page(typed: dict[str, str], failure: Exception | None = None) -> ResponseReturnValue:
    """The form with what was typed; its `once` keeps a repeated click one check. No permit type: the first page."""
    why, errors = type(failure).__name__ if failure else "", failure.errors if isinstance(failure, BadInput) else ()
    if "permit_type" not in typed:
        return type_page(typed, why)
    rule, asked = _needed(typed)
    names = {field.name for field in asked}
    unplaced = [f"{error.pointer}: {error.detail}" for error in errors if fields.field_of(error.pointer) not in names]
    told = {"boxes": fields.filled(asked, typed, errors), "others": unplaced, "failure": why, "region": _region(typed)}
    told |= {"permit_type": typed["permit_type"].strip(), "stage": rule.stage if rule else "off"}
    told["carried"] = {name: text for name, text in typed.items() if name not in names and name not in MAIN}
    once = request.form.get("once") or secrets.token_urlsafe(18)
    page = render_template("pages/check_form.html", once=once, parts=fields.FORM["part"], **told)
    return page, STATUS.get(type(failure), 200)


def _region(typed: dict[str, str]) -> str:
    """The region that was chosen, if it is one of the person's."""
    regions, chosen = me().regions, typed.get("region", "")
    return chosen if chosen in regions else regions[0]


def _needed(typed: dict[str, str]) -> tuple[GateRule | None, list[fields.Field]]:
    """The rule for what is applied for, and the fields that it looks at."""
    rule = permits.rule(_region(typed), typed["permit_type"].strip())
    return rule, fields.needed(rule.grounds if rule else ())


def run(typed: dict[str, str]) -> ResponseReturnValue:
    """Make the check and show its page; a wrong field or a log that fails leaves all that was typed on the form.

    One form is one check, however often it is sent; going back and changing something is another question.
    """
    about = {"permit_type": typed["permit_type"].strip(), "region": _region(typed), "officer": {"name": me().name}}
    stated, patience = fields.read(typed, _needed(typed)[1]) | about, deployment().settings.registry_timeout + 2
    key = OnceKey(f"user:{me().id}", "/periksa", request.form.get("once", "")[:100] or secrets.token_urlsafe(18))
    try:
        question = _question(stated)
        db.session.remove()  # no connection is held while the agency is asked
        try:
            recorded, _again = check_once(key, stated, question, wait=patience)
        except AskedOtherwise:
            recorded, _again = check_once(replace(key, key=secrets.token_urlsafe(18)), stated, question)
    except (BadInput, AskedInProgress, LogUnavailable) as error:
        return form_page(typed, error)
    return redirect(url_for("web.result", check_id=recorded.id), 303)


def _question(stated: dict[str, Any]) -> Question:
    """A refused one leaves an entry: where it was wrong, never what it said (contract §3)."""
    running, asker = deployment(), Asker("user", me().id, me().office)
    told = {"asker": asker, "request_id": g.request_id, "language": language.current()}
    try:
        return read_question(stated, regions=me().regions, policy=running.policy, now=running.clock(), **told)
    except BadInput as error:
        body = urlencode(list(request.form.items(multi=True)), errors="replace").encode()
        at = {"request_id": g.request_id, "path": "/periksa", "status": 422, "body_length": len(body)}
        pointers, digest = [wrong.pointer for wrong in error.errors], hashlib.sha256(body).hexdigest()
        refused(running.log, asker, running.clock(), pointers=pointers, body_sha256=digest, **at)
        raise


@pages.route("/periksa/<check_id>")
@allow(*CHECKERS)
def result(check_id: str) -> ResponseReturnValue:
    return render_template("pages/result.html", shown=records.find(check_id, me().regions))


@pages.route("/periksa/<check_id>/hasil.pdf", endpoint="paper")
@allow(*CHECKERS)
def pdf(check_id: str) -> ResponseReturnValue:
    shown = records.find(check_id, me().regions)
    headers = {"Content-Disposition": f'attachment; filename="hasil-{shown.document["receipt"]["code"]}.pdf"'}
    return Response(paper.draw(shown), mimetype="application/pdf", headers=headers)


@pages.route("/riwayat")
@allow(*CHECKERS)
def earlier() -> ResponseReturnValue:
    query = request.args.get("q", "").strip()[:100]
    found = _search(query, request.args.get("sebelum", type=lambda text: int(text[:15])))
    onward = url_for("web.earlier", q=query or None, sebelum=found[PER_PAGE - 1].pos) if len(found) > PER_PAGE else ""
    rows = records.show(found[:PER_PAGE])
    return render_template("pages/list.html", heading=_("Riwayat"), search=True, query=query, rows=rows, onward=onward)


def _search(query: str, before: int | None) -> list[CheckRecord]:
    """By receipt code, NIB or reference if it is one, else by how words of the business's name begin."""
    log, regions, plain = deployment().log, me().regions, query.replace(" ", "")
    if (code := read_code(query)) and (record := log.check_by_code(code)):
        return [record] if record.region in regions else []
    wanted = CheckFilter(regions, before=before, name=query or None)
    if len(plain) == 13 and plain.isdigit():
        wanted = CheckFilter(regions, before=before, nib=plain)
    elif query and log.checks(CheckFilter(regions, reference=query), 1):
        wanted = CheckFilter(regions, before=before, reference=query)
    return log.checks(wanted, PER_PAGE + 1)


@pages.route("/tindak-lanjut")
@allow(*CHECKERS)
def waiting() -> ResponseReturnValue:
    """Held applications that no later check has settled, each once."""
    log, held = deployment().log, []
    for record in log.checks(CheckFilter(me().regions, action="HOLD"), WAITING):
        same = CheckFilter((record.region,), reference=record.reference, permit_type=record.permit_type)
        if [latest.id for latest in log.checks(same, 1)] == [record.id]:
            held.append(record)
    rows = sorted(records.show(held), key=lambda shown: shown.deadline)
    return render_template("pages/list.html", heading=_("Perlu tindak lanjut"), rows=rows)
