"""The office's work: ask (typed, or filled in from OSS), find checks, see what waits; propose, decide, watch."""

import hashlib
import json
import secrets
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import abort, g, redirect, render_template, request, session, url_for
from flask_babel import refresh

from compliance import web, work
from compliance.access.once import OnceKey, check_once
from compliance.audit.checks import CheckFilter
from compliance.casework import acts, watch
from compliance.casework.acts import ABOUT_CHECKS, ACT, ITEM, Act, Person, decision_shown
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import AskedInProgress, AskedOtherwise, BadInput, FieldError, LogUnavailable, NotAllowed
from compliance.gate import Asker
from compliance.intake import oss, read_question, refused
from compliance.proof.receipt import read_code
from compliance.web import BOTH, CHECKERS, Reply, _, done, fields, language, me, page, records
from compliance.web.fields import Form, must

MAIN = ("permit_type", "region")
PER_PAGE, WAITING, MOST, MIB = 25, 100, 200, 1024 * 1024  # lines of a page, of what waits, of other lists
WORDS = dict(zip(("verifikasi", "pernyataan", "pengecualian", "koreksi", "izin-terbit"), ABOUT_CHECKS, strict=True))
STATUS: dict[Any, int] = {BadInput: 422, AskedInProgress: 409, LogUnavailable: 503}


@page("/periksa", *CHECKERS, methods=BOTH)
def check_form() -> Reply:
    if request.method == "GET":
        again = request.args.get("ulang")
        return form_page(_typed() or (records.find(again).stated if again else {"stage": "new"}))
    typed, step = _typed(), request.form.get("step", "check")
    if step in web.LANGUAGES:
        session["language"] = step
        refresh()
    if step == "type":
        typed.pop("permit_type", None)
    if "permit_type" in typed and step not in ("fields", *web.LANGUAGES):
        return run(typed)
    return form_page(typed, BadInput() if step == "fields" and "permit_type" not in typed else None)


def _typed() -> dict[str, str]:
    """What was typed into fields that exist, and no more than a field takes."""
    known = {*fields.FIELDS, *MAIN}
    sent = g.get("typed", request.form)
    return {name: text[:1000] for name, text in sent.items() if name in known and text.strip()}


def _region(typed: dict[str, str]) -> str:
    return typed["region"] if typed.get("region") in me().regions else me().regions[0]


def form_page(typed: dict[str, str], failure: Exception | None = None) -> Reply:
    """The form with what was typed; its `once` keeps a repeated click one check. No permit type: the first page."""
    where, why = _region(typed), type(failure).__name__ if failure else ""
    if "permit_type" not in typed:
        carried = {name: text for name, text in typed.items() if name != "region"}
        told: dict[str, Any] = {"region": where, "carried": carried, "permits": fields.offered(where), "failure": why}
        return render_template("pages/check_type.html", **told), 422 if failure else 200
    permit_type = typed["permit_type"].strip()
    rule = fields.rule(where, permit_type)
    asked = fields.needed(rule)
    boxes, others = fields.filled(asked, typed, failure.errors if isinstance(failure, BadInput) else ())
    shown = {*MAIN, *(field["name"] for field in asked)}
    told = {"region": where, "permit_type": permit_type, "stage": rule.stage if rule else "off"}
    told |= {"carried": {name: text for name, text in typed.items() if name not in shown}, "boxes": boxes}
    told |= {"once": request.form.get("once") or secrets.token_urlsafe(18), "parts": fields.FORM["part"]}
    page = render_template("pages/check_form.html", failure=why, others=others, **told)
    return page, STATUS.get(type(failure), 200)


def run(typed: dict[str, str]) -> Reply:
    """Make the check, one however often the form is sent; a failure leaves all that was typed on the form. A refused
    one leaves an entry: where it was wrong, never what it said (contract §3)."""
    here, asker, another = deployment(), Asker("user", me().id, me().office), secrets.token_urlsafe(18)
    about: dict[str, Any] = {"permit_type": typed["permit_type"].strip(), "region": _region(typed)}
    rule, owner = fields.rule(about["region"], about["permit_type"]), f"user:{me().id}"
    stated = fields.read(typed, fields.needed(rule)) | about | {"officer": {"name": me().name}}
    once, patience = request.form.get("once", "")[:100] or another, here.settings.registry_timeout + 2
    told: dict[str, Any] = {"request_id": g.request_id, "language": language(), "policy": here.policy}
    try:
        try:
            question = read_question(stated, regions=me().regions, now=here.clock(), asker=asker, **told)
        except BadInput as error:
            body = urlencode(list(request.form.items(multi=True)), errors="replace").encode()
            at: dict[str, Any] = {"pointers": [wrong.pointer for wrong in error.errors], "status": 422}
            at |= {"path": "/periksa", "body_sha256": hashlib.sha256(body).hexdigest(), "body_length": len(body)}
            refused(here.log, asker, here.clock(), request_id=g.request_id, **at)
            raise
        db.session.remove()  # no connection is held while the agency is asked
        try:
            recorded, _again = check_once(OnceKey(owner, "/periksa", once), stated, question, wait=patience)
        except AskedOtherwise:
            recorded, _again = check_once(OnceKey(owner, "/periksa", another), stated, question)
    except (BadInput, AskedInProgress, LogUnavailable) as error:
        return form_page(typed, error)
    return redirect(url_for("web.result", check_id=recorded.id), 303)


