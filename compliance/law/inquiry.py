"""What the agency is asked, in which order, and what is kept of its answers. Knows no transport."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from compliance.errors import RegistryError, RegistryUnavailable
from compliance.law import facts
from compliance.law.facts import Answer, Application, Ask, Contract, Employer, Evidence, Identity, Match, Subject
from compliance.law.identifiers import normal, same_name, same_npwp
from compliance.law.law import Law


def inquire(
    application: Application, identity: Identity, law: Law, name: str, now: datetime, call: Callable[[Ask], Answer]
) -> Evidence:
    """Make each `call` that is needed of the source `name` at the moment `now`. A failure (RegistryError) ends the
    asking: what was understood before it is kept, for a sanction must not be lost."""
    known: dict[str, Any] = {"complete": True, "found_by": None, "accounts": ()}

    def ask(subject: Subject, by: str, value: str, region: str | None = None) -> Any:
        """Where from and as of when is kept of the answer that holds the employer's record, or else of the last."""
        answer = call(Ask(subject, by, value, region))
        known.update(source=answer.source, complete=known["complete"] and answer.complete)
        if known["found_by"] is None:
            known.update(as_of=answer.as_of, reference=answer.reference)
        return answer.record

    try:
        for key in (*law.values["key_order"], "nik"):  # the owner's own number: first as one who employs
            if (value := getattr(identity, key)) and known["found_by"] is None:
                record = ask(Subject.EMPLOYER, key, value)
                known |= _compared(key, record, application, identity) if record else {}
        if known["found_by"] is None and identity.nik:  # then as one who insures himself
            record = ask(Subject.PARTICIPANT, "nik", identity.nik)
            known |= {"participant_asked": True, "participant": record}
        contract = law.contract_in_force(application) if known.get("match", Match.AGREES) is Match.AGREES else None
        if contract:
            npps = [account.npp for account in known["accounts"]]
            by_account = [("npp", npp, contract.region) for npp in npps]
            for how in [("number", contract.number)] if contract.number else by_account:
                project = ask(Subject.PROJECT, *how)
                known["projects_asked"] = True
                if project:
                    own = project if project.npp in npps else replace(project, npp="")
                    known["projects"] = (*known.get("projects", ()), own)
                    if registers(own, contract, application):
                        break
    except RegistryError as error:
        kind = "unavailable" if isinstance(error, RegistryUnavailable) else "misunderstood"
        failure = facts.Failure(kind, str(error), getattr(error, "retry_at", None))
        known |= {"failure": failure, "as_of": None, "reference": None}
    return Evidence(known.pop("source", name), now, **known)


def _compared(key: str, record: Employer, application: Application, identity: Identity) -> dict[str, Any]:
    """Compare, and keep the record only when it is the applicant's."""
    (nib, npwp), form = (identity.nib, identity.npwp), application.legal_form
    nib_equal = record.nib == nib if record.nib and nib else None
    npwp_equal = same_npwp(record.npwp, npwp, form) if record.npwp and npwp else None
    names = (identity.owner_name, identity.name) if key == "nik" else (identity.name,)
    compared = [same for same in (same_name(record.name, name) for name in names) if same is not None]
    name_equal = any(compared) if compared else None
    match = Match.AGREES
    if False in (nib_equal, npwp_equal):
        match = Match.NPP_OF_ANOTHER if key == "npp" else Match.UNRESOLVED
    elif key == "npp" and nib_equal is None and npwp_equal is None and name_equal is False:
        match = Match.UNRESOLVED
    found: dict[str, Any] = {"found_by": key, "match": match}
    found |= {"name_equal": name_equal, "npwp_equal": npwp_equal, "nib_equal": nib_equal}
    if match is Match.AGREES:
        accounts = sorted(record.accounts, key=lambda account: (not account.active, account.npp))
        found |= {"accounts": tuple(accounts), "warning": record.warning, "sanction": record.sanction}
    return found


def registers(project: facts.Project, contract: Contract, application: Application) -> bool:
    """Whether this registration covers the contract on the application's day."""
    covers = project.active and project.region == contract.region and project.until >= application.as_at
    return covers and (contract.number is not None or project.since >= contract.contract_date)


def question_text(application: Application, identity: Identity, law: Law) -> str:
    """All that shapes the asking and the comparing: with the same text, a stored answer answers this question too."""
    said = {key: getattr(identity, key) for key in ("nib", "npwp", "npp", "nik")}
    said |= {"name": normal(identity.name or ""), "owner": normal(identity.owner_name or "")}
    said |= {"form": application.legal_form, "order": ",".join(law.values["key_order"])}
    if contract := law.contract_in_force(application):
        said["project"] = f"{contract.number or ''},{contract.region},{contract.contract_date}"
    return "\n".join(f"{name}={value or ''}" for name, value in said.items())
