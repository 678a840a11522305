"""`flask client …`: the software that may ask. `flask user …`: the people who sign in. `flask demo-accounts`: both."""

import json
import secrets
from collections.abc import Callable
from datetime import timedelta

import click

from compliance.access.clients import Client, Clients
from compliance.access.users import Role, User, Users
from compliance.cli import COMMANDS
from compliance.delivery import outbox
from compliance.deployment import Deployment

BY = "operator"
OFFICE = "DPMPTSP Kabupaten Maros (contoh)"
DEMO = {
    Role.CLERK: ("petugas", "Nurul Petugas"),
    Role.SUPERVISOR: ("atasan", "Andi Atasan"),
    Role.AUDITOR: ("auditor", "Rahma Auditor"),
    Role.ADMINISTRATOR: ("admin", "Baso Admin"),
}
client = COMMANDS.noun("client", "Software that may ask: create, list, rotate, revoke, oss-user, webhook.")
user = COMMANDS.noun("user", "People who sign in: create, list, disable, enable, password, lost-telephone.")
regions_option = click.option(
    "--region", "regions", multiple=True, required=True, help="Region code, e.g. 73.09; may repeat."
)


def _known(here: Deployment, name: str) -> Client:
    found = [client for client in Clients(here.log, here.clock).all() if name in (client.id, client.name)]
    if len(found) != 1:
        raise click.UsageError(f"{len(found)} clients are called {name}; take an id: flask client list")
    return found[0]


def _line(here: Deployment, client: Client) -> str:
    state = "revoked" if client.revoked_at else "active" if client.alive(here.clock()) else "expired"
    until = f" until {client.expires_at:%Y-%m-%d}" if client.expires_at else ""
    return f"{client.id}  {state}{until}  {','.join(client.regions)}  {','.join(sorted(client.scopes))}  {client.name}"


@client.command("create")
@click.argument("name")
@regions_option
@click.option("--scopes", default="check", show_default=True, help="Of check, read, audit; with commas between.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days after which the key ends; default: never.")
def create_client(here: Deployment, name: str, regions: tuple[str, ...], scopes: str, days: int | None) -> None:
    """Create a client; its key stands alone on the last line, this once."""
    served = [here.policy.region(code).code for code in regions]
    ends = here.clock() + timedelta(days=days) if days else None
    made, key = Clients(here.log, here.clock).create(name, served, scopes.split(","), by=BY, expires_at=ends)
    click.echo(f"{_line(here, made)}\n{key}")


@client.command("list")
def list_clients(here: Deployment) -> None:
    """All clients, oldest first."""
    for each in Clients(here.log, here.clock).all():
        click.echo(_line(here, each))


@client.command("revoke")
@click.argument("client")
def revoke(here: Deployment, client: str) -> None:
    """End a client (its id or its name) and its keys at once."""
    Clients(here.log, here.clock).revoke(known := _known(here, client), by=BY)
    click.echo(f"{known.id} revoked")


@client.command("rotate")
@click.argument("client")
@click.option("--grace-hours", type=click.IntRange(0, 24 * 90), default=0, help="How long the old keys still hold.")
def rotate(here: Deployment, client: str, grace_hours: int) -> None:
    """Give a client a new key; it stands alone on the last line, this once."""
    if not (known := _known(here, client)).alive(here.clock()):
        raise click.UsageError(f"client {known.id} is revoked or has expired")
    click.echo(Clients(here.log, here.clock).rotate(known, BY, timedelta(hours=grace_hours)))


@client.command("oss-user")
@click.argument("client")
@click.argument("username")
@click.password_option(help="The password that OSS was given; asked for when left out.")
def oss_user(here: Deployment, client: str, username: str, password: str) -> None:
    """Keep the user and password with which OSS makes its tokens for this client's office."""
    Clients(here.log, here.clock).keep_oss_user(known := _known(here, client), username, password, by=BY)
    click.echo(f"{known.id}: OSS user {username} kept")


@client.command("webhook")
@click.argument("client")
@click.argument("url", default="")
def webhook(here: Deployment, client: str, url: str) -> None:
    """Set where a client is told of final answers, ends of batches and watched permits, and show the new secret, this
    once; without URL end it."""
    known = _known(here, client)
    made = outbox.set_hook(here, known, url, by=BY)
    click.echo(f"{known.id}  {made.url or 'no address'}")
    if made.url:
        click.echo(made.secret(here.settings.secret_key))


@user.command("create")
@click.argument("sign_in")
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True)
@regions_option
@click.option("--name", default="", help="The person's name as it stands on paper.")
@click.option("--office", default="", help="The office's name as it stands on paper.")
def create_user(here: Deployment, sign_in: str, role: str, regions: tuple[str, ...], name: str, office: str) -> None:
    """Create a person; the password is printed alone on the last line, this once."""
    served, password = [here.policy.region(code).code for code in regions], secrets.token_urlsafe(15)
    people = Users(here.log, here.clock)
    made = people.create(sign_in, name or sign_in, Role(role), served, password, office=office, by=BY)
    click.echo(f"{made.sign_in}: {made.role}, {', '.join(made.regions)}\n{password}")


@user.command("list")
def list_users(here: Deployment) -> None:
    """List everybody: name, role, regions, whether active."""
    for each in Users(here.log, here.clock).all():
        state = "active" if each.active else "disabled"
        click.echo(f"{each.sign_in:<24} {each.role:<14} {','.join(each.regions):<18} {state}")


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

    @user.command(_name, help=_help)
    @click.argument("sign_in")
    def change(here: Deployment, sign_in: str, _change: Callable[[Users, User], object] = _change) -> None:
        people = Users(here.log, here.clock)
        if not (named := people.named(sign_in)):
            raise click.UsageError(f"nobody signs in as {sign_in}; flask user list shows who does")
        _change(people, named)


@COMMANDS.command("demo-accounts")
def demo_accounts(here: Deployment) -> None:
    """Make a client key per region and a person per role; print them as JSON, this once."""
    clients, people, accounts = Clients(here.log, here.clock), Users(here.log, here.clock), []
    regions = sorted(here.policy.regions, reverse=True)
    keys = {code: clients.create(f"Demo {code}", (code,), ("check", "read"), by="demo")[1] for code in regions}
    for role, (sign_in, name) in DEMO.items():
        password = secrets.token_urlsafe(12)
        people.create(sign_in, name, role, ("73.09",), password, office=OFFICE, by="demo")
        accounts.append({"role": role.value, "name": sign_in, "password": password})
    click.echo(json.dumps({"keys": keys, "accounts": accounts}))
