"""Numbers are taken in every written form that is theirs, and in no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compliance.errors import BadIdentifier
from compliance.law import identifiers as known

NIK_TEXT = "7309054403880002"
COMPANY, BRANCH, STRANGER = "0012345678801000", "0012345678801001", "0029998887801000"
PERSON, NEIGHBOUR = "7309054403880002", "7309054403880003"
ARABIC_INDIC = {ord("0") + digit: 0x660 + digit for digit in range(10)}


@pytest.mark.parametrize(
    ("read", "written", "canonical"),
    [
        (known.nib, "8120001234567", "8120001234567"),
        (known.nib, "0000000000001", "0000000000001"),
        (known.npwp, "01.234.567.8-801.000", COMPANY),
        (known.npwp, "012345678801000", COMPANY),
        (known.npwp, "01 234 567 8 801 000", COMPANY),
        (known.npwp, "0012345678801000", COMPANY),
        (known.npwp, "0012.3456.7880.1000", COMPANY),
        (known.npwp, "0012345678801000000001", COMPANY),
        (known.npwp, "0012345678801000-000001", COMPANY),
        (known.npwp, NIK_TEXT, PERSON),
        (known.nik, NIK_TEXT, NIK_TEXT),
        (known.nik, "9999999999999999", "9999999999999999"),
        (known.npp, "15070955", "15070955"),
        (known.npp, "ab12", "AB12"),
        (known.npp, "A" * 20, "A" * 20),
        (known.project_number, "2300001078094", "2300001078094"),
        (known.region_or_province, "73.09", "73.09"),
        (known.region_or_province, "73", "73"),
        (known.region_from_oss, "7309000000", "73.09"),
        (known.region_from_oss, "7300000000", "73"),
    ],
)
def test_a_number_is_read_into_its_one_form(read: Callable[[str], str], written: str, canonical: str) -> None:
    assert read(written) == canonical


REFUSED = {
    known.nib: ["", "812000123456", "81200012345678", "812000123456a", " 8120001234567"],
    known.npwp: [
        *("", "01234567880100", "01234567880100000", "012345678801000000001", "01..234.567.8-801.000"),
        *(".012345678801000", "012345678801000.", "01/234/567/8/801/000", "01.234.567.8-8O1.000"),
    ],
    known.nik: ["", "730905440388000", "73090544038800021", "73.0905.440388.0002"],
    known.npp: ["", "A" * 21, "A-1", "A 1", "É1"],
    known.project_number: ["230000107809", "23000010780945"],
    known.region_or_province: ["7", "730", "73.", "7309"],
    known.region_from_oss: ["73.09", "7309", "73090000000"],
}


@pytest.mark.parametrize(("read", "written"), [(read, text) for read, texts in REFUSED.items() for text in texts])
def test_what_is_not_that_number_is_refused_with_rule_and_example(read: Callable[[str], str], written: str) -> None:
    with pytest.raises(BadIdentifier) as refused:
        read(written)
    assert refused.value.rule in str(refused.value)
    assert read(refused.value.example)


@pytest.mark.parametrize("read", list(REFUSED))
def test_the_whole_text_must_match_and_only_ascii_digits_count(read: Callable[[str], str]) -> None:
    with pytest.raises(BadIdentifier) as refused:
        read("")
    example = refused.value.example
    for spoiled in (example + "\n", "\n" + example, example + "\u200b", example.translate(ARABIC_INDIC)):
        with pytest.raises(BadIdentifier):
            read(spoiled)


@pytest.mark.parametrize(
    ("mine", "theirs", "legal_form", "same"),
    [
        (COMPANY, COMPANY, "02", True),
        (COMPANY, BRANCH, "02", True),
        (COMPANY, STRANGER, "02", False),
        (COMPANY, "0012345678802000", "02", False),
        (PERSON, NEIGHBOUR, "17", False),
        (PERSON, PERSON, "17", True),
        (COMPANY, PERSON, "17", None),
        (PERSON, COMPANY, "17", None),
        (COMPANY, PERSON, "02", False),
        (COMPANY, PERSON, None, False),
        (COMPANY, STRANGER, "17", False),
        (COMPANY, BRANCH, "17", True),
    ],
)
def test_two_tax_numbers_are_one_taxpayer(mine: str, theirs: str, legal_form: str | None, same: bool | None) -> None:
    assert known.same_npwp(mine, theirs, legal_form) is same
    assert known.same_npwp(theirs, mine, legal_form) is same


@pytest.mark.parametrize(
    ("npwp", "legal_form", "personal"),
    [(COMPANY, "02", False), (COMPANY, None, False), (COMPANY, "17", True), (PERSON, "02", True), (PERSON, None, True)],
)
def test_a_persons_tax_number_is_known_as_such(npwp: str, legal_form: str | None, personal: bool) -> None:
    assert known.npwp_is_personal(npwp, legal_form) is personal
