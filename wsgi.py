"""The application for gunicorn and the flask command. What must not start says why in one line."""

import sys

from compliance import create_app
from compliance.errors import BadPolicy, Misconfigured
from config import Settings

try:
    app = create_app(Settings.from_environment())
except (Misconfigured, BadPolicy) as error:
    print(f"The gate does not start: {error}", file=sys.stderr)
    sys.exit(3)
