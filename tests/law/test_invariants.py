"""What holds for all facts whatever, by hypothesis."""

from __future__ import annotations

import json
import os
import string
from dataclasses import fields, replace
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compliance.law.codec import from_json, to_json
from compliance.law.decide import decide
from compliance.law.facts import (
    Account,
    Action,
    Decision,
    Effect,
    Facts,
    Failure,
    OfficerDecision,
    Programme,
    RuleStage,
    Verdict,
)
from tests.law import anything
from tests.law.golden import golden_cases, policy, run

ROUNDS = int(os.environ.get("LAW_ROUNDS", "100"))
law = settings(deadline=None, max_examples=ROUNDS, suppress_health_check=list(HealthCheck))

GOOD = {Verdict.MET, Verdict.MET_WITH_NOTE, Verdict.NOT_REQUIRED}
WORST_FIRST = list(Effect)
any_facts = anything.facts()
known = anything.facts(has_accounts=True)
known_employers = anything.facts(employs=True, has_accounts=True)


def judged(facts: Facts) -> Decision:
    return decide(facts, policy().on(facts.application.as_at, facts.application.region))


def changed(facts: Facts, number: int, **changes: object) -> Facts:
    """The same facts with one account changed."""
    assert facts.evidence
    accounts = list(facts.evidence.accounts)
    accounts[number] = replace(accounts[number], **changes)  # type: ignore[arg-type]
    return replace(facts, evidence=replace(facts.evidence, accounts=tuple(accounts)))


@law
@given(any_facts)
def test_nobody_is_stopped_without_a_blocking_finding_that_has_a_legal_basis(facts: Facts) -> None:
    decision = judged(facts)
    if decision.action is Action.STOP:
        blocking = [f for f in decision.findings if f.effect in (Effect.BLOCKED, Effect.NOT_MET)]
        assert blocking
        assert all(finding.basis and all(basis.cite.strip() for basis in finding.basis) for finding in blocking)
        assert decision.enforced


@law
@given(any_facts, anything.failures)
def test_an_agency_that_failed_stops_nobody_but_for_a_sanction(facts: Facts, failure: Failure) -> None:
    assert facts.evidence
    decision = judged(replace(facts, evidence=replace(facts.evidence, failure=failure)))
    if decision.action is Action.STOP:
        assert decision.verdict is Verdict.BLOCKED


@law
@given(any_facts)
def test_a_source_that_lacks_the_firm_stops_nobody(facts: Facts) -> None:
    assert facts.evidence
    evidence = replace(facts.evidence, complete=False, found_by=None, accounts=(), projects=(), sanction=None)
    decision = judged(replace(facts, evidence=evidence, register=(), decision=None))
    assert decision.action is not Action.STOP


FORGETTABLE = ["programmes", "active_workers", "paid_through", "months_in_arrears", "partial_workers", "partial_wages"]


@law
@given(known, st.data())
def test_what_the_agency_leaves_out_never_makes_a_refusal(facts: Facts, data: st.DataObject) -> None:
    assert facts.evidence
    number = data.draw(st.integers(0, len(facts.evidence.accounts) - 1))
    before = judged(facts)
    after = judged(changed(facts, number, **{data.draw(st.sampled_from(FORGETTABLE)): None}))
    assert after.action is not Action.STOP or before.action is Action.STOP


@law
@given(any_facts)
def test_an_open_account_of_which_nothing_is_known_stops_nobody(facts: Facts) -> None:
    assert facts.evidence
    unknown = Account("A1", active=True)
    evidence = replace(facts.evidence, accounts=(unknown,), sanction=None, failure=None)
    assert {getattr(unknown, field.name) for field in fields(Account)} <= {"A1", True, None}
    application = replace(facts.application, contract=None)
    decision = judged(replace(facts, application=application, evidence=evidence, register=(), decision=None))
    assert decision.action is not Action.STOP


def better(facts: Facts, data: st.DataObject) -> Facts:
    """The same business after one good deed: a programme, a payment or a registered worker more."""
    assert facts.evidence
    number = data.draw(st.integers(0, len(facts.evidence.accounts) - 1))
    account = facts.evidence.accounts[number]
    deed = data.draw(st.sampled_from(["programme", "payment", "worker"]))
    if deed == "programme" and account.programmes is not None:
        return changed(facts, number, programmes=account.programmes | {data.draw(st.sampled_from(Programme))})
    if deed == "worker" and account.active_workers is not None:
        return changed(facts, number, active_workers=account.active_workers + data.draw(st.integers(1, 5)))
    if account.paid_through is None:
        return facts
    month = account.paid_through
    for _ in range(data.draw(st.integers(1, 20))):
        month = (month + timedelta(days=31)).replace(day=1)
    months = data.draw(st.integers(0, account.months_in_arrears or 0))
    return changed(facts, number, paid_through=month, months_in_arrears=months, first_payment=True)


