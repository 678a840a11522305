"""For auditors: the whole log verified while one watches, and fair samples; and for everybody the promises."""

import queue
import re
import secrets
import threading
from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from flask import Response, abort, redirect, render_template, request, stream_with_context, url_for
from ulid import ULID

from compliance.access.users import Role
from compliance.audit import witnesses
from compliance.audit.verify import verify
from compliance.deployment import deployment
from compliance.errors import LogBroken
from compliance.proof.note import b64
from compliance.reports import promises, sample
from compliance.reports.search import NAMED, Wanted, named, stream
from compliance.web import BOTH, POST, Reply, _, me, ours, page
from compliance.web.audit import LONGEST, looked, said
from compliance.web.fields import Form, days, must
from compliance.web.region import today

ON_DEMAND = 500
_verifying = threading.Lock()  # one at a time: it reads everything


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
    log, told, gone = deployment().log, queue.SimpleQueue[Any](), threading.Event()
    known, remembered = witnesses.heads(log), log.keyring.remembered()

    def progress(size: int) -> None:
        told.put(size)
        if gone.is_set():
            raise LogBroken("nobody waits for it any more")

    def run() -> None:
        try:
            told.put(verify(log, known, progress))
        except Exception as error:  # whatever it is, the page says it
            told.put(error)

    if remembered and remembered.origin == log.origin:
        known[remembered.size] = remembered.root
    _verifying.acquire()  # here, so that a page that is never sent holds nothing
    try:
        threading.Thread(target=run, daemon=True).start()
        yield head
        while isinstance(end := told.get(), int):
            yield render_template("audit/progress.html", size=end)
        broken = end if isinstance(end, Exception) else None
        size, root = (0, b"") if broken else end
        body = {"by": me().id, "size": size, "root": b64(root), "broken": str(broken or ""), "heads": len(known)}
        said("log.verified", body)
        yield render_template("audit/progress.html", done=body, position=getattr(broken, "position", None))
        yield foot
    finally:
        gone.set()
        _verifying.release()


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
            since, until = days(typed, "since", "until").values()
            tomorrow = since > max(today(code) for code in me().regions)
            few = re.fullmatch("[0-9]{1,3}", number) and 1 <= int(number) <= 500
            must(
                regions=(ours(regions), _("Pilih daerah Anda.")),
                since=(tomorrow, _("Masa sampel harus dimulai paling cepat besok.")),
                until=(since <= until <= since + LONGEST, _("Tidak sebelum hari pertama, dan paling lama 400 hari.")),
                per_office=(few, _("Tulis angka 1 sampai 500.")),
                seed_sha256=(re.fullmatch("[0-9a-f]{64}", digest), _("SHA-256 terdiri atas 64 angka dan huruf a–f.")),
            )
            told = {"sample": sample_id, "by": me().id, "regions": regions, "since": str(since), "until": str(until)}
            said("access.sample_committed", told | {"per_office": int(number), "seed_sha256": digest})
            shown = "" if typed["seed_sha256"] else seed
            return render_template("audit/seed.html", seed=shown, told=_sample(sample_id), sample_id=sample_id)
    log, prefix = deployment().log, "access.sample_committed:"
    query = sa.select(NAMED.c.name).where(NAMED.c.name.startswith(prefix)).order_by(NAMED.c.position.desc())
    with log.engine.connect() as connection:
        ids = [name.removeprefix(prefix) for name in connection.scalars(query.limit(100))]
    return form.show("audit/samples.html", samples=filter(None, map(_sample, ids)))


@page("/audit/sampel/<sample_id>", Role.AUDITOR, methods=BOTH)
def audit_sample(sample_id: str) -> Reply:
    """Reveal the seed and draw; then say how many were wrong, office by office."""
    told, by = _sample(sample_id) or abort(404), {"sample": sample_id, "by": me().id}
    looked("sample", sample=sample_id)
    with Form("seed") as form:
        if form.sent and "drawn" in told:
            wrong = [request.form.get(f"wrong.{number}", "") for number, _office in enumerate(told["drawn"])]
            most = [len(each["ids"]) for each in told["drawn"].values()]
            few = all(re.fullmatch("[0-9]{1,4}", n) and int(n) <= top for n, top in zip(wrong, most, strict=True))
            must(wrong=(few, _("Untuk tiap kantor tulis angka, tidak lebih dari yang dilihat.")))
            said("access.sample_judged", by | {"wrong": dict(zip(told["drawn"], map(int, wrong), strict=True))})
        elif form.sent:
            seed, since, until = form.sent["seed"], date.fromisoformat(told["since"]), date.fromisoformat(told["until"])
            fits = sha256(seed.encode()).hexdigest() == told["seed_sha256"]
            must(seed=(fits, _("Bukan benih yang sidiknya dicatat.")))
            over = min(today(code) for code in told["regions"]) > until
            must(seed=(over, _("Masa sampel belum berakhir; simpan dahulu benihnya.")))
            rows = stream(deployment().log.engine, Wanted(tuple(told["regions"]), since, until))
            offices = ((sample.office_of(row.region, row.office, row.asker), row.id) for batch in rows for row in batch)
            drawn = sample.draw(offices, seed, told["per_office"])
            said("access.sample_drawn", by | {"seed": seed, "drawn": drawn})
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


@page("/promises/periksa", Role.AUDITOR, methods=POST)
def promised_now() -> Reply:
    """The newest of each kind, at once; the night looks at more."""
    looked("promises")
    cosigners = [key for _address, key in witnesses.configured(deployment().settings.log_witnesses)]
    promises.prove(deployment(), cosigners, by=me().id, most=ON_DEMAND)
    return redirect(url_for("web.promised"), 303)
