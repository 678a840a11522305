"""Any facts that may come before the law, for hypothesis; and good ones, for whoever wants to spoil them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from compliance.law.facts import (
    Account,
    Application,
    Contract,
    Effect,
    Evidence,
    Facts,
    Failure,
    Match,
    OfficerDecision,
    Participant,
    Programme,
    Project,
    Sanction,
    Scale,
    Undertaking,
    Warned,
    Workforce,
)

DAYS = [
    date(2022, 1, 17),
    date(2024, 4, 16),
    date(2026, 7, 1),
    date(2026, 10, 15),
    date(2026, 11, 20),
    date(2027, 1, 18),
]
PERMITS = ["RESTORAN", "INDUSTRI", "PBG", "TENDER", "KAPAL", "HOTEL", "SIP"]
REGIONS = ["73.08", "73.09", "76.05"]
CODES = ["NOT_REGISTERED", "PROGRAMMES_MISSING", "HEADCOUNT_DIFFERS", "ARREARS", "TMP2T_IN_FORCE", "WORKERS_PARTIAL"]
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def maybe(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | values


months = st.builds(date, st.integers(2021, 2027), st.integers(1, 12), st.just(1))
days = st.dates(date(2021, 1, 1), date(2027, 12, 31))
programmes = st.frozensets(st.sampled_from(Programme))
few = st.integers(0, 15)


@st.composite
def workforces(draw: st.DrawFn, *, employs: bool | None = None) -> Workforce:
    declared = draw(maybe(st.integers(1, 15)))
    if declared is None:
        return Workforce(employs_workers=employs if employs is not None else draw(st.sampled_from([None, True])))
    outsourced = draw(st.integers(0, declared))
    short = draw(st.integers(0, declared - outsourced))
    hired = draw(st.integers(0, declared - outsourced - short))
    employs = employs if employs is not None else draw(st.sampled_from([None, True]))
    return Workforce(employs, declared, short, short, outsourced, draw(st.integers(0, declared)), hired)


nobody = st.sampled_from([Workforce(employs_workers=False), Workforce(declared=0), Workforce(False, 0)])
contracts = st.builds(
    Contract, days, st.sampled_from(["73.09", "73.71"]), st.sampled_from([None, "2300001078094", "2300001079999"])
)
accounts = st.builds(
    Account,
    npp=st.sampled_from(["A1", "B2", "C3"]),
    active=st.booleans(),
    programmes=maybe(programmes),
    active_workers=maybe(few),
    first_payment=maybe(st.booleans()),
    paid_through=maybe(months),
    months_in_arrears=maybe(st.integers(0, 8)),
    instalment_plan=maybe(st.booleans()),
    partial_workers=maybe(st.booleans()),
    partial_wages=maybe(st.booleans()),
    partial_programmes=maybe(st.booleans()),
    region=maybe(st.sampled_from(["73.09", "73.71"])),
)
sanctions = st.builds(
    Sanction,
    st.sampled_from(["73.09", "73.08", "73.71", "73"]),
    maybe(st.sampled_from(["B/1", "b / 1", "B/2"])),
    maybe(days),
    maybe(days),
)
projects = st.builds(
    Project,
    st.sampled_from(["2300001078094", "2300001079999"]),
    st.sampled_from(["A1", "B2", ""]),
    st.sampled_from(["73.09", "73.71"]),
    st.booleans(),
    days,
    days,
)
failures = st.builds(
    Failure, st.sampled_from(["unavailable", "misunderstood"]), st.just("timed out"), maybe(st.just(NOW))
)


@st.composite
def evidences(draw: st.DrawFn, *, has_accounts: bool = False) -> Evidence:
    found_by = draw(st.sampled_from(["nib", "npwp", "npp", "nik", *([] if has_accounts else [None])]))
    match = draw(st.sampled_from(Match)) if found_by and not has_accounts else Match.AGREES
    own = match is Match.AGREES and found_by is not None
    least = int(has_accounts)
    kept = draw(st.lists(accounts, min_size=least, max_size=3, unique_by=lambda a: a.npp)) if own else []
    asked = found_by is None and draw(st.booleans())
    person = st.builds(Participant, st.sampled_from(["BPU", "PU"]), st.booleans(), maybe(days))
    return Evidence(
        source="http",
        received_at=NOW,
        as_of=NOW,
        complete=draw(st.booleans()),
        found_by=found_by,
        match=match,
        name_equal=draw(maybe(st.booleans())) if found_by else None,
        accounts=tuple(kept),
        warning=draw(maybe(st.builds(Warned, st.integers(1, 2), days))) if own else None,
        sanction=draw(maybe(sanctions)) if own else None,
        participant_asked=asked,
        participant=draw(maybe(person)) if asked else None,
        projects_asked=True,
        projects=tuple(draw(st.lists(projects, max_size=2))),
        failure=draw(st.none() | st.none() | st.none() | failures),
        age_hours=draw(st.none() | st.none() | st.integers(0, 168)),
    )


@st.composite
def applications(draw: st.DrawFn, *, employs: bool | None = None) -> Application:
    stated = workforces(employs=employs)
    return Application(
        permit_type=draw(st.sampled_from(PERMITS)),
        region=draw(st.sampled_from(REGIONS)),
        as_at=draw(st.sampled_from(DAYS)),
        stage=draw(st.sampled_from(["new", "renewal"])),
        scale=draw(maybe(st.sampled_from(Scale))),
        legal_form=draw(st.sampled_from([None, "01", "02", "02", "04", "17", "18", "28"])),
        nib_status=draw(st.sampled_from([None, "01", "01", "03", "05"])),
        workforce=draw(stated if employs else stated | nobody),
        contract=draw(maybe(contracts)),
        given=draw(st.sampled_from([("nib",), ("nib", "npwp"), ("nik",)])),
    )


@st.composite
def facts(draw: st.DrawFn, *, employs: bool | None = None, has_accounts: bool = False) -> Facts:
    application = draw(applications(employs=employs))
    undertakings = st.builds(Undertaking, st.sampled_from(CODES).map(lambda code: (code,)), days)
    decided = st.builds(
        OfficerDecision,
        st.sampled_from([Effect.OK, Effect.NOTE, Effect.NOT_MET, Effect.OFFICER_REVIEW]),
        st.sampled_from(CODES).map(lambda code: (code,)),
        st.just("dilihat"),
        maybe(days),
    )
    return Facts(
        application=application,
        today=application.as_at + timedelta(days=draw(st.integers(0, 3))),
        register=tuple(draw(st.lists(sanctions, max_size=2))),
        undertakings=tuple(draw(st.lists(undertakings, max_size=1))),
        decision=draw(st.none() | st.none() | decided),
        evidence=draw(evidences(has_accounts=has_accounts)),
        doubtful=draw(st.booleans()) and draw(st.booleans()),
    )


def good_account(npp: str, as_at: date, **changes: object) -> Account:
    """An account in order: four programmes, six workers, paid through the month before."""
    paid = (as_at.replace(day=1) - timedelta(days=1)).replace(day=1)
    fields = {
        "programmes": frozenset({Programme.JKK, Programme.JKM, Programme.JHT, Programme.JP}),
        "active_workers": 6,
        "first_payment": True,
        "paid_through": paid,
        "months_in_arrears": 0,
        "instalment_plan": False,
        "partial_workers": False,
        "partial_wages": False,
        "partial_programmes": False,
    }
    return Account(npp, True, **(fields | changes))  # type: ignore[arg-type]
