"""`flask user …`: the people who sign in."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import click
from flask import Flask
from flask.cli import AppGroup

from compliance.access.users import Role, User, Users
from compliance.deployment import deployment
from compliance.errors import BadInput

users = AppGroup("user", help="People who sign in: create, list, disable, enable, password, lost-telephone.")
BY = "operator"


def register(app: Flask) -> None:
    app.cli.add_command(users)


@users.command("create")
@click.argument("sign_in")
@click.option("--role", type=click.Choice([str(role) for role in Role]), required=True)
@click.option("--region", "regions", multiple=True, required=True, help="Region code, e.g. 73.09; may repeat.")
@click.option("--name", default="", help="The person's name as it stands on paper.")
@click.option("--office", default="", help="The office's name as it stands on paper.")
def create(sign_in: str, role: str, regions: tuple[str, ...], name: str, office: str) -> None:
    """Create a person; the password is printed alone on the last line, this once."""
    known = deployment().policy.regions
    if strange := [region for region in regions if region not in known]:
        raise click.UsageError(f"region {', '.join(strange)} is not served here (served: {', '.join(known)})")
    password = secrets.token_urlsafe(15)
    try:
        people = Users(deployment().log, deployment().clock)
        user = people.create(sign_in, name or sign_in, Role(role), regions, password, office=office, by=BY)
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{user.sign_in}: {user.role}, {', '.join(user.regions)}\n{password}")


@users.command("list")
def everybody() -> None:
    """List everybody: name, role, regions, whether active."""
    for user in Users(deployment().log, deployment().clock).all():
        state = "active" if user.active else "disabled"
        click.echo(f"{user.sign_in:<24} {user.role:<14} {','.join(user.regions):<18} {state}")


def _new_password(people: Users, user: User) -> None:
    password = secrets.token_urlsafe(15)
    people.set_password(user, password, BY)
    click.echo(password)


def _command(name: str, told: str, change: Callable[[Users, User], object]) -> None:
    @users.command(name, help=told)
    @click.argument("sign_in")
    def command(sign_in: str) -> None:
        people = Users(deployment().log, deployment().clock)
        if not (user := people.named(sign_in)):
            raise click.UsageError(f"nobody signs in as {sign_in}; flask user list shows who does")
        change(people, user)


_command("disable", "End the sessions, refuse sign-ins.", lambda people, user: people.change(user, BY, active=False))
_command("enable", "Let a disabled person sign in again.", lambda people, user: people.change(user, BY, active=True))
_command("password", "Make a new password, told alone on the last line; ends the sessions.", _new_password)
_command("lost-telephone", "Ask for a new telephone.", lambda people, user: people.forget_second_factor(user, BY))
