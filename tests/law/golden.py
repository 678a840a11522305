"""Golden cases: rows of TOML, an agency in memory, and the real path from the policy to the decision.

`cases/README.md` says what each column of a row means. Nothing here knows the law; a row states facts and the answer.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from compliance.errors import RegistryMisunderstood, RegistryUnavailable
from compliance.law.decide import decide
from compliance.law.facts import (
    Account,
    Answer,
    Application,
    Ask,
    Contract,
    Decision,
    Effect,
    Employer,
    Evidence,
    Facts,
    Identity,
    OfficerDecision,
    Participant,
    Programme,
    Project,
    Sanction,
    Scale,
    Subject,
    Undertaking,
    Warned,
    Workforce,
)
from compliance.law.identifiers import npwp as canonical_npwp
from compliance.law.inquiry import inquire
from compliance.law.law import Law
from compliance.law.policy import Policy

CASES = Path(__file__).parent / "cases"
REGIONS = Path(__file__).parent / "regions"
FRIDAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
UNSAID = "not stated"
Row = dict[str, Any]

# What a row means when it says nothing else: the first line of the table of cases, a restaurant in order.
PLAIN: Row = {
    "region": "73.09",
    "permit": "RESTORAN",
    "as_at": FRIDAY,
    "scale": "small",
    "form": "02",
    "nib_status": "01",
    "declared": 12,
    "name": "CV Sumber Rejeki",
    "nib": "8120001234567",
    "npwp": "01.234.567.8-801.000",
    "agency_finds_by": "nib npwp npp",
}
ACCOUNT: Row = {"npp": "15070955", "programmes": "JKK JKM JHT", "active": 12, "pds": ""}
ACCOUNT_COLUMNS = {"npp", "programmes", "active", "first_payment", "paid", "months", "instalments", "pds"}
APPLICATION_COLUMNS = {
    *(
        "region",
        "permit",
        "as_at",
        "today",
        "stage",
        "scale",
        "form",
        "nib_status",
        "name",
        "nib",
        "npwp",
        "stated_npp",
    ),
    *("nik", "owner", "employs", "declared", "foreign", "short_term", "outsourced", "over_pension", "new_hires"),
    *("contract", "project_region", "project_number"),
}
AGENCY_COLUMNS = {
    *("agency_finds_by", "agency_name", "agency_nib", "agency_npwp", "accounts", "owner_accounts", "warning", "letter"),
    *("bpu", "projects", "fails", "source", "stored_hours"),
}
OFFICE_COLUMNS = {"register", "undertakings", "officer"}
ANSWER_COLUMNS = {"then", "shows", "not_enforced", "valid_until", "recheck", "asked"}
COLUMNS = (
    APPLICATION_COLUMNS
    | AGENCY_COLUMNS
    | OFFICE_COLUMNS
    | ANSWER_COLUMNS
    | ACCOUNT_COLUMNS
    | {"case", "cite", "account"}
)


@dataclass(frozen=True)
class Golden:
    """One row with the columns of its group filled in."""

    file: str
    about: str
    row: Row
    cite: str

    def __str__(self) -> str:
        return f"{self.file}: {self.about}: {self.row['case']}"

    def says(self, column: str, otherwise: Any = None) -> Any:
        value = self.row.get(column, PLAIN.get(column, otherwise))
        return None if value == UNSAID else value


def golden_cases() -> Iterator[Golden]:
    for path in sorted(CASES.glob("*.toml")):
        for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]:
            for row in group["cases"]:
                whole = group.get("given", {}) | row
                unknown = whole.keys() - COLUMNS
                assert not unknown, f"{path.name}: {row['case']}: unknown columns {unknown}"
                yield Golden(path.stem, group["about"], whole, row.get("cite") or group["cite"])


@cache
def policy() -> Policy:
    """The shipped law, and the regions that only tests have."""
    return Policy.load(REGIONS)


# --- what was applied for ------------------------------------------------------------------------------------------


def identity_of(case: Golden) -> Identity:
    npwp = case.says("npwp")
    return Identity(
        name=case.says("name"),
        nib=case.says("nib"),
        npwp=canonical_npwp(npwp) if npwp else None,
        npp=case.says("stated_npp"),
        nik=case.says("nik"),
        owner_name=case.says("owner"),
    )


def application_of(case: Golden) -> Application:
    identity = identity_of(case)
    scale, signed = case.says("scale"), case.says("contract")
    region = case.says("region")
    contract = Contract(signed, case.says("project_region", region), case.says("project_number")) if signed else None
    return Application(
        permit_type=case.says("permit"),
        region=region,
        as_at=case.says("as_at"),
        stage=case.says("stage", "new"),
        scale=Scale(scale) if scale else None,
        legal_form=case.says("form"),
        nib_status=case.says("nib_status"),
        workforce=Workforce(
            employs_workers=case.says("employs"),
            declared=case.says("declared"),
            foreign=case.says("foreign", case.says("short_term", 0)),
            foreign_short_term=case.says("short_term", 0),
            outsourced=case.says("outsourced", 0),
            over_pension_age=case.says("over_pension", 0),
            hired_last_30_days=case.says("new_hires", 0),
        ),
        contract=contract,
        given=tuple(kind for kind in ("nib", "npwp", "npp", "nik") if getattr(identity, kind)),
    )


# --- what the agency holds -----------------------------------------------------------------------------------------


def month(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


def last_month(day: date) -> str:
    return f"{day.year - (day.month == 1)}-{(day.month - 2) % 12 + 1:02d}"


def account_of(row: Row, as_at: date) -> Account:
    """An account; whatever a row leaves out is in order, whatever it calls `not stated` the agency did not give."""

    def says(column: str, otherwise: Any) -> Any:
        value = row.get(column, otherwise)
        return None if value == UNSAID else value

    programmes, pds = says("programmes", ACCOUNT["programmes"]), says("pds", "")
    paid = says("paid", last_month(as_at))
    return Account(
        npp=row.get("npp", ACCOUNT["npp"]),
        active=row.get("status", "AKTIF") == "AKTIF",
        region=row.get("place"),
        programmes=None if programmes is None else frozenset(Programme(name) for name in programmes.split()),
        active_workers=says("active", ACCOUNT["active"]),
        first_payment=says("first_payment", True),
        paid_through=month(paid) if paid else None,
        months_in_arrears=says("months", 0),
        instalment_plan=says("instalments", False),
        partial_workers=None if pds is None else "workers" in pds,
        partial_wages=None if pds is None else "wages" in pds,
        partial_programmes=None if pds is None else "programmes" in pds,
    )


def letter_of(row: Row) -> Sanction:
    return Sanction(row["region"], row.get("number"), row.get("dated"), row.get("lifted"))


@dataclass
class Agency:
    """An agency in memory: answers, or fails as told; keeps what it was asked."""

    case: Golden
    now: datetime
    asked: list[str] = field(default_factory=list)

    def answer(self, ask: Ask) -> Answer:
        call = f"{ask.subject} {ask.by}"
        self.asked.append(call)
        failure = self.case.says("fails", {}).get(call)
        if failure == "unavailable":
            raise RegistryUnavailable("timed out", self.now)
        if failure:
            raise RegistryMisunderstood("a word that is not known")
        snapshot = self.case.says("source") == "snapshot"
        found = {Subject.EMPLOYER: self._employer, Subject.PARTICIPANT: self._participant}.get(
            ask.subject, self._project
        )(ask)
        source = "snapshot" if snapshot else "http"
        return Answer(found, source, self.now, None if snapshot else "BPJSTK-1", complete=not snapshot)

    def _employer(self, ask: Ask) -> Employer | None:
        case = self.case
        if ask.by == "nik" and case.says("owner_accounts") is not None:
            return Employer(case.says("owner"), None, None, self._accounts("owner_accounts"))
        if ask.by not in case.says("agency_finds_by").split():
            return None
        identity, warning, letter = identity_of(case), case.says("warning"), case.says("letter")
        npwp = case.says("agency_npwp", identity.npwp)
        return Employer(
            name=case.says("agency_name", identity.name or identity.owner_name),
            nib=case.says("agency_nib", identity.nib),
            npwp=canonical_npwp(npwp) if npwp else None,
            accounts=self._accounts("accounts"),
            warning=Warned(warning["count"], warning["dated"]) if warning else None,
            sanction=letter_of(letter) if letter else None,
        )

    def _accounts(self, column: str) -> tuple[Account, ...]:
        row = self.case.row
        single = {key: row[key] for key in ACCOUNT_COLUMNS & row.keys()} | {"status": row.get("account", "AKTIF")}
        rows = self.case.says(column, [single])
        return tuple(account_of(item, self.case.says("as_at")) for item in rows)

    def _participant(self, ask: Ask) -> Participant | None:
        bpu = self.case.says("bpu")
        if not bpu:
            return None
        return Participant(bpu.get("segment", "BPU"), bpu.get("status", "AKTIF") == "AKTIF", bpu["until"])

    def _project(self, ask: Ask) -> Project | None:
        for row in self.case.says("projects", []):
            project = Project(
                number=row.get("number", "2300001078094"),
                npp=row.get("npp", ACCOUNT["npp"]),
                region=row.get("region", "73.09"),
                active=row.get("status", "AKTIF") == "AKTIF",
                since=row.get("since", date(2026, 11, 10)),
                until=row.get("until", date(2027, 12, 31)),
            )
            if ask.value == (project.number if ask.by == "number" else project.npp):
                return project
        return None


# --- the real path -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    law: Law
    facts: Facts
    decision: Decision
    asked: list[str]


def ask_agency(application: Application, identity: Identity, law: Law, agency: Agency) -> Evidence:
    """Drive the inquiry as the gate does."""
    return inquire(application, identity, law, "http", agency.now, agency.answer)


def run(case: Golden) -> Outcome:
    """From a row to its decision."""
    application = application_of(case)
    agency = Agency(case, datetime.combine(case.says("today", application.as_at), NOW.timetz()))
    law = policy().on(application.as_at, application.region)
    facts = Facts(
        application=application,
        today=case.says("today", application.as_at),
        register=tuple(letter_of(row) for row in case.says("register", [])),
        undertakings=tuple(
            Undertaking(tuple(row["codes"].split()), row["due"]) for row in case.says("undertakings", [])
        ),
        decision=_officer(case.says("officer")),
    )
    if law.asks(facts):
        evidence = ask_agency(application, identity_of(case), law, agency)
        facts = replace(facts, evidence=replace(evidence, age_hours=case.says("stored_hours")))
    return Outcome(law, facts, decide(facts, law), agency.asked)


def _officer(row: Row | None) -> OfficerDecision | None:
    if row is None:
        return None
    return OfficerDecision(Effect(row["effect"]), tuple(row["codes"].split()), row["ground"], row.get("until"))
