"""The application for gunicorn and the flask command."""

from compliance import create_app
from config import Settings

app = create_app(Settings.from_environment())
