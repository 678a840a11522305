"""For auditors, no look without its entry: search, figures, what shows a check lawful, the log, samples; promises."""

import datetime as dt
import json
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, current_app, g, redirect, render_template, request, stream_with_context, url_for
from ulid import ULID

from compliance.access.users import Role
from compliance.audit import checks, witnesses
from compliance.audit.verify import past_policies, verify
from compliance.casework.acts import ACT, acts
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput, LogBroken
from compliance.law.decide import Policies, explain, replay
from compliance.proof.note import b64
from compliance.proof.receipt import read_code
from compliance.reports import promises, sample
from compliance.reports.export import FORMS, export
from compliance.reports.search import NAMED, Wanted, named, search, stream, summary
from compliance.web import BOTH, Reply, _, download, fields, language, me, ours, page, records, sign_ins
from compliance.web.account import all_clients
from compliance.web.fields import Form, days, must

PLAIN = ("verdict", "permit_type", "finding", "office", "asker")
PER_PAGE, NAMES, HISTORY = 25, 5_000, 100
MONTH, LONGEST = dt.timedelta(days=30), dt.timedelta(days=400)
_verifying = threading.Lock()  # one at a time: it reads everything


def said(kind: str, body: Mapping[str, Any], private: Mapping[str, Any] | None = None) -> None:
    """An entry of its own about what an auditor does. Raises LogUnavailable."""
    db.session.remove()  # the log writes over a connection of its own
    deployment().log.append(kind, body, private=private)


def looked(what: str, kind: str = "looked", asked: Mapping[str, str] | None = None, **facts: Any) -> None:
    """The entry of a look. What was typed may be a name, so it goes in salted."""
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
    about: dict[str, Any] = days(typed, *(name for name in ("since", "until") if name in typed))
    about |= {"regions": tuple(code for code in me().regions if code == typed.get("region", code))}
    found, nib = Wanted(**about | {name: typed.get(name) for name in PLAIN}), q.replace(" ", "")
    if not q:
        return found
    if code := read_code(q):
        record = log.check_by_code(code)
        return replace(found, among=[record.pos] if record else [])
    if len(nib) == 13 and nib.isdigit():
        return replace(found, nib=nib)
    if search(log.engine, Wanted(found.regions, reference=q), 1):
        return replace(found, reference=q)
    among = [row.pos for row in log.rows(checks.named(q).limit(NAMES + 1))]
    must(q=(len(among) <= NAMES, _("Lebih dari 5.000 nama cocok. Tulis nama usaha lebih lengkap.")))
    return replace(found, among=among)


def choices() -> dict[str, dict[str, str]]:
    """What the filter offers, by field; `asker`: who may have asked in the auditor's regions, kind:id with the name."""
    first, mine = me().regions[0], set(me().regions)
    law, users = fields.law_of(first), [user for user in sign_ins().users.all() if mine & set(user.regions)]
    clients = {f"client:{one.id}": one.name for one in all_clients().all() if mine & set(one.regions)}
    return {
        "verdict": {verdict: says[language()] for verdict, says in law.labels.items()},
        "region": fields.my_regions() if len(mine) > 1 else {},
        "permit_type": fields.offered(first),
        "finding": {code: fields.word("finding", code) for code in law.findings},
        "office": {office: office for office in sorted({user.office for user in users} - {""})},
        "asker": {f"user:{user.id}": user.name for user in users} | clients,
    }


@page("/audit", Role.AUDITOR)
def audit() -> Reply:
    log, typed, errors, rows = deployment().log, asked(), dict[str, str](), list[Any]()
    day, _dot, pos = request.args.get("sebelum", "").partition(".")
    looked("search", asked=typed)
    try:
        before = (dt.date.fromisoformat(day), int(pos[:15])) if day else None
        rows = search(log.engine, replace(wanted(typed), before=before), PER_PAGE + 1)
    except BadInput as error:
        errors = {wrong.pointer[1:]: wrong.detail for wrong in error.errors}
    except ValueError:
        abort(400)
    last = rows[PER_PAGE - 1] if rows[PER_PAGE:] else None
    given: dict[str, Any] = typed | {"sebelum": f"{last.day}.{last.pos}"} if last else {}
    told = {"typed": typed, "errors": errors, "choices": choices(), "forms": FORMS}
    told["onward"] = url_for("web.audit", **given) if given else ""
    entries = log.entries_at(row.pos for row in rows[:PER_PAGE])[::-1]
    return render_template("audit/search.html", entries=entries, **told), 422 if errors else 200


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
    today, errors = fields.today(me().regions[0]), dict[str, str]()
    month = {"since": str(today - MONTH), "until": str(today)}
    typed = month | asked()
    looked("report", asked=typed)
    try:
        span = wanted(typed)
        fits = dt.timedelta(0) <= (span.until or today) - (span.since or today) <= LONGEST
        must(since=(fits, _("Hari pertama tidak sesudah hari terakhir, dan masanya paling lama 400 hari.")))
    except BadInput as wrong:
        errors, typed, span = {"since": wrong.errors[0].detail}, month, wanted(month)
    with deployment().log.engine.connect() as connection:
        found = summary(connection, span)
    told = {"typed": typed, "errors": errors, "choices": choices(), "found": found}
    return render_template("audit/report.html", **told), 422 if errors else 200


