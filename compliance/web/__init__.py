"""The pages: for clerks and applicants, rendered here, without script. They decide nothing."""

from importlib import import_module
from pathlib import Path

from flask import Flask
from flask_babel import Babel
from flask_wtf.csrf import CSRFProtect

from compliance.web import region
from compliance.web.pages import web

for name in ("account", "checks", "records", "batches", "casework", "coverage", "audit", "log"):
    import_module(f"compliance.web.{name}")  # adds their routes


def register(app: Flask) -> None:
    """Add the pages, their sessions, languages, headers and error pages to the app."""
    secure = app.extensions["compliance"].settings.public_url.startswith("https://")
    app.config.update(
        SESSION_COOKIE_NAME="__Host-gate" if secure else "gate",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
    )
    CSRFProtect(app)
    folder = str(Path(__file__).with_name("translations"))
    Babel(app, default_locale="id", default_translation_directories=folder, locale_selector=region.chosen)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(web)
