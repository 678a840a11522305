"""What the agency is asked, in which order, and what is kept of its answers. Knows no transport."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from compliance.errors import RegistryError, RegistryUnavailable
from compliance.law.facts import (
    Account,
    Answer,
    Application,
    Ask,
    Contract,
    Employer,
    Evidence,
    Failure,
    Identity,
    Match,
    Participant,
    Project,
    Subject,
)
from compliance.law.identifiers import same_npwp
from compliance.law.law import Law
from compliance.law.names import normal, same_name

Steps = Generator[Ask, Answer, None]


def inquire(
    application: Application, identity: Identity, law: Law, source_name: str, now: datetime
) -> Generator[Ask, Answer, Evidence]:
    """Yield each call that is needed; take its Answer by `send`, a failure by `throw`; return the evidence.

    A failure ends the asking: what was understood before it is kept, for a sanction must not be lost. `now` is the
    moment of asking.
    """
    found = _Found(Evidence(source_name, now))
    try:
        yield from _ask(found, application, identity, law)
    except RegistryUnavailable as error:
        found.note(failure=Failure("unavailable", error.detail, error.retry_at), as_of=None, reference=None)
    except RegistryError as error:
        found.note(failure=Failure("misunderstood", error.detail), as_of=None, reference=None)
    return found.evidence


def question_text(application: Application, identity: Identity, law: Law) -> str:
    """All that shapes the asking and the comparing: with the same text, a stored answer answers this question too."""
    parts: list[str] = [f"{key}={getattr(identity, key) or ''}" for key in ("nib", "npwp", "npp", "nik")]
    parts += [f"name={normal(identity.name or '')}", f"owner={normal(identity.owner_name or '')}"]
    parts += [f"form={application.legal_form or ''}", f"order={','.join(law.key_order)}"]
    contract = law.contract_in_force(application)
    if contract:
        parts.append(f"project={contract.number or ''},{contract.region},{contract.contract_date}")
    return "\n".join(parts)


@dataclass(slots=True)
class _Found:
    """The evidence so far."""

    evidence: Evidence
    npps: set[str] = field(default_factory=set)

    def note(self, **changes: object) -> None:
        self.evidence = replace(self.evidence, **changes)  # type: ignore[arg-type]

    def heard(self, answer: Answer, *, record: bool) -> None:
        """Remember where from and as of when; the answer that holds the employer's record is the one named."""
        self.note(source=answer.source, complete=self.evidence.complete and answer.complete)
        if record or self.evidence.found_by is None:
            self.note(as_of=answer.as_of, reference=answer.reference)


def _ask(found: _Found, application: Application, identity: Identity, law: Law) -> Steps:
    yield from _employer(found, application, identity, law.key_order)
    if found.evidence.found_by is None and identity.nik:
        yield from _owner(found, application, identity)
    contract = law.contract_in_force(application)
    if contract and found.evidence.match is Match.AGREES:
        yield from _projects(found, contract, application)


def _employer(found: _Found, application: Application, identity: Identity, keys: tuple[str, ...]) -> Steps:
    for key in keys:
        value = getattr(identity, key)
        if not value:
            continue
        answer = yield Ask(Subject.EMPLOYER, key, value)
        found.heard(answer, record=answer.record is not None)
        if isinstance(answer.record, Employer):
            _keep(found, key, answer.record, identity, application.legal_form)
            return


def _owner(found: _Found, application: Application, identity: Identity) -> Steps:
    """The owner's own number: first as one who employs, then as one who insures himself."""
    yield from _employer(found, application, identity, ("nik",))
    if found.evidence.found_by is None:
        answer = yield Ask(Subject.PARTICIPANT, "nik", identity.nik or "")
        found.heard(answer, record=answer.record is not None)
        participant = answer.record if isinstance(answer.record, Participant) else None
        found.note(participant_asked=True, participant=participant)


def _keep(found: _Found, key: str, record: Employer, identity: Identity, legal_form: str | None) -> None:
    """Compare, and keep the record only when it is the applicant's."""
    nib_equal = record.nib == identity.nib if record.nib and identity.nib else None
    npwp_equal = same_npwp(record.npwp, identity.npwp, legal_form) if record.npwp and identity.npwp else None
    names = [identity.owner_name, identity.name] if key == "nik" else [identity.name]
    compared = [same for same in (same_name(record.name, name) for name in names) if same is not None]
    name_equal = any(compared) if compared else None
    match = _match(key, nib_equal, npwp_equal, name_equal)
    found.note(found_by=key, match=match, name_equal=name_equal, npwp_equal=npwp_equal, nib_equal=nib_equal)
    if match is Match.AGREES:
        accounts = tuple(sorted(record.accounts, key=_by_npp))
        found.npps.update(account.npp for account in accounts)
        found.note(accounts=accounts, warning=record.warning, sanction=record.sanction)


def _match(key: str, nib_equal: bool | None, npwp_equal: bool | None, name_equal: bool | None) -> Match:
    if False in (nib_equal, npwp_equal):
        return Match.NPP_OF_ANOTHER if key == "npp" else Match.UNRESOLVED
    if key == "npp" and nib_equal is None and npwp_equal is None and name_equal is False:
        return Match.UNRESOLVED
    return Match.AGREES


def _by_npp(account: Account) -> tuple[bool, str]:
    return not account.active, account.npp


def _projects(found: _Found, contract: Contract, application: Application) -> Steps:
    for ask in _project_asks(found, contract):
        answer = yield ask
        found.heard(answer, record=False)
        found.note(projects_asked=True)
        if isinstance(answer.record, Project):
            own = answer.record if answer.record.npp in found.npps else replace(answer.record, npp="")
            found.note(projects=(*found.evidence.projects, own))
            if registers(own, contract, application):
                return


def _project_asks(found: _Found, contract: Contract) -> Iterator[Ask]:
    if contract.number:
        yield Ask(Subject.PROJECT, "number", contract.number)
        return
    for account in found.evidence.accounts:
        yield Ask(Subject.PROJECT, "npp", account.npp, contract.region)


def registers(project: Project, contract: Contract, application: Application) -> bool:
    """Whether this registration covers the contract on the application's day."""
    covers = project.active and project.region == contract.region and project.until >= application.as_at
    return covers and (contract.number is not None or project.since >= contract.contract_date)
