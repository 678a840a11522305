"""The words in which the law judges: what was applied for, what the agency answered, what was found, what follows.
Plain frozen values without behaviour. Days are `date` in the region's zone; months are the `date` of their first day;
moments are aware `datetime` in UTC. `None` always means *unknown*, never "no"."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, dataclass_transform

# What names no values is written in lower case.
Scale = StrEnum("Scale", "MICRO SMALL MEDIUM LARGE")
Certainty = StrEnum("Certainty", "TEXT REPORTED UNVERIFIED EXAMPLE")  # of a citation
RuleStage = StrEnum("RuleStage", "OFF SHADOW ADVISE ENFORCE")  # of a region's rule for a permit type
Subject = StrEnum("Subject", "EMPLOYER PARTICIPANT PROJECT")  # of a call
Match = StrEnum("Match", "AGREES UNRESOLVED NPP_OF_ANOTHER")  # whose record it is
Programme = StrEnum("Programme", {"JKK": "JKK", "JKM": "JKM", "JHT": "JHT", "JP": "JP", "JKP": "JKP"})
Action = StrEnum("Action", {"PROCEED": "PROCEED", "STOP": "STOP", "HOLD": "HOLD"})


class Effect(StrEnum):  # what one finding does to the verdict; worst first, in the contract's order
    BLOCKED = "BLOCKED"
    UNDETERMINED = "UNDETERMINED"
    NOT_MET = "NOT_MET"
    OFFICER_REVIEW = "OFFICER_REVIEW"
    NOT_REQUIRED = "NOT_REQUIRED"
    NOTE = "NOTE"
    OK = "OK"


class Verdict(StrEnum):
    MET = "MET"
    MET_WITH_NOTE = "MET_WITH_NOTE"
    NOT_REQUIRED = "NOT_REQUIRED"
    NOT_MET = "NOT_MET"
    BLOCKED = "BLOCKED"
    OFFICER_REVIEW = "OFFICER_REVIEW"
    UNDETERMINED = "UNDETERMINED"


RANK = {effect: rank for rank, effect in enumerate(Effect)}


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Fact:
    """Each class made of this one is a frozen dataclass."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)


class Workforce(Fact):  # headcounts as stated; all others are part of `declared`
    employs_workers: bool | None = None
    declared: int | None = None
    foreign: int = 0
    foreign_short_term: int = 0
    outsourced: int = 0
    over_pension_age: int = 0
    hired_last_30_days: int = 0


class Contract(Fact):  # of construction; `region` is where the project stands, `number` 13 digits
    contract_date: date
    region: str
    number: str | None = None


class Application(Fact):  # what is judged, without a name or number of anybody: safe to log
    permit_type: str
    region: str
    as_at: date
    stage: str = "new"  # or renewal
    scale: Scale | None = None
    legal_form: str | None = None
    nib_status: str | None = None
    workforce: Workforce = Workforce()
    contract: Contract | None = None
    given: tuple[str, ...] = ()  # which of nib, npwp, npp, nik


class Identity(Fact):  # in canonical form (NPWP 16 digits, NPP upper case); never logged as it is
    name: str | None = None
    nib: str | None = None
    npwp: str | None = None
    npp: str | None = None
    nik: str | None = None
    owner_name: str | None = None


class Ask(Fact):  # one call: an employer by nib, npwp, npp, nik; a participant by nik; a project by number or npp
    subject: Subject
    by: str
    value: str
    region: str | None = None


class Account(Fact):  # one membership (NPP); what a source does not give is None and leads to no finding
    npp: str
    active: bool
    programmes: frozenset[Programme] | None = None
    active_workers: int | None = None
    first_payment: bool | None = None
    paid_through: date | None = None
    months_in_arrears: int | None = None
    instalment_plan: bool | None = None
    partial_workers: bool | None = None
    partial_wages: bool | None = None
    partial_programmes: bool | None = None
    region: str | None = None  # where it is kept (`kd_daerah`)


