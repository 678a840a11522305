"""`flask client …`: the software that may ask. `flask user …`: the people who sign in. `flask demo-accounts`: both."""

import json
import secrets
from datetime import timedelta
from functools import partial

import click

from compliance.access.clients import Client, Clients
from compliance.access.users import Role, User, Users
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


def _known(here: Deployment, name: str) -> Client:
    found = [client for client in Clients(here.log, here.clock).all() if name in (client.id, client.name)]
    if len(found) != 1:
        raise click.UsageError(f"{len(found)} clients are called {name}; take an id: flask client list")
    return found[0]


def _line(here: Deployment, client: Client) -> str:
    state = "revoked" if client.revoked_at else "active" if client.alive(here.clock()) else "expired"
    until = f" until {client.expires_at:%Y-%m-%d}" if client.expires_at else ""
    return f"{client.id}  {state}{until}  {','.join(client.regions)}  {','.join(sorted(client.scopes))}  {client.name}"


def client_create(here: Deployment, name: str, regions: tuple[str, ...], scopes: str, days: int | None) -> None:
    served = [here.policy.region(code).code for code in regions]
    ends = here.clock() + timedelta(days=days) if days else None
    made, key = Clients(here.log, here.clock).create(name, served, scopes.split(","), by=BY, expires_at=ends)
    click.echo(f"{_line(here, made)}\n{key}")


def client_list(here: Deployment) -> None:
    for each in Clients(here.log, here.clock).all():
        click.echo(_line(here, each))


def client_revoke(here: Deployment, client: str) -> None:
    Clients(here.log, here.clock).revoke(known := _known(here, client), by=BY)
    click.echo(f"{known.id} revoked")


def client_rotate(here: Deployment, client: str, grace_hours: int) -> None:
    if not (known := _known(here, client)).alive(here.clock()):
        raise click.UsageError(f"client {known.id} is revoked or has expired")
    click.echo(Clients(here.log, here.clock).rotate(known, BY, timedelta(hours=grace_hours)))


def client_oss_user(here: Deployment, client: str, username: str, password: str) -> None:
    Clients(here.log, here.clock).keep_oss_user(known := _known(here, client), username, password, by=BY)
    click.echo(f"{known.id}: OSS user {username} kept")


def client_webhook(here: Deployment, client: str, url: str) -> None:
    known = _known(here, client)
    made = outbox.set_hook(here, known, url, by=BY)
    click.echo(f"{known.id}  {made.url or 'no address'}")
    if made.url:
        click.echo(made.secret(here.settings.secret_key))


def user_create(here: Deployment, sign_in: str, role: str, regions: tuple[str, ...], name: str, office: str) -> None:
    served, password = [here.policy.region(code).code for code in regions], secrets.token_urlsafe(15)
    people = Users(here.log, here.clock)
    made = people.create(sign_in, name or sign_in, Role(role), served, password, office=office, by=BY)
    click.echo(f"{made.sign_in}: {made.role}, {', '.join(made.regions)}\n{password}")


def user_list(here: Deployment) -> None:
    for each in Users(here.log, here.clock).all():
        state = "active" if each.active else "disabled"
        click.echo(f"{each.sign_in:<24} {each.role:<14} {','.join(each.regions):<18} {state}")


def _person(here: Deployment, sign_in: str) -> tuple[Users, User]:
    people = Users(here.log, here.clock)
    if not (user := people.named(sign_in)):
        raise click.UsageError(f"nobody signs in as {sign_in}; flask user list shows who does")
    return people, user


def user_disable(here: Deployment, sign_in: str, active: bool = False) -> None:
    people, user = _person(here, sign_in)
    people.change(user, BY, active=active)


user_enable = partial(user_disable, active=True)


def user_password(here: Deployment, sign_in: str) -> None:
    (people, user), password = _person(here, sign_in), secrets.token_urlsafe(15)
    people.set_password(user, password, BY)
    click.echo(password)


def user_lost_telephone(here: Deployment, sign_in: str) -> None:
    people, user = _person(here, sign_in)
    people.forget_second_factor(user, BY)


def demo_accounts(here: Deployment) -> None:
    clients, people, accounts = Clients(here.log, here.clock), Users(here.log, here.clock), []
    regions = sorted(here.policy.regions, reverse=True)
    keys = {code: clients.create(f"Demo {code}", (code,), ("check", "read"), by="demo")[1] for code in regions}
    for role, (sign_in, name) in DEMO.items():
        password = secrets.token_urlsafe(12)
        people.create(sign_in, name, role, ("73.09",), password, office=OFFICE, by="demo")
        accounts.append({"role": role.value, "name": sign_in, "password": password})
    click.echo(json.dumps({"keys": keys, "accounts": accounts}))
