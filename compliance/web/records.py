"""A recorded check as people see it: in their language on a page, as one sheet of paper, and publicly as a receipt."""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import segno
from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale
from fpdf import FPDF, TextStyle
from fpdf.fonts import TTFFont
from markupsafe import Markup
from werkzeug.exceptions import NotFound, TooManyRequests

from compliance.access.users_sign_in import Guard
from compliance.audit import document
from compliance.audit.checks import CheckRecord
from compliance.audit.entry import Entry
from compliance.deployment import deployment
from compliance.errors import LawNotInForce, LogBroken, UnknownRegion
from compliance.law.facts import Certainty
from compliance.proof.note import b64
from compliance.proof.receipt import read_code
from compliance.web import fields, region
from compliance.web.pages import _, page, web

DISCLOSED = {"business.name": "name", "owner.name": "owner_name", "owner.nik": "nik", "business.npwp": "npwp"}
FONTS = Path(__file__).with_name("fonts")
MARGIN, QR_SIDE = 18.0, 34.0
SIZES = (10.5, 9.5, 8.5, 7.5, 6.5)


@dataclass(frozen=True, slots=True)
class Shown:
    """`document` is contract §2 in the reader's language. `on_trial`: it may proceed although the verdict is bad.

    `broken`: entry and answer are not what was logged then; nothing of them is to be believed.
    """

    document: dict[str, Any]
    entry: Entry
    on_trial: bool
    broken: bool

    @property
    def office(self) -> str:
        """The office of the person who asked, or the region whose software did."""
        return self.entry.body["asker"].get("office") or region.region_name(self.document["region"])

    @property
    def is_example(self) -> bool:
        """Whether the rule was shipped as an example, without a regulation behind it."""
        d = self.document
        cited = {basis["certainty"] for finding in d["findings"] for basis in finding["legal_basis"]}
        try:
            rule = region.rule(d["region"], d["permit_type"], date.fromisoformat(d["as_at"]))
        except (LawNotInForce, UnknownRegion):  # the policy of then is not loaded any more
            rule = None
        return Certainty.EXAMPLE in cited | {basis.certainty for basis in (rule.basis if rule else ())}

    @property
    def deadline(self) -> date:
        """Five working days after the check's day, its day not counted (UU 30/2014 Art 53 as amended)."""
        code = self.document["region"]
        return region.law_of(code).working_day_after(deployment().policy.today(code, self.entry.at), 5)[0]

    @property
    def days_left(self) -> int:
        """Working days until the deadline; 0 on it, -1 after it."""
        law, today, end = region.law_of(self.document["region"]), region.today(self.document["region"]), self.deadline
        if today >= end:
            return 0 if today == end else -1
        return next(n for n in range(1, 7) if law.working_day_after(today, n)[0] >= end)

    @property
    def stated(self) -> dict[str, str]:
        """What was typed, by field, to ask the same again."""
        body, known = self.entry.body, self.entry.disclosed
        application = body["facts"]["application"]
        asked = {name: application[name] for name in ("permit_type", "region")} | {"reference": body["reference"]}
        about = {name: application.get(name) for name in ("scale", "legal_form", "nib_status")}
        parts = {"workforce": application.get("workforce", {}), "project": application.get("contract", {})}
        parts |= {"business": body["business"] | about, "stage": application.get("stage", "new")}
        return fields.flat(asked | parts) | {field: known[name] for field, name in DISCLOSED.items() if name in known}


def show(records: Iterable[CheckRecord]) -> list[Shown]:
    """The checks whose entries are in the log, as those say, in the reader's language."""
    log, shown = deployment().log, []
    for record in records:
        if entry := log.entry(record.id):
            given: dict[str, Any] = json.loads(record.document)
            broken = b64(sha256(b"\0" + entry.raw).digest()) != given["log"]["leaf_hash"]
            broken = broken or given["verdict"] != entry.body["decision"]["verdict"]
            if not broken:
                given = document.build(entry, given["receipt"], log.origin, region.language())
            trial = given["action"] == "PROCEED" and given["verdict"] in ("NOT_MET", "OFFICER_REVIEW", "UNDETERMINED")
            shown.append(Shown(given | {"superseded_by": record.superseded_by}, entry, trial, broken))
    return shown


def find(check_id: str, regions: tuple[str, ...]) -> Shown:
    """A check of one of these regions; NotFound for every other. Raises LogBroken for one that was tampered with."""
    record = deployment().log.check(check_id)
    for shown in show([record] if record and record.region in regions else []):
        if shown.broken:
            raise LogBroken("an entry is not what was logged", shown.entry.position)
        return shown
    raise NotFound


