"""The office's work: ask (typed, or filled in from OSS), find checks, see what waits; propose, decide, watch."""

import hashlib
import hmac
import json
import secrets
from itertools import islice
from typing import Any, cast
from urllib.parse import urlencode

import sqlalchemy as sa
from flask import abort, g, redirect, render_template, request, session, url_for
from flask_babel import refresh

from compliance import web, work
from compliance.access.once import OnceKey, check_once
from compliance.audit.checks import CheckFilter
from compliance.audit.entry import canonical
from compliance.casework import acts, watch
from compliance.casework.acts import ABOUT_CHECKS, ACT, ITEM, Act, Person
from compliance.database import db
from compliance.errors import AskedInProgress, BadInput, FieldError, LogUnavailable, NotAllowed
from compliance.gate import Asker
from compliance.intake import oss, read_question, refused
from compliance.proof.receipt import read_code
from compliance.web import Reply, Told, _, done, fields, here, language, me, records, secret, sign_ins
from compliance.web.fields import Form, must

MAIN = ("permit_type", "region")
PER_PAGE, WAITING, MOST, MIB = 25, 100, 200, 1024 * 1024  # lines of a page, of what waits, of other lists
WORDS = dict(zip(("verifikasi", "pernyataan", "pengecualian", "koreksi", "izin-terbit"), ABOUT_CHECKS, strict=True))
STATUS: dict[Any, int] = {BadInput: 422, AskedInProgress: 409, LogUnavailable: 503}
officer = cast(Person, me)


def check_form() -> Reply:
    step, again = request.form.get("step", "check"), request.args.get("ulang")
    if request.method == "GET" and "typed" not in g:
        return form_page(records.find(again).stated if again else {"stage": "new", "region": me.regions[0]})
    known, sent = {*fields.FIELDS, *MAIN}, g.get("typed", request.form).items()
    typed = {name: text[:1000] for name, text in sent if name in known and text.strip()} or {"stage": "new"}
    typed["region"] = typed["region"] if typed.get("region") in me.regions else me.regions[0]
    if step in web.LANGUAGES:
        session["language"] = step
        refresh()
    if step == "type":
        typed.pop("permit_type", None)
    if request.method == "POST" and "permit_type" in typed and step not in ("fields", *web.LANGUAGES):
        return run(typed)
    return form_page(typed, BadInput() if step == "fields" and "permit_type" not in typed else None)


def form_page(typed: dict[str, str], failure: Exception | None = None) -> Reply:
    """The form with what was typed; its `once` keeps a repeated click one check. No permit type: the first page."""
    told: dict[str, Any] = {"region": typed["region"], "failure": type(failure).__name__ if failure else ""}
    template, shown, status = "pages/check_type.html", {"region"}, STATUS.get(type(failure), 200)
    if "permit_type" not in typed:
        told["permits"] = fields.offered(told["region"])
    else:
        template, permit_type = "pages/check_form.html", typed["permit_type"].strip()
        rule = fields.rule(told["region"], permit_type)
        asked = fields.needed(rule)
        told |= fields.filled(asked, typed, failure.errors if isinstance(failure, BadInput) else ())
        told |= {"permit_type": permit_type, "stage": rule.stage if rule else "off", "parts": fields.FORM["part"]}
        told["once"] = request.form.get("once") or secrets.token_urlsafe(18)
        shown = {*MAIN, *(field["name"] for field in asked)}
    carried = {name: text for name, text in typed.items() if name not in shown}
    return render_template(template, **told, carried=carried), status


