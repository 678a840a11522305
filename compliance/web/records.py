"""A recorded check as people see it: in their language on a page, as one sheet of paper, and publicly as a receipt."""

import io
import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, cast

import segno
from flask import abort, redirect, render_template, request, url_for
from flask_babel import force_locale
from fpdf import FPDF, TextStyle
from fpdf.fonts import TTFFont
from markupsafe import Markup

from compliance.access.users_sign_in import Guard
from compliance.audit import document
from compliance.audit.checks import CheckRecord
from compliance.audit.entry import Entry
from compliance.errors import LawNotInForce, LogBroken, UnknownRegion
from compliance.law.facts import Fact
from compliance.proof.note import b64
from compliance.proof.receipt import read_code
from compliance.web import HERE, LANGUAGES, Told, _, download, fields, here, language, me, secret, web

DISCLOSED = {"business.name": "name", "owner.name": "owner_name", "owner.nik": "nik", "business.npwp": "npwp"}
MARGIN, QR_SIDE, BLACK = 18.0, 34.0, "#000000"


class Shown(Fact):  # `document`: contract §2 as read; `on_trial`: may proceed although bad; `broken`: not as logged
    document: dict[str, Any]
    entry: Entry
    on_trial: bool
    broken: bool

    @property
    def is_example(self) -> bool:
        """Whether the rule was shipped as an example, without a regulation behind it."""
        d = self.document
        cited = {basis["certainty"] for finding in d["findings"] for basis in finding["legal_basis"]}
        with suppress(LawNotInForce, UnknownRegion):  # the policy of then is not loaded any more
            if rule := fields.rule(d["region"], d["permit_type"], date.fromisoformat(d["as_at"])):
                cited |= {basis.certainty for basis in rule.basis}
        return "example" in cited

    @property
    def deadline(self) -> date:
        """Five working days after the check's day, its day not counted (UU 30/2014 Art 53 as amended)."""
        region = self.document["region"]
        return fields.law_of(region).working_day_after(here.policy.today(region, self.entry.at), 5)[0]

    @property
    def days_left(self) -> int:
        """Working days until the deadline; 0 on it, -1 after it."""
        law, today, end = fields.law_of(self.document["region"]), fields.today(self.document["region"]), self.deadline
        return -1 if today > end else sum(law.working_day_after(today, n)[0] <= end for n in range(1, 6))

    @property
    def stated(self) -> dict[str, str]:
        """What was typed, by field, to ask the same again."""
        body, known = self.entry.body, self.entry.disclosed
        application = {"workforce": {}, "contract": {}, "stage": "new"} | body["facts"]["application"]
        about = {name: application.get(name) for name in ("scale", "legal_form", "nib_status")}
        asked = {name: application[name] for name in ("permit_type", "region", "workforce", "stage")}
        asked |= {"reference": body["reference"], "business": body["business"] | about}
        typed = fields.flat(asked | {"project": application["contract"]})
        return typed | {field: known[name] for field, name in DISCLOSED.items() if name in known}


def show(records: Iterable[CheckRecord]) -> list[Shown]:
    """The checks whose entries are in the log, as those say, in the reader's language."""
    shown = []
    for record in records:
        if entry := here.log.entry(record.id):
            given: dict[str, Any] = json.loads(record.document)
            whole = b64(sha256(b"\0" + entry.raw).digest()) == given["log"]["leaf_hash"]
            whole = whole and given["verdict"] == entry.body["decision"]["verdict"]
            if whole:
                given = document.build(entry, given["receipt"], here.log.origin, language())
            trial = given["action"] == "PROCEED" and given["verdict"] in ("NOT_MET", "OFFICER_REVIEW", "UNDETERMINED")
            shown.append(Shown(given | {"superseded_by": record.superseded_by}, entry, trial, not whole))
    return shown


def find(check_id: str, regions: tuple[str, ...] = ()) -> Shown:
    """A check of these regions, one's own if none is said; of others there is none. LogBroken: it was tampered with."""
    record = here.log.check(check_id)
    for shown in show([record] if record and record.region in (regions or me.regions) else []):
        if shown.broken:
            raise LogBroken("an entry is not what was logged", shown.entry.position)
        return shown
    abort(404)