@law
@given(known_employers, st.data())
def test_a_good_deed_never_turns_proceed_into_hold_or_stop(facts: Facts, data: st.DataObject) -> None:
    if judged(facts).action is Action.PROCEED:
        assert judged(better(facts, data)).action is Action.PROCEED


@law
@given(any_facts)
def test_every_finding_says_what_what_to_do_and_why_in_both_languages(facts: Facts) -> None:
    decision = judged(facts)
    for finding in decision.findings:
        for texts in (finding.message, finding.remedy):
            assert set(texts) == {"id", "en"}
            assert all(text.strip() and not set(text) & set("{}") and "None" not in text for text in texts.values())
        assert finding.basis
        assert all(basis.cite.strip() and basis.certainty for basis in finding.basis)
        assert json.dumps(finding.facts)
    for texts in (decision.label, decision.summary):
        assert set(texts) == {"id", "en"}
        assert all(text.strip(string.whitespace) for text in texts.values())
    if decision.cure:
        assert len(decision.cure.steps["id"]) == len(decision.cure.steps["en"]) > 0


@law
@given(any_facts, st.randoms())
def test_the_order_of_accounts_does_not_matter(facts: Facts, random: st.random_module) -> None:
    assert facts.evidence
    accounts = list(facts.evidence.accounts)
    random.shuffle(accounts)  # type: ignore[attr-defined]
    mixed = replace(facts, evidence=replace(facts.evidence, accounts=tuple(accounts)))
    assert judged(mixed) == judged(facts)


@law
@given(any_facts)
def test_a_decision_outlives_the_log(facts: Facts) -> None:
    written = json.loads(json.dumps(to_json(facts)))
    read = from_json(Facts, written)
    assert read == facts
    decision = judged(facts)
    assert judged(read) == decision
    assert from_json(Decision, json.loads(json.dumps(to_json(decision)))) == decision


@law
@given(any_facts)
def test_the_verdict_is_the_worst_effect_and_the_rest_follows_from_it(facts: Facts) -> None:
    decision = judged(facts)
    worst = min((WORST_FIRST.index(f.effect) for f in decision.findings), default=WORST_FIRST.index(Effect.OK))
    effect = WORST_FIRST[worst]
    assert decision.verdict == {Effect.NOTE: "MET_WITH_NOTE", Effect.OK: "MET"}.get(effect, effect.value)
    assert (decision.valid_until is not None) is (decision.verdict in GOOD)
    assert (decision.retry_at is not None) is (decision.verdict is Verdict.UNDETERMINED)
    if decision.verdict is Verdict.BLOCKED:
        assert (decision.action, decision.enforced) == (Action.STOP, True)
    else:
        assert decision.enforced is (decision.stage is RuleStage.ENFORCE)
        if decision.stage in (RuleStage.ADVISE, RuleStage.SHADOW):
            assert decision.action is Action.PROCEED
    if decision.verdict in (Verdict.BLOCKED, Verdict.UNDETERMINED) and decision.cure:
        assert decision.cure.recheck_after is None


@law
@given(any_facts)
def test_doubt_about_the_agency_refuses_nobody(facts: Facts) -> None:
    decision = judged(replace(facts, doubtful=True, decision=None))
    assert decision.verdict is not Verdict.NOT_MET


def test_doubt_is_said_and_an_officers_own_refusal_stands() -> None:
    case = next(case for case in golden_cases() if "small restaurant with JKK and JKM only" in str(case))
    facts = run(case).facts
    sure, doubtful = judged(facts), judged(replace(facts, doubtful=True))
    assert (sure.verdict, doubtful.verdict) == (Verdict.NOT_MET, Verdict.OFFICER_REVIEW)
    assert doubtful.findings[0].message["id"].startswith(sure.findings[0].message["id"])
    assert doubtful.findings[0].message != sure.findings[0].message
    refused = OfficerDecision(Effect.NOT_MET, ("PROGRAMMES_MISSING",), "dilihat")
    assert judged(replace(facts, doubtful=True, decision=refused)).verdict is Verdict.NOT_MET


@law
@given(any_facts, st.sampled_from([1, 30, 400]))
def test_the_facts_choose_the_law_only_by_the_day(facts: Facts, later: int) -> None:
    """The day of asking moves the day to ask again, and nothing else."""
    now, then = judged(facts), judged(replace(facts, today=date(2026, 11, 20) - timedelta(days=later)))
    assert replace(now, cure=None) == replace(then, cure=None)
