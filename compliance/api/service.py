"""What everybody may ask of the service itself: alive, ready, its keys, its description."""

from __future__ import annotations

import hmac
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Response, current_app, render_template, request
from flask_smorest import Blueprint
from sqlalchemy.exc import SQLAlchemyError

from compliance.api.problems import CODES
from compliance.deployment import deployment
from compliance.errors import GateError
from compliance.registry.brake import brake_states
from compliance.registry.sources import breaker_state

LOOK = (Path(__file__).parent / "static" / "docs.css").read_text(encoding="utf-8")
STYLE = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PLAIN = "text/plain; charset=utf-8"
blueprint = Blueprint("service", __name__, description="The service itself", template_folder="templates")


@blueprint.get("/healthz")
@blueprint.response(200, {"type": "string"}, content_type="text/plain", description="The process is alive")
def healthz() -> Response:
    """Alive."""
    return Response("ok\n", content_type=PLAIN)


@blueprint.get("/readyz")
@blueprint.response(200, {"type": "string"}, content_type="text/plain", description="The service can answer")
@blueprint.alt_response(503, schema={"type": "string"}, content_type="text/plain", description="It cannot")
def readyz() -> Response:
    """Ready to check. Reasons are told to callers with METRICS_TOKEN only."""
    try:
        deployment().log.check_ready()
    except (GateError, SQLAlchemyError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}" if _operator() else "not ready"
        return Response(f"{reason}\n", 503, content_type=PLAIN)
    return Response("ok\n" + (_agency() + _brakes() if _operator() else ""), content_type=PLAIN)


def _agency() -> str:
    """How the agency fares; its silence never makes the gate unready, for the gate answers all the same."""
    state = breaker_state(deployment().gate.source)
    if not state or not state.since:
        return "agency: answering\n" if state else ""
    spared = "spared, asked again every 10 s" if state.open else "asked"
    return f"agency: not answering since {state.since:%Y-%m-%dT%H:%M:%SZ}, {state.failures} times, {spared}\n"


def _brakes() -> str:
    """Regions whose refusals wait for an officer: somebody should look."""
    with deployment().log.engine.connect() as connection:
        states = brake_states(connection)
    opened = (state for state in states.values() if state.opened)
    return "".join(f"refusals in {s.region} are held since {s.at:%Y-%m-%dT%H:%M:%SZ}: {s.reason}\n" for s in opened)


def _operator() -> bool:
    expected, given = deployment().settings.metrics_token, request.headers.get("Authorization", "")
    return bool(expected) and hmac.compare_digest(given.encode(), f"Bearer {expected}".encode())


@blueprint.get("/.well-known/jwks.json")
@blueprint.response(200, {"type": "object"}, description="RFC 7517")
def jwks() -> Response:
    """The public keys that sign receipts."""
    text = json.dumps(deployment().log.keyring.jwks())
    return Response(text, content_type="application/json", headers={"Cache-Control": "public, max-age=300"})


@blueprint.get("/api/v1/openapi.json")
@blueprint.response(200, {"type": "object"}, description="OpenAPI 3.1")
def openapi() -> Response:
    """This description."""
    return Response(_spec_text(current_app.extensions["compliance-spec"]), content_type="application/json")


@lru_cache(maxsize=8)
def _spec_text(spec: Any) -> str:
    return json.dumps(spec.to_dict(), ensure_ascii=False)


@blueprint.get("/api/docs")
@blueprint.response(200, {"type": "string"}, content_type="text/html", description="For people")
def docs() -> Response:
    """The description as a page that loads nothing from elsewhere."""
    spec = current_app.extensions["compliance-spec"].to_dict()
    page = render_template("api/docs.html", spec=spec, codes=CODES, resolve=lambda ref: ref.rsplit("/", 1)[-1])
    return Response(page, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": STYLE})


@blueprint.get("/api/docs.css")
@blueprint.response(200, {"type": "string"}, content_type="text/css", description="The page's look")
def docs_css() -> Response:
    """The stylesheet of the page."""
    return Response(LOOK, content_type="text/css; charset=utf-8", headers={"Cache-Control": "public, max-age=3600"})
