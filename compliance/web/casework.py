"""Casework in pages: an officer proposes, another one decides; the register of letters; what somebody must see to."""

from itertools import islice
from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Row, select

from compliance import work
from compliance.casework import acts, watch
from compliance.casework.acts import ABOUT_CHECKS, Act, Person
from compliance.casework.office import decision_shown
from compliance.casework.table import ACT, ITEM
from compliance.deployment import deployment
from compliance.errors import NotAllowed
from compliance.web import desk, records
from compliance.web.fields import Field
from compliance.web.pages import _, pages
from compliance.web.visitors import CHECKERS, allow, me, sign_ins

WORDS = dict(zip(("verifikasi", "pernyataan", "pengecualian", "koreksi", "izin-terbit"), ABOUT_CHECKS, strict=True))
MOST = 200  # lines of a list


def _me() -> Person:
    return Person(me().id, me().name, me().role, me().regions)


def _find(act_id: str, *kinds: Act) -> Row[Any]:
    for row in acts.acts(deployment(), me().regions, ACT.c.id == act_id):
        if not kinds or row.act in kinds:
            return row
    abort(404)


@pages.app_errorhandler(NotAllowed)
def refused(error: NotAllowed) -> ResponseReturnValue:
    """What this person may not do, or nobody any more; nothing was changed."""
    return render_template("casework/refused.html", why=str(error)), 409


@pages.app_template_global()
def casework(document: dict[str, Any]) -> dict[str, Any]:
    """What officers did about a check's application and may still do, for its page."""
    about = [document[name] for name in ("region", "reference", "permit_type")]
    same = (ACT.c.reference == about[1], ACT.c.permit_type == about[2])
    may = acts.possible(deployment(), document["id"]) if not document["superseded_by"] else {}
    words = [(word, act) for word, act in WORDS.items() if act in may]
    past = acts.acts(deployment(), (about[0],), *same)
    return {"may": words, "decision": decision_shown(deployment(), *about), "past": past}


@pages.app_template_global("person_name")
def name(user_id: str) -> str:
    user = sign_ins().users.get(user_id)
    return user.name if user else user_id


def _form(act: Act, about: str = "", **told: Any) -> ResponseReturnValue:
    """An act's form; what it says is proposed, or (a granted permit) recorded."""

    def show(boxes: list[Field], others: list[str]) -> str:
        return render_template("casework/form.html", act=act, boxes=boxes, others=others, **told)

    def do(typed: dict[str, str]) -> ResponseReturnValue:
        stated = typed | {"codes": typed.get("codes", "").split(), "region": request.form.get("region", "")}
        act_id = acts.propose(deployment(), _me(), act, stated, about)
        if act is Act.GRANT:
            return desk.done(_("Izin dicatat dan mulai dipantau."), "result", check_id=about)
        return desk.done(_("Usulan dicatat; penyelia lain memutuskannya."), "proposal", act_id=act_id)

    return desk.run(f"casework_{act}", show, do)


@pages.route("/periksa/<check_id>/usul/<word>", methods=["GET", "POST"])
@allow(*CHECKERS)
def about_check(check_id: str, word: str) -> ResponseReturnValue:
    """The forms that begin at a check's page."""
    shown, act = records.find(check_id, me().regions), WORDS.get(word) or abort(404)
    if (offered := acts.possible(deployment(), check_id).get(act)) is None:
        raise NotAllowed("this is not possible for this check, or not allowed in this region")
    return _form(act, check_id, shown=shown, offered=offered)


@pages.route("/usulan")
@allow(*CHECKERS)
def proposals() -> ResponseReturnValue:
    waiting = acts.acts(deployment(), me().regions, ACT.c.state == "proposed", most=MOST)
    decided = acts.acts(deployment(), me().regions, ACT.c.state.in_(("accepted", "refused")), most=25)
    return render_template("casework/proposals.html", waiting=waiting, decided=decided)


