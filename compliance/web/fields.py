"""What the clerk is asked: each field with its label and an example, and only those that the permit type needs.

A field is named as in the API's document with dots (`business.nib`), so that an error's pointer finds its field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _

from compliance.errors import FieldError

ALWAYS = frozenset({""})


@dataclass(frozen=True, slots=True)
class Field:
    """`kind`: text, digits, count, choice, select, yesno, date. `needed_for`: grounds that look at it; "" is always."""

    name: str
    part: str
    label: Any
    hint: Any = ""
    kind: str = "text"
    choices: tuple[tuple[str, Any], ...] = ()
    needed_for: frozenset[str] = ALWAYS
    rare: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A field as it stands on the page: with what was typed and what is wrong with it."""

    field: Field
    value: str = ""
    error: str = ""

    @property
    def sentence(self) -> str:
        """What is wrong, beginning with a capital letter as it stands alone."""
        return self.error[:1].upper() + self.error[1:]

    @property
    def id(self) -> str:
        return self.field.name.replace(".", "-").replace("_", "-")


def _on(*grounds: str) -> frozenset[str]:
    return frozenset(grounds)


SCALE = (
    ("micro", _("Mikro")),
    ("small", _("Kecil")),
    ("medium", _("Menengah")),
    ("large", _("Besar")),
)
FORMS = (
    ("01", _("Perseroan Terbatas (PT)")),
    ("02", _("CV")),
    ("05", _("Firma")),
    ("06", _("Persekutuan perdata")),
    ("07", _("Koperasi")),
    ("10", _("Yayasan")),
    ("16", _("Bentuk usaha tetap (BUT)")),
    ("17", _("Perseorangan")),
    ("26", _("PT Perorangan")),
    ("28", _("BUM Desa")),
    ("29", _("BUM Desa Bersama")),
    ("21", _("Perum")),
    ("22", _("Perumda")),
    ("23", _("Perusda")),
    ("04", _("Badan usaha pemerintah")),
    ("18", _("Badan layanan umum (BLU)")),
)
STATUSES = (
    ("01", _("Aktif")),
    ("02", _("Belum aktif")),
    ("03", _("Boleh melakukan usaha")),
    ("04", _("Boleh beroperasi")),
    ("05", _("Dibekukan")),
    ("06", _("Dicabut")),
)
GATED = _on("registered", "programmes", "workers", "wages", "arrears", "project")
COUNTED = _on("workers", "programmes")
FIELDS = (
    Field(
        "reference",
        "application",
        _("Nomor permohonan"),
        _("Seperti di aplikasi perizinan, misalnya 503/0123/DPMPTSP/2026."),
    ),
    Field(
        "stage",
        "application",
        _("Permohonan baru atau perpanjangan?"),
        kind="choice",
        choices=(("new", _("Baru")), ("renewal", _("Perpanjangan"))),
    ),
    Field(
        "as_at",
        "application",
        _("Tanggal penilaian"),
        _("Kosongkan untuk hari ini. Isi bila permohonan harus dinilai menurut aturan pada hari lain."),
        kind="date",
        rare=True,
    ),
    Field("business.name", "business", _("Nama usaha"), _("Seperti di NIB, misalnya CV Sumber Rejeki.")),
    Field("business.nib", "business", _("NIB"), _("13 angka di lembar NIB, misalnya 8120001234567."), kind="digits"),
    Field(
        "business.npwp",
        "business",
        _("NPWP"),
        _("Membantu bila NIB belum dikenal. Titik dan strip boleh, misalnya 01.234.567.8-801.000."),
    ),
    Field(
        "business.npp",
        "business",
        _("NPP"),
        _("Nomor pendaftaran perusahaan di sertifikat kepesertaan, misalnya 15070955."),
        rare=True,
    ),
    Field(
        "business.legal_form",
        "business",
        _("Bentuk usaha"),
        _("Penting untuk usaha perseorangan dan badan pemerintah."),
        kind="select",
        choices=FORMS,
        rare=True,
    ),
    Field("business.nib_status", "business", _("Status NIB di OSS"), kind="select", choices=STATUSES, rare=True),
    Field(
        "owner.nik",
        "business",
        _("NIK pemilik"),
        _("Hanya untuk usaha perseorangan atau pemberi kerja rumah tangga: 16 angka di KTP."),
        kind="digits",
        rare=True,
    ),
    Field("owner.name", "business", _("Nama pemilik"), _("Seperti di KTP."), rare=True),
    Field(
        "business.scale",
        "workers",
        _("Skala usaha"),
        _("Seperti di lembar NIB. Skala perusahaan, bukan skala satu proyek."),
        kind="choice",
        choices=SCALE,
        needed_for=_on("programmes"),
    ),
    Field(
        "workforce.employs_workers",
        "workers",
        _("Apakah usaha ini mempekerjakan orang?"),
        _("Pemilik sendiri dan keluarga yang tidak digaji tidak dihitung sebagai pekerja."),
        kind="yesno",
        choices=(("yes", _("Ya")), ("no", _("Tidak"))),
        needed_for=GATED,
    ),
    Field(
        "workforce.declared",
        "workers",
        _("Jumlah seluruh pekerja"),
        _("Semua yang digaji. Contoh: 8 tetap + 2 kontrak + 1 harian + 1 direktur yang digaji = 12."),
        kind="count",
        needed_for=COUNTED,
    ),
    Field(
        "workforce.outsourced",
        "workers",
        _("Di antaranya pekerja alih daya"),
        _("Didaftarkan oleh perusahaan penyedianya. Contoh: 2 satpam dari vendor = 2."),
        kind="count",
        needed_for=COUNTED,
        rare=True,
    ),
    Field(
        "workforce.hired_last_30_days",
        "workers",
        _("Di antaranya masuk kerja dalam 30 hari terakhir"),
        _("Mungkin belum terdaftar. Contoh: 1 juru masak mulai minggu lalu = 1."),
        kind="count",
        needed_for=COUNTED,
        rare=True,
    ),
    Field(
        "workforce.over_pension_age",
        "workers",
        _("Di antaranya melewati usia pensiun"),
        _("Contoh: 1 penjaga berusia 62 tahun = 1."),
        kind="count",
        needed_for=_on("programmes"),
        rare=True,
    ),
    Field(
        "workforce.foreign",
        "workers",
        _("Di antaranya tenaga kerja asing"),
        _("Semua tenaga kerja asing. Contoh: 3."),
        kind="count",
        needed_for=COUNTED,
        rare=True,
    ),
    Field(
        "workforce.foreign_short_term",
        "workers",
        _("Tenaga kerja asing kurang dari 6 bulan"),
        _("Bagian dari jumlah tenaga kerja asing. Contoh: 1 teknisi untuk 3 bulan = 1."),
        kind="count",
        needed_for=COUNTED,
        rare=True,
    ),
    Field(
        "project.contract_date",
        "project",
        _("Tanggal kontrak (SPK)"),
        _("Kosongkan bila belum ada kontraktor."),
        kind="date",
        needed_for=_on("project"),
    ),
    Field(
        "project.number",
        "project",
        _("Nomor pendaftaran proyek"),
        _("13 angka di bukti pendaftaran jasa konstruksi, misalnya 2300001078094. Kosongkan bila belum ada."),
        kind="digits",
        needed_for=_on("project"),
    ),
)
BY_NAME = {field.name: field for field in FIELDS}
STAND_FOR = {"business": "business.nib", "workforce": "workforce.declared", "project": "project.contract_date"}


