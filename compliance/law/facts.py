"""The words in which the law judges: what was applied for, what the agency answered, what was found.

Plain frozen values without behaviour. Days are `date` in the region's zone; months are the `date` of their first day;
moments are aware `datetime` in UTC. `None` always means *unknown*, never "no".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from compliance.law.outcome import Basis as Basis
from compliance.law.outcome import Cure as Cure
from compliance.law.outcome import Decision as Decision
from compliance.law.outcome import Finding as Finding
from compliance.law.words import Action as Action
from compliance.law.words import Certainty as Certainty
from compliance.law.words import Effect as Effect
from compliance.law.words import Match as Match
from compliance.law.words import Programme as Programme
from compliance.law.words import RuleStage as RuleStage
from compliance.law.words import Scale as Scale
from compliance.law.words import Subject as Subject
from compliance.law.words import Verdict as Verdict

# --- what the applicant stated -------------------------------------------------------------------------------------


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
    """What is judged, without a name or number of anybody: safe to log and to replay.

    `given` lists which identifiers were stated, of nib, npwp, npp, nik. `stage` is the application's: new or renewal.
    """

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


# --- what the agency is asked, and answers -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: an employer by nib, npwp, npp or nik; a participant by nik; a project by number, or npp and region."""

    subject: Subject
    by: str
    value: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One membership (NPP). Facts that a source does not give are None and lead to no finding.

    `region` is where the account is kept (`kd_daerah`); only a region that counts its local accounts alone needs it.
    """

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
    """A written warning that is running; not a block."""

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
    """A construction project's registration."""

    number: str
    npp: str
    region: str
    active: bool
    since: date
    until: date


@dataclass(frozen=True, slots=True)
class Answer:
    """An understood answer to one Ask. `record` None is *not found*.

    `complete` False says that the source proves what it contains, never what it lacks (a snapshot); it answers
    `record=None` to what it cannot know.
    """

    record: Employer | Participant | Project | None
    source: str
    as_of: datetime
    reference: str | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that the question needed and that failed. `kind` is unavailable or misunderstood.

    Of an outage: `since` when, and the moments of the latest `tries`, this one the last.
    """

    kind: str
    detail: str
    retry_at: datetime | None = None
    since: datetime | None = None
    tries: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the agency's answers come to for this application: comparisons made, strangers' facts left out.

    Safe to log: it holds no name and no number but the NPP of accounts that are the applicant's own. Enough to judge
    again without any disclosure. `found_by` None: every identifier was asked and answered *not found* (if no failure).
    With a `match` other than AGREES there are no accounts, sanction or warning. `age_hours` is set when a stored
    answer stands in during an outage.
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


# --- what officers decided before ----------------------------------------------------------------------------------


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
    """Everything that `decide` may look at. `evidence` None: the agency was not asked.

    `today` is the day of asking in the region's zone; `register` the region's own sanctions on this applicant.
    """

    application: Application
    today: date
    register: tuple[Sanction, ...] = ()
    undertakings: tuple[Undertaking, ...] = ()
    decision: OfficerDecision | None = None
    evidence: Evidence | None = None
    doubtful: bool = False  # the mass-refusal brake is open: refusals become OFFICER_REVIEW
