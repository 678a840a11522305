"""The flask commands, one file per noun, thin: they parse, call a room, print, and set the exit status.

0 done · 1 a finding (something is wrong with what was looked at) · 2 wrong usage.
"""

from __future__ import annotations

import importlib

from flask import Flask

NOUNS = ("policy", "log", "registry", "access", "users", "check", "work", "backup")


def register(app: Flask) -> None:
    """Add every command group: each module of NOUNS that has `register(app)`."""
    for noun in NOUNS:
        importlib.import_module(f"compliance.cli.{noun}").register(app)
