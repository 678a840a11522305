"""The result on one sheet of A4: PDF with selectable text, and the QR code of its receipt."""

import io
from datetime import datetime
from pathlib import Path
from typing import cast

import segno
from flask import render_template
from fpdf import FPDF, TextStyle
from fpdf.fonts import TTFFont
from markupsafe import Markup

from compliance.web import language
from compliance.web.pages import _, pages
from compliance.web.records import Shown

FONTS = Path(__file__).with_name("fonts")
MARGIN, QR_SIDE = 18.0, 34.0
SIZES = (10.5, 9.5, 8.5, 7.5, 6.5)


@pages.app_template_filter()
def qr(text: str) -> Markup:
    """A QR code as inline SVG that brings no style of its own."""
    drawn = segno.make(text, error="m", micro=False)
    return Markup(drawn.svg_inline(scale=1, border=2, omitsize=True, svgclass="qr", lineclass=None))  # noqa: S704


def draw(shown: Shown) -> bytes:
    """The sheet, with the largest letters that fit on one page."""
    for size in SIZES:
        sheet = _sheet(shown, size)
        pages, drawn = sheet.page_no(), bytes(sheet.output())
        for font in sheet.fonts.values():
            cast(TTFFont, font).ttfont.close()  # the library leaves the file open
        if pages == 1:
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
    sheet.set_lang(language.current())
    sheet.set_creation_date(datetime.fromisoformat(d["checked_at"]))
    sheet.set_line_width(0.8)
    sheet.add_page()
    _write(sheet, size, render_template("pages/paper.html", shown=shown))
    sheet.set_auto_page_break(False)
    code = io.BytesIO()
    segno.make(d["receipt"]["url"], error="m", micro=False).save(code, kind="svg", border=0, omitsize=True)
    top = sheet.h - MARGIN - QR_SIDE
    sheet.image(code, MARGIN, top, QR_SIDE, QR_SIDE)
    sheet.set_left_margin(MARGIN + QR_SIDE + 5)
    sheet.set_y(top)
    _write(sheet, size, render_template("pages/paper_foot.html", receipt=d["receipt"]))
    return sheet


def _write(sheet: FPDF, size: float, html: str) -> None:
    black = "#000000"
    heads = {f"h{n}": TextStyle(None, "B", size + more, black, t_margin=1.5) for n, more in ((1, 5), (2, 6), (3, 1))}
    items = {"li": TextStyle(l_margin=5, t_margin=0.5), "ol": TextStyle(t_margin=0), "ul": TextStyle(t_margin=0)}
    sheet.write_html(html, font_family="DejaVu", ul_bullet_char="•", li_prefix_color=black, tag_styles=heads | items)
