"""`flask registry`: the agency seen from the shell."""

from __future__ import annotations

from flask import Flask
from flask.cli import AppGroup

registry = AppGroup("registry", help="The agency: try one question, import a report.")


def register(app: Flask) -> None:
    app.cli.add_command(registry)
