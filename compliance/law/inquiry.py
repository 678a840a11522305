"""What the agency is asked, in which order, and what is kept of its answers. Knows no transport."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime

from compliance.errors import RegistryError, RegistryUnavailable
from compliance.law import facts
from compliance.law.facts import Answer, Application, Ask, Contract, Evidence, Identity, Match, Project, Subject
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
    asking = _Asking(application, identity, Evidence(source_name, now))
    try:
        yield from asking.employer(law.key_order)
        if asking.evidence.found_by is None and identity.nik:
            yield from asking.owner(identity.nik)
        contract = law.contract_in_force(application)
        if contract and asking.evidence.match is Match.AGREES:
            yield from asking.projects(contract)
        return asking.evidence
    except RegistryUnavailable as error:
        failure = facts.Failure("unavailable", error.detail, error.retry_at)
    except RegistryError as error:
        failure = facts.Failure("misunderstood", error.detail)
    return replace(asking.evidence, failure=failure, as_of=None, reference=None)


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
class _Asking:  # the evidence so far
    application: Application
    identity: Identity
    evidence: Evidence

    def note(self, **changes: object) -> None:
        self.evidence = replace(self.evidence, **changes)  # type: ignore[arg-type]

    def heard(self, answer: Answer, *, record: bool) -> None:
        """Remember where from and as of when; the answer that holds the employer's record is the one named."""
        self.note(source=answer.source, complete=self.evidence.complete and answer.complete)
        if record or self.evidence.found_by is None:
            self.note(as_of=answer.as_of, reference=answer.reference)

    def employer(self, keys: tuple[str, ...]) -> Steps:
        for key in keys:
            if value := getattr(self.identity, key):
                answer = yield Ask(Subject.EMPLOYER, key, value)
                self.heard(answer, record=answer.record is not None)
                if isinstance(answer.record, facts.Employer):
                    self.keep(key, answer.record)
                    return

    def owner(self, nik: str) -> Steps:
        """The owner's own number: first as one who employs, then as one who insures himself."""
        yield from self.employer(("nik",))
        if self.evidence.found_by is None:
            answer = yield Ask(Subject.PARTICIPANT, "nik", nik)
            self.heard(answer, record=answer.record is not None)
            participant = answer.record if isinstance(answer.record, facts.Participant) else None
            self.note(participant_asked=True, participant=participant)

    def keep(self, key: str, record: facts.Employer) -> None:
        """Compare, and keep the record only when it is the applicant's."""
        mine, form = self.identity, self.application.legal_form
        nib_equal = record.nib == mine.nib if record.nib and mine.nib else None
        npwp_equal = same_npwp(record.npwp, mine.npwp, form) if record.npwp and mine.npwp else None
        names = (mine.owner_name, mine.name) if key == "nik" else (mine.name,)
        compared = [same for same in (same_name(record.name, name) for name in names) if same is not None]
        name_equal = any(compared) if compared else None
        match = Match.AGREES
        if False in (nib_equal, npwp_equal):
            match = Match.NPP_OF_ANOTHER if key == "npp" else Match.UNRESOLVED
        elif key == "npp" and nib_equal is None and npwp_equal is None and name_equal is False:
            match = Match.UNRESOLVED
        self.note(found_by=key, match=match, name_equal=name_equal, npwp_equal=npwp_equal, nib_equal=nib_equal)
        if match is Match.AGREES:
            accounts = tuple(sorted(record.accounts, key=lambda account: (not account.active, account.npp)))
            self.note(accounts=accounts, warning=record.warning, sanction=record.sanction)

    def projects(self, contract: Contract) -> Steps:
        npps = [account.npp for account in self.evidence.accounts]
        by_account = [Ask(Subject.PROJECT, "npp", npp, contract.region) for npp in npps]
        for ask in [Ask(Subject.PROJECT, "number", contract.number)] if contract.number else by_account:
            answer = yield ask
            self.heard(answer, record=False)
            self.note(projects_asked=True)
            if isinstance(answer.record, Project):
                own = answer.record if answer.record.npp in npps else replace(answer.record, npp="")
                self.note(projects=(*self.evidence.projects, own))
                if registers(own, contract, self.application):
                    return


def registers(project: Project, contract: Contract, application: Application) -> bool:
    """Whether this registration covers the contract on the application's day."""
    covers = project.active and project.region == contract.region and project.until >= application.as_at
    return covers and (contract.number is not None or project.since >= contract.contract_date)
