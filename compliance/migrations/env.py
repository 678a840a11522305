"""Alembic's environment: runs the migrations over the application's own engine."""

from alembic import context
from flask import current_app

from compliance.database import db

migrate = current_app.extensions["migrate"]
with db.engine.connect() as connection:
    context.configure(connection=connection, target_metadata=db.metadata, **migrate.configure_args)
    with context.begin_transaction():
        context.run_migrations()