@page("/r")
def receipt_form() -> ResponseReturnValue:
    typed = request.args.get("kode", "").strip()
    return redirect(url_for("web.receipt", typed=typed[:40])) if typed else render_template("pages/receipt_form.html")


@page("/r/<path:typed>")
def receipt(typed: str) -> ResponseReturnValue:
    """What was found, whether it still holds; nothing about people.

    Wrong codes of one address are counted: a person mistypes a few, a guesser many.
    """
    running, address, code = deployment(), request.remote_addr or "", read_code(typed[:40])
    guard = Guard("receipt", 20, timedelta(minutes=10), running.settings.secret_key.encode(), running.clock)
    if guard.locked_until(address):
        raise TooManyRequests
    if not (record := running.log.check_by_code(code) if code else None):
        guard.failed(address)
        unknown = "unknown" if code else "mistyped"
        return render_template("pages/receipt_form.html", typed=typed[:40], error=unknown), 404
    shown = find(record.id, (record.region,))
    expired = record.valid_until is not None and record.valid_until < region.today(record.region)
    said = partial(render_template, "pages/receipt_state.html", record=record, expired=expired)
    told: dict[str, Any] = {"state": {spoken: force_locale(spoken)(said)() for spoken in region.LANGUAGES}}
    told |= {"label": shown.entry.body["decision"]["label"], "name": shown.entry.disclosed.get("name") or ""}
    if shown.entry.body["facts"]["application"].get("legal_form") == "17":  # a person's: only how its words begin
        told["name"] = " ".join(word[:2] + "…" if len(word) > 2 else word for word in told["name"].split())
    faded = shown.on_trial or expired or record.superseded_by
    return render_template("pages/receipt.html", shown=shown, faded=faded, **told)


@web.app_template_filter()
def qr(text: str) -> Markup:
    """A QR code as inline SVG that brings no style of its own."""
    drawn = segno.make(text, error="m", micro=False)
    return Markup(drawn.svg_inline(scale=1, border=2, omitsize=True, svgclass="qr", lineclass=None))  # noqa: S704


def draw(shown: Shown) -> bytes:
    """The sheet of A4, a PDF with selectable text, with the largest letters that fit on one page."""
    for size in SIZES:
        sheet = _sheet(shown, size)
        count, drawn = sheet.page_no(), bytes(sheet.output())
        for font in sheet.fonts.values():
            cast(TTFFont, font).ttfont.close()  # the library leaves the file open
        if count == 1:
            break
    return drawn


def _sheet(shown: Shown, size: float) -> FPDF:
    sheet, d = FPDF(format="A4"), shown.document
    sheet.add_font("DejaVu", "", FONTS / "DejaVuSans.ttf")
    sheet.add_font("DejaVu", "B", FONTS / "DejaVuSans-Bold.ttf")
    sheet.set_font("DejaVu", size=size)
    sheet.set_margin(MARGIN)
    sheet.set_auto_page_break(True, MARGIN + QR_SIDE + 2)
    sheet.set_title(f"{_('Hasil pemeriksaan kepatuhan')} {d['reference']}")
    sheet.set_lang(region.language())
    sheet.set_creation_date(datetime.fromisoformat(d["checked_at"]))
    sheet.set_line_width(0.8)
    sheet.add_page()
    black = "#000000"
    heads = {f"h{n}": TextStyle(None, "B", size + more, black, t_margin=1.5) for n, more in ((1, 5), (2, 6), (3, 1))}
    items = {"li": TextStyle(l_margin=5, t_margin=0.5), "ol": TextStyle(t_margin=0), "ul": TextStyle(t_margin=0)}
    told: dict[str, Any] = {"ul_bullet_char": "•", "li_prefix_color": black, "tag_styles": heads | items}
    sheet.write_html(render_template("pages/paper.html", shown=shown), font_family="DejaVu", **told)
    sheet.set_auto_page_break(False)
    code = io.BytesIO()
    segno.make(d["receipt"]["url"], error="m", micro=False).save(code, kind="svg", border=0, omitsize=True)
    top = sheet.h - MARGIN - QR_SIDE
    sheet.image(code, MARGIN, top, QR_SIDE, QR_SIDE)
    sheet.set_left_margin(MARGIN + QR_SIDE + 5)
    sheet.set_y(top)
    sheet.write_html(render_template("pages/paper_foot.html", receipt=d["receipt"]), font_family="DejaVu", **told)
    return sheet
