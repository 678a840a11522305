"""`flask log replay` decides the checks of a period again; `flask policy explain` says why one came out as it did."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from flask import Flask

from compliance.audit.replays import past_policies, replay_checks
from compliance.cli.log import by_option, log
from compliance.cli.policy import policy
from compliance.deployment import deployment
from compliance.law.codec import from_json
from compliance.law.explain import explain
from compliance.law.facts import Facts

DAY = click.DateTime(formats=["%Y-%m-%d"])


def register(app: Flask) -> None:
    """The groups that these commands belong to are added by their own files."""


@log.command("replay")
@click.option("--from", "first", type=DAY, required=True, help="First day (UTC), yyyy-mm-dd.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, inclusive.")
@by_option
def replay(first: datetime, last: datetime, by: str) -> None:
    """Decide all checks of a period again, from the log alone; ends with 1 when any differs."""
    since, until = first.replace(tzinfo=UTC), last.replace(tzinfo=UTC) + timedelta(days=1)
    outcome = replay_checks(deployment().log, since, until, by=by, progress=_progress)
    for found in outcome.differing:
        click.echo("\n  ".join((f"{found.position} {found.id}", *found.why)))
    click.echo(f"{outcome.checks} checks decided again, {len(outcome.differing)} differ; entry {outcome.entry_id}")
    sys.exit(1 if outcome.differing else 0)


def _progress(done: int) -> None:
    click.echo(f"{done} checks …", err=True)


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
        for head, said in (("looked at", rule["looked_at"]), ("owed", rule["owed"])):
            lines += [f"  {head} {name}: {_short(value)}" for name, value in said.items() if value is not None]
        lines += [f"  law {row['what']} since {row['since']}: {_cites(row['legal_basis'])}" for row in rule["law"]]
        for found in rule["found"]:
            lines.append(f"  found {found['code']} ({found['effect']}): {found['message']['id']}")
            lines.append(f"    {_cites(found['basis'])}")
        if rule["ended_here"]:
            lines.append("  the judgement ends here")
    return "\n".join([*lines, f"\n{decision['verdict']} ({decision['label']['id']}): {decision['summary']['id']}"])


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cites(basis: list[dict[str, str]]) -> str:
    return "; ".join(f"{row['cite']} [{row['certainty']}]" for row in basis)
