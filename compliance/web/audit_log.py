"""For auditors: the whole log verified while one watches, fair samples, figures; and for everybody the promises."""

import itertools
import operator
import queue
import secrets
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

from flask import Response, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from ulid import ULID
from werkzeug.exceptions import NotFound
from werkzeug.utils import redirect

from compliance.access.users import Role
from compliance.audit import witnesses
from compliance.audit.verify import verify
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError, LogBroken
from compliance.proof.note import b64
from compliance.reports import figures, promises, sample
from compliance.reports.search import NAMED, Wanted, named, stream
from compliance.web import desk, fields, permits
from compliance.web.audit import asked, choices, looked, wanted
from compliance.web.pages import _, pages
from compliance.web.visitors import allow, me

ON_DEMAND, MONTH, LONGEST = 500, timedelta(days=30), timedelta(days=400)
_verifying = threading.Lock()  # one at a time: it reads everything


@pages.route("/audit/log", methods=["GET", "POST"])
@allow(Role.AUDITOR)
def audit_log() -> ResponseReturnValue:
    """POST recomputes the log; the page grows meanwhile, without script."""
    log = deployment().log
    looked("log")
    told = {"keys": log.keyring.keys, "checkpoint": log.checkpoint(), "published": witnesses.published(log)}
    if request.method == "GET":
        return render_template("audit/log.html", size=log.head()[0], **told)
    if _verifying.locked():
        return render_template("audit/log.html", size=log.head()[0], busy=True, **told), 409
    head, foot = render_template("audit/log.html", size=log.head()[0], running=True, **told).split("<!--progress-->")
    return Response(stream_with_context(_verified(head, foot)), headers={"X-Accel-Buffering": "no"})


def _verified(head: str, foot: str) -> Iterator[str]:
    """The page in pieces. Whoever leaves it ends the work."""
    log, said, gone = deployment().log, queue.SimpleQueue[Any](), threading.Event()
    known, remembered, by = witnesses.heads(log), log.keyring.remembered(), me().id

    def progress(size: int) -> None:
        said.put(size)
        if gone.is_set():
            raise LogBroken("nobody waits for it any more")

    def run() -> None:
        try:
            said.put(verify(log, known, progress))
        except Exception as error:  # whatever it is, the page says it
            said.put(error)

    if remembered and remembered.origin == log.origin:
        known[remembered.size] = remembered.root
    _verifying.acquire()  # here, so that a page that is never sent holds nothing
    try:
        threading.Thread(target=run, daemon=True).start()
        yield head
        while isinstance(told := said.get(), int):
            yield render_template("audit/progress.html", size=told)
        broken = told if isinstance(told, Exception) else None
        size, root = (0, b"") if isinstance(told, Exception) else told
        body = {"by": by, "size": size, "root": b64(root), "broken": str(broken or ""), "heads": len(known)}
        log.append("log.verified", body, entry_id=str(ULID()), private={}, at=deployment().clock())
        yield render_template("audit/progress.html", done=body, position=getattr(broken, "position", None))
        yield foot
    finally:
        gone.set()
        _verifying.release()


@pages.route("/audit/laporan")
@allow(Role.AUDITOR)
def audit_report() -> ResponseReturnValue:
    running, typed, error = deployment(), asked(), ""
    today = permits.today(me().regions[0])
    typed = {"since": str(today - MONTH), "until": str(today)} | typed
    looked("report", asked=typed)
    try:
        span = wanted(typed)
        if not timedelta(0) <= (span.until or today) - (span.since or today) <= LONGEST:
            span_told = _("Hari pertama tidak sesudah hari terakhir, dan masanya paling lama 400 hari.")
            raise BadInput(FieldError("/since", span_told))
    except BadInput as wrong:
        error, typed = wrong.errors[0].detail, {"since": str(today - MONTH), "until": str(today)}
        span = wanted(typed)
    with running.log.engine.connect() as connection:
        found = figures.summary(connection, span)
    days = itertools.groupby(found["days"], key=operator.itemgetter(0))
    parts = [(day, {verdict: number for _day, verdict, number in rows}) for day, rows in days]
    found["columns"] = [(day, each, sum(each.values())) for day, each in parts]
    told = {"typed": typed, "errors": {"since": error} if error else {}, "choices": choices(), "found": found}
    return render_template("audit/report.html", **told), 422 if error else 200


def _sample(sample_id: str) -> dict[str, Any] | None:
    """All that was said about a sample of one's own regions, the latest last."""
    told: dict[str, Any] = {}
    for kind in ("committed", "drawn", "judged"):
        if entry := named(deployment().log, f"access.sample_{kind}:{sample_id}"):
            told |= entry.body | {f"{kind}_at": entry.body["at"], f"{kind}_pos": entry.position}
    return told if told and set(told["regions"]) <= set(me().regions) else None


def _say(kind: str, sample_id: str, **body: Any) -> None:
    running, told = deployment(), {"sample": sample_id, "by": me().id, **body}
    running.log.append(f"access.sample_{kind}", told, entry_id=str(ULID()), private={}, at=running.clock())


