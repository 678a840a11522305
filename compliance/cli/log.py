"""`flask log …`, `flask receipt verify`: the log from the shell. `flask policy …`: lint, show and compare the law,
draft holidays, try a draft on logged checks, explain one."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any

import click

from compliance.audit import erasure, keys, projection, verify, witnesses
from compliance.cli import progress, tell, told
from compliance.deployment import Deployment
from compliance.errors import LogBroken
from compliance.law.codec import to_json
from compliance.law.decide import explain, flips
from compliance.law.policy import Policy
from compliance.proof import export as folders
from compliance.proof.note import Head, VerifierKey, open_head
from compliance.proof.receipt import verify_answer, verify_claims, verify_package

SECTIONS = ("gate", "value", "service", "programmes", "due", "pension_age", "legal_form", "finding")
NAMES = ("permit_types", "scales", "forms", "name", "code", "applied_for")  # what an entry is about
TOLD = "new public key, to be given to auditors and witnesses: {}"


@contextmanager
def _using() -> Iterator[None]:
    """What cannot be done now, or was wrongly stated, is no finding."""
    try:
        yield
    except LogBroken as error:
        raise click.UsageError(str(error)) from error


def _trusted(here: Deployment, given: tuple[str, ...]) -> list[VerifierKey]:
    keyring = here.log.keyring
    with _using():
        return [VerifierKey.parse(key) for key in given] or [*keyring.keys, *keyring.retired]


def log_init(here: Deployment) -> None:
    keyring = here.log.keyring
    if not keyring.path.exists() and here.log.head()[0]:
        raise click.UsageError(f"{keyring.path} is missing and the log has entries: put its key back there")
    keyring.create_if_missing()
    click.echo("\n".join(map(str, keyring.keys)))


def log_verify(
    here: Deployment, path: Path | None, heads: tuple[Path, ...], tables: bool, given: tuple[str, ...]
) -> None:
    trusted = _trusted(here, given)
    known = {head.size: head.root for head in (open_head(kept.read_text(), trusted) for kept in heads)}
    if path is None:
        size, root = verify.verify(here.log, witnesses.heads(here.log) | known, progress)
        checks = f", {verify.verify_checks(here.log, progress)} checks shown rightly" if tables else ""
        click.echo(f"verified: {here.log.origin}, {size} entries{checks}, root {root.hex()}")
    elif path.is_dir():
        head = folders.verify(path, trusted, known, progress)
        click.echo(f"verified: {head.origin}, {head.size} entries")
    else:
        try:
            position, head, body, _ = verify_package(json.loads(path.read_text()), trusted)
        except ValueError as error:
            raise click.UsageError(f"{path} is neither an export nor a proof") from error
        click.echo(f"verified: {body['kind']} {body['id']} at {position} of {head.origin}")


def log_checkpoint(here: Deployment) -> None:
    witnesses.submit(here.log)
    click.echo(witnesses.published(here.log) or here.log.checkpoint(), nl=False)


def log_export(here: Deployment, folder: Path, by: str) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    audit = here.log
    audit.append("access.export", {"what": "log", "by": by})
    size, root = audit.durable_head()
    bodies = (entry.raw for entry in audit.entries(0, size, disclose=False))
    folders.write(folder, bodies, audit.keyring.head(size, root), audit.keyring.keys, progress)
    click.echo(f"{size} entries in {folder}")


def log_proof(here: Deployment, entry_id: str) -> None:
    if (package := here.log.package(entry_id)) is None:
        raise click.UsageError(f"there is no entry {entry_id}")
    tell(package)


def log_project(here: Deployment, fresh: bool) -> None:
    done = (projection.rebuild if fresh else projection.catch_up)(here.log, progress)
    click.echo(f"{done} entries projected")


def log_replay(here: Deployment, first: date, last: date, by: str) -> bool:
    zones = [region.zone for region in here.policy.regions.values()]  # of several, the whole day in each
    since = min(datetime.combine(first, time(), zone) for zone in zones)
    until = max(datetime.combine(last, time(), zone) for zone in zones) + timedelta(days=1)
    checks, differing, entry_id = verify.replay_checks(here.log, since, until, by=by, progress=progress)
    for found in differing:
        click.echo("\n  ".join((f"{found.position} {found.id}", *found.why)))
    click.echo(f"{checks} checks decided again, {len(differing)} differ; entry {entry_id}")
    return bool(differing)


def log_erase(
    here: Deployment, positions: tuple[int, ...], fields: tuple[str, ...], ground: str, outlived: bool, by: str
) -> None:
    if bool(positions and ground) == outlived or (outlived and (positions or fields)):
        raise click.UsageError("give positions and --ground, or --outlived")
    if outlived:
        for region, done in erasure.retire(here.log, here.policy, by=by).items():
            click.echo(f"{region}: {done} entries erased")
        return
    wanted = here.log.entries_at(positions)
    if len(wanted) < len(set(positions)):
        raise click.UsageError("the log has no such position")
    click.echo(f"{erasure.erase(here.log, wanted, ground=ground, by=by, fields=fields or None)} entries erased")


def log_person(here: Deployment, nik: str, by: str) -> None:
    tell(erasure.about(here.log, nik, by=by))


def log_rotate(here: Deployment, finish: bool, by: str) -> None:
    with _using():
        if finish:
            click.echo("\n".join(f"retired: {key}" for key in keys.finish_rotation(here.log, by=by)))
        else:
            click.echo(TOLD.format(keys.rotate(here.log, by=by)))


def log_incident(here: Deployment, reason: str, head: Path | None, by: str) -> None:
    with _using():
        known = Head.parse(head.read_text().partition("\n\n")[0] + "\n") if head else None
        click.echo(TOLD.format(keys.declare_incident(here.log, reason=reason, by=by, known=known)))


def receipt_verify(here: Deployment, file: IO[str], given: tuple[str, ...]) -> None:
    try:
        text = file.read()
        answer = json.loads(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError) as error:
        raise LogBroken("not the answer of a check") from error
    trusted = _trusted(here, given)
    tell(verify_answer(answer, trusted) if answer else verify_claims(text, trusted))


def _says(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_says(part)}" for name, part in value.items() if name not in NAMES)
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(to_json(value))


def _cites(basis: Any) -> str:
    return "; ".join(f"{row['cite']} [{row['certainty']}]" for row in to_json(basis))


def _dated(loaded: Policy) -> dict[tuple[str, ...], str]:
    """What every entry says, by region, kind, what it is about and its first day."""
    return {
        (region.code, e.kind, *e.key, "since", str(e.since)): f"{_says(e.data)} | {_cites(e.basis)} | until {e.until}"
        for region in loaded.regions.values()
        for group in (loaded.national | region.groups).values()
        for e in group
    }


def policy_check(here: Deployment, folder: Path | None) -> bool:
    loaded, today = Policy.load(folder or here.settings.policy_dir), here.clock().date()
    old = loaded.unlooked(today - timedelta(days=365))
    missing = [year for year in (today.year, today.year + 1) if year not in loaded.calendar.years]
    click.echo(told("policy_check", loaded=loaded, old=old, missing=missing))
    return bool(old or missing)


def policy_show(here: Deployment, on: date | None, region: str) -> None:
    on = on or here.policy.today(region, here.clock())
    law = here.policy.on(on, region)
    click.echo(told("policy_show", law=law, day=on, sections=SECTIONS, says=_says, cites=_cites))


def policy_diff(here: Deployment, old: Path, new: Path) -> bool:
    signed = (("-", _dated(Policy.load(old))), ("+", _dated(Policy.load(new))))
    changed = sorted({about for about, _ in signed[0][1].items() ^ signed[1][1].items()})
    lines = [f"{sign} {' '.join(about)}: {says[about]}" for about in changed for sign, says in signed if about in says]
    click.echo("\n".join(lines) or "no difference")
    return bool(lines)


def policy_holidays(here: Deployment, year: int) -> None:
    from holidays import GOVERNMENT, PUBLIC, country_holidays

    found: dict[date, tuple[str, str]] = {}
    for kind, category in (("cuti_bersama", GOVERNMENT), ("national", PUBLIC)):
        named = country_holidays("ID", years=year, language="id", categories=(category,))
        found |= {day: (kind, name.replace("\\", "").replace('"', "")) for day, name in named.items()}
    click.echo(told("policy_holidays", year=year, days=found))


def policy_flips(here: Deployment, file: Path, region: str | None, first: date, last: date) -> bool:
    draft, judged = Policy.load(file), Counter[str]()
    running = {code: known.sha256 for code, known in here.policy.regions.items()}
    changed = [region] if region else [c for c, known in draft.regions.items() if known.sha256 != running.get(c)]
    if len(changed) != 1 or changed[0] not in draft.regions:
        raise click.UsageError(f"{file} has no policy of just one region: {', '.join(changed)}; name one with --region")
    known = draft.regions[changed[0]]

    def bodies() -> Iterator[Mapping[str, Any]]:
        for entry in here.log.entries(kinds=("check",)):
            within = first <= entry.at.astimezone(known.zone).date() <= last
            if within and entry.body["facts"]["application"]["region"] == known.code:
                judged["checks"] += 1
                if judged["checks"] % 1000 == 0:
                    progress(judged["checks"])
                yield entry.body

    for flip in flips(bodies(), draft, known.code):
        judged.update(changed=1, stopped=flip.stopped, unknown=flip.now is None)
        click.echo(told("policy_flip", flip=flip))
    click.echo(told("policy_flips", **{"changed": 0, "checks": 0, "stopped": 0, "unknown": 0} | judged))
    return bool(judged["changed"])


def policy_explain(here: Deployment, check_id: str, raw: bool) -> None:
    entry = here.log.entry(check_id)
    if entry is None or entry.kind != "check":
        raise click.UsageError(f"there is no check {check_id}")
    found = explain(*verify.past_policies(here.log).judged(entry.body))
    if raw:
        tell(found)
    else:
        click.echo(told("policy_explain", told=found, cites=_cites))
