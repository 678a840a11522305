"""The pages: for clerks and applicants, rendered here, without script. They decide nothing."""

from __future__ import annotations

from flask import Flask
from flask_wtf.csrf import CSRFProtect

from compliance.web import account, blueprint, checks, errors, headers, language, permits, receipts, visitors

VIEWS = (account, checks, receipts)  # importing them adds their routes


def register(app: Flask) -> None:
    """Add the pages, their sessions, languages, headers and error pages to the app."""
    app.config.update(
        SESSION_COOKIE_NAME="gate",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=app.extensions["compliance"].settings.public_url.startswith("https://"),
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
    )
    CSRFProtect(app)
    visitors.register(app)
    language.register(app)
    app.jinja_env.globals.update(static=blueprint.address, region_name=permits.region_name)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.register_blueprint(blueprint.pages)
    visitors.all_marked(app)
    headers.register(app)
    errors.register(app)
