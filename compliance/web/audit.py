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

from compliance.audit import checks, witnesses
from compliance.audit.verify import past_policies, verify
from compliance.casework.acts import ACT, acts
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput, LogBroken
from compliance.law.decide import Policies, explain, replay
from compliance.proof.note import b64
from compliance.proof.receipt import read_code
from compliance.reports import export, promises, sample, search
from compliance.reports.search import Wanted
from compliance.web import Told, _, download, fields, here, language, me, ours, records
from compliance.web.account import people, software
from compliance.web.fields import Form, days, must

PLAIN = ("verdict", "permit_type", "finding", "office", "asker")
PER_PAGE, NAMES, HISTORY = 25, 5_000, 100
MONTH, LONGEST = dt.timedelta(days=30), dt.timedelta(days=400)
_verifying = threading.Lock()  # one at a time: it reads everything


def said(kind: str, body: Mapping[str, Any], **private: str) -> None:
    """An entry of its own about what an auditor does. Raises LogUnavailable."""
    db.session.remove()  # the log writes over a connection of its own
    here.log.append(kind, body, private=private)


def looked(what: str, kind: str = "looked", asked: Mapping[str, str] | None = None, **facts: Any) -> None:
    """The entry of a look. What was typed may be a name, so it goes in salted."""
    body = {"by": me.id, "what": what, "regions": list(me.regions), "request_id": g.request_id, **facts}
    if asked is not None:
        body["asked"] = {name: text for name, text in asked.items() if name != "q"}
    said(f"access.{kind}", body, **{"query": asked["q"]} if asked and "q" in asked else {})


def asked() -> dict[str, str]:
    """The filter in the address."""
    typed = {name: request.args.get(name, "").strip()[:200] for name in ("q", "region", "since", "until", *PLAIN)}
    return {name: text for name, text in typed.items() if text}


def wanted(typed: dict[str, str]) -> Wanted:
    """What an auditor asks for, within his or her regions. Raises BadInput."""
    q, regions = typed.get("q", ""), tuple(code for code in me.regions if code == typed.get("region", code))
    about: dict[str, Any] = days(typed, *(name for name in ("since", "until") if name in typed))
    found, nib = Wanted(regions, **about | {name: typed.get(name) for name in PLAIN}), q.replace(" ", "")
    if not q:
        return found
    if code := read_code(q):
        record = here.log.check_by_code(code)
        return replace(found, among=[record.pos] if record else [])
    if len(nib) == 13 and nib.isdigit():
        return replace(found, nib=nib)
    if search.search(here.log.engine, Wanted(regions, reference=q), 1):
        return replace(found, reference=q)
    among = [row.pos for row in here.log.rows(checks.named(q).limit(NAMES + 1))]
    must(q=(len(among) <= NAMES, _("Lebih dari 5.000 nama cocok. Tulis nama usaha lebih lengkap.")))
    return replace(found, among=among)


def choices() -> dict[str, dict[str, str]]:
    """What the filter offers, by field; `asker`: who may have asked in the auditor's regions, kind:id with the name."""
    first, mine = me.regions[0], set(me.regions)
    law, users = fields.law_of(first), [user for user in people.all() if mine & set(user.regions)]
    clients = {f"client:{one.id}": one.name for one in software.all() if mine & set(one.regions)}
    return {
        "verdict": {verdict: says[language()] for verdict, says in law.labels.items()},
        "region": fields.my_regions() if len(mine) > 1 else {},
        "permit_type": fields.offered(first),
        "finding": {code: fields.word("finding", code) for code in law.findings},
        "office": {office: office for office in sorted({user.office for user in users} - {""})},
        "asker": {f"user:{user.id}": user.name for user in users} | clients,
    }


