"""Dated law is loaded strictly: whatever is unknown, uncited, overlapping, gapped or impossible is refused by name."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from compliance.errors import BadPolicy, LawNotInForce, UnknownRegion
from compliance.law import policy as room
from compliance.law.policy import Policy

REGION = """region = "73.10"
name = "Kabupaten Contoh"
zone = "Asia/Makassar"
since = 2026-01-01

[[value]]
name = "valid_days"
since = 2026-01-01
value = 30
basis = [{ cite = "Perbup 1/2026", certainty = "text" }]
looked_at = 2026-11-21

[[gate]]
permit_types = ["RESTORAN"]
since = 2026-01-01
until = 2026-06-30
stage = "advise"
grounds = ["registered", "programmes"]
basis = [{ cite = "Perbup 1/2026 Pasal 2", certainty = "text" }]
looked_at = 2026-11-21

[[gate]]
permit_types = ["RESTORAN"]
since = 2026-07-01
stage = "enforce"
grounds = ["registered", "arrears"]
arrears.months = 3
arrears.effect = "NOT_MET"
arrears.basis = [{ cite = "Perbup 1/2026 Pasal 3", certainty = "text" }]
basis = [{ cite = "Perbup 1/2026 Pasal 2", certainty = "text" }]
looked_at = 2026-11-21
"""
GATE_BASIS = 'basis = [{ cite = "Perbup 1/2026 Pasal 2", certainty = "text" }]\n'
OSS = '[[oss]]\nkd_izin = ["999000000001"]\nsince = 2026-01-01\npermit_type = "HOTEL"\n'
VALUE_BASIS = 'basis = [{ cite = "Perbup 1/2026", certainty = "text" }]\n'


def load(folder: Path, text: str) -> Policy:
    (folder / "73.10.toml").write_text(text, encoding="utf-8")
    return Policy.load(folder)


def test_a_region_that_is_right_is_loaded(tmp_path: Path) -> None:
    loaded = load(tmp_path, REGION)
    assert loaded.on(date(2026, 6, 30), "73.10").gates["RESTORAN", "new"].stage == "advise"
    assert loaded.on(date(2026, 7, 1), "73.10").gates["RESTORAN", "new"].stage == "enforce"


WRONG = {
    "not TOML": ('name = "Kabupaten Contoh"', "name = Kabupaten"),
    "an unknown key at the top": ('name = "Kabupaten Contoh"', 'name = "Kabupaten Contoh"\nchief = "x"'),
    "an unknown key in a gate": ('stage = "advise"', 'stage = "advise"\nstrict = true'),
    "an unknown key in a citation": ('Pasal 2", certainty', 'Pasal 2", page = 1, certainty'),
    "an unknown key in the arrears": ("arrears.months = 3", "arrears.months = 3\narrears.days = 3"),
    "an unknown kind of entry": ("[[value]]", "[[number]]"),
    "an unknown value": ('name = "valid_days"', 'name = "due_day"'),
    "a national table": ("[[value]]", "[[programmes]]"),
    "no region": ('region = "73.10"\n', ""),
    "no name": ('name = "Kabupaten Contoh"\n', ""),
    "no zone": ('zone = "Asia/Makassar"\n', ""),
    "an unknown zone": ("Asia/Makassar", "Asia/Maros"),
    "a region that is none": ('region = "73.10"', 'region = "7310"'),
    "no first day": ("since = 2026-01-01\n\n[[value]]", "\n[[value]]"),
    "no citation at a gate": (GATE_BASIS, ""),
    "an empty list of citations at a gate": (GATE_BASIS, "basis = []\n"),
    "an empty citation": ('cite = "Perbup 1/2026 Pasal 2"', 'cite = " "'),
    "no citation at a value": (VALUE_BASIS, ""),
    "no citation of arrears' own": ('arrears.basis = [{ cite = "Perbup 1/2026 Pasal 3", certainty = "text" }]\n', ""),
    "a certainty that is none": ('certainty = "text"', 'certainty = "sure"'),
    "an example outside the shipped files": ('certainty = "text"', 'certainty = "example"'),
    "an example for the arrears": ('Pasal 3", certainty = "text"', 'Pasal 3", certainty = "example"'),
    "nobody looked at it": ("looked_at = 2026-11-21\n\n[[gate]]", "\n[[gate]]"),
    "periods that overlap": ("until = 2026-06-30", "until = 2026-07-01"),
    "periods with a gap": ("until = 2026-06-30", "until = 2026-06-29"),
    "a period that ends before it begins": ("until = 2026-06-30", "until = 2025-12-31"),
    "two that begin on one day": ("since = 2026-07-01", "since = 2026-01-01"),
    "a rule that ends and is not followed": ("since = 2026-07-01", "since = 2026-07-01\nuntil = 2026-12-31"),
    "a rule before the region's first day": ("since = 2026-01-01\nuntil", "since = 2025-01-01\nuntil"),
    "a moment for a day": ("since = 2026-07-01", "since = 2026-07-01T00:00:00"),
    "a text for a day": ("since = 2026-07-01", 'since = "2026-07-01"'),
    "a stage that is none": ('stage = "advise"', 'stage = "warn"'),
    "a ground that is none": ('"registered", "programmes"', '"registered", "taxes"'),
    "a ground twice": ('"registered", "programmes"', '"registered", "registered"'),
    "a rule that is on without grounds": ('grounds = ["registered", "programmes"]\n', ""),
    "no permit type": ('permit_types = ["RESTORAN"]\nsince = 2026-07-01', "permit_types = []\nsince = 2026-07-01"),
    "an arrears threshold of zero": ("arrears.months = 3", "arrears.months = 0"),
    "an arrears threshold of a text": ("arrears.months = 3", 'arrears.months = "3"'),
    "an arrears threshold of true": ("arrears.months = 3", "arrears.months = true"),
    "an arrears threshold beyond reason": ("arrears.months = 3", "arrears.months = 1000"),
    "arrears that block": ('arrears.effect = "NOT_MET"', 'arrears.effect = "BLOCKED"'),
    "arrears that leave it undetermined": ('arrears.effect = "NOT_MET"', 'arrears.effect = "UNDETERMINED"'),
    "arrears named as ground without threshold": ('"registered", "programmes"', '"registered", "arrears"'),
    "a threshold without arrears as ground": ('"registered", "arrears"', '"registered"'),
    "a validity of no days": ("value = 30", "value = 0"),
    "a validity of a fraction": ("value = 30", "value = 30.5"),
    "an undetermined that refuses": (
        GATE_BASIS,
        'effects.REGISTRY_UNAVAILABLE = "NOT_MET"\n' + GATE_BASIS,
    ),
    "a block by a region": (GATE_BASIS, 'effects.TMP2T_OTHER_REGION = "BLOCKED"\n' + GATE_BASIS),
    "an effect harder than the nation's": (GATE_BASIS, 'effects.FIRST_PAYMENT_PENDING = "NOT_MET"\n' + GATE_BASIS),
    "an OSS code that is a word": ("[[gate]]", OSS.replace("999000000001", "RESTORAN") + "\n[[gate]]"),
    "an OSS code twice": ("[[gate]]", OSS + OSS.replace("HOTEL", "KAFE") + "\n[[gate]]"),
    "an OSS code that means nothing": ("[[gate]]", OSS.replace('permit_type = "HOTEL"', "") + "\n[[gate]]"),
    "an OSS code with an unknown key": ("[[gate]]", OSS + "kbli = '56101'\n[[gate]]"),
    "an effect of a finding that is none": (GATE_BASIS, 'effects.LATE = "NOTE"\n' + GATE_BASIS),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_region_that_is_wrong_is_refused_by_file_and_rule(wrong: str, tmp_path: Path) -> None:
    old, new = WRONG[wrong]
    assert old in REGION
    with pytest.raises(BadPolicy) as refused:
        load(tmp_path, REGION.replace(old, new, 1))
    assert "73.10.toml" in refused.value.where
    assert refused.value.rule.strip()


def test_two_files_for_one_region_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(REGION, encoding="utf-8")
    with pytest.raises(BadPolicy):
        load(tmp_path, REGION)


NATIONAL_WRONG = {
    "a citation is missing": ("national.toml", 'basis = [{ cite = "PP 49/2020", certainty = "reported" }]\n', ""),
    "an unknown key": ("national.toml", "day = 30", "day = 30\nhour = 3"),
    "a due day that is none": ("national.toml", "day = 30", "day = 32"),
    "a scale without table": ("national.toml", 'scales = ["micro"]', 'scales = ["small"]'),
    "a scale that is none": ("national.toml", 'scales = ["micro"]', 'scales = ["tiny"]'),
    "a programme that is none": ("national.toml", 'owed = ["JKK", "JKM"]', 'owed = ["JKK", "JPN"]'),
    "an entry that begins twice": ("national.toml", "since = 2020-08-01", "since = 2014-01-01"),
    "a finding without effect": ("findings.toml", 'effect = "BLOCKED"\n', ""),
    "a finding without citation": ("findings.toml", 'basis = [{ cite = "PP 86/2013", certainty = "reported" }]\n', ""),
    "a finding that no rule gives": ("findings.toml", 'code = "NAME_DIFFERS"', 'code = "NAME_ODD"'),
    "a holiday year under another name": ("holidays/2026.toml", "year = 2026", "year = 2025"),
    "a holiday file with an unknown key": ("holidays/2026.toml", "confirmed = true", "confirmed = true\nby = 'x'"),
}


@pytest.mark.parametrize("wrong", NATIONAL_WRONG)
def test_national_law_that_is_wrong_is_refused(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, old, new = NATIONAL_WRONG[wrong]
    shutil.copytree(room.DATA, tmp_path / "data")
    changed = tmp_path / "data" / name
    text = changed.read_text(encoding="utf-8")
    assert old in text
    changed.write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(room, "DATA", tmp_path / "data")
    with pytest.raises(BadPolicy):
        Policy.load(None)


@pytest.mark.parametrize(
    ("region", "last_day_without", "first_day"),
    [
        ("73.09", "2021-12-31", "2022-01-01"),
        ("73.08", "2014-11-30", "2014-12-01"),
        ("76.05", "2021-12-31", "2022-01-01"),
    ],
)
def test_a_day_before_the_law_began_raises_and_never_passes(region: str, last_day_without: str, first_day: str) -> None:
    shipped = Policy.load(None)
    with pytest.raises(LawNotInForce) as refused:
        shipped.on(date.fromisoformat(last_day_without), region)
    assert refused.value.first_day == date.fromisoformat(first_day)
    assert shipped.on(date.fromisoformat(first_day), region).region == region
    assert shipped.regions[region].first_day == date.fromisoformat(first_day)


def test_a_region_that_is_not_served_raises() -> None:
    with pytest.raises(UnknownRegion):
        Policy.load(None).on(date(2026, 11, 20), "99.99")


def test_any_byte_of_the_law_or_of_its_holidays_is_part_of_the_hash(tmp_path: Path) -> None:
    before = load(tmp_path, REGION).on(date(2026, 11, 20), "73.10").sha256
    assert load(tmp_path, REGION).on(date(2026, 11, 20), "73.10").sha256 == before
    assert load(tmp_path, REGION + "\n").on(date(2026, 11, 20), "73.10").sha256 != before
    (tmp_path / "holidays").mkdir()
    table = (room.DATA / "holidays" / "2027.toml").read_text(encoding="utf-8")
    (tmp_path / "holidays" / "2027.toml").write_text(table.replace("confirmed = false", "confirmed = true"))
    assert load(tmp_path, REGION).on(date(2026, 11, 20), "73.10").sha256 != before


def test_another_regions_file_is_no_part_of_the_hash(tmp_path: Path) -> None:
    shipped = Policy.load(None).on(date(2026, 11, 20), "73.09").sha256
    assert load(tmp_path, REGION).on(date(2026, 11, 20), "73.09").sha256 == shipped
