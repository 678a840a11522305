"""Casework in pages: an officer proposes, another one decides; the register of letters; what somebody must see to."""

from itertools import islice
from typing import Any

import sqlalchemy as sa
from flask import abort, render_template, request

from compliance import work
from compliance.casework import acts, watch
from compliance.casework.acts import ABOUT_CHECKS, ACT, ITEM, Act, Person
from compliance.casework.office import decision_shown
from compliance.deployment import deployment
from compliance.errors import NotAllowed
from compliance.web import BOTH, CHECKERS, Reply, _, done, me, page, records, sign_ins, web
from compliance.web.fields import Form

WORDS = dict(zip(("verifikasi", "pernyataan", "pengecualian", "koreksi", "izin-terbit"), ABOUT_CHECKS, strict=True))
MOST = 200  # lines of a list


def _me() -> Person:
    return Person(me().id, me().name, me().role, me().regions)


def _find(act_id: str) -> sa.Row[Any]:
    return next(iter(acts.acts(deployment(), me().regions, ACT.c.id == act_id)), None) or abort(404)


@web.app_errorhandler(NotAllowed)
def refused(error: NotAllowed) -> Reply:
    """What this person may not do, or nobody any more; nothing was changed."""
    return render_template("casework/refused.html", why=str(error)), 409


@web.app_template_global()
def casework(document: dict[str, Any]) -> dict[str, Any]:
    """What officers did about a check's application and may still do, for its page."""
    region, reference, permit_type = (document[name] for name in ("region", "reference", "permit_type"))
    may = acts.possible(deployment(), document["id"]) if not document["superseded_by"] else {}
    words = [(word, act) for word, act in WORDS.items() if act in may]
    past = acts.acts(deployment(), (region,), ACT.c.reference == reference, ACT.c.permit_type == permit_type)
    return {"may": words, "decision": decision_shown(deployment(), region, reference, permit_type), "past": past}


@web.app_template_global()
def person_name(user_id: str) -> str:
    user = sign_ins().users.get(user_id)
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
    waiting = acts.acts(deployment(), me().regions, ACT.c.state == "proposed", most=MOST)
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
    entries = {row.id: here.log.entry(row.id) for row in rows}
    names = {key: entry.disclosed.get("name", "") for key, entry in entries.items() if entry}
    return render_template("casework/letters.html", rows=rows, lifted=lifted, names=names)


@page("/pantauan", *CHECKERS, methods=BOTH)
def watched() -> Reply:
    """What somebody must see to, the oldest first, and the permits that are watched."""
    here, of = deployment(), request.form.get("of", "")
    if request.method == "POST" and request.form.get("act") == "ended":
        acts.settle(here, _me(), of, "ended")
        return done(_("Izin tidak dipantau lagi."), "watched")
    if request.method == "POST":
        acts.handle(here, _me(), of)
        return done(_("Dicatat sebagai selesai."), "watched")
    mine = (ITEM.c.region.in_(me().regions), ITEM.c.handled_by.is_(None), ITEM.c.kind != "recalled")
    with here.log.engine.connect() as connection:
        oldest = sa.select(ITEM).where(*mine).order_by(ITEM.c.position).limit(MOST)
        items = {item.check_id: item for item in connection.execute(oldest)}
    rows = records.show(filter(None, map(here.log.check, items)))
    permits = acts.acts(here, me().regions, ACT.c.state == "granted", most=MOST)
    return render_template("casework/watched.html", rows=rows, items=items, permits=permits)
