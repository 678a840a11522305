"""The result on one sheet of A4: PDF with selectable text, and the QR code of its receipt."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import cast

import segno
from fpdf import FPDF
from fpdf.fonts import TTFFont
from markupsafe import Markup

from compliance.web import language, permits
from compliance.web.language import _
from compliance.web.records import Shown

FONTS = Path(__file__).with_name("fonts")
MARGIN, QR_SIDE = 18.0, 34.0
SIZES = (10.5, 9.5, 8.5, 7.5, 6.5)


def qr(text: str) -> Markup:
    """A QR code as inline SVG that brings no style of its own."""
    drawn = segno.make(text, error="m", micro=False)
    return Markup(drawn.svg_inline(scale=1, border=2, omitsize=True, svgclass="qr", lineclass=None))  # noqa: S704


def draw(shown: Shown) -> bytes:
    """The sheet, with the largest letters that fit on one page."""
    for size in SIZES:
        sheet = _Sheet(shown, size)
        pages, drawn = sheet.page_no(), bytes(sheet.output())
        for font in sheet.fonts.values():
            cast(TTFFont, font).ttfont.close()  # the library leaves the file open
        if pages == 1:
            break
    return drawn


class _Sheet(FPDF):
    def __init__(self, shown: Shown, size: float) -> None:
        super().__init__(format="A4")
        d = shown.document
        self.size = size
        self.add_font("DejaVu", "", FONTS / "DejaVuSans.ttf")
        self.add_font("DejaVu", "B", FONTS / "DejaVuSans-Bold.ttf")
        self.set_margin(MARGIN)
        self.set_auto_page_break(True, MARGIN)
        self.set_title(f"{_('Hasil pemeriksaan kepatuhan')} {d['reference']}")
        self.set_lang(language.current())
        self.set_creation_date(datetime.fromisoformat(d["checked_at"]))
        self.add_page()
        self._head(shown)
        self._verdict(shown)
        self._reasons(shown)
        self._facts(shown)
        self._foot(shown)

    def line_of(
        self, text: str, bold: bool = False, grow: float = 0.0, indent: float = 0.0, after: float = 1.0
    ) -> None:
        self.set_font("DejaVu", "B" if bold else "", self.size + grow)
        self.set_x(self.l_margin + indent)
        self.multi_cell(0, (self.size + grow) * 0.5, text, align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(after)

    def _head(self, shown: Shown) -> None:
        self.line_of(shown.office, after=0)
        self.line_of(_("Hasil pemeriksaan kepatuhan"), bold=True, grow=5, after=0)
        self.line_of(_("Kepesertaan jaminan sosial ketenagakerjaan dalam perizinan"), after=2)

    def _verdict(self, shown: Shown) -> None:
        d, top = shown.document, self.get_y()
        self.set_y(top + 2.5)
        self.line_of(d["label"], bold=True, grow=6, indent=4)
        self.line_of(shown.advice, indent=4)
        for mark in shown.marks:
            self.line_of(f"[ {mark} ]", bold=True, indent=4)
        if d["backdated"]:
            told = _("Dinilai menurut aturan pada %(day)s (tanggal mundur).", day=language.day(d["as_at"]))
            self.line_of(told, bold=True, indent=4)
        self.set_line_width(0.8)
        self.rect(self.l_margin, top, self.epw, self.get_y() - top + 1)
        self.ln(4)
        self.line_of(d["summary"], after=2)

    def _reasons(self, shown: Shown) -> None:
        d, names = shown.document, permits.certainty()
        steps = d["cure"]["steps"] if d["cure"] else []
        if steps:
            self.line_of(_("Yang harus dilakukan"), bold=True, grow=1)
            for number, step in enumerate(steps, 1):
                self.line_of(f"{number}. {step}", indent=3)
            if d["cure"]["recheck_after"]:
                when = language.day(d["cure"]["recheck_after"])
                self.line_of(_("Periksa lagi mulai %(day)s.", day=when), indent=3)
        if d["findings"]:
            self.line_of(_("Alasan"), bold=True, grow=1)
        for finding in d["findings"]:
            self.line_of(f"• {finding['message']}", indent=3, after=0)
            if finding["remedy"] and finding["remedy"] not in steps:
                self.line_of(finding["remedy"], indent=6, after=0)
            cited = "; ".join(f"{b['cite']} ({names[b['certainty']]})" for b in finding["legal_basis"])
            self.line_of(f"{_('Dasar hukum')}: {cited}" if cited else "", grow=-1.5, indent=6)

    def _facts(self, shown: Shown) -> None:
        self.line_of(_("Permohonan"), bold=True, grow=1)
        for name, value in shown.facts:
            self.set_font("DejaVu", "", self.size - 0.5)
            top = self.get_y()
            self.multi_cell(60, self.size * 0.48, name, align="L", new_x="LMARGIN", new_y="NEXT")
            below = self.get_y()
            self.set_xy(self.l_margin + 64, top)
            self.multi_cell(0, self.size * 0.48, value, align="L", new_x="LMARGIN", new_y="NEXT")
            self.set_y(max(self.get_y(), below) + 0.6)

    def _foot(self, shown: Shown) -> None:
        receipt = shown.document["receipt"]
        self.ln(3)
        if self.get_y() + QR_SIDE > self.h - MARGIN:
            self.add_page()
        top = self.get_y()
        self._qr(receipt["url"], self.l_margin, top)
        self.set_left_margin(MARGIN + QR_SIDE + 5)
        self.set_y(top + 3)
        self.line_of(receipt["code"], bold=True, grow=4)
        self.line_of(_("Siapa pun dapat memeriksa kode ini di %(url)s", url=receipt["url"]))
        self.line_of(_("Bukti teknis, bukan tanda tangan elektronik tersertifikasi (BSrE)."))
        self.line_of(_("Hasil pemeriksaan membantu petugas; keputusan izin tetap diambil oleh pejabat yang berwenang."))

    def _qr(self, text: str, x: float, y: float) -> None:
        rows = [bytes(row) for row in segno.make(text, error="m", micro=False).matrix]
        side = QR_SIDE / len(rows)
        for down, row in enumerate(rows):
            for right, dark in enumerate(row):
                if dark:
                    self.rect(x + right * side, y + down * side, side, side, style="F")
