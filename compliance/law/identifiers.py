"""The numbers by which businesses and persons are known: checked as a whole, in one canonical form.

Every function takes the text as written and returns the canonical form, or raises BadIdentifier naming the rule and an
example. Only ASCII digits and letters count, and the whole text must match (a trailing newline does not).
"""

from __future__ import annotations

import re

from compliance.errors import BadIdentifier

INDIVIDUAL = "17"  # OSS legal form of a natural person
_SEPARATED_DIGITS = re.compile(r"[0-9](?:[-. ]?[0-9])*")


def nib(text: str) -> str:
    """Business identification number of OSS: 13 digits, leading zeros kept."""
    return _match(text, r"[0-9]{13}", "NIB", "13 digits", "8120001234567")


def npwp(text: str) -> str:
    """Tax number as 16 digits: 15 get a leading 0, the 22 of a branch (NITKU) lose their last six.

    Digits may be parted by single dots, hyphens or spaces.
    """
    digits = re.sub(r"[-. ]", "", text) if _SEPARATED_DIGITS.fullmatch(text) else ""
    if len(digits) == 15:
        return "0" + digits
    if len(digits) in (16, 22):
        return digits[:16]
    raise BadIdentifier("NPWP", "15, 16 or 22 digits, with or without dots and dashes", "01.234.567.8-801.000")


def nik(text: str) -> str:
    """A person's number: 16 digits. The date inside is not checked, for real ones fail it."""
    return _match(text, r"[0-9]{16}", "NIK", "16 digits", "7309054403880002")


def npp(text: str) -> str:
    """Registration number at the agency, in upper case."""
    return _match(text, r"[0-9A-Za-z]{1,20}", "NPP", "1 to 20 letters and digits", "15070955").upper()


def project_number(text: str) -> str:
    """Number of a construction project at the agency: 13 digits."""
    return _match(text, r"[0-9]{13}", "project number", "13 digits", "2300001078094")


def legal_form(text: str) -> str:
    """Any two digits: OSS adds codes, and an unknown one is judged as an ordinary employer."""
    return _match(text, r"[0-9]{2}", "legal form", "two digits (OSS jenis_perseroan)", "02")


def nib_status(text: str) -> str:
    return _match(text, r"0[1-6]", "NIB status", "01 to 06 (OSS status_nib)", "01")


def region(text: str) -> str:
    """Code of a regency or city, as an application names it."""
    return _match(text, r"[0-9]{2}\.[0-9]{2}", "region", "two digits, a dot, two digits", "73.09")


def region_or_province(text: str) -> str:
    """Code as the agency states it: of a regency or city, or the two digits of a province."""
    return _match(text, r"[0-9]{2}(?:\.[0-9]{2})?", "region", "NN.NN, or NN for a province", "73.09")


def region_from_oss(text: str) -> str:
    """OSS writes ten digits without dots: `7309000000` is 73.09, `7300000000` the province 73."""
    digits = _match(text, r"[0-9]{10}", "kd_daerah", "10 digits", "7309000000")
    return digits[:2] if digits[2:4] == "00" else f"{digits[:2]}.{digits[2:4]}"


def same_npwp(a: str, b: str, legal_form: str | None = None) -> bool | None:
    """Whether two canonical NPWP name one taxpayer; None when they cannot be compared.

    Head office and branch differ in the last three digits only; the 16 digits that begin with no 0 are a NIK, which has
    no branches. A person's old number (0 + 15) says nothing about his new one (his NIK).
    """
    if a == b:
        return True
    companies = a.startswith("0"), b.startswith("0")
    if legal_form == INDIVIDUAL and companies[0] != companies[1]:
        return None
    return all(companies) and a[:13] == b[:13]


def npwp_is_personal(npwp16: str, legal_form: str | None = None) -> bool:
    """Whether a canonical NPWP identifies a natural person and must be kept like a NIK."""
    return legal_form == INDIVIDUAL or not npwp16.startswith("0")


def masked_nik(nik16: str) -> str:
    """A NIK fit to be shown: its last four digits."""
    return "*" * (len(nik16) - 4) + nik16[-4:]


def _match(text: str, pattern: str, kind: str, rule: str, example: str) -> str:
    if not re.fullmatch(pattern, text):
        raise BadIdentifier(kind, rule, example)
    return text
