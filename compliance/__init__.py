"""The compliance gate. `create_app` is the composition root: the only place that knows every room."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from compliance.registry.port import Source
    from config import Settings

NOW = partial(datetime.now, UTC)


def create_app(settings: Settings, *, source: Source | None = None, clock: Callable[[], datetime] = NOW) -> Flask:
    """Put the gate together. Raises Misconfigured with one clear line when it must not start."""
    from flask import Flask
    from flask_migrate import Migrate
    from werkzeug.middleware.proxy_fix import ProxyFix

    from compliance import api, cli, projections, telemetry, web  # noqa: F401 (what is projected registers itself)
    from compliance.audit import turn
    from compliance.audit.log import AuditLog
    from compliance.casework.acts import CaseOffice
    from compliance.database import db
    from compliance.deployment import Deployment
    from compliance.gate import Gate
    from compliance.law.policy import Policy
    from compliance.registry import port, sources, watchers

    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update({"SECRET_KEY": settings.secret_key, "SQLALCHEMY_DATABASE_URI": settings.database_url})
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = turn.engine_options(settings.database_url)
    app.wsgi_app = port.Turns(app.wsgi_app)  # type: ignore[method-assign]
    if hops := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    db.init_app(app)
    Migrate(app, db, directory="compliance/migrations", render_as_batch=True)
    with app.app_context():
        policy = Policy.load(settings.policy_dir)
        log = AuditLog(db.engine, settings, clock, telemetry.appended)
        asked, standby = (source, None) if source else sources.build(settings, db.engine, clock)
        timed = telemetry.Timed(asked)
        gate = Gate(
            *(policy, timed, log, CaseOffice(log.turns.reading)),
            clock=clock,
            secret=settings.secret_key.encode(),
            timeout=settings.registry_timeout,
            cache_ttl=settings.registry_cache_ttl,
            standby=standby,
            outages=watchers.Outages(db.engine, log),
            brake=watchers.Brake(db.engine, log, timed, settings.registry_sentinels),
        )
        app.extensions["compliance"] = here = Deployment(settings, policy, log, gate, clock)
    api.register(app)
    telemetry.register(app, here)
    web.register(app)
    cli.register(app)
    return app
