"""The auditor's search, and one check as it must be shown to be lawful. Every look is an entry before it is a page."""

import hashlib
import json
from dataclasses import replace
from datetime import date
from typing import Any

from flask import Response, current_app, g, render_template, request, url_for
from flask.typing import ResponseReturnValue
from ulid import ULID
from werkzeug.exceptions import BadRequest, NotFound

from compliance.access.clients import Clients
from compliance.access.users import Role
from compliance.audit import words
from compliance.audit.replays import past_policies
from compliance.casework.acts import acts
from compliance.casework.table import ACT
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError
from compliance.law.codec import from_json
from compliance.law.explain import explain
from compliance.law.facts import Facts
from compliance.law.replay import Policies, replay
from compliance.proof.receipt import read_code
from compliance.reports.export import FORMS, export
from compliance.reports.search import Wanted, search
from compliance.web import language, permits, records
from compliance.web.fields import FORM
from compliance.web.pages import _, pages
from compliance.web.visitors import allow, me, sign_ins

FILTERS = ("q", "region", "since", "until", "verdict", "permit_type", "finding", "office", "asker")
PER_PAGE, NAMES, HISTORY = 25, 5_000, 100


def looked(what: str, kind: str = "looked", **facts: Any) -> None:
    """No look without its entry: raises LogUnavailable. What was typed may be a name, so it goes in salted."""
    running, typed = deployment(), facts.get("asked", {}).get("q")
    db.session.remove()  # the log writes over a connection of its own
    told = {
        name: {k: v for k, v in said.items() if k != "q"} if name == "asked" else said for name, said in facts.items()
    }
    body = {"by": me().id, "what": what, "regions": list(me().regions), "request_id": g.request_id, **told}
    private = {"query": typed} if typed else {}
    running.log.append(f"access.{kind}", body, entry_id=str(ULID()), private=private, at=running.clock())


def asked() -> dict[str, str]:
    """The filter in the address."""
    typed = {name: request.args.get(name, "").strip()[:200] for name in FILTERS}
    return {name: text for name, text in typed.items() if text}


def wanted(typed: dict[str, str]) -> Wanted:
    """What an auditor asks for, within his or her regions. Raises BadInput."""
    regions, log, days = me().regions, deployment().log, dict[str, date]()
    regions = tuple(code for code in regions if code == typed.get("region", code))
    for name in {"since", "until"} & typed.keys():
        try:
            days[name] = date.fromisoformat(typed[name])
        except ValueError as error:
            raise BadInput(FieldError(f"/{name}", _("Tulis tanggal seperti 2026-11-20."))) from error
    plain = {name: typed.get(name) for name in ("verdict", "permit_type", "finding", "office", "asker")}
    found, q = Wanted(regions, **days, **plain), typed.get("q", "")  # type: ignore[arg-type]
    if not q:
        return found
    if code := read_code(q):
        record = log.check_by_code(code)
        return replace(found, among=[record.pos] if record else [])
    if len(nib := q.replace(" ", "")) == 13 and nib.isdigit():
        return replace(found, nib=nib)
    if search(log.engine, Wanted(regions, reference=q), 1):
        return replace(found, reference=q)
    with log.engine.connect() as connection:
        among = list(connection.scalars(words.named(q).limit(NAMES + 1)))
    if len(among) > NAMES:
        raise BadInput(FieldError("/q", _("Lebih dari 5.000 nama cocok. Tulis nama usaha lebih lengkap.")))
    return replace(found, among=among)


def _cursor() -> tuple[date, int] | None:
    day, _dot, pos = request.args.get("sebelum", "").partition(".")
    try:
        return (date.fromisoformat(day), int(pos[:15])) if day else None
    except ValueError as error:
        raise BadRequest from error


def people() -> dict[str, str]:
    """Who may have asked in the auditor's regions: kind:id with the name."""
    running, mine = deployment(), set(me().regions)
    users = {f"user:{user.id}": user.name for user in sign_ins().users.all() if mine & set(user.regions)}
    clients = Clients(running.log, running.clock).all()
    return users | {f"client:{client.id}": client.name for client in clients if mine & set(client.regions)}


def choices() -> dict[str, dict[str, str]]:
    """What the filter offers, by field."""
    law, mine, findings = permits.law(me().regions[0]), set(me().regions), FORM["choices"]["finding"]
    offices = {user.office for user in sign_ins().users.all() if mine & set(user.regions)} - {""}
    return {
        "verdict": {verdict: words[language.current()] for verdict, words in law.labels.items()},
        "region": permits.my_regions() if len(mine) > 1 else {},
        "permit_type": dict(permits.offered(me().regions[0])),
        "finding": {code: _(findings[code]) for code in law.findings},
        "office": {office: office for office in sorted(offices)},
        "asker": people(),
    }


