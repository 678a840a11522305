"""`flask log replay` decides the checks of a period again; `flask policy explain` says why one came out as it did."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from typing import Any

import click
from flask import Flask

from compliance.audit.replays import past_policies, replay_checks
from compliance.cli.log import by_option, log
from compliance.cli.policy import DAY, policy
from compliance.deployment import deployment
from compliance.law.codec import from_json
from compliance.law.explain import explain
from compliance.law.facts import Facts


def register(app: Flask) -> None:
    """The groups that these commands belong to are added by their own files."""


@log.command("replay")
@click.option("--from", "first", type=DAY, required=True, help="First day in the regions' zone, yyyy-mm-dd.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, inclusive.")
@by_option
def replay(first: datetime, last: datetime, by: str) -> None:
    """Decide all checks of a period again, from the log alone; ends with 1 when any differs."""
    zones = [region.zone for region in deployment().policy.regions.values()]
    since = min(first.replace(tzinfo=zone) for zone in zones)  # of several zones, the whole day in each
    until = max(last.replace(tzinfo=zone) for zone in zones) + timedelta(days=1)
    checks, differing, entry_id = replay_checks(
        deployment().log, since, until, by=by, progress=lambda done: click.echo(f"{done} checks …", err=True)
    )
    for found in differing:
        click.echo("\n  ".join((f"{found.position} {found.id}", *found.why)))
    click.echo(f"{checks} checks decided again, {len(differing)} differ; entry {entry_id}")
    sys.exit(1 if differing else 0)


@policy.command("explain")
@click.argument("check_id")
@click.option("--json", "raw", is_flag=True, help="As the API gives it.")
def why(check_id: str, raw: bool) -> None:
    """Explain a logged check rule by rule, by the law that it names."""
    audit = deployment().log
    entry = audit.entry(check_id)
    if entry is None or entry.kind != "check":
        raise click.UsageError(f"there is no check {check_id}")
    facts: Facts = from_json(Facts, entry.body["facts"])
    law = past_policies(audit).get(entry.body["policy"]["sha256"])
    told = explain(facts, law.on(facts.application.as_at, facts.application.region))
    click.echo(json.dumps(told, indent=1, ensure_ascii=False) if raw else _readable(told))


def _readable(told: dict[str, Any]) -> str:
    policy, decision = told["policy"], told["decision"]
    lines = [f"{policy['region']} on {told['as_at']}, policy {policy['version']}, sha256 {policy['sha256']}"]
    for rule in told["rules"]:
        lines.append(f"\n{rule['rule']}: {rule['question'].get('id', '')}")
        for head in ("looked_at", "owed"):
            known = {name: value for name, value in rule[head].items() if value is not None}
            lines += [f"  {head.replace('_', ' ')} {name}: {_short(value)}" for name, value in known.items()]
        lines += [f"  law {row['what']} since {row['since']}: {_cites(row['legal_basis'])}" for row in rule["law"]]
        for found in rule["found"]:
            lines.append(f"  found {found['code']} ({found['effect']}): {found['message']['id']}")
            lines.append(f"    {_cites(found['basis'])}")
        lines += ["  the judgement ends here"] if rule["ended_here"] else []
    return "\n".join([*lines, f"\n{decision['verdict']} ({decision['label']['id']}): {decision['summary']['id']}"])


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cites(basis: list[dict[str, str]]) -> str:
    return "; ".join(f"{row['cite']} [{row['certainty']}]" for row in basis)
