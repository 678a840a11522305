"""What the import's report says of a line, in Indonesian and English (words.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from compliance.registry.reading import values


class Kind(StrEnum):
    """What became of a line. CORRECTED and DOUBTED lines are taken; PASSED ones are no members."""

    TAKEN = "taken"
    CORRECTED = "corrected"
    DOUBTED = "doubted"
    REFUSED = "refused"
    PASSED = "passed"


LABEL = {
    Kind.TAKEN: "diambil/taken",
    Kind.CORRECTED: "diperbaiki/corrected",
    Kind.DOUBTED: "diragukan/doubted",
    Kind.REFUSED: "ditolak/refused",
    Kind.PASSED: "dilewati/read past",
}
_WORDS: dict[str, dict[str, tuple[str, str]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
TEXTS = {code: texts for remarks in _WORDS.values() for code, texts in remarks.items()}
KINDS = {code: Kind(kind) for kind, remarks in _WORDS.items() for code in remarks}


@dataclass(frozen=True, slots=True)
class Note:
    """One remark on one line (`place` "" is the whole file)."""

    place: str
    code: str
    words: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return KINDS[self.code]

    def __str__(self) -> str:
        """Indonesian | English. Never begins with a cell's text, so that no spreadsheet takes it for a formula."""
        texts = " | ".join(text.format_map(self.words) for text in TEXTS[self.code] if text)
        return f"{f'baris {self.place}' if self.place else 'berkas'} · {LABEL[self.kind]} · {texts}"


def shown(cell: object) -> str:
    """A cell fit to be printed: one line, no control characters, at most 40 characters, no formula."""
    written = values.text(cell)[:40] or "(kosong)"
    return f"'{written}" if written[0] in "=+-@" else written
