"""Finds the header of a report below its title lines, and what those lines say of its period and date."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date

from compliance.registry.reading import values
from compliance.registry.reading.values import Cell

# Names are compared without case, spaces and punctuation. Amounts (TOTAL_IURAN) have no entry: they are read past.
COLUMN_NAMES = {
    "npp": "NPP NONPP NOMORNPP KODENPP NPPPERUSAHAAN NOMORPENDAFTARAN NOMORPENDAFTARANPERUSAHAAN",
    "divisi": "KODEDIVISI KDDIVISI DIVISI DIV KODEDIV",
    "name": "NAMAPERUSAHAAN NAMA NAMAPERUSH NAMAPRSH NAMABADANUSAHA NAMAPEMBERIKERJA PERUSAHAAN BADANUSAHA",
    "nib": "NIB NONIB NOMORNIB NOMORINDUKBERUSAHA",
    "npwp": "NPWP NONPWP NOMORNPWP NPWPPERUSAHAAN NPWPBADANUSAHA NPWP15 NPWP16",
    "since": "KEPSAWAL AWALKEPS TGLKEPS TGLKEPESERTAAN TANGGALKEPESERTAAN AWALKEPESERTAAN KEPESERTAANAWAL"
    " TERDAFTARSEJAK TGLDAFTAR TANGGALDAFTAR BLTHAWAL BLTHKEPS",
    "pension_since": "KEPSJP KEPESERTAANJP AWALJP TGLKEPSJP BLTHJP",
    "inactive_since": "BLTHNA TGLNA TANGGALNA BULANNA NONAKTIFSEJAK TGLNONAKTIF TANGGALNONAKTIF BLTHNONAKTIF",
    "active": "STATUS STATUSKEPESERTAAN STATUSKEPS STATUSPERUSAHAAN STATUSAKTIF",
    "programmes": "PROG PROGRAM KODEPAKET KDPAKET PAKET PROGRAMKEPESERTAAN PROGRAMDIIKUTI",
    "workers": "TKAKTIF JMLTKAKTIF JUMLAHTKAKTIF JMLTK JUMLAHTK TK JUMLAHTENAGAKERJA JMLTENAGAKERJA TENAGAKERJA"
    " TENAGAKERJAAKTIF JUMLAHTENAGAKERJAAKTIF",
    "paid_through": "BLTHREKON BLTHAKHIR BLTHAKHIRREKON REKONTERAKHIR BLTHIURAN BLTHIURANTERAKHIR IURANTERAKHIR"
    " BLTHLUNAS LUNASSAMPAI LUNASSD",
}
MEANING = {written: fact for fact, names in COLUMN_NAMES.items() for written in names.split()}
LEAST_COLUMNS = 3
LABEL = re.compile(r"\b(PERIODE|BULAN LAPORAN|PER[ -]?(?:TANGGAL|TGL)|POSISI|KEADAAN)\b\.?(?:\s*:)?", re.IGNORECASE)
UNTIL = re.compile(r"\bS[/.]?D\.?(?=\s|\d)|\bSAMPAI(?: DENGAN)?\b|\s[-–]\s", re.IGNORECASE)

Columns = dict[str, list[int]]


def columns(cells: tuple[Cell, ...]) -> Columns:
    """Which columns hold which fact; a fact may have several."""
    found: Columns = {}
    for index, cell in enumerate(cells):
        if isinstance(cell, str) and (fact := MEANING.get(re.sub(r"[\W_]", "", values.text(cell).upper()))):
            found.setdefault(fact, []).append(index)
    return found


def is_header(found: Columns) -> bool:
    return "npp" in found and len(found) >= LEAST_COLUMNS


def columns_known(cells: tuple[Cell, ...]) -> int:
    """How many facts a row names, if it is a header."""
    found = columns(cells)
    return len(found) if is_header(found) else 0


@dataclass(frozen=True, slots=True)
class Heading:
    """What the title lines say: the month reported (its first day) and the day on which the facts held."""

    period: date | None = None
    dated: date | None = None
    unclear: tuple[str, ...] = ()

    def read(self, cells: tuple[Cell, ...]) -> Heading:
        """The heading after one more title line."""
        line = "  ".join(written for cell in cells if (written := values.text(cell)))
        labels = list(LABEL.finditer(line))
        heading = self
        for label, following in zip(labels, [*labels[1:], None], strict=False):
            said = line[label.end() : following.start() if following else None].strip(" :.,;()")
            heading = heading._with(label[1].upper(), UNTIL.split(said)[-1].strip(" :.,;()"))
        return heading

    def _with(self, label: str, said: str) -> Heading:
        day = _first_day(said)
        if not day:
            return replace(self, unclear=(*self.unclear, f"{label} {said}".strip()))
        if label.startswith(("PERIODE", "BULAN")):
            return replace(self, period=self.period or day.replace(day=1))
        return replace(self, dated=self.dated or day)


def _first_day(said: str) -> date | None:
    """The longest beginning of a text that is a day or a month."""
    words = said.split(" ")
    for length in range(min(len(words), 4), 0, -1):
        try:
            return values.day(" ".join(words[:length]))
        except values.Unclear:
            continue
    return None
