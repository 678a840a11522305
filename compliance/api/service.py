"""What everybody may ask of the service itself: alive, ready, its keys, its description."""

import hmac
import json
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from flask import Response, current_app, render_template, request
from flask_smorest import Blueprint
from sqlalchemy.exc import SQLAlchemyError

from compliance import work
from compliance.api.problems import CODES
from compliance.deployment import deployment
from compliance.errors import GateError
from compliance.registry.watchers import brake_states
from compliance.registry.sources import breaker_state

STYLE = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
LATE = timedelta(minutes=15)
blueprint = Blueprint("service", __name__, description="The service itself", template_folder="templates")


def _said(kind: str, text: str) -> dict[str, Any]:
    return {"schema": {"type": "string"}, "content_type": kind, "description": text}


@blueprint.get("/healthz")
@blueprint.response(200, **_said("text/plain", "The process is alive"))
def healthz() -> Response:
    """Alive."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@blueprint.response(200, **_said("text/plain", "The service can answer"))
@blueprint.alt_response(503, **_said("text/plain", "It cannot"))
def readyz() -> Response:
    """Ready to check. Reasons are told to callers with METRICS_TOKEN only."""
    expected, given = deployment().settings.metrics_token, request.headers.get("Authorization", "")
    operator = bool(expected) and hmac.compare_digest(given.encode(), f"Bearer {expected}".encode())
    try:
        deployment().log.check_ready()
    except (GateError, SQLAlchemyError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}" if operator else "not ready"
        return Response(f"{reason}\n", 503, mimetype="text/plain")
    return Response("ok\n" + (_reasons() if operator else ""), mimetype="text/plain")


def _reasons() -> str:
    """How the agency fares (its silence never makes the gate unready); regions whose refusals wait for an officer."""
    state, agency = breaker_state(deployment().gate.source), ""
    if state and state.since:
        spared = "spared, asked again every 10 s" if state.open else "asked"
        agency = f"agency: not answering since {state.since:%Y-%m-%dT%H:%M:%SZ}, {state.failures} times, {spared}\n"
    elif state:
        agency = "agency: answering\n"
    with deployment().log.engine.connect() as connection:
        if (late := work.late_by(connection, deployment().clock())) > LATE:
            agency += f"work: nothing was done for {late // timedelta(minutes=1)} minutes; is flask work running?\n"
        brakes = [brake for brake in brake_states(connection).values() if brake.opened]
    return agency + "".join(
        f"refusals in {brake.region} are held since {brake.at:%Y-%m-%dT%H:%M:%SZ}: {brake.reason}\n" for brake in brakes
    )


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


@cache
def _spec_text(spec: Any) -> str:
    return json.dumps(spec.to_dict(), ensure_ascii=False)


@blueprint.get("/api/docs")
@blueprint.response(200, **_said("text/html", "For people"))
def docs() -> Response:
    """The description as a page that loads nothing from elsewhere."""
    spec = current_app.extensions["compliance-spec"].to_dict()
    page = render_template("api/docs.html", spec=spec, codes=CODES, resolve=lambda ref: ref.rsplit("/", 1)[-1])
    return Response(page, mimetype="text/html", headers={"Content-Security-Policy": STYLE})


@blueprint.get("/api/docs.css")
@blueprint.response(200, **_said("text/css", "The page's look"))
def docs_css() -> Response:
    """The stylesheet of the page."""
    look = (Path(__file__).parent / "static" / "docs.css").read_text(encoding="utf-8")
    return Response(look, mimetype="text/css", headers={"Cache-Control": "public, max-age=3600"})
