"""The words in which the law judges: what was applied for, what the agency answered, what was found, what follows.

Plain frozen values without behaviour. Days are `date` in the region's zone; months are the `date` of their first day;
moments are aware `datetime` in UTC. `None` always means *unknown*, never "no".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

# What names no values is written in lower case.
Scale = StrEnum("Scale", "MICRO SMALL MEDIUM LARGE")
Certainty = StrEnum("Certainty", "TEXT REPORTED UNVERIFIED EXAMPLE")  # of a citation
RuleStage = StrEnum("RuleStage", "OFF SHADOW ADVISE ENFORCE")  # of a region's rule for a permit type
Subject = StrEnum("Subject", "EMPLOYER PARTICIPANT PROJECT")  # of a call
Match = StrEnum("Match", "AGREES UNRESOLVED NPP_OF_ANOTHER")  # whose record it is
Programme = StrEnum("Programme", {"JKK": "JKK", "JKM": "JKM", "JHT": "JHT", "JP": "JP", "JKP": "JKP"})
Action = StrEnum("Action", {"PROCEED": "PROCEED", "STOP": "STOP", "HOLD": "HOLD"})


class Effect(StrEnum):
    """What one finding does to the verdict; in the contract's order, worst first."""

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


@dataclass(frozen=True, slots=True)
class Workforce:
    """Headcounts as stated; all others are part of `declared`."""

    employs_workers: bool | None = None
    declared: int | None = None
    foreign: int = 0
    foreign_short_term: int = 0
    outsourced: int = 0
    over_pension_age: int = 0
    hired_last_30_days: int = 0


@dataclass(frozen=True, slots=True)
class Contract:
    """A construction contract; `region` is where the project stands, `number` 13 digits."""

    contract_date: date
    region: str
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """What is judged; it names nobody. `given`: which of nib, npwp, npp, nik were stated; `stage`: new or renewal."""

    permit_type: str
    region: str
    as_at: date
    stage: str = "new"
    scale: Scale | None = None
    legal_form: str | None = None
    nib_status: str | None = None
    workforce: Workforce = Workforce()
    contract: Contract | None = None
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """The applicant's names and numbers in canonical form (NPWP 16 digits, NPP upper case). Never logged as it is."""

    name: str | None = None
    nib: str | None = None
    npwp: str | None = None
    npp: str | None = None
    nik: str | None = None
    owner_name: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: an employer by nib, npwp, npp or nik; a participant by nik; a project by number, or npp and region."""

    subject: Subject
    by: str
    value: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One membership (NPP). What a source does not give is None and leads to no finding; `region` is `kd_daerah`."""

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
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Sanction:
    """A TMP2T letter, from the agency's answer or the region's register. `lifted` is the day it ended."""

    region: str
    letter: str | None = None
    dated: date | None = None
    lifted: date | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    count: int
    dated: date


@dataclass(frozen=True, slots=True)
class Employer:
    """One employer's record as the agency gave it. Stays between source and inquiry; never logged as it is."""

    name: str | None
    nib: str | None
    npwp: str | None
    accounts: tuple[Account, ...]
    warning: Warned | None = None
    sanction: Sanction | None = None


@dataclass(frozen=True, slots=True)
class Participant:
    """A self-employed (BPU) or waged (PU) member; `covered_until` is `berlaku_sampai`."""

    segment: str
    active: bool
    covered_until: date | None


@dataclass(frozen=True, slots=True)
class Project:
    number: str
    npp: str
    region: str
    active: bool
    since: date
    until: date


@dataclass(frozen=True, slots=True)
class Answer:
    """An understood answer; `record` None is *not found*. Not `complete`: what the source lacks proves nothing."""

    record: Employer | Participant | Project | None
    source: str
    as_of: datetime
    reference: str | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call; `kind`: unavailable or misunderstood. Of an outage: `since` when, and the latest `tries`."""

    kind: str
    detail: str
    retry_at: datetime | None = None
    since: datetime | None = None
    tries: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the agency's answers come to for this application: comparisons made, strangers' facts left out.

    Safe to log: no name, and no number but the applicant's own NPP. `found_by` None: every identifier was answered *not
    found* (if no failure). Only a `match` that AGREES has accounts, sanction or warning. `age_hours`: a stored answer
    stands in during an outage.
    """

    source: str
    received_at: datetime
    as_of: datetime | None = None
    reference: str | None = None
    complete: bool = True
    found_by: str | None = None
    match: Match = Match.AGREES
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
    age_hours: int | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Undertaking:
    """An accepted *surat pernyataan* on the findings with these codes, until its due day, inclusive."""

    codes: tuple[str, ...]
    due: date


@dataclass(frozen=True, slots=True)
class OfficerDecision:
    """What an officer decided on a case; it replaces the findings with these codes until a day, inclusive."""

    effect: Effect
    codes: tuple[str, ...]
    ground: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that `decide` may look at. `today` is the region's day; `register`: its own sanctions on the applicant."""

    application: Application
    today: date
    register: tuple[Sanction, ...] = ()
    undertakings: tuple[Undertaking, ...] = ()
    decision: OfficerDecision | None = None
    evidence: Evidence | None = None  # None: the agency was not asked
    doubtful: bool = False  # the mass-refusal brake is open: refusals become OFFICER_REVIEW


@dataclass(frozen=True, slots=True)
class Basis:
    cite: str
    certainty: Certainty


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason. `message` and `remedy` are texts by language ("id", "en"); `facts` are JSON values, days as ISO."""

    code: str
    effect: Effect
    message: dict[str, str]
    remedy: dict[str, str]
    basis: tuple[Basis, ...]
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cure:
    """The least set of steps that would satisfy the gate, by language, and the first day that asking again helps."""

    steps: dict[str, list[str]]
    recheck_after: date | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome. `stage` is the rule's; `retry_at` is set if and only if UNDETERMINED."""

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
