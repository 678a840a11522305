"""The flask commands, one file per noun, thin: they parse, call a room, print (templates/), and set the exit status.

0 done · 1 a finding (something is wrong with what was looked at) · 2 wrong usage.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from flask import Flask
from jinja2 import Environment, FileSystemLoader

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


def told(template: str, **values: Any) -> str:
    """What a command prints, from its template."""
    return TEMPLATES.get_template(f"{template}.txt").render(values).rstrip("\n")