def audit() -> Told:
    typed, errors, rows = asked(), dict[str, str](), list[Any]()
    day, _dot, pos = request.args.get("sebelum", "").partition(".")
    looked("search", asked=typed)
    try:
        before = (dt.date.fromisoformat(day), int(pos[:15])) if day else None
        rows = search.search(here.log.engine, replace(wanted(typed), before=before), PER_PAGE + 1)
    except BadInput as error:
        errors = {wrong.pointer[1:]: wrong.detail for wrong in error.errors}
    except ValueError:
        abort(400)
    last = rows[PER_PAGE - 1] if rows[PER_PAGE:] else None
    given: dict[str, Any] = typed | {"sebelum": f"{last.day}.{last.pos}"} if last else {}
    entries = here.log.entries_at(row.pos for row in rows[:PER_PAGE])[::-1]
    told = {"typed": typed, "errors": errors, "choices": choices(), "forms": export.FORMS}
    return told | {"entries": entries, "onward": url_for("web.audit", **given) if given else ""}


def audit_export(form: str) -> Told:
    if form not in export.FORMS:
        abort(404)
    rows = wanted(typed := asked())
    looked("checks", "export", asked=typed, form=form)
    made = export.export(deployment(), rows, form, {**typed, "by": me.id, "regions": list(me.regions)})
    return download(made, f"ekspor-{here.clock():%Y%m%d-%H%M}.zip", "application/zip")


def audit_report() -> Told:
    today, errors = fields.today(me.regions[0]), dict[str, str]()
    month = {"since": str(today - MONTH), "until": str(today)}
    typed = month | asked()
    looked("report", asked=typed)
    try:
        span = wanted(typed)
        fits = dt.timedelta(0) <= (span.until or today) - (span.since or today) <= LONGEST
        must(since=(fits, _("Hari pertama tidak sesudah hari terakhir, dan masanya paling lama 400 hari.")))
    except BadInput as wrong:
        errors, typed, span = {"since": wrong.errors[0].detail}, month, wanted(month)
    with here.log.engine.connect() as connection:
        found = search.summary(connection, span)
    return {"typed": typed, "errors": errors, "choices": choices(), "found": found}


def audit_check(check_id: str) -> Told:
    """All there is about one check; POST decides it again by the law of its day."""
    shown, log, again, kept = records.find(check_id), here.log, None, current_app.extensions
    policies: Policies = kept.get("compliance-past") or kept.setdefault("compliance-past", past_policies(log))
    body = shown.entry.body
    looked("check", check=check_id)
    if request.method == "POST":
        again = replay(body, policies)
        said("log.replayed", {"check": check_id, "same": again.same, "asker": {"kind": "user", "id": me.id}})
    facts, law = policies.judged(body)
    region, permit_type, reference = facts.application.region, facts.application.permit_type, body["reference"]
    rows = search.search(log.engine, Wanted((region,), reference=reference, permit_type=permit_type), HISTORY)
    told = {"shown": shown, "body": body, "again": again, "size": log.head()[0], "people": choices()["asker"]}
    told |= {"law": law, "explained": explain(facts, law), "files": json.loads(law.texts[law.sha256])["files"]}
    told["acts"] = acts(here, (region,), ACT.c.reference == reference, ACT.c.permit_type == permit_type)
    return told | {"history": log.entries_at(row.pos for row in rows)}


def audit_proof(check_id: str) -> Told:
    """The file for `flask log verify`."""
    records.find(check_id)
    looked("proof", "export", check=check_id)
    package = json.dumps(here.log.package(check_id), indent=1, ensure_ascii=False)
    return download(package, f"bukti-{check_id}.json", "application/json")


def audit_policy(digest: str) -> Told:
    """A text of the law as decisions named it."""
    stored = here.log.entry(f"policy.text.{digest[:64]}") or abort(404)
    looked("policy", sha256=digest)
    return {"stored": stored, "matches": sha256(stored.body["text"].encode()).hexdigest() == digest}


def audit_log() -> Told:
    """POST recomputes the log; the page grows meanwhile, without script."""
    log, running = here.log, request.method == "POST"
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
    log, sizes, gone = here.log, [0], threading.Event()
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
    body = {"by": me.id, "size": size, "root": b64(root), "broken": str(broken or ""), "heads": len(known)}
    said("log.verified", body)
    yield render_template("audit/progress.html", done=body, position=getattr(broken, "position", None))
    yield foot


