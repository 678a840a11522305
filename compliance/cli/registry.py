"""`flask registry`: the agency seen from the shell."""

from __future__ import annotations

from flask import Flask
from flask.cli import AppGroup

from compliance.cli.registry_import import import_command

registry = AppGroup("registry", help="The agency: try one question, import a report.")


registry.add_command(import_command)


def register(app: Flask) -> None:
    app.cli.add_command(registry)