@page("/audit/periksa/<check_id>", Role.AUDITOR, methods=BOTH)
@page("/audit/periksa/<check_id>/bukti.json", Role.AUDITOR, name="audit_proof", defaults={"proof": True})
def audit_check(check_id: str, proof: bool = False) -> Reply:
    """All there is about one check; POST decides it again by the law of its day. Or the file for `flask log verify`."""
    shown, log, again = records.find(check_id), deployment().log, None
    if proof:
        looked("proof", "export", check=check_id)
        package = json.dumps(log.package(check_id), indent=1, ensure_ascii=False)
        return download(package, f"bukti-{check_id}.json", "application/json")
    body, kept = shown.entry.body, current_app.extensions
    policies: Policies = kept.get("compliance-past") or kept.setdefault("compliance-past", past_policies(log))
    looked("check", check=check_id)
    if request.method == "POST":
        again = replay(body, policies)
        said("log.replayed", {"check": check_id, "same": again.same, "asker": {"kind": "user", "id": me().id}})
    facts, law = policies.judged(body)
    code, permit_type = facts.application.region, facts.application.permit_type
    rows = search(log.engine, Wanted((code,), reference=body["reference"], permit_type=permit_type), HISTORY)
    same_case = (ACT.c.reference == body["reference"], ACT.c.permit_type == permit_type)
    told = {"law": law, "explained": explain(facts, law), "files": json.loads(law.texts[law.sha256])["files"]}
    told |= {"history": log.entries_at(row.pos for row in rows), "acts": acts(deployment(), (code,), *same_case)}
    told |= {"again": again, "size": log.head()[0], "people": choices()["asker"]}
    return render_template("audit/check.html", shown=shown, body=body, **told)


@page("/audit/aturan/<digest>", Role.AUDITOR)
def audit_policy(digest: str) -> Reply:
    """A text of the law as decisions named it."""
    stored = deployment().log.entry(f"policy.text.{digest[:64]}") or abort(404)
    looked("policy", sha256=digest)
    matches = sha256(stored.body["text"].encode()).hexdigest() == digest
    return render_template("audit/policy.html", stored=stored, matches=matches)


@page("/audit/log", Role.AUDITOR, methods=BOTH)
def audit_log() -> Reply:
    """POST recomputes the log; the page grows meanwhile, without script."""
    log, running = deployment().log, request.method == "POST"
    looked("log")
    told = {"keys": log.keyring.keys, "checkpoint": log.checkpoint(), "published": witnesses.published(log)}
    busy = running and _verifying.locked()
    made = render_template("audit/log.html", size=log.head()[0], busy=busy, running=running and not busy, **told)
    if busy or not running:
        return made, 409 if busy else 200
    head, foot = made.split("<!--progress-->")
    return Response(stream_with_context(_verified(head, foot)), headers={"X-Accel-Buffering": "no"})


def _verified(head: str, foot: str) -> Iterator[str]:
    """The page in pieces. Whoever leaves it ends the work."""
    log, sizes, gone = deployment().log, [0], threading.Event()
    known = witnesses.heads(log)

    def progress(size: int) -> None:
        sizes.append(size)
        if gone.is_set():
            raise LogBroken("nobody waits for it any more")

    with _verifying, ThreadPoolExecutor(1) as pool:  # taken here, so that a page that is never sent holds nothing
        try:
            yield head
            verified = pool.submit(verify, log, known, progress)
            while wait([verified], 1).not_done:
                yield render_template("audit/progress.html", size=sizes[-1])
        finally:
            gone.set()
    broken = verified.exception()  # whatever it is, the page says it
    size, root = (0, b"") if broken else verified.result()
    body = {"by": me().id, "size": size, "root": b64(root), "broken": str(broken or ""), "heads": len(known)}
    said("log.verified", body)
    yield render_template("audit/progress.html", done=body, position=getattr(broken, "position", None))
    yield foot


