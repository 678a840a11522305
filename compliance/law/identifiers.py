"""The numbers and names by which businesses and persons are known; each number is checked as a whole.
Every reader takes the text as written and returns the canonical form, or raises BadIdentifier naming the rule and an
example. Only ASCII digits and letters count, and the whole text must match (a trailing newline does not)."""

import re
import unicodedata
from collections.abc import Callable

from compliance.errors import BadIdentifier

INDIVIDUAL = "17"  # OSS legal form of a natural person
_NO_WORD = re.compile(r"[\W_]+")
_LEGAL_FORM = re.compile(r"(?<!\S)(?:P T|C V|U D|PT|CV|UD|FA|FIRMA|TBK|PERSERO)(?!\S)")


def _reader(kind: str, pattern: str, rule: str, example: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise BadIdentifier(kind, rule, example)
        return text.upper()

    return read


nib = _reader("NIB", r"[0-9]{13}", "13 digits", "8120001234567")
nik = _reader("NIK", r"[0-9]{16}", "16 digits", "7309054403880002")  # no date check: real ones fail it
npp = _reader("NPP", r"[0-9A-Za-z]{1,20}", "1 to 20 letters and digits", "15070955")
project_number = _reader("project number", r"[0-9]{13}", "13 digits", "2300001078094")
region_or_province = _reader("region", r"[0-9]{2}(?:\.[0-9]{2})?", "NN.NN, or NN for a province", "73.09")


def npwp(text: str) -> str:
    """Tax number as 16 digits: 15 get a leading 0, the 22 of a branch (NITKU) lose their last six."""
    digits = re.sub(r"[-. ]", "", text) if re.fullmatch(r"[0-9](?:[-. ]?[0-9])*", text) else ""
    if len(digits) not in (15, 16, 22):
        raise BadIdentifier("NPWP", "15, 16 or 22 digits, with or without dots and dashes", "01.234.567.8-801.000")
    return "0" + digits if len(digits) == 15 else digits[:16]


def region_from_oss(text: str) -> str:
    """OSS writes ten digits without dots: `7309000000` is 73.09, `7300000000` the province 73."""
    if not re.fullmatch(r"[0-9]{10}", text):
        raise BadIdentifier("kd_daerah", "10 digits", "7309000000")
    return text[:2] if text[2:4] == "00" else f"{text[:2]}.{text[2:4]}"


def same_npwp(a: str, b: str, legal_form: str | None = None) -> bool | None:
    """Whether two canonical NPWP name one taxpayer; None when they cannot be compared. Head office and branch differ in
    the last three digits only; the 16 digits that begin with no 0 are a NIK, which has no branches. A person's old
    number (0 + 15) says nothing about his new one (his NIK)."""
    if a == b:
        return True
    companies = a.startswith("0"), b.startswith("0")
    if legal_form == INDIVIDUAL and companies[0] != companies[1]:
        return None
    return all(companies) and a[:13] == b[:13]


def npwp_is_personal(npwp16: str, legal_form: str | None = None) -> bool:
    """Whether a canonical NPWP identifies a natural person and must be kept like a NIK."""
    return legal_form == INDIVIDUAL or not npwp16.startswith("0")


def normal(name: str) -> str:
    """The form in which names are compared: upper case, no punctuation, no words of the legal form."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).upper())
    return " ".join(_LEGAL_FORM.sub("", _NO_WORD.sub(" ", text)).split())


def same_name(a: str | None, b: str | None) -> bool | None:
    """Whether two names are equal after normalising; None when one was left out."""
    return normal(a) == normal(b) if a and b else None
