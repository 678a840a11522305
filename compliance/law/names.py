"""When two written names of a business are the same name."""

import re
import unicodedata

_LEGAL_FORM = re.compile(r"(?<!\S)(?:P T|C V|U D|PT|CV|UD|FA|FIRMA|TBK|PERSERO)(?!\S)")


def normal(name: str) -> str:
    """The form in which names are compared: upper case, no punctuation, no words of the legal form."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).upper())
    words = "".join(letter if letter.isalnum() else " " for letter in text).split()
    return " ".join(_LEGAL_FORM.sub("", " ".join(words)).split())


def same_name(a: str | None, b: str | None) -> bool | None:
    """Whether two names are equal after normalising; None when one was left out."""
    return normal(a) == normal(b) if a and b else None
