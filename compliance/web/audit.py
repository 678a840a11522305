"""The auditor's search, figures, and one check with all that shows it lawful. A look is first an entry."""

import itertools
import json
import operator
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

from flask import abort, current_app, g, render_template, request, url_for
from ulid import ULID

from compliance.access.users import Role
from compliance.audit import checks
from compliance.audit.verify import past_policies
from compliance.casework.acts import ACT, acts
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput
from compliance.law.codec import from_json
from compliance.law.facts import Facts
from compliance.law.replay import Policies, explain, replay
from compliance.proof.receipt import read_code
from compliance.reports.export import FORMS, export
from compliance.reports.search import Wanted, search, summary
from compliance.web import BOTH, Reply, _, download, language, me, page, records, region, sign_ins
from compliance.web.account import all_clients
from compliance.web.fields import days, must, word

PLAIN = ("verdict", "permit_type", "finding", "office", "asker")
PER_PAGE, NAMES, HISTORY = 25, 5_000, 100
MONTH, LONGEST = timedelta(days=30), timedelta(days=400)


def said(kind: str, body: Mapping[str, Any], private: Mapping[str, Any] | None = None) -> None:
    """An entry of its own about what an auditor does. Raises LogUnavailable."""
    running = deployment()
    db.session.remove()  # the log writes over a connection of its own
    running.log.append(kind, body, entry_id=str(ULID()), private=private or {}, at=running.clock())


def looked(what: str, kind: str = "looked", asked: Mapping[str, str] | None = None, **facts: Any) -> None:
    """No look without its entry: raises LogUnavailable. What was typed may be a name, so it goes in salted."""
    body = {"by": me().id, "what": what, "regions": list(me().regions), "request_id": g.request_id, **facts}
    typed = dict(asked or {})
    private = {"query": typed.pop("q")} if "q" in typed else {}
    said(f"access.{kind}", body if asked is None else body | {"asked": typed}, private)


def asked() -> dict[str, str]:
    """The filter in the address."""
    typed = {name: request.args.get(name, "").strip()[:200] for name in ("q", "region", "since", "until", *PLAIN)}
    return {name: text for name, text in typed.items() if text}


def wanted(typed: dict[str, str]) -> Wanted:
    """What an auditor asks for, within his or her regions. Raises BadInput."""
    log, q = deployment().log, typed.get("q", "")
    regions = tuple(code for code in me().regions if code == typed.get("region", code))
    about: dict[str, Any] = days(typed, *(name for name in ("since", "until") if name in typed))
    about |= {name: typed.get(name) for name in PLAIN}
    found, nib = Wanted(**about | {"regions": regions}), q.replace(" ", "")
    if not q:
        return found
    if code := read_code(q):
        record = log.check_by_code(code)
        return replace(found, among=[record.pos] if record else [])
    if len(nib) == 13 and nib.isdigit():
        return replace(found, nib=nib)
    if search(log.engine, Wanted(regions, reference=q), 1):
        return replace(found, reference=q)
    with log.engine.connect() as connection:
        among = list(connection.scalars(checks.named(q).limit(NAMES + 1)))
    must(q=(len(among) <= NAMES, _("Lebih dari 5.000 nama cocok. Tulis nama usaha lebih lengkap.")))
    return replace(found, among=among)


def people() -> dict[str, str]:
    """Who may have asked in the auditor's regions: kind:id with the name."""
    mine = set(me().regions)
    users = {f"user:{user.id}": user.name for user in sign_ins().users.all() if mine & set(user.regions)}
    return users | {f"client:{one.id}": one.name for one in all_clients().all() if mine & set(one.regions)}


def choices() -> dict[str, dict[str, str]]:
    """What the filter offers, by field."""
    first, mine = me().regions[0], set(me().regions)
    law, offices = region.law_of(first), {user.office for user in sign_ins().users.all() if mine & set(user.regions)}
    return {
        "verdict": {verdict: words[language()] for verdict, words in law.labels.items()},
        "region": region.my_regions() if len(mine) > 1 else {},
        "permit_type": region.offered(first),
        "finding": {code: word("finding", code) for code in law.findings},
        "office": {office: office for office in sorted(offices - {""})},
        "asker": people(),
    }


