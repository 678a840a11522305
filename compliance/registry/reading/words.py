"""What the import's report says of a line, in Indonesian and English."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from compliance.registry.reading import values


class Kind(StrEnum):
    """What became of a line. CORRECTED and DOUBTED lines are taken; PASSED ones are no members."""

    TAKEN = "taken"
    CORRECTED = "corrected"
    DOUBTED = "doubted"
    REFUSED = "refused"
    PASSED = "read past"


LABEL = {
    Kind.TAKEN: "diambil",
    Kind.CORRECTED: "diperbaiki",
    Kind.DOUBTED: "diragukan",
    Kind.REFUSED: "ditolak",
    Kind.PASSED: "dilewati",
}
TEXTS = {
    "taken": ("{facts}", ""),
    "rewritten": ("{column}: {given} dibaca {read}", "{column}: {given} read as {read}"),
    "same_again": ("isinya sama dengan baris {other}, dihitung satu", "same facts as line {other}, counted once"),
    "no_status": ("tanpa kolom BLTH_NA: semua dianggap aktif", "no column BLTH_NA: all are taken as active"),
    "no_period": (
        "tanpa PERIODE dan PER TANGGAL: dipakai {month}, bulan terbaru di dalamnya",
        "neither PERIODE nor PER TANGGAL: {month} is taken, the newest month in it",
    ),
    "title": ("baris judul tidak terbaca: {given}", "title line not understood: {given}"),
    "period_after": ("PERIODE sesudah PER TANGGAL", "PERIODE is later than PER TANGGAL"),
    "unclear": ("{column}: {given} tidak terbaca, dianggap tidak diketahui", "{column}: {given} unclear, left unknown"),
    "two_columns": ("{column}: dua nilai berbeda, dipakai {read}", "{column}: two different values, {read} is taken"),
    "order": ("{column} {given} sebelum {than}", "{column} {given} is earlier than {than}"),
    "future": ("{column} {given} sesudah tanggal laporan", "{column} {given} is later than the report"),
    "not_yet": ("BLTH_NA {given} belum tiba: dianggap masih aktif", "BLTH_NA {given} is yet to come: taken as active"),
    "pension": ("KEPS_JP ada, tetapi programnya tanpa JP", "KEPS_JP is given, but JP is not among the programmes"),
    "workers_inactive": ("nonaktif, tetapi TK_AKTIF {given}", "inactive, yet TK_AKTIF is {given}"),
    "status_differs": ("STATUS dan BLTH_NA bertentangan: dianggap nonaktif", "STATUS contradicts BLTH_NA: inactive"),
    "total": ("jumlah {given}, padahal baris-barisnya {read}", "the total says {given}, its lines say {read}"),
    "total_right": ("baris jumlah, cocok", "total line, adds up"),
    "two_taxpayers": ("NPP {given} memakai beberapa NPWP", "NPP {given} is used with several NPWP"),
    "no_npp": ("tanpa NPP", "without NPP"),
    "bad": ("{column}: {given} tidak terbaca", "{column}: {given} cannot be read"),
    "long": ("sel lebih banyak daripada judul kolom", "more cells than the header has"),
    "short": ("baris terpotong", "the line is cut off"),
    "conflict": (
        "NPP {given} muncul lagi dengan isi berbeda: baris {other}",
        "NPP {given} again with other facts: {other}",
    ),
    "header": ("judul kolom berulang", "the header again"),
    "footer": ("bukan peserta", "no member"),
    "sheet": ("lembar {given} tanpa judul kolom yang dikenal", "sheet {given} has no known header"),
}


@dataclass(frozen=True, slots=True)
class Note:
    """One remark on one line (`place` "" is the whole file)."""

    place: str
    kind: Kind
    code: str
    words: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Indonesian | English. Never begins with a cell's text, so that no spreadsheet takes it for a formula."""
        where = f"baris {self.place}" if self.place else "berkas"
        texts = " | ".join(text.format_map(self.words) for text in TEXTS[self.code] if text)
        return f"{where} · {LABEL[self.kind]}/{self.kind} · {texts}"


def shown(cell: object) -> str:
    """A cell fit to be printed: one line, no control characters, at most 40 characters, no formula."""
    written = values.text(cell if isinstance(cell, (str, int, float)) or cell is None else str(cell))[:40]
    return f"'{written}" if written[:1] in ("=", "+", "-", "@") and written else f"{written or '(kosong)'}"