@pages.route("/audit")
@allow(Role.AUDITOR)
def audit() -> ResponseReturnValue:
    running, typed, errors, rows = deployment(), asked(), dict[str, str](), list[Any]()
    looked("search", asked=typed)
    try:
        rows = search(running.log.engine, replace(wanted(typed), before=_cursor()), PER_PAGE + 1)
    except BadInput as error:
        errors = {wrong.pointer[1:]: wrong.detail for wrong in error.errors}
    entries = running.log.entries_at(row.pos for row in rows[:PER_PAGE])[::-1]
    more = rows[PER_PAGE - 1] if len(rows) > PER_PAGE else None
    page: dict[str, Any] = {**typed, "sebelum": f"{more.day}.{more.pos}"} if more else {}
    onward = url_for("web.audit", **page) if more else ""
    told = {"typed": typed, "errors": errors, "choices": choices(), "people": people(), "forms": FORMS}
    return render_template("audit/search.html", entries=entries, onward=onward, **told), 422 if errors else 200


def _past() -> Policies:
    found: Policies = current_app.extensions.setdefault("compliance-past", past_policies(deployment().log))
    return found


@pages.route("/audit/periksa/<check_id>", methods=["GET", "POST"])
@allow(Role.AUDITOR)
def audit_check(check_id: str) -> ResponseReturnValue:
    """All there is about one check; POST decides it again, from its entry and the law that it names."""
    shown, log = records.find(check_id, me().regions), deployment().log
    body, again = shown.entry.body, None
    looked("check", check=check_id)
    if request.method == "POST":
        again = replay(body, _past())
        told = {"check": check_id, "same": again.same, "asker": {"kind": "user", "id": me().id}}
        log.append("log.replayed", told, entry_id=str(ULID()), private={}, at=deployment().clock())
    facts: Facts = from_json(Facts, body["facts"])
    region, permit_type = facts.application.region, facts.application.permit_type
    law = _past().get(body["policy"]["sha256"]).on(facts.application.as_at, region)
    case = Wanted((region,), reference=body["reference"], permit_type=permit_type)
    history = log.entries_at(row.pos for row in search(log.engine, case, HISTORY))
    same_case = (ACT.c.reference == body["reference"], ACT.c.permit_type == permit_type)
    told = {"explained": explain(facts, law), "files": json.loads(law.texts[law.sha256])["files"], "again": again}
    told |= {"law": law, "history": history, "acts": acts(deployment(), (region,), *same_case), "size": log.head()[0]}
    return render_template("audit/check.html", shown=shown, body=body, people=people(), **told)


@pages.route("/audit/periksa/<check_id>/bukti.json")
@allow(Role.AUDITOR)
def audit_proof(check_id: str) -> ResponseReturnValue:
    """The file for `flask log verify`."""
    records.find(check_id, me().regions)
    looked("proof", "export", check=check_id)
    package = json.dumps(deployment().log.package(check_id), indent=1, ensure_ascii=False)
    headers = {"Content-Disposition": f'attachment; filename="bukti-{check_id}.json"'}
    return Response(package, mimetype="application/json", headers=headers)


@pages.route("/audit/aturan/<sha256>")
@allow(Role.AUDITOR)
def audit_policy(sha256: str) -> ResponseReturnValue:
    """A text of the law as decisions named it."""
    stored = deployment().log.entry(f"policy.text.{sha256[:64]}")
    if not stored:
        raise NotFound
    looked("policy", sha256=sha256)
    matches = hashlib.sha256(stored.body["text"].encode()).hexdigest() == sha256
    return render_template("audit/policy.html", stored=stored, matches=matches)


@pages.route("/audit/ekspor.<form>")
@allow(Role.AUDITOR)
def audit_export(form: str) -> ResponseReturnValue:
    if form not in FORMS:
        raise NotFound
    running, typed = deployment(), asked()
    try:
        rows = wanted(typed)
    except BadInput as error:
        raise BadRequest from error
    looked("checks", "export", form=form, asked=typed)
    told = {**typed, "by": me().id, "regions": list(me().regions)}
    name = f"ekspor-{running.clock():%Y%m%d-%H%M}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(export(running, rows, form, told), mimetype="application/zip", headers=headers)