def receipt(typed: str = "") -> Told:
    """What was found, whether it still holds; nothing about people. Wrong codes of one address are counted."""
    if not typed:
        given = request.args.get("kode", "").strip()[:40]
        return redirect(url_for("web.receipt", typed=given)) if given else {}
    address, code = request.remote_addr or "", read_code(typed[:40])
    guard = Guard("receipt", 20, timedelta(minutes=10), secret(), here.clock)
    if guard.locked_until(address):
        abort(429)
    if not (record := here.log.check_by_code(code) if code else None):
        guard.failed(address)
        told = {"typed": typed[:40], "error": "unknown" if code else "mistyped"}
        return render_template("pages/receipt_form.html", **told), 404
    shown = find(record.id, (record.region,))
    body, name = shown.entry.body, shown.entry.disclosed.get("name") or ""
    if body["facts"]["application"].get("legal_form") == "17":  # a person's: only how its words begin
        name = " ".join(word[:2] + "…" if len(word) > 2 else word for word in name.split())
    expired = record.valid_until is not None and record.valid_until < fields.today(record.region)
    said = partial(render_template, "pages/receipt_state.html", record=record, expired=expired)
    state = {spoken: force_locale(spoken)(said)() for spoken in LANGUAGES}
    faded = shown.on_trial or expired or record.superseded_by
    return {"shown": shown, "name": name, "state": state, "label": body["decision"]["label"], "faded": faded}


@web.app_template_filter()
def qr(text: str) -> Markup:
    """A QR code as inline SVG that brings no style of its own."""
    drawn = segno.make(text, error="m", micro=False)
    return Markup(drawn.svg_inline(scale=1, border=2, omitsize=True, svgclass="qr", lineclass=None))  # noqa: S704


def paper(check_id: str) -> Told:
    """One sheet of A4, a PDF with selectable text, with the largest letters that fit."""
    shown = find(check_id)
    for size in (10.5, 9.5, 8.5, 7.5, 6.5):
        sheet = _sheet(shown, size)
        count, drawn = sheet.page_no(), bytes(sheet.output())
        for font in sheet.fonts.values():
            cast(TTFFont, font).ttfont.close()  # the library leaves the file open
        if count == 1:
            break
    return download(drawn, f"hasil-{shown.document['receipt']['code']}.pdf", "application/pdf")


def _sheet(shown: Shown, size: float) -> FPDF:
    sheet, d = FPDF(format="A4"), shown.document
    sheet.add_font("DejaVu", "", HERE / "fonts/DejaVuSans.ttf")
    sheet.add_font("DejaVu", "B", HERE / "fonts/DejaVuSans-Bold.ttf")
    sheet.set_font("DejaVu", size=size)
    sheet.set_margin(MARGIN)
    sheet.set_auto_page_break(True, MARGIN + QR_SIDE + 2)
    sheet.set_title(f"{_('Hasil pemeriksaan kepatuhan')} {d['reference']}")
    sheet.set_lang(language())
    sheet.set_creation_date(datetime.fromisoformat(d["checked_at"]))
    sheet.set_line_width(0.8)
    sheet.add_page()
    heads = {f"h{n}": TextStyle(None, "B", size + more, BLACK, t_margin=1.5) for n, more in ((1, 5), (2, 6), (3, 1))}
    items = {"li": TextStyle(l_margin=5, t_margin=0.5), "ol": TextStyle(t_margin=0), "ul": TextStyle(t_margin=0)}
    write = partial(sheet.write_html, ul_bullet_char="•", li_prefix_color=BLACK, tag_styles=heads | items)
    write(render_template("pages/paper.html", shown=shown), font_family="DejaVu")
    sheet.set_auto_page_break(False)
    code, top = io.BytesIO(), sheet.h - MARGIN - QR_SIDE
    segno.make(d["receipt"]["url"], error="m", micro=False).save(code, kind="svg", border=0, omitsize=True)
    sheet.image(code, MARGIN, top, QR_SIDE, QR_SIDE)
    sheet.set_left_margin(MARGIN + QR_SIDE + 5)
    sheet.set_y(top)
    write(render_template("pages/paper_foot.html", receipt=d["receipt"]), font_family="DejaVu")
    return sheet
