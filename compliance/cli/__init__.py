"""The flask commands, thin: what they take and say of themselves is in commands.toml, what they print in templates/.
`flask log verify` is the method `verify` of the class `Log`; a command without a noun is one of its module's class. It
calls a room, prints, and returns whether there is a finding. Exit status 0: done. 1: a finding (something is wrong with
what was looked at). 2: wrong usage."""

import importlib
import json
import keyword
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext
from jinja2 import Environment, FileSystemLoader
from sqlalchemy.exc import OperationalError

from compliance import errors
from compliance.deployment import Deployment, deployment

HERE = Path(__file__).parent
FOLDER = FileSystemLoader(HERE / "templates")
TEMPLATES = Environment(loader=FOLDER, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 (plain text for a shell)
USAGE = (errors.BadInput, errors.BadIdentifier, errors.UnknownRegion, errors.LawNotInForce, errors.Misconfigured)


class Commands:
    """The commands of one noun."""

    def __init__(self, here: Deployment) -> None:
        self.here, self.log = here, here.log


class Command(click.Command):
    """Calls its method; a finding that it returns ends with 1. What it cannot help ends it with one line and no trace;
    what was wrongly stated, a setting, or a database to be put right, with 2."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            if ctx.invoke(with_appcontext(lambda: self.callback(deployment(), ctx.params))):  # type: ignore[misc]
                ctx.exit(1)
        except USAGE as error:
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


def day(stated: str) -> date:
    """A type of commands.toml."""
    try:
        return date.fromisoformat(stated)
    except ValueError as error:
        raise click.BadParameter(f"{stated} is no day; write yyyy-mm-dd") from error


TYPES: dict[str, Any] = {
    **{"day": day, "int": int, "bool": bool, "position": click.IntRange(0), "year": click.IntRange(2000, 2100)},
    **{"days": click.IntRange(1, 3650), "hours": click.IntRange(0, 24 * 90), "path": click.Path(True, path_type=Path)},
    "file": click.Path(True, dir_okay=False, path_type=Path),
    "folder": click.Path(True, file_okay=False, path_type=Path),
    "new folder": click.Path(file_okay=False, path_type=Path),
    "text file": click.File(encoding="utf-8"),
    "output": click.File("w", encoding="utf-8", lazy=True),
}


def _command(verb: str, commands: type[Commands], about: dict[str, Any]) -> Command:
    method, params = verb.replace("-", "_") + "_" * keyword.iskeyword(verb), list[click.Parameter]()
    for kind in (click.Argument, click.Option):
        for name, said in about.get(f"{kind.__name__.lower()}s", {}).items():
            flag = [] if kind is click.Argument else [said.pop("flag", f"--{name.replace('_', '-')}")]
            choice, type_ = said.pop("choice", None), TYPES.get(said.pop("type", ""))
            params.append(kind([*flag, name], type=click.Choice(choice) if choice else type_, **said))
    call = lambda here, given: getattr(commands(here), method)(**given)  # noqa: E731
    return Command(verb, callback=call, params=params, help=about["help"])


def register(app: Flask) -> None:
    """Add every command of commands.toml; the demo's in the demo alone."""
    said = tomllib.loads((HERE / "commands.toml").read_text(encoding="utf-8"))
    groups = {name: click.Group(name, help=about) for name, about in said.pop("nouns").items()}
    for module, commands in said.items():
        classes = vars(importlib.import_module(f"compliance.cli.{module}"))
        for words, about in commands.items():
            noun, _, verb = words.rpartition(" ")
            if verb != "demo-accounts" or app.extensions["compliance"].settings.demo:
                group = groups[noun] if noun else app.cli
                group.add_command(_command(verb, classes[(noun or module).title()], about))
    for group in groups.values():
        app.cli.add_command(group)


def show(template: str, **values: Any) -> None:
    """Print what a template makes of them, unless it is nothing."""
    if text := TEMPLATES.get_template(f"{template}.txt").render(values).rstrip("\n"):
        click.echo(text)


def tell(value: Any) -> None:
    """Print as JSON."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def progress(done: int) -> None:
    """Say on a terminal how far it is."""
    if sys.stderr.isatty():
        click.echo(f"\r{done} entries", nl=False, err=True)