class Sanction(Fact):  # a TMP2T letter, of the agency's answer or the region's register; `lifted` is the day it ended
    region: str
    letter: str | None = None
    dated: date | None = None
    lifted: date | None = None


class Warned(Fact):
    count: int
    dated: date


class Employer(Fact):  # the agency's record as it gave it: stays between source and inquiry, never logged as it is
    name: str | None
    nib: str | None
    npwp: str | None
    accounts: tuple[Account, ...]
    warning: Warned | None = None
    sanction: Sanction | None = None


class Participant(Fact):  # BPU (self-employed) or PU (waged); `covered_until` is `berlaku_sampai`
    segment: str
    active: bool
    covered_until: date | None


class Project(Fact):
    number: str
    npp: str
    region: str
    active: bool
    since: date
    until: date


class Answer(Fact):  # understood; `record` None is *not found*
    record: Employer | Participant | Project | None
    source: str
    as_of: datetime
    reference: str | None = None
    complete: bool = True  # False: it proves what it contains, never what it lacks (a snapshot)


class Failure(Fact):  # of a call that was needed; of an outage: `since` when, and the latest `tries`, this one the last
    kind: str  # unavailable or misunderstood
    detail: str
    retry_at: datetime | None = None
    since: datetime | None = None
    tries: tuple[datetime, ...] = ()


class Evidence(Fact):
    """What the agency's answers come to for this application: comparisons made, strangers' facts left out. Safe to log:
    it holds no name, and no number but the applicant's own NPP."""

    source: str
    received_at: datetime
    as_of: datetime | None = None
    reference: str | None = None
    complete: bool = True
    found_by: str | None = None  # None: every identifier was answered *not found*, if none failed
    match: Match = Match.AGREES  # any other: no accounts, sanction or warning
    name_equal: bool | None = None
    npwp_equal: bool | None = None
    nib_equal: bool | None = None
    accounts: tuple[Account, ...] = ()
    warning: Warned | None = None
    sanction: Sanction | None = None
    participant_asked: bool = False
    participant: Participant | None = None
    projects_asked: bool = False
    projects: tuple[Project, ...] = ()
    failure: Failure | None = None
    age_hours: int | None = None  # of a stored answer that stands in during an outage
    cached: bool = False


class Undertaking(Fact):  # an accepted *surat pernyataan* on findings of these codes, until its due day, inclusive
    codes: tuple[str, ...]
    due: date


class OfficerDecision(Fact):  # replaces the findings with these codes until a day, inclusive
    effect: Effect
    codes: tuple[str, ...]
    ground: str
    until: date | None = None


class Facts(Fact):  # all that `decide` may look at
    application: Application
    today: date  # of asking, in the region's zone
    register: tuple[Sanction, ...] = ()  # the region's own sanctions on this applicant
    undertakings: tuple[Undertaking, ...] = ()
    decision: OfficerDecision | None = None
    evidence: Evidence | None = None  # None: the agency was not asked
    doubtful: bool = False  # the mass-refusal brake is open: refusals become OFFICER_REVIEW


class Basis(Fact):
    cite: str
    certainty: Certainty


class Finding(Fact):  # one reason; texts by language ("id", "en"), `facts` as JSON values, days as ISO
    code: str
    effect: Effect
    message: dict[str, str]
    remedy: dict[str, str]
    basis: tuple[Basis, ...]
    facts: dict[str, Any] = field(default_factory=dict)


class Cure(Fact):  # the least set of steps, by language, and the first day on which asking again helps
    steps: dict[str, list[str]]
    recheck_after: date | None


class Decision(Fact):  # `stage` is the rule's; `retry_at` is set if and only if UNDETERMINED
    verdict: Verdict
    action: Action
    enforced: bool
    stage: RuleStage
    label: dict[str, str]
    summary: dict[str, str]
    findings: tuple[Finding, ...]
    cure: Cure | None
    valid_until: date | None
    retry_at: datetime | None
