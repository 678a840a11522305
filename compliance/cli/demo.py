"""`flask demo-accounts`: keys and people for `make run`. Outside the demo the command does not exist."""

from __future__ import annotations

import json
import secrets

import click
from flask import Flask

from compliance.access.clients import Clients
from compliance.access.users import Role, Users
from compliance.deployment import deployment

NAMES = {
    Role.CLERK: ("petugas", "Nurul Petugas"),
    Role.SUPERVISOR: ("atasan", "Andi Atasan"),
    Role.AUDITOR: ("auditor", "Rahma Auditor"),
    Role.ADMINISTRATOR: ("admin", "Baso Admin"),
}


def register(app: Flask) -> None:
    if app.extensions["compliance"].settings.demo:
        app.cli.add_command(accounts)


@click.command("demo-accounts")
def accounts() -> None:
    """Make a client key per region and a person per role; print them as JSON, this once."""
    running = deployment()
    regions = sorted(running.policy.regions, reverse=True)
    clients, users = Clients(running.log, running.clock), Users(running.log, running.clock)
    keys = {code: clients.create(f"Demo {code}", (code,), ("check", "read"), by="demo")[1] for code in regions}
    made = []
    for role, (sign_in, name) in NAMES.items():
        password = secrets.token_urlsafe(12)
        users.create(sign_in, name, role, ("73.09",), password, office="DPMPTSP Kabupaten Maros (contoh)", by="demo")
        made.append({"role": role.value, "name": sign_in, "password": password})
    click.echo(json.dumps({"keys": keys, "accounts": made}))
