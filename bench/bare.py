"""The baseline: a bare Flask + Flask-SQLAlchemy endpoint that inserts one row and answers 201."""

from __future__ import annotations

import os

from flask import Flask, render_template_string, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

db = SQLAlchemy()


class Row(db.Model):  # type: ignore[name-defined,misc]
    id = db.Column(db.Integer, primary_key=True)
    reference = db.Column(db.String(64))
    body = db.Column(db.Text)


def create_bare() -> Flask:
    """DATABASE_URL names the database; SQLite gets the same journal and durability as the gate's."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 20, "max_overflow": 20}
    db.init_app(app)
    with app.app_context():
        if db.engine.dialect.name == "sqlite":
            event.listen(db.engine, "connect", _durable)

    @app.post("/rows")
    def insert():  # type: ignore[no-untyped-def]
        stated = request.get_json()
        row = Row(reference=stated["reference"], body=request.get_data(as_text=True))
        db.session.add(row)
        db.session.commit()
        return {"id": row.id}, 201

    @app.get("/page")
    def page():  # type: ignore[no-untyped-def]
        return render_template_string("<!doctype html><title>{{ name }}</title><h1>{{ name }}</h1>", name="Halaman")

    return app


def _durable(connection, _record) -> None:  # type: ignore[no-untyped-def]
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=30000")


if __name__ == "__main__":
    bare = create_bare()
    with bare.app_context():
        db.create_all()