def run(typed: dict[str, str]) -> Reply:
    """Make the check, one however often the form is sent; a failure leaves all that was typed on the form. A refused
    one leaves an entry: where it was wrong, never what it said (contract §3)."""
    permit_type, region, asker = typed["permit_type"].strip(), typed["region"], Asker("user", me.id, me.office)
    stated = fields.read(typed, fields.needed(fields.rule(region, permit_type)))
    stated |= {"permit_type": permit_type, "region": region, "officer": {"name": me.name}}
    told: dict[str, Any] = {"request_id": g.request_id, "language": language(), "policy": here.policy}
    try:
        try:
            question = read_question(stated, regions=me.regions, now=here.clock(), asker=asker, **told)
        except BadInput as error:
            body = urlencode(list(request.form.items(multi=True)), errors="replace").encode()
            at: dict[str, Any] = {"pointers": [wrong.pointer for wrong in error.errors], "status": 422}
            at |= {"path": "/periksa", "body_sha256": hashlib.sha256(body).hexdigest(), "body_length": len(body)}
            refused(here.log, asker, here.clock(), request_id=g.request_id, **at)
            raise
        once = (request.form.get("once") or secrets.token_urlsafe(18)).encode(errors="replace") + canonical(stated)
        key = OnceKey(f"user:{me.id}", "/periksa", hmac.digest(secret(), once, "sha256").hex())
        db.session.remove()  # no connection is held while the agency is asked
        recorded, _again = check_once(key, stated, question, wait=here.settings.registry_timeout + 2)
    except (BadInput, AskedInProgress, LogUnavailable) as error:
        return form_page(typed, error)
    return redirect(url_for("web.result", check_id=recorded.id), 303)


def from_oss() -> Told:
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
            message = {"dataNIB": found} if isinstance(found, dict) and "nib" in found else found
            items = oss.read(message, here.policy, here.clock(), language())
            mine = [fields.flat(item.stated) for item in items if item.region in me.regions]
            must(text=(items, _("Daftar izinnya kosong.")))
            must(text=(mine, _("Tidak ada izin untuk daerah Anda di dalamnya.")))
            if len(mine) == 1:
                return form_page(mine[0])
            return render_template("pages/oss_choice.html", items=mine, others=len(items) - len(mine))
    return form.page


def earlier() -> Told:
    """By receipt code, NIB or reference if what is typed is one, else by how words of the business's name begin."""
    query = request.args.get("q", "").strip()[:100]
    before, plain = request.args.get("sebelum", type=lambda text: int(text[:15])), query.replace(" ", "")
    if (code := read_code(query)) and (record := here.log.check_by_code(code)):
        found = [record] if record.region in me.regions else []
    else:
        about: dict[str, Any] = {"name": query or None}
        if len(plain) == 13 and plain.isdigit():
            about = {"nib": plain}
        elif query and here.log.checks(CheckFilter(me.regions, reference=query), 1):
            about = {"reference": query}
        found = here.log.checks(CheckFilter(me.regions, before=before, **about), PER_PAGE + 1)
    onward = url_for("web.earlier", q=query or None, sebelum=found[PER_PAGE - 1].pos) if len(found) > PER_PAGE else ""
    rows = records.show(found[:PER_PAGE])
    return {"heading": _("Riwayat"), "search": True, "rows": rows, "query": query, "onward": onward}


def waiting() -> Told:
    """Held applications that no later check has settled, each once."""
    held = []
    for record in here.log.checks(CheckFilter(me.regions, action="HOLD"), WAITING):
        same = CheckFilter((record.region,), reference=record.reference, permit_type=record.permit_type)
        if [latest.id for latest in here.log.checks(same, 1)] == [record.id]:
            held.append(record)
    rows = sorted(records.show(held), key=lambda shown: shown.deadline)
    return {"heading": _("Perlu tindak lanjut"), "rows": rows}


def result(check_id: str) -> Told:
    """A check; what officers did about its application, and may still do."""
    shown = records.find(check_id)
    region, reference, permit_type = (shown.document[name] for name in ("region", "reference", "permit_type"))
    may = acts.possible(here, check_id) if not shown.document["superseded_by"] else {}
    told = {"shown": shown, "may": [(word, act) for word, act in WORDS.items() if act in may]}
    told["past"] = acts.acts(here, (region,), ACT.c.reference == reference, ACT.c.permit_type == permit_type)
    return told | {"decision": acts.decision_shown(here, region, reference, permit_type)}


@web.web.app_template_global()
def person_name(user_id: str) -> str:
    return getattr(sign_ins.users.get(user_id), "name", user_id)


def _find(act_id: str) -> sa.Row[Any]:
    return next(iter(acts.acts(here, me.regions, ACT.c.id == act_id)), None) or abort(404)


