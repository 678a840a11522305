"""When two written names of a business are the same name."""

from __future__ import annotations

import unicodedata

LEGAL_FORM_WORDS = frozenset({"PT", "CV", "UD", "FA", "FIRMA", "TBK", "PERSERO"})
SPLIT_WORDS = frozenset({("P", "T"), ("C", "V"), ("U", "D")})


def normal(name: str) -> str:
    """The form in which names are compared: upper case, no punctuation, no words of the legal form."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).upper())
    words = "".join(letter if letter.isalnum() else " " for letter in text).split()
    kept: list[str] = []
    while words:
        pair = tuple(words[:2])
        taken = 2 if pair in SPLIT_WORDS else 1
        if taken == 1 and words[0] not in LEGAL_FORM_WORDS:
            kept.append(words[0])
        del words[:taken]
    return " ".join(kept)


def same_name(a: str | None, b: str | None) -> bool | None:
    """Whether two names are equal after normalising; None when one was left out."""
    if not a or not b:
        return None
    return normal(a) == normal(b)
