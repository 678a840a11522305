"""The flask commands, one file per noun, thin: they parse, call a room, print (templates/), and set the exit status.

0 done · 1 a finding (something is wrong with what was looked at) · 2 wrong usage.
"""

import importlib
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import click
from flask import Flask
from jinja2 import Environment, FileSystemLoader
from sqlalchemy.exc import OperationalError

from compliance.errors import GateError, Misconfigured

NOUNS = (
    "policy",
    "log",
    "registry",
    "access",
    "check",
    "casework",
    "coverage",
    "work",
    "batch",
    "webhook",
    "backup",
    "report",
)
FOLDER = FileSystemLoader(Path(__file__).parent / "templates")
TEMPLATES = Environment(loader=FOLDER, trim_blocks=True, lstrip_blocks=True)  # noqa: S701 (plain text for a shell)


def register(app: Flask) -> None:
    """Add every command group: each module of NOUNS that has `register(app)`."""
    for noun in NOUNS:
        importlib.import_module(f"compliance.cli.{noun}").register(app)
    for command in app.cli.commands.values():
        _in_one_line(command)


@cache  # commands are made once, applications more often
def _in_one_line(command: click.Command) -> None:
    """What no command can help ends it with one line and no trace; a setting or database to be put right with 2."""
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _in_one_line(inner)
    if command.callback and not isinstance(command, click.Group):
        command.callback = _foreseeing(command.callback)


def _foreseeing(callback: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(callback)
    def run(*given: Any, **named: Any) -> Any:
        try:
            return callback(*given, **named)
        except Misconfigured as error:
            raise click.UsageError(str(error)) from error
        except OperationalError as error:
            told = f"DATABASE_URL: {str(error.orig).splitlines()[0]}; is it there, and migrated by flask db upgrade?"
            raise click.UsageError(told) from error
        except BrokenPipeError:
            raise
        except (GateError, OSError, UnicodeDecodeError) as error:  # of files: which one, or that it is not UTF-8
            raise click.ClickException(str(error)) from error

    return run


def told(template: str, **values: Any) -> str:
    """What a command prints, from its template."""
    return TEMPLATES.get_template(f"{template}.txt").render(values).rstrip("\n")