def propose(act: str = "", word: str = "", about: str = "") -> Told:
    """An act's form, about a check or a letter or neither; what it says is proposed, or (a granted permit) recorded."""
    kind = Act(act) if act else WORDS.get(word) or abort(404)
    told: dict[str, Any] = {"act": kind}
    if kind in ABOUT_CHECKS:
        told |= {"shown": records.find(about), "offered": acts.possible(here, about).get(kind)}
        if told["offered"] is None:
            raise NotAllowed("this is not possible for this check, or not allowed in this region")
    elif kind is Act.LIFT:
        told["letter"] = letter = _find(about)
        if letter.act != Act.IMPOSE:
            abort(404)
    with Form(f"casework_{kind}") as form:
        if typed := form.sent:
            stated = typed | {"codes": typed.get("codes", "").split(), "region": request.form.get("region", "")}
            act_id = acts.propose(here, officer, kind, stated, about)
            if kind is Act.GRANT:
                return done(_("Izin dicatat dan mulai dipantau."), "result", check_id=about)
            return done(_("Usulan dicatat; penyelia lain memutuskannya."), "proposal", act_id=act_id)
    return form.page | told


def proposals() -> Told:
    decided = acts.acts(here, me.regions, ACT.c.state.in_(("accepted", "refused")), most=25)
    return {"waiting": acts.acts(here, me.regions, ACT.c.state == "proposed"), "decided": decided}


def proposal(act_id: str) -> Told:
    """One act with all that it rests on. Who accepts it sees at once what the gate answers now."""
    row = _find(act_id)
    with Form("casework_decision") as form:
        if form.sent:
            accepted = request.form.get("act") == "accepted"
            acts.settle(here, officer, act_id, "accepted" if accepted else "refused", form.sent["reason"])
            if accepted and row.check_id:
                watch.redecide(here, work.Row("redecide", f"{row.check_id}:{act_id}", 1))
            return done(_("Usulan diterima.") if accepted else _("Usulan ditolak."), "proposal", act_id=act_id)
    entry = here.log.entry(f"{act_id}.decided") or here.log.entry(act_id) or abort(404)
    checks = filter(None, [here.log.check(row.check_id) if row.check_id else None])
    pairs = list(islice(watch.decided_again(here, act_id), MOST)) if row.act == Act.RECALL else []
    new = {each.document["id"]: each for each in records.show(later for _old, later in pairs if later)}
    told = [(old, new.get(old.document["superseded_by"])) for old in records.show(old for old, _later in pairs)]
    may = row.state == "proposed" and me.role == "supervisor" and me.id != row.by
    about = {"letter": _find(row.about) if row.about else None, "shown": next(iter(records.show(checks)), None)}
    return form.page | about | {"row": row, "may": may, "words": entry.disclosed, "told": told}


def letters() -> Told:
    """The region's register: every letter that two have recorded, and what lifted it."""
    kinds = ACT.c.act.in_((Act.IMPOSE, Act.LIFT))
    rows = acts.acts(here, me.regions, kinds, ACT.c.state == "accepted")
    names = {row.id: entry.disclosed.get("name", "") for row in rows if (entry := here.log.entry(row.id))}
    return {"rows": rows, "lifted": {row.about: row for row in rows if row.act == Act.LIFT}, "names": names}


def watched() -> Told:
    """What somebody must see to, the oldest first, and the permits that are watched."""
    of, act = request.form.get("of", ""), request.form.get("act")
    if act == "ended":
        acts.settle(here, officer, of, "ended")
        return done(_("Izin tidak dipantau lagi."), "watched")
    if act == "handled":
        acts.handle(here, officer, of)
        return done(_("Dicatat sebagai selesai."), "watched")
    mine = (ITEM.c.region.in_(me.regions), ITEM.c.handled_by.is_(None), ITEM.c.kind != "recalled")
    oldest = here.log.rows(sa.select(ITEM).where(*mine).order_by(ITEM.c.position).limit(MOST))
    items = {item.check_id: item for item in oldest}
    permits = acts.acts(here, me.regions, ACT.c.state == "granted")
    return {"rows": records.show(filter(None, map(here.log.check, items))), "items": items, "permits": permits}