@page("/periksa/oss", *CHECKERS, methods=BOTH, most=2 * MIB + 10_000)
def from_oss() -> Reply:
    """Fill the form from what OSS wrote of a NIB: read, and forgotten. Of several permits the clerk chooses."""
    with Form("oss") as form:
        if form.sent:
            file = request.files.get("file")
            raw = (file.read() if file else b"") or form.sent["text"].encode(errors="replace")
            must(text=(raw.strip(), _("Tempel isi pesan OSS, atau pilih berkasnya.")))
            must(text=(len(raw) <= MIB, _("Lebih besar dari 1 MiB. Kirim satu NIB saja.")))
            try:
                found = json.loads(raw.decode("utf-8-sig"))
            except json.JSONDecodeError as error:
                at = {"line": error.lineno, "column": error.colno}
                told = _("Bukan JSON yang utuh: berhenti di baris %(line)s, kolom %(column)s. Salin sekali lagi.", **at)
                raise BadInput(FieldError("/text", told)) from error
            except (ValueError, RecursionError) as error:
                raise BadInput(FieldError("/text", _("Bukan teks UTF-8, atau terlalu dalam bersarang."))) from error
            document, here = {"dataNIB": found} if isinstance(found, dict) and "nib" in found else found, deployment()
            items = oss.read(document, here.policy, here.clock(), language())
            mine = [fields.flat(item.stated) for item in items if item.region in me().regions]
            must(text=(items, _("Daftar izinnya kosong.")))
            must(text=(mine, _("Tidak ada izin untuk daerah Anda di dalamnya.")))
            if len(mine) == 1:
                return form_page(mine[0])
            return render_template("pages/oss_choice.html", items=mine, others=len(items) - len(mine))
    return form.show("pages/oss.html")


@page("/riwayat", *CHECKERS)
def earlier() -> Reply:
    """By receipt code, NIB or reference if what is typed is one, else by how words of the business's name begin."""
    log, regions, query = deployment().log, me().regions, request.args.get("q", "").strip()[:100]
    before, plain = request.args.get("sebelum", type=lambda text: int(text[:15])), query.replace(" ", "")
    if (code := read_code(query)) and (record := log.check_by_code(code)):
        found = [record] if record.region in regions else []
    else:
        about: dict[str, Any] = {"name": query or None}
        if len(plain) == 13 and plain.isdigit():
            about = {"nib": plain}
        elif query and log.checks(CheckFilter(regions, reference=query), 1):
            about = {"reference": query}
        found = log.checks(CheckFilter(regions, before=before, **about), PER_PAGE + 1)
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


def _me() -> Person:
    return Person(me().id, me().name, me().role, me().regions)


def _find(act_id: str) -> sa.Row[Any]:
    return next(iter(acts.acts(deployment(), me().regions, ACT.c.id == act_id)), None) or abort(404)


@web.web.app_errorhandler(NotAllowed)
def not_allowed(error: NotAllowed) -> Reply:
    """What this person may not do, or nobody any more; nothing was changed."""
    return render_template("casework/refused.html", why=str(error)), 409


@web.web.app_template_global()
def casework(document: dict[str, Any]) -> dict[str, Any]:
    """What officers did about a check's application and may still do, for its page."""
    region, reference, permit_type = (document[name] for name in ("region", "reference", "permit_type"))
    may = acts.possible(deployment(), document["id"]) if not document["superseded_by"] else {}
    words = [(word, act) for word, act in WORDS.items() if act in may]
    past = acts.acts(deployment(), (region,), ACT.c.reference == reference, ACT.c.permit_type == permit_type)
    return {"may": words, "decision": decision_shown(deployment(), region, reference, permit_type), "past": past}


@web.web.app_template_global()
def person_name(user_id: str) -> str:
    user = web.sign_ins().users.get(user_id)
    return user.name if user else user_id