@pages.route("/audit/sampel", methods=["GET", "POST"])
@allow(Role.AUDITOR)
def audit_samples() -> ResponseReturnValue:
    log, prefix = deployment().log, "access.sample_committed:"

    def show(boxes: list[fields.Field], others: list[str]) -> str:
        query = select(NAMED.c.name).where(NAMED.c.name.startswith(prefix)).order_by(NAMED.c.position.desc())
        with log.engine.connect() as connection:
            samples = [_sample(name.removeprefix(prefix)) for name in connection.scalars(query.limit(100)).all()]
        return render_template("audit/samples.html", boxes=boxes, others=others, samples=filter(None, samples))

    def commit(typed: dict[str, str]) -> ResponseReturnValue:
        seed, sample_id, regions = secrets.token_hex(16), str(ULID()), typed["regions"].split()
        since, until = _period(typed)
        number, digest = typed["per_office"], typed["seed_sha256"].lower() or sha256(seed.encode()).hexdigest()
        if not regions or not set(regions) <= set(me().regions):
            raise BadInput(FieldError("/regions", _("Pilih daerah Anda.")))
        if not number.isdecimal() or not 1 <= int(number) <= 500:
            raise BadInput(FieldError("/per_office", _("Tulis angka 1 sampai 500.")))
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise BadInput(FieldError("/seed_sha256", _("SHA-256 terdiri atas 64 angka dan huruf a–f.")))
        told = {"regions": regions, "since": str(since), "until": str(until), "per_office": int(number)}
        _say("committed", sample_id, **told, seed_sha256=digest)
        shown = "" if typed["seed_sha256"] else seed
        return render_template("audit/seed.html", seed=shown, told=_sample(sample_id), sample_id=sample_id)

    looked("samples")
    return desk.run("sample", show, commit, {"per_office": "30", "regions": " ".join(me().regions)})


def _period(typed: dict[str, str]) -> tuple[date, date]:
    """Wholly to come, so that nobody knows yet what will be drawn from it."""
    days, wrong = dict[str, date](), list[FieldError]()
    for name in ("since", "until"):
        try:
            days[name] = date.fromisoformat(typed[name])
        except ValueError:
            wrong.append(FieldError(f"/{name}", _("Tulis tanggal seperti 2026-11-20.")))
    if wrong:
        raise BadInput(*wrong)
    since, until = days["since"], days["until"]
    if since <= max(permits.today(region) for region in me().regions):
        raise BadInput(FieldError("/since", _("Masa sampel harus dimulai paling cepat besok.")))
    if not since <= until <= since + LONGEST:
        raise BadInput(FieldError("/until", _("Tidak sebelum hari pertama, dan paling lama 400 hari.")))
    return since, until


@pages.route("/audit/sampel/<sample_id>", methods=["GET", "POST"])
@allow(Role.AUDITOR)
def audit_sample(sample_id: str) -> ResponseReturnValue:
    """Reveal the seed and draw; then say how many were wrong, office by office."""
    if not (told := _sample(sample_id)):
        raise NotFound
    looked("sample", sample=sample_id)

    def show(boxes: list[fields.Field], others: list[str]) -> str:
        bounds = sample.bounds(told["drawn"], told["wrong"]) if "wrong" in told else None
        return render_template("audit/sample.html", told=told, boxes=boxes, others=others, bounds=bounds)

    def act(typed: dict[str, str]) -> ResponseReturnValue:
        if "drawn" in told:
            wrong = [request.form.get(f"wrong.{number}", "") for number, _office in enumerate(told["drawn"])]
            most = [len(each["ids"]) for each in told["drawn"].values()]
            if not all(n.isdecimal() and int(n) <= top for n, top in zip(wrong, most, strict=True)):
                raise BadInput(FieldError("/wrong", _("Untuk tiap kantor tulis angka, tidak lebih dari yang dilihat.")))
            _say("judged", sample_id, wrong=dict(zip(told["drawn"], map(int, wrong), strict=True)))
            return redirect(url_for("web.audit_sample", sample_id=sample_id), 303)
        seed, (since, until) = typed["seed"], (date.fromisoformat(told[name]) for name in ("since", "until"))
        if sha256(seed.encode()).hexdigest() != told["seed_sha256"]:
            raise BadInput(FieldError("/seed", _("Bukan benih yang sidiknya dicatat.")))
        if min(permits.today(region) for region in told["regions"]) <= until:
            raise BadInput(FieldError("/seed", _("Masa sampel belum berakhir; simpan dahulu benihnya.")))
        rows = stream(deployment().log.engine, Wanted(tuple(told["regions"]), since, until))
        offices = ((sample.office_of(row.region, row.office, row.asker), row.id) for batch in rows for row in batch)
        drawn = sample.draw(offices, seed, told["per_office"])
        _say("drawn", sample_id, seed=seed, drawn=drawn)
        return redirect(url_for("web.audit_sample", sample_id=sample_id), 303)

    return desk.run("seed", show, act)


@pages.route("/promises")
@allow()
def promised() -> ResponseReturnValue:
    """Public: what a gate promises and how it was kept is everybody's business, and names nobody."""
    entry, now = named(deployment().log, "log.promises:"), deployment().clock()
    stale = entry is None or now - entry.at > promises.STALE
    return render_template("audit/promises.html", entry=entry, stale=stale, region=deployment().settings.region)


@pages.route("/promises/periksa", methods=["POST"])
@allow(Role.AUDITOR)
def promised_now() -> ResponseReturnValue:
    """The newest of each kind, at once; the night looks at more."""
    running = deployment()
    looked("promises")
    cosigners = [key for _address, key in witnesses.configured(running.settings.log_witnesses)]
    promises.prove(running, cosigners, by=me().id, most=ON_DEMAND)
    return redirect(url_for("web.promised"), 303)
