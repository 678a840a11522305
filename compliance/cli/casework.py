"""`flask recall`: ask for a recall of checks that used wrong data, and list who must be told."""

import click
from flask import Flask
from flask.cli import AppGroup

from compliance.casework import acts, watch
from compliance.deployment import deployment
from compliance.errors import GateError

recall = AppGroup("recall", help="Find checks that used wrong data; a supervisor decides on the page, work asks again.")


@recall.command()
@click.option("--region", required=True)
@click.option("--nib", help="Of one employer.")
@click.option("--import", "sha256", help="Of an imported report: the SHA-256 of its file.")
@click.option("--from", "since", help="Answers received from this day on (with --to).")
@click.option("--to")
@click.option("--ground", required=True)
def propose(**stated: str) -> None:
    """Propose a recall; prints its id."""
    operator = acts.Person("operator", "operator", "operator", tuple(deployment().policy.regions))
    try:
        click.echo(acts.propose(deployment(), operator, acts.Act.RECALL, stated))
    except GateError as error:
        raise click.UsageError(str(error)) from error


@recall.command("list")
@click.argument("act_id")
def listed(act_id: str) -> None:
    """Each check that was found: application, who asked, the verdict then and now. Ends with 1 if one changed."""
    rows, changed = list(watch.decided_again(deployment(), act_id)), False
    for old, new in rows:
        now = new.verdict if new else "-"
        changed |= now != old.verdict
        click.echo("\t".join((old.reference, old.permit_type, old.asker_kind, old.asker_id, old.verdict, now)))
    click.get_current_context().exit(int(changed))


def register(app: Flask) -> None:
    app.cli.add_command(recall)