@page("/periksa/<about>/usul/<word>", *CHECKERS, methods=BOTH, name="about_check")
@page("/sanksi/<about>/cabut", *CHECKERS, methods=BOTH, name="lift_letter", defaults={"act": Act.LIFT})
@page("/sanksi/baru", *CHECKERS, methods=BOTH, name="new_letter", defaults={"act": Act.IMPOSE})
@page("/usulan/penarikan", *CHECKERS, methods=BOTH, name="new_recall", defaults={"act": Act.RECALL})
def propose(act: Act | None = None, word: str = "", about: str = "") -> Reply:
    """An act's form, about a check or a letter or neither; what it says is proposed, or (a granted permit) recorded."""
    here, told = deployment(), dict[str, Any]()
    act = act or WORDS.get(word) or abort(404)
    if act in ABOUT_CHECKS:
        told = {"shown": records.find(about), "offered": acts.possible(here, about).get(act)}
        if told["offered"] is None:
            raise NotAllowed("this is not possible for this check, or not allowed in this region")
    elif act is Act.LIFT:
        told["letter"] = letter = _find(about)
        if letter.act != Act.IMPOSE:
            abort(404)
    with Form(f"casework_{act}") as form:
        if typed := form.sent:
            stated = typed | {"codes": typed.get("codes", "").split(), "region": request.form.get("region", "")}
            act_id = acts.propose(here, _me(), act, stated, about)
            if act is Act.GRANT:
                return done(_("Izin dicatat dan mulai dipantau."), "result", check_id=about)
            return done(_("Usulan dicatat; penyelia lain memutuskannya."), "proposal", act_id=act_id)
    return form.show("casework/form.html", act=act, **told)


@page("/usulan", *CHECKERS)
def proposals() -> Reply:
    waiting = acts.acts(deployment(), me().regions, ACT.c.state == "proposed")
    decided = acts.acts(deployment(), me().regions, ACT.c.state.in_(("accepted", "refused")), most=25)
    return render_template("casework/proposals.html", waiting=waiting, decided=decided)


@page("/usulan/<act_id>", *CHECKERS, methods=BOTH)
def proposal(act_id: str) -> Reply:
    """One act with all that it rests on. Who accepts it sees at once what the gate answers now."""
    row, here = _find(act_id), deployment()
    with Form("casework_decision") as form:
        if form.sent:
            accepted = request.form.get("act") == "accepted"
            acts.settle(here, _me(), act_id, "accepted" if accepted else "refused", form.sent["reason"])
            if accepted and row.check_id:
                watch.redecide(here, work.Row("redecide", f"{row.check_id}:{act_id}", 1))
            return done(_("Usulan diterima.") if accepted else _("Usulan ditolak."), "proposal", act_id=act_id)
    entry = here.log.entry(f"{act_id}.decided") or here.log.entry(act_id) or abort(404)
    record = here.log.check(row.check_id) if row.check_id else None
    pairs = list(islice(watch.decided_again(here, act_id), MOST)) if row.act == Act.RECALL else []
    new = {each.document["id"]: each for each in records.show(later for _old, later in pairs if later)}
    told: dict[str, Any] = {"letter": _find(row.about) if row.about else None, "words": entry.disclosed}
    told["told"] = [(old, new.get(old.document["superseded_by"])) for old in records.show(old for old, _later in pairs)]
    told["shown"] = next(iter(records.show([record] if record else [])), None)
    may = row.state == "proposed" and me().role == "supervisor" and me().id != row.by
    return form.show("casework/proposal.html", row=row, may=may, **told)


@page("/sanksi", *CHECKERS)
def letters() -> Reply:
    """The region's register: every letter that two have recorded, and what lifted it."""
    here, kinds = deployment(), ACT.c.act.in_((Act.IMPOSE, Act.LIFT))
    rows = acts.acts(here, me().regions, kinds, ACT.c.state == "accepted")
    lifted = {row.about: row for row in rows if row.act == Act.LIFT}
    names = {row.id: entry.disclosed.get("name", "") for row in rows if (entry := here.log.entry(row.id))}
    return render_template("casework/letters.html", rows=rows, lifted=lifted, names=names)


@page("/pantauan", *CHECKERS, methods=BOTH)
def watched() -> Reply:
    """What somebody must see to, the oldest first, and the permits that are watched."""
    here, of, act = deployment(), request.form.get("of", ""), request.form.get("act")
    if act == "ended":
        acts.settle(here, _me(), of, "ended")
        return done(_("Izin tidak dipantau lagi."), "watched")
    if act == "handled":
        acts.handle(here, _me(), of)
        return done(_("Dicatat sebagai selesai."), "watched")
    mine = (ITEM.c.region.in_(me().regions), ITEM.c.handled_by.is_(None), ITEM.c.kind != "recalled")
    with here.log.engine.connect() as connection:
        oldest = sa.select(ITEM).where(*mine).order_by(ITEM.c.position).limit(MOST)
        items = {item.check_id: item for item in connection.execute(oldest)}
    rows = records.show(filter(None, map(here.log.check, items)))
    permits = acts.acts(here, me().regions, ACT.c.state == "granted")
    return render_template("casework/watched.html", rows=rows, items=items, permits=permits)
