"""Tables as an XLSX workbook that no spreadsheet program can mistake for formulas."""

import io
import re

import openpyxl

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def workbook(text: str) -> bytes:
    """Of lines with tabs between cells, the first of them the sheet's name; a text that could begin a formula gets an
    apostrophe."""
    book = openpyxl.Workbook(write_only=True)
    for line in filter(str.strip, text.splitlines()):
        title, *cells = line.split("\t")
        table = book[title] if title in book.sheetnames else book.create_sheet(title)
        plain = [int(cell) if re.fullmatch("0|[1-9][0-9]{0,8}", cell) else cell or None for cell in cells]
        table.append([f"'{cell}" if str(cell).startswith(("=", "+", "-", "@")) else cell for cell in plain])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()
