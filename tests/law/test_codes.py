"""Every rule and every finding has a citation, texts in both languages, a case, and somebody who reads it."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from compliance.law import decide as law_decide
from compliance.law.decide import RULES, Rule
from compliance.law.facts import Effect, Verdict
from compliance.law.law import Law
from compliance.law.loading import SCHEMA
from compliance.law.policy import Policy
from tests.law.anything import DAYS
from tests.law.golden import golden_cases, policy, run
from tests.law.test_cases import ALL_CODES, EFFECT_OF

CODES = set(SCHEMA["complete"]["finding"])
ROOM = Path(law_decide.__file__).parent
LAWS = [policy().on(day, region) for region in ("73.09", "73.08", "76.05") for day in DAYS]


def test_the_codes_are_those_of_the_contract() -> None:
    assert set(ALL_CODES) == CODES


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_finding_has_effect_citation_and_texts(code: str) -> None:
    for law in LAWS:
        rule = law.findings[code]
        assert rule.effect is EFFECT_OF.get(code, Effect.OFFICER_REVIEW)
        assert rule.basis
        assert all(basis.cite.strip() for basis in rule.basis)
        for message, remedy in rule.words.values():
            for texts in (message, remedy):
                assert set(texts) == {"id", "en"}
                assert texts["id"] != texts["en"]


def test_every_finding_is_found_by_some_rule() -> None:
    """Texts of findings that no rule can give would only mislead."""
    said = {
        node.value
        for path in ROOM.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    by_kind = {f"REGISTRY_{kind}" for kind in ("UNAVAILABLE", "MISUNDERSTOOD")} if "REGISTRY_" in said else set()
    assert said | by_kind >= CODES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_reads_facts_and_finds_something_in_some_case(rule: Rule) -> None:
    assert rule.reads
    for case in golden_cases():
        outcome = run(case)
        judged = law_decide.judge(law_decide.Case(outcome.facts, outcome.law))
        if any(found and name.name == rule.name for name, found in judged):
            return
    pytest.fail(f"no case makes {rule.name} find anything")


@pytest.mark.parametrize("verdict", sorted(Verdict))
def test_a_verdict_has_its_label(verdict: Verdict) -> None:
    labels = {
        Verdict.MET: "Memenuhi",
        Verdict.MET_WITH_NOTE: "Memenuhi dengan catatan",
        Verdict.NOT_REQUIRED: "Tidak dipersyaratkan",
        Verdict.NOT_MET: "Tidak memenuhi",
        Verdict.BLOCKED: "Diblokir (TMP2T)",
        Verdict.OFFICER_REVIEW: "Perlu verifikasi petugas",
        Verdict.UNDETERMINED: "Belum dapat dipastikan",
    }
    for law in LAWS:
        assert law.labels[verdict]["id"] == labels[verdict]
        assert law.labels[verdict]["en"].strip()
        assert set(law.says("verdict", verdict)["summary"]) == {"id", "en"}


def cites(case_name: str) -> list[tuple[str, str]]:
    case = next(case for case in golden_cases() if case_name in str(case))
    finding = run(case).decision.findings[0]
    return [(basis.cite, basis.certainty.value) for basis in finding.basis]


def test_an_example_gate_says_so_first_and_then_the_duty() -> None:
    cited = cites("medium restaurant with the same three programmes")
    assert cited[0] == ("Contoh: peraturan daerah belum ada", "example")
    assert ("Perpres 109/2013 Pasal 6 ayat (3)", "text") in cited[1:]


def test_a_gate_with_a_regulation_cites_it() -> None:
    cited = cites("Bone: only whether the firm is registered: not registered")
    assert cited[0][0].startswith("Perbup Bone 32/2014")
    assert cited[0][1] != "example"


def test_arrears_as_a_ground_have_a_basis_of_their_own() -> None:
    assert cites("medium factory, four programmes, paid through July")[0] == (
        "Contoh: peraturan daerah belum ada",
        "example",
    )


def test_each_ground_cites_its_own_article() -> None:
    assert cites("one month late in the first half of the year")[0] == ("Peraturan uji 2/2026 Pasal 8", "unverified")
    assert cites("large is covered")[0] == ("Peraturan uji 2/2026 Pasal 7", "unverified")


def test_days_are_spelled_out_in_each_language() -> None:
    case = next(case for case in golden_cases() if "TMP2T of 2026-10-02, not lifted" in str(case))
    message = run(case).decision.findings[0].message
    assert "2 Oktober 2026" in message["id"]
    assert "2 October 2026" in message["en"]


def test_a_block_rests_on_the_act() -> None:
    cited = cites("TMP2T of 2026-10-02, not lifted")
    assert any("UU 24/2011" in cite and "17" in cite for cite, _ in cited)
    assert "example" not in {certainty for _, certainty in cited}


def test_no_citation_is_an_example_but_those_of_the_shipped_example_gates() -> None:
    for law in LAWS:
        for rule in law.findings.values():
            assert all(basis.certainty.value != "example" for basis in rule.basis)


@pytest.mark.parametrize(
    ("day", "age"),
    [
        ("2015-07-01", 56),
        ("2018-12-31", 56),
        ("2019-01-01", 57),
        ("2021-12-31", 57),
        ("2022-01-01", 58),
        ("2024-12-31", 58),
        ("2025-01-01", 59),
        ("2027-12-31", 59),
        ("2028-01-01", 60),
        ("2030-12-31", 60),
        ("2031-01-01", 61),
        ("2040-01-01", 64),
        ("2042-12-31", 64),
        ("2043-01-01", 65),
        ("2060-01-01", 65),
    ],
)
def test_the_pension_age_rises_by_one_every_three_years_up_to_65(day: str, age: int) -> None:
    law: Law = policy().on(date.fromisoformat(day), "73.04")
    assert law.says("pension_age")["age"] == age


def test_the_advice_and_the_question_stand_in_the_remedies() -> None:
    def remedy(case_name: str, code: str) -> dict[str, str]:
        case = next(case for case in golden_cases() if case_name in str(case))
        return next(finding.remedy for finding in run(case).decision.findings if finding.code == code)

    unsaid = remedy("an individual: an officer asks", "NOT_REGISTERED")
    assert unsaid != remedy("a CV that is not registered", "NOT_REGISTERED")
    assert all("employs_workers" in text for text in unsaid.values())
    advice, plain = remedy("not known: advice only", "NO_WORKERS"), remedy("covered until today", "NO_WORKERS")
    assert advice != plain


@pytest.mark.parametrize("region", ["73.08", "73.09", "76.05"])
def test_the_shipped_regions_answer_for_30_days_and_live_on_stored_answers_for_a_week(region: str) -> None:
    law = Policy.load(None).on(date(2026, 11, 20), region)
    assert law.valid_days == 30
    assert law.stored_answer_age == timedelta(days=7)
    assert policy().regions[region].zone.key == "Asia/Makassar"


def test_the_day_is_that_of_the_region() -> None:
    assert policy().today("73.09", datetime(2026, 11, 20, 15, 59, tzinfo=UTC)) == date(2026, 11, 20)
    assert policy().today("73.09", datetime(2026, 11, 20, 16, 0, tzinfo=UTC)) == date(2026, 11, 21)


def test_shipped_law_alone_serves_the_three_regions() -> None:
    assert sorted(Policy.load(None).regions) == ["73.08", "73.09", "76.05"]