@page("/audit", Role.AUDITOR)
def audit() -> Reply:
    log, typed, errors, rows = deployment().log, asked(), dict[str, str](), list[Any]()
    day, _dot, pos = request.args.get("sebelum", "").partition(".")
    looked("search", asked=typed)
    try:
        before = (date.fromisoformat(day), int(pos[:15])) if day else None
        rows = search(log.engine, replace(wanted(typed), before=before), PER_PAGE + 1)
    except BadInput as error:
        errors = {wrong.pointer[1:]: wrong.detail for wrong in error.errors}
    except ValueError:
        abort(400)
    more: dict[str, Any] = typed | {"sebelum": "{0.day}.{0.pos}".format(rows[PER_PAGE - 1])} if rows[PER_PAGE:] else {}
    told = {"typed": typed, "errors": errors, "choices": choices(), "people": people(), "forms": FORMS}
    told |= {"entries": log.entries_at(row.pos for row in rows[:PER_PAGE])[::-1]}
    onward = url_for("web.audit", **more) if more else ""
    return render_template("audit/search.html", onward=onward, **told), 422 if errors else 200


@page("/audit/ekspor.<form>", Role.AUDITOR)
def audit_export(form: str) -> Reply:
    running, typed = deployment(), asked()
    if form not in FORMS:
        abort(404)
    try:
        rows = wanted(typed)
    except BadInput:
        abort(400)
    looked("checks", "export", asked=typed, form=form)
    made = export(running, rows, form, {**typed, "by": me().id, "regions": list(me().regions)})
    return download(made, f"ekspor-{running.clock():%Y%m%d-%H%M}.zip", "application/zip")


@page("/audit/laporan", Role.AUDITOR)
def audit_report() -> Reply:
    today, errors = region.today(me().regions[0]), dict[str, str]()
    month = {"since": str(today - MONTH), "until": str(today)}
    typed = month | asked()
    looked("report", asked=typed)
    try:
        span = wanted(typed)
        length = (span.until or today) - (span.since or today)
        words = _("Hari pertama tidak sesudah hari terakhir, dan masanya paling lama 400 hari.")
        must(since=(timedelta(0) <= length <= LONGEST, words))
    except BadInput as wrong:
        errors, typed, span = {"since": wrong.errors[0].detail}, month, wanted(month)
    with deployment().log.engine.connect() as connection:
        found = summary(connection, span)
    parts = itertools.groupby(found["days"], key=operator.itemgetter(0))
    columns = [(day, {verdict: number for _day, verdict, number in rows}) for day, rows in parts]
    found["columns"] = [(day, each, sum(each.values())) for day, each in columns]
    told = {"typed": typed, "errors": errors, "choices": choices(), "found": found}
    return render_template("audit/report.html", **told), 422 if errors else 200


@page("/audit/periksa/<check_id>", Role.AUDITOR, methods=BOTH)
def audit_check(check_id: str) -> Reply:
    """All there is about one check; POST decides it again, from its entry and the law that it names."""
    shown, log, again = records.find(check_id), deployment().log, None
    body, past = shown.entry.body, current_app.extensions
    policies: Policies = past.get("compliance-past") or past.setdefault("compliance-past", past_policies(log))
    looked("check", check=check_id)
    if request.method == "POST":
        again = replay(body, policies)
        said("log.replayed", {"check": check_id, "same": again.same, "asker": {"kind": "user", "id": me().id}})
    facts: Facts = from_json(Facts, body["facts"])
    code, permit_type = facts.application.region, facts.application.permit_type
    law = policies.get(body["policy"]["sha256"]).on(facts.application.as_at, code)
    rows = search(log.engine, Wanted((code,), reference=body["reference"], permit_type=permit_type), HISTORY)
    same_case = (ACT.c.reference == body["reference"], ACT.c.permit_type == permit_type)
    told = {"law": law, "explained": explain(facts, law), "files": json.loads(law.texts[law.sha256])["files"]}
    told |= {"history": log.entries_at(row.pos for row in rows), "acts": acts(deployment(), (code,), *same_case)}
    told |= {"again": again, "size": log.head()[0], "people": people()}
    return render_template("audit/check.html", shown=shown, body=body, **told)


@page("/audit/periksa/<check_id>/bukti.json", Role.AUDITOR)
def audit_proof(check_id: str) -> Reply:
    """The file for `flask log verify`."""
    records.find(check_id)
    looked("proof", "export", check=check_id)
    package = json.dumps(deployment().log.package(check_id), indent=1, ensure_ascii=False)
    return download(package, f"bukti-{check_id}.json", "application/json")


@page("/audit/aturan/<named>", Role.AUDITOR)
def audit_policy(named: str) -> Reply:
    """A text of the law as decisions named it."""
    stored = deployment().log.entry(f"policy.text.{named[:64]}") or abort(404)
    looked("policy", sha256=named)
    matches = sha256(stored.body["text"].encode()).hexdigest() == named
    return render_template("audit/policy.html", stored=stored, matches=matches)