def needed(grounds: Iterable[str]) -> list[Field]:
    """The fields for a rule with these grounds, in the order of the page."""
    looked_at = {"", *grounds}
    return [field for field in FIELDS if field.needed_for & looked_at]


def read(typed: Mapping[str, str], asked: Iterable[Field]) -> dict[str, Any]:
    """The document of a check (contract §2) from what was typed; what was left empty is left out."""
    document: dict[str, Any] = {}
    for field in asked:
        text = typed.get(field.name, "").strip()
        if not text:
            continue
        *parts, last = field.name.split(".")
        inner = document
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = _value(field.kind, text)
    return document


def _value(kind: str, text: str) -> Any:
    """Spaces and dots inside numbers are how people write them; anything else is for the intake to judge."""
    if kind == "yesno":
        return {"yes": True, "no": False}.get(text, text)
    if kind not in ("digits", "count"):
        return text
    plain = "".join(text.split()).replace(".", "")
    return int(plain) if kind == "count" and plain.isascii() and plain.isdigit() and len(plain) < 10 else plain


def boxes(asked: Iterable[Field], typed: Mapping[str, str], errors: Iterable[FieldError] = ()) -> list[Box]:
    """Every field with what was typed and the first thing that is wrong with it."""
    wrong: dict[str, str] = {}
    for error in errors:
        wrong.setdefault(field_of(error.pointer), error.detail)
    return [Box(field, typed.get(field.name, ""), wrong.get(field.name, "")) for field in asked]


def field_of(pointer: str) -> str:
    """The field that an error's pointer (`/business/nib`) means; "" when it is none of the page's."""
    name = pointer.strip("/").replace("/", ".")
    return name if name in BY_NAME or name in ("permit_type", "region") else STAND_FOR.get(name, "")


def titles() -> list[tuple[str, Any]]:
    """The form's parts in order."""
    return [
        ("application", _("Permohonan")),
        ("business", _("Usaha")),
        ("workers", _("Pekerja")),
        ("project", _("Proyek konstruksi")),
    ]


def more() -> dict[str, Any]:
    """What the rarely needed fields of a part are for."""
    return {
        "application": _("Dinilai per tanggal lain?"),
        "business": _("Usaha perseorangan, badan pemerintah, NIB dibekukan, atau hanya punya NPP?"),
        "workers": _("Ada pekerja alih daya, baru masuk, asing, atau melewati usia pensiun?"),
        "project": "",
    }
