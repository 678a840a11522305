"""`flask client …`: the software that may ask. `flask user …`: the people who sign in. `flask demo-accounts`: both."""

import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from compliance.access.clients import Client, Clients
from compliance.access.users import Role, User, Users
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
users = AppGroup("user", help="People who sign in: create, list, disable, enable, password, lost-telephone.")


def register(app: Flask) -> None:
    """The demo's command exists in the demo alone."""
    app.cli.add_command(clients)
    app.cli.add_command(users)
    if app.extensions["compliance"].settings.demo:
        app.cli.add_command(demo_accounts)


def _served(context: click.Context, option: click.Parameter, regions: tuple[str, ...]) -> tuple[str, ...]:
    served = deployment().policy.regions
    if unknown := sorted(set(regions) - set(served)):
        raise click.BadParameter(f"{', '.join(unknown)} is not served here; served are {', '.join(sorted(served))}")
    return regions


def _saying_what_is_wrong(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def guarded(**given: Any) -> None:
        try:
            command(**given)
        except BadInput as error:
            raise click.UsageError(str(error)) from error

    return guarded


_regions = click.option(
    "--region", "regions", multiple=True, required=True, callback=_served, help="Region code, e.g. 73.09; may repeat."
)


@clients.command("create")
@click.argument("name")
@_regions
@click.option("--scopes", default="check", show_default=True, help="Of check, read, audit; with commas between.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days after which the key ends; default: never.")
@_saying_what_is_wrong
def create_client(name: str, regions: tuple[str, ...], scopes: str, days: int | None) -> None:
    """Create a client; its key stands alone on the last line, this once."""
    ends = deployment().clock() + timedelta(days=days) if days else None
    client, key = _clients().create(name, regions, scopes.split(","), by=BY, expires_at=ends)
    click.echo(f"{_line(client)}\n{key}")


@clients.command("list")
def list_clients() -> None:
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
@_saying_what_is_wrong
def oss_user(client_id: str, username: str, password: str) -> None:
    """Keep the user and password with which OSS makes its tokens for this client's office."""
    _clients().keep_oss_user(_known(client_id), username, password, by=BY)
    click.echo(f"{client_id}: OSS user {username} kept")


@users.command("create")
@click.argument("sign_in")
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True)
@_regions
@click.option("--name", default="", help="The person's name as it stands on paper.")
@click.option("--office", default="", help="The office's name as it stands on paper.")
@_saying_what_is_wrong
def create_user(sign_in: str, role: str, regions: tuple[str, ...], name: str, office: str) -> None:
    """Create a person; the password is printed alone on the last line, this once."""
    password = secrets.token_urlsafe(15)
    user = _people().create(sign_in, name or sign_in, Role(role), regions, password, office=office, by=BY)
    click.echo(f"{user.sign_in}: {user.role}, {', '.join(user.regions)}\n{password}")


@users.command("list")
def list_users() -> None:
    """List everybody: name, role, regions, whether active."""
    for user in _people().all():
        state = "active" if user.active else "disabled"
        click.echo(f"{user.sign_in:<24} {user.role:<14} {','.join(user.regions):<18} {state}")


def _new_password(people: Users, user: User) -> None:
    password = secrets.token_urlsafe(15)
    people.set_password(user, password, BY)
    click.echo(password)


CHANGES: dict[str, tuple[str, Callable[[Users, User], object]]] = {
    "disable": ("End the sessions, refuse sign-ins.", lambda people, user: people.change(user, BY, active=False)),
    "enable": ("Let a disabled person sign in again.", lambda people, user: people.change(user, BY, active=True)),
    "password": ("Make a new password, told alone on the last line; ends the sessions.", _new_password),
    "lost-telephone": ("Ask for a new telephone.", lambda people, user: people.forget_second_factor(user, BY)),
}
for _name, (_help, _change) in CHANGES.items():

    @users.command(_name, help=_help)
    @click.argument("sign_in")
    def change(sign_in: str, _change: Callable[[Users, User], object] = _change) -> None:
        people = _people()
        if not (user := people.named(sign_in)):
            raise click.UsageError(f"nobody signs in as {sign_in}; flask user list shows who does")
        _change(people, user)


@click.command("demo-accounts")
def demo_accounts() -> None:
    """Make a client key per region and a person per role; print them as JSON, this once."""
    made, regions = [], sorted(deployment().policy.regions, reverse=True)
    keys = {code: _clients().create(f"Demo {code}", (code,), ("check", "read"), by="demo")[1] for code in regions}
    for role, (sign_in, name) in DEMO.items():
        password = secrets.token_urlsafe(12)
        _people().create(
            sign_in, name, role, ("73.09",), password, office="DPMPTSP Kabupaten Maros (contoh)", by="demo"
        )
        made.append({"role": role.value, "name": sign_in, "password": password})
    click.echo(json.dumps({"keys": keys, "accounts": made}))


def _clients() -> Clients:
    return Clients(deployment().log, deployment().clock)


def _people() -> Users:
    return Users(deployment().log, deployment().clock)


def _known(client_id: str) -> Client:
    client = _clients().get(client_id)
    if client is None:
        raise click.UsageError(f"there is no client {client_id}; see: flask client list")
    return client


def _line(client: Client) -> str:
    state = "revoked" if client.revoked_at else "active" if client.alive(deployment().clock()) else "expired"
    until = f" until {client.expires_at:%Y-%m-%d}" if client.expires_at else ""
    return f"{client.id}  {state}{until}  {','.join(client.regions)}  {','.join(sorted(client.scopes))}  {client.name}"
