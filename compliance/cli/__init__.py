"""The flask commands, thin: they parse, call a room, print (templates/), and return whether there is a finding.

Exit status 0: done. 1: a finding (something is wrong with what was looked at). 2: wrong usage.
"""

import importlib
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext
from jinja2 import Environment, FileSystemLoader
from sqlalchemy.exc import OperationalError

from compliance import errors
from compliance.deployment import deployment

FOLDER = FileSystemLoader(Path(__file__).parent / "templates")
TEMPLATES = Environment(loader=FOLDER, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 (plain text for a shell)
USAGE = (errors.BadInput, errors.BadIdentifier, errors.UnknownRegion, errors.LawNotInForce)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
by_option = click.option("--by", required=True, help="Who orders it: an id, not a name.")


class Command(click.Command):
    """Calls its function with the deployment first; a finding that it returns ends with 1. What it cannot help ends it
    with one line and no trace; what was wrongly stated, a setting, or a database to be put right, with 2."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            if ctx.invoke(with_appcontext(lambda: self.callback(deployment(), **ctx.params))):  # type: ignore[misc]
                ctx.exit(1)
        except (*USAGE, errors.Misconfigured) as error:
            raise click.UsageError(str(error), ctx) from error
        except OperationalError as error:
            told = f"DATABASE_URL: {str(error.orig).splitlines()[0]}; is it there, and migrated by flask db upgrade?"
            raise click.UsageError(told, ctx) from error
        except (errors.LogBroken, errors.BadPolicy) as error:
            position = getattr(error, "position", None)
            where = "" if position is None else f" (first bad position: {position})"
            click.echo(f"{'REFUSED' if isinstance(error, errors.BadPolicy) else 'BROKEN'}: {error}{where}")
            ctx.exit(1)
        except BrokenPipeError:
            raise
        except (errors.GateError, OSError, UnicodeDecodeError) as error:  # of files: which one, or that it is not UTF-8
            raise click.ClickException(str(error)) from error


class Noun(click.Group):
    """What commands are about."""

    command_class = Command

    def noun(self, name: str, about: str) -> "Noun":
        self.add_command(made := Noun(name, help=about))
        return made


COMMANDS = Noun()  # filled by the modules


def register(app: Flask) -> None:
    """Add every command; the demo's exists in the demo alone."""
    for module in ("access", "checks", "log", "operation", "policy", "registry"):
        importlib.import_module(f"compliance.cli.{module}")
    for name, command in COMMANDS.commands.items():
        if name != "demo-accounts" or app.extensions["compliance"].settings.demo:
            app.cli.add_command(command)


def day(stated: str) -> date:
    """The type of an option."""
    try:
        return date.fromisoformat(stated)
    except ValueError as error:
        raise click.BadParameter(f"{stated} is no day; write yyyy-mm-dd") from error


def told(template: str, **values: Any) -> str:
    """What a command prints, from its template."""
    return TEMPLATES.get_template(f"{template}.txt").render(values).rstrip("\n")


def tell(value: Any) -> None:
    """Print as JSON."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def progress(done: int) -> None:
    """Say on a terminal how far it is."""
    if sys.stderr.isatty():
        click.echo(f"\r{done} entries", nl=False, err=True)