def _sample(sample_id: str) -> dict[str, Any] | None:
    """All that was said about a sample of one's own regions, the latest last."""
    told: dict[str, Any] = {}
    for kind in ("committed", "drawn", "judged"):
        if entry := search.named(here.log, f"access.sample_{kind}:{sample_id}"):
            told |= entry.body | {f"{kind}_at": entry.body["at"], f"{kind}_pos": entry.position}
    return told if told and ours(told["regions"]) else None


def audit_samples() -> Told:
    """Plan a sample: the digest of a seed, for a time wholly to come, of which nobody knows yet what will be drawn."""
    looked("samples")
    with Form("sample", {"per_office": "30", "regions": " ".join(me.regions)}) as form:
        if typed := form.sent:
            today, (since, until) = max(map(fields.today, me.regions)), days(typed, "since", "until").values()
            form.fit(
                since=(since > today, _("Masa sampel harus dimulai paling cepat besok.")),
                until=(since <= until <= since + LONGEST, _("Tidak sebelum hari pertama, dan paling lama 400 hari.")),
            )
            sample_id, seed = str(ULID()), "" if typed["seed_sha256"] else secrets.token_hex(16)
            plan: dict[str, Any] = {"sample": sample_id, "by": me.id, "regions": typed["regions"].split()}
            plan |= {"since": str(since), "until": str(until), "per_office": int(typed["per_office"])}
            digest = typed["seed_sha256"].lower() or sha256(seed.encode()).hexdigest()
            said("access.sample_committed", plan | {"seed_sha256": digest})
            return render_template("audit/seed.html", seed=seed, told=_sample(sample_id), sample_id=sample_id)
    prefix, c = "access.sample_committed:", search.NAMED.c
    query = sa.select(c.name).where(c.name.startswith(prefix)).order_by(c.position.desc())
    ids = [row.name.removeprefix(prefix) for row in here.log.rows(query.limit(100))]
    return form.page | {"samples": filter(None, map(_sample, ids))}


def audit_sample(sample_id: str) -> Told:
    """Reveal the seed and draw; then say how many were wrong, office by office."""
    told, by = _sample(sample_id) or abort(404), {"sample": sample_id, "by": me.id}
    looked("sample", sample=sample_id)
    with Form("seed") as form:
        if form.sent and "drawn" in told:
            wrong = dict[str, int]()
            for number, (office, each) in enumerate(told["drawn"].items()):
                typed = request.form.get(f"wrong.{number}", "")
                few = re.fullmatch("[0-9]{1,4}", typed) and int(typed) <= len(each["ids"])
                must(wrong=(few, _("Untuk tiap kantor tulis angka, tidak lebih dari yang dilihat.")))
                wrong[office] = int(typed)
            said("access.sample_judged", by | {"wrong": wrong})
        elif form.sent:
            seed, (since, until) = form.sent["seed"], days(told, "since", "until").values()
            fits = sha256(seed.encode()).hexdigest() == told["seed_sha256"]
            must(seed=(fits, _("Bukan benih yang sidiknya dicatat.")))
            over = min(map(fields.today, told["regions"])) > until
            must(seed=(over, _("Masa sampel belum berakhir; simpan dahulu benihnya.")))
            rows = search.stream(here.log.engine, Wanted(tuple(told["regions"]), since, until))
            offices = ((sample.office_of(row.region, row.office, row.asker), row.id) for batch in rows for row in batch)
            said("access.sample_drawn", by | {"seed": seed, "drawn": sample.draw(offices, seed, told["per_office"])})
        if form.sent:
            return redirect(url_for("web.audit_sample", sample_id=sample_id), 303)
    bounds = sample.bounds(told["drawn"], told["wrong"]) if "wrong" in told else None
    return form.page | {"told": told, "bounds": bounds}


def promised() -> Told:
    """Public: what a gate promises and how it was kept is everybody's business, and names nobody."""
    entry, now = search.named(here.log, "log.promises:"), here.clock()
    stale = entry is None or now - entry.at > promises.STALE
    return {"entry": entry, "stale": stale, "region": here.settings.region}