@pages.route("/usulan/<act_id>", methods=["GET", "POST"])
@allow(*CHECKERS)
def proposal(act_id: str) -> ResponseReturnValue:
    """One act with all that it rests on. Who accepts it sees at once what the gate answers now."""
    row, here = _find(act_id), deployment()

    def show(boxes: list[Field], others: list[str]) -> str:
        entry = here.log.entry(f"{act_id}.decided") or here.log.entry(act_id) or abort(404)
        record = here.log.check(row.check_id) if row.check_id else None
        about = next(iter(records.show([record] if record else [])), None)
        told = list(islice(watch.decided_again(here, act_id), MOST)) if row.act == Act.RECALL else []
        new = {each.document["id"]: each for each in records.show([later for _old, later in told if later])}
        of = {"letter": _find(row.about) if row.about else None, "words": entry.disclosed, "shown": about}
        old = records.show([each for each, _later in told])
        again = [(each, new.get(each.document["superseded_by"])) for each in old]
        may = row.state == "proposed" and me().role == "supervisor" and me().id != row.by
        return render_template("casework/proposal.html", row=row, boxes=boxes, others=others, told=again, may=may, **of)

    def do(typed: dict[str, str]) -> ResponseReturnValue:
        word = "accepted" if request.form.get("act") == "accepted" else "refused"
        acts.settle(here, _me(), act_id, word, typed["reason"])
        if word == "accepted" and row.check_id:
            watch.redecide(here, work.Row("redecide", f"{row.check_id}:{act_id}", 1))
        said = _("Usulan diterima.") if word == "accepted" else _("Usulan ditolak.")
        return desk.done(said, "proposal", act_id=act_id)

    return desk.run("casework_decision", show, do)


@pages.route("/sanksi")
@allow(*CHECKERS)
def letters() -> ResponseReturnValue:
    """The region's register: every letter that two have recorded, and what lifted it."""
    rows = acts.acts(deployment(), me().regions, ACT.c.act.in_((Act.IMPOSE, Act.LIFT)), ACT.c.state == "accepted")
    lifted = {row.about: row for row in rows if row.act == Act.LIFT}
    names = {row.id: _words(row).get("name", "") for row in rows}
    return render_template("casework/letters.html", rows=rows, lifted=lifted, names=names)


def _words(row: Row[Any]) -> Any:
    entry = deployment().log.entry(row.id)
    return entry.disclosed if entry else {}


@pages.route("/sanksi/baru", methods=["GET", "POST"])
@allow(*CHECKERS)
def new_letter() -> ResponseReturnValue:
    return _form(Act.IMPOSE)


@pages.route("/sanksi/<act_id>/cabut", methods=["GET", "POST"])
@allow(*CHECKERS)
def lift_letter(act_id: str) -> ResponseReturnValue:
    return _form(Act.LIFT, act_id, letter=_find(act_id, Act.IMPOSE))


@pages.route("/usulan/penarikan", methods=["GET", "POST"])
@allow(*CHECKERS)
def new_recall() -> ResponseReturnValue:
    return _form(Act.RECALL)


@pages.route("/pantauan", methods=["GET", "POST"])
@allow(*CHECKERS)
def watched() -> ResponseReturnValue:
    """What somebody must see to, the oldest first, and the permits that are watched."""
    here = deployment()
    if request.method == "POST" and request.form.get("act") == "ended":
        acts.settle(here, _me(), request.form.get("of", ""), "ended")
        return desk.done(_("Izin tidak dipantau lagi."), "watched")
    if request.method == "POST":
        acts.handle(here, _me(), request.form.get("of", ""))
        return desk.done(_("Dicatat sebagai selesai."), "watched")
    open_items = select(ITEM).where(ITEM.c.region.in_(me().regions), ITEM.c.handled_by.is_(None))
    with here.log.engine.connect() as connection:
        newest = open_items.where(ITEM.c.kind != "recalled").order_by(ITEM.c.position).limit(MOST)
        items = {item.check_id: item for item in connection.execute(newest)}
    rows = records.show(filter(None, map(here.log.check, items)))
    granted = acts.acts(here, me().regions, ACT.c.state == "granted", most=MOST)
    permits = {row.id: row for row in granted}
    return render_template("casework/watched.html", rows=rows, items=items, permits=permits)
