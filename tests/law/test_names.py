"""Names are equal when nothing but writing habits tells them apart."""

from __future__ import annotations

import pytest

from compliance.law.identifiers import normal, same_name


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("SUMBER REJEKI, CV", "SUMBER REJEKI"),
        ("P.T. Sumber Rejeki, Tbk.", "SUMBER REJEKI"),
        ("PT. SUMBER  REJEKI (PERSERO)", "SUMBER REJEKI"),
        ("C V Sumber Rejeki", "SUMBER REJEKI"),
        ("u.d. sumber-rejeki", "SUMBER REJEKI"),
        ("Fa. Sumber Rejeki", "SUMBER REJEKI"),
        ("Firma Sumber Rejeki", "SUMBER REJEKI"),
        ("Sumber PT Rejeki", "SUMBER REJEKI"),
        ("Toko 99", "TOKO 99"),
        ("Toko ９９", "TOKO 99"),
        ("ﬁrma Maju", "MAJU"),
        ("Café Mamuju", "CAFÉ MAMUJU"),
        ("Cafe\u0301 Mamuju", "CAFÉ MAMUJU"),
        ("Perseroan Maju", "PERSEROAN MAJU"),
        ("P. Tarigan", "P TARIGAN"),
    ],
)
def test_a_name_is_compared_in_this_form(written: str, compared: str) -> None:
    assert normal(written) == compared


@pytest.mark.parametrize(
    ("mine", "theirs", "same"),
    [
        ("CV Sumber Rejeki", "SUMBER REJEKI", True),
        ("Sumber Rejeki", "Rejeki Sumber", False),
        ("Sumber Rejeki", "SumberRejeki", False),
        ("Sumber Rejeki", "Sumber Rejeki Jaya", False),
        (None, "Sumber Rejeki", None),
        ("Sumber Rejeki", None, None),
        (None, None, None),
    ],
)
def test_two_names_are_the_same(mine: str | None, theirs: str | None, same: bool | None) -> None:
    assert same_name(mine, theirs) is same
