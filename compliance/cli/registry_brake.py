"""`flask registry brake`: where refusals wait for an officer because the agency's answers look wrong."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import UnknownRegion
from compliance.registry.brake import brake_states


@click.command("brake")
@click.option("--close", "region", help="Say that the agency's answers for this region are right after all.")
@with_appcontext
def brake_command(region: str | None) -> None:
    """Show the mass-refusal brake of each region; exit status 1 while one is open."""
    here = deployment()
    if region and not (here.gate.brake and here.gate.brake.close(region, here.clock())):
        try:
            here.policy.today(region, here.clock())
        except UnknownRegion as error:
            raise click.UsageError(str(error)) from error
        click.echo(f"{region} · sudah tertutup / is closed already")
    with db.engine.connect() as connection:
        states = brake_states(connection)
    for code in sorted(here.policy.regions):
        state = states.get(code)
        word = "terbuka/open" if state and state.opened else "tertutup/closed"
        click.echo(f"{code} · {word}" + (f" · {state.at:%Y-%m-%d %H:%M} UTC · {state.reason}" if state else ""))
    sys.exit(1 if any(state.opened for state in states.values()) else 0)
