"""The application for gunicorn and the flask command. What must not start says why in one line."""

import sys

import click

from compliance import create_app
from compliance.errors import BadPolicy, Misconfigured
from compliance.telemetry import configure_logging
from config import Settings

try:
    settings = Settings.from_environment()
    configure_logging(settings.log_level)
    app = create_app(settings)
except (Misconfigured, BadPolicy) as error:
    print(f"The gate does not start: {error}", file=sys.stderr)
    sys.exit(2 if click.get_current_context(silent=True) else 3)  # 3: gunicorn does not try again
