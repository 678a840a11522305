"""`flask client …`: the software that may ask. `flask user …`: the people who sign in. `flask demo-accounts`: both."""

import json
import secrets
from datetime import timedelta

import click

from compliance.access import clients, users
from compliance.cli import Commands, show
from compliance.delivery import outbox
from compliance.deployment import Deployment

BY = "operator"
OFFICE = "DPMPTSP Kabupaten Maros (contoh)"
DEMO = {"clerk": ("petugas", "Nurul"), "supervisor": ("atasan", "Andi")}
DEMO |= {"auditor": ("auditor", "Rahma"), "administrator": ("admin", "Baso")}
Texts = tuple[str, ...]


class Access(Commands):
    def __init__(self, here: Deployment) -> None:
        super().__init__(here)
        self.clients, self.people = clients.Clients(here.log, here.clock), users.Users(here.log, here.clock)

    def served(self, regions: Texts) -> list[str]:
        return [self.here.policy.region(code).code for code in regions]

    def demo_accounts(self) -> None:
        accounts, regions = [], sorted(self.here.policy.regions, reverse=True)
        scopes = ("check", "read")
        keys = {code: self.clients.create(f"Demo {code}", (code,), scopes, by="demo")[1] for code in regions}
        for role, (sign_in, first_name) in DEMO.items():
            name, password = f"{first_name} {sign_in.title()}", secrets.token_urlsafe(12)
            self.people.create(sign_in, name, users.Role(role), ("73.09",), password, office=OFFICE, by="demo")
            accounts.append({"role": role, "name": sign_in, "password": password})
        click.echo(json.dumps({"keys": keys, "accounts": accounts}))


class Client(Access):
    def named(self, name: str) -> clients.Client:
        found = [client for client in self.clients.all() if name in (client.id, client.name)]
        if len(found) != 1:
            raise click.UsageError(f"{len(found)} clients are called {name}; take an id: flask client list")
        return found[0]

    def create(self, name: str, regions: Texts, scopes: str, days: int | None) -> None:
        ends = self.here.clock() + timedelta(days=days) if days else None
        made, key = self.clients.create(name, self.served(regions), scopes.split(","), by=BY, expires_at=ends)
        show("clients", clients=[made], now=self.here.clock())
        click.echo(key)

    def list(self) -> None:
        show("clients", clients=self.clients.all(), now=self.here.clock())

    def revoke(self, client: str) -> None:
        self.clients.revoke(known := self.named(client), by=BY)
        click.echo(f"{known.id} revoked")

    def rotate(self, client: str, grace_hours: int) -> None:
        if not (known := self.named(client)).alive(self.here.clock()):
            raise click.UsageError(f"client {known.id} is revoked or has expired")
        click.echo(self.clients.rotate(known, BY, timedelta(hours=grace_hours)))

    def oss_user(self, client: str, username: str, password: str) -> None:
        self.clients.keep_oss_user(known := self.named(client), username, password, by=BY)
        click.echo(f"{known.id}: OSS user {username} kept")

    def webhook(self, client: str, url: str) -> None:
        made = outbox.set_hook(self.here, known := self.named(client), url, by=BY)
        click.echo(f"{known.id}  {made.url or 'no address'}")
        if made.url:
            click.echo(made.secret(self.here.settings.secret_key))


class User(Access):
    def named(self, sign_in: str) -> users.User:
        if not (user := self.people.named(sign_in)):
            raise click.UsageError(f"nobody signs in as {sign_in}; flask user list shows who does")
        return user

    def create(self, sign_in: str, role: str, regions: Texts, name: str, office: str) -> None:
        served, password = self.served(regions), secrets.token_urlsafe(15)
        made = self.people.create(sign_in, name or sign_in, users.Role(role), served, password, office=office, by=BY)
        click.echo(f"{made.sign_in}: {made.role}, {', '.join(made.regions)}\n{password}")

    def list(self) -> None:
        show("users", users=self.people.all())

    def disable(self, sign_in: str) -> None:
        self.people.change(self.named(sign_in), BY, active=False)

    def enable(self, sign_in: str) -> None:
        self.people.change(self.named(sign_in), BY, active=True)

    def password(self, sign_in: str) -> None:
        self.people.set_password(self.named(sign_in), password := secrets.token_urlsafe(15), BY)
        click.echo(password)

    def lost_telephone(self, sign_in: str) -> None:
        self.people.forget_second_factor(self.named(sign_in), BY)
