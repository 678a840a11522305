"""`flask client …`: the software that may ask, and its keys. `flask demo-accounts`: both and people, for `make run`."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta

import click
from flask import Flask
from flask.cli import AppGroup

from compliance.access.clients import Client, Clients
from compliance.access.oss import OssCallers
from compliance.access.users import Role, Users
from compliance.deployment import deployment
from compliance.errors import BadInput

BY = "operator"
DEMO = {
    Role.CLERK: ("petugas", "Nurul Petugas"),
    Role.SUPERVISOR: ("atasan", "Andi Atasan"),
    Role.AUDITOR: ("auditor", "Rahma Auditor"),
    Role.ADMINISTRATOR: ("admin", "Baso Admin"),
}
clients = AppGroup("client", help="Software that may ask: create, list, rotate, revoke, oss-user.")


def register(app: Flask) -> None:
    """The demo's command exists in the demo alone."""
    app.cli.add_command(clients)
    if app.extensions["compliance"].settings.demo:
        app.cli.add_command(demo_accounts)


@clients.command("create")
@click.argument("name")
@click.option("--region", "regions", multiple=True, required=True, help="Region code, e.g. 73.09; may repeat.")
@click.option("--scopes", default="check", show_default=True, help="Of check, read, audit; with commas between.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days after which the key ends; default: never.")
def create(name: str, regions: tuple[str, ...], scopes: str, days: int | None) -> None:
    """Create a client; its key stands alone on the last line, this once."""
    served, ends = deployment().policy.regions, deployment().clock() + timedelta(days=days) if days else None
    if unknown := sorted(set(regions) - set(served)):
        raise click.UsageError(
            f"region {', '.join(unknown)} is not served here; served are {', '.join(sorted(served))}"
        )
    try:
        client, key = _clients().create(name, regions, scopes.split(","), by=BY, expires_at=ends)
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{_line(client)}\n{key}")


@clients.command("list")
def list_() -> None:
    """All clients, oldest first."""
    for client in _clients().all():
        click.echo(_line(client))


@clients.command("revoke")
@click.argument("client_id")
def revoke(client_id: str) -> None:
    """End a client and its keys at once."""
    _clients().revoke(_known(client_id), by=BY)
    click.echo(f"{client_id} revoked")


@clients.command("rotate")
@click.argument("client_id")
@click.option("--grace-hours", type=click.IntRange(0, 24 * 90), default=0, help="How long the old keys still hold.")
def rotate(client_id: str, grace_hours: int) -> None:
    """Give a client a new key; it stands alone on the last line, this once."""
    client = _known(client_id)
    if not client.alive(deployment().clock()):
        raise click.UsageError(f"client {client_id} is revoked or has expired")
    click.echo(_clients().rotate(client, BY, timedelta(hours=grace_hours)))


@clients.command("oss-user")
@click.argument("client_id")
@click.argument("username")
@click.password_option(help="The password that OSS was given; asked for when left out.")
def oss_user(client_id: str, username: str, password: str) -> None:
    """Keep the user and password with which OSS makes its tokens for this client's office."""
    running = deployment()
    try:
        callers = OssCallers(running.log, running.clock, running.settings.secret_key.encode())
        callers.keep(_known(client_id), username, password, by=BY)
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{client_id}: OSS user {username} kept")


@click.command("demo-accounts")
def demo_accounts() -> None:
    """Make a client key per region and a person per role; print them as JSON, this once."""
    running = deployment()
    users, made = Users(running.log, running.clock), []
    regions = sorted(running.policy.regions, reverse=True)
    keys = {code: _clients().create(f"Demo {code}", (code,), ("check", "read"), by="demo")[1] for code in regions}
    for role, (sign_in, name) in DEMO.items():
        password = secrets.token_urlsafe(12)
        users.create(sign_in, name, role, ("73.09",), password, office="DPMPTSP Kabupaten Maros (contoh)", by="demo")
        made.append({"role": role.value, "name": sign_in, "password": password})
    click.echo(json.dumps({"keys": keys, "accounts": made}))


def _clients() -> Clients:
    return Clients(deployment().log, deployment().clock)


def _known(client_id: str) -> Client:
    client = _clients().get(client_id)
    if client is None:
        raise click.UsageError(f"there is no client {client_id}; see: flask client list")
    return client


def _line(client: Client) -> str:
    state = "revoked" if client.revoked_at else "active" if client.alive(deployment().clock()) else "expired"
    until = f" until {client.expires_at:%Y-%m-%d}" if client.expires_at else ""
    return f"{client.id}  {state}{until}  {','.join(client.regions)}  {','.join(sorted(client.scopes))}  {client.name}"
