"""Alembic's environment: runs the migrations as the role that may (DATABASE_ADMIN_URL, else the application's own)."""

from alembic import context
from flask import current_app
from sqlalchemy import create_engine

from compliance.audit.turn import alone, engine_options
from compliance.database import db
from compliance.deployment import deployment


def run() -> None:
    """Migrate everything in one transaction."""
    migrate = current_app.extensions["migrate"]
    url = deployment().settings.database_admin_url or deployment().settings.database_url
    engine = create_engine(url, **engine_options(url))
    try:
        with engine.connect() as connection:
            alone(connection)
            options = {**migrate.configure_args, "target_metadata": db.metadata, "transactional_ddl": True}
            context.configure(connection=connection, **options)
            with context.begin_transaction():
                context.run_migrations()
            connection.commit()
    finally:
        engine.dispose()


run()