def _sample(sample_id: str) -> dict[str, Any] | None:
    """All that was said about a sample of one's own regions, the latest last."""
    told: dict[str, Any] = {}
    for kind in ("committed", "drawn", "judged"):
        if entry := named(deployment().log, f"access.sample_{kind}:{sample_id}"):
            told |= entry.body | {f"{kind}_at": entry.body["at"], f"{kind}_pos": entry.position}
    return told if told and ours(told["regions"]) else None


@page("/audit/sampel", Role.AUDITOR, methods=BOTH)
def audit_samples() -> Reply:
    """Plan a sample: the digest of a seed, for a time wholly to come, of which nobody knows yet what will be drawn."""
    looked("samples")
    with Form("sample", {"per_office": "30", "regions": " ".join(me().regions)}) as form:
        if typed := form.sent:
            seed, sample_id, regions = secrets.token_hex(16), str(ULID()), typed["regions"].split()
            number, digest = typed["per_office"], typed["seed_sha256"].lower() or sha256(seed.encode()).hexdigest()
            today, (since, until) = max(map(fields.today, me().regions)), days(typed, "since", "until").values()
            must(
                regions=(ours(regions), _("Pilih daerah Anda.")),
                since=(since > today, _("Masa sampel harus dimulai paling cepat besok.")),
                until=(since <= until <= since + LONGEST, _("Tidak sebelum hari pertama, dan paling lama 400 hari.")),
                per_office=(re.fullmatch("[1-9][0-9]?|[1-4][0-9]{2}|500", number), _("Tulis angka 1 sampai 500.")),
                seed_sha256=(re.fullmatch("[0-9a-f]{64}", digest), _("SHA-256 terdiri atas 64 angka dan huruf a–f.")),
            )
            told = {"sample": sample_id, "by": me().id, "regions": regions, "since": str(since), "until": str(until)}
            said("access.sample_committed", told | {"per_office": int(number), "seed_sha256": digest})
            shown = "" if typed["seed_sha256"] else seed
            return render_template("audit/seed.html", seed=shown, told=_sample(sample_id), sample_id=sample_id)
    log, prefix = deployment().log, "access.sample_committed:"
    query = sa.select(NAMED.c.name).where(NAMED.c.name.startswith(prefix)).order_by(NAMED.c.position.desc())
    ids = [row.name.removeprefix(prefix) for row in log.rows(query.limit(100))]
    return form.show("audit/samples.html", samples=filter(None, map(_sample, ids)))


@page("/audit/sampel/<sample_id>", Role.AUDITOR, methods=BOTH)
def audit_sample(sample_id: str) -> Reply:
    """Reveal the seed and draw; then say how many were wrong, office by office."""
    told, by = _sample(sample_id) or abort(404), {"sample": sample_id, "by": me().id}
    looked("sample", sample=sample_id)
    with Form("seed") as form:
        if form.sent and "drawn" in told:
            most = {office: len(each["ids"]) for office, each in told["drawn"].items()}
            wrong = {office: request.form.get(f"wrong.{number}", "") for number, office in enumerate(most)}
            few = all(
                re.fullmatch("[0-9]{1,4}", wrong[office]) and int(wrong[office]) <= most[office] for office in most
            )
            must(wrong=(few, _("Untuk tiap kantor tulis angka, tidak lebih dari yang dilihat.")))
            said("access.sample_judged", by | {"wrong": {office: int(number) for office, number in wrong.items()}})
        elif form.sent:
            seed, (since, until) = form.sent["seed"], days(told, "since", "until").values()
            fits = sha256(seed.encode()).hexdigest() == told["seed_sha256"]
            must(seed=(fits, _("Bukan benih yang sidiknya dicatat.")))
            over = min(map(fields.today, told["regions"])) > until
            must(seed=(over, _("Masa sampel belum berakhir; simpan dahulu benihnya.")))
            rows = stream(deployment().log.engine, Wanted(tuple(told["regions"]), since, until))
            offices = ((sample.office_of(row.region, row.office, row.asker), row.id) for batch in rows for row in batch)
            said("access.sample_drawn", by | {"seed": seed, "drawn": sample.draw(offices, seed, told["per_office"])})
        if form.sent:
            return redirect(url_for("web.audit_sample", sample_id=sample_id), 303)
    bounds = sample.bounds(told["drawn"], told["wrong"]) if "wrong" in told else None
    return form.show("audit/sample.html", told=told, bounds=bounds)


@page("/promises")
def promised() -> Reply:
    """Public: what a gate promises and how it was kept is everybody's business, and names nobody."""
    entry, now = named(deployment().log, "log.promises:"), deployment().clock()
    stale = entry is None or now - entry.at > promises.STALE
    return render_template("audit/promises.html", entry=entry, stale=stale, region=deployment().settings.region)
