"""`flask user …`: the people who sign in."""

from __future__ import annotations

import secrets

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
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--region", "regions", multiple=True, required=True, help="Region code, e.g. 73.09; may repeat.")
@click.option("--name", default="", help="The person's name as it stands on paper.")
@click.option("--office", default="", help="The office's name as it stands on paper.")
@click.option("--ask-password", is_flag=True, help="Ask for a password instead of making one.")
def create(sign_in: str, role: str, regions: tuple[str, ...], name: str, office: str, ask_password: bool) -> None:
    """Create a person; a made password is printed alone on the last line, this once."""
    _check_regions(regions)
    password = _password(ask_password)
    try:
        user = _people().create(sign_in, name or sign_in, Role(role), regions, password, office=office, by=BY)
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{user.sign_in}: {user.role}, {', '.join(user.regions)}")
    if not ask_password:
        click.echo(password)


@users.command("list")
def everybody() -> None:
    """List everybody: name, role, regions, whether active."""
    for user in _people().all():
        state = "active" if user.active else "disabled"
        click.echo(f"{user.sign_in:<24} {user.role:<14} {','.join(user.regions):<18} {state}")


@users.command("disable")
@click.argument("sign_in")
def disable(sign_in: str) -> None:
    """End a person's sessions and refuse further sign-ins."""
    _people().change(_known(sign_in), BY, active=False)


@users.command("enable")
@click.argument("sign_in")
def enable(sign_in: str) -> None:
    """Let a disabled person sign in again."""
    _people().change(_known(sign_in), BY, active=True)


@users.command("password")
@click.argument("sign_in")
@click.option("--ask-password", is_flag=True, help="Ask for a password instead of making one.")
def password(sign_in: str, ask_password: bool) -> None:
    """Give a person a new password, printed alone on the last line; ends the person's sessions."""
    chosen = _password(ask_password)
    try:
        _people().set_password(_known(sign_in), chosen, BY)
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    if not ask_password:
        click.echo(chosen)


@users.command("lost-telephone")
@click.argument("sign_in")
def lost_telephone(sign_in: str) -> None:
    """Forget a person's second factor: the next sign-in sets up a new one."""
    _people().forget_second_factor(_known(sign_in), BY)


def _people() -> Users:
    gate = deployment()
    return Users(gate.log, gate.clock)


def _known(sign_in: str) -> User:
    user = _people().named(sign_in)
    if not user:
        raise click.UsageError(f"nobody signs in as {sign_in}; flask user list shows who does")
    return user


def _check_regions(regions: tuple[str, ...]) -> None:
    known = tuple(deployment().policy.regions)
    if strange := [region for region in regions if region not in known]:
        raise click.UsageError(f"region {', '.join(strange)} is not served here (served: {', '.join(known)})")


def _password(ask: bool) -> str:
    if ask:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    return secrets.token_urlsafe(15)
