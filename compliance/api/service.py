"""What everybody may ask: is the service alive and ready, its keys, its description, and of its log heads, tiles and
proofs, which are public hashes; entries are for auditors alone."""

import hmac
from datetime import timedelta
from typing import Any

from flask import current_app, g, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from compliance import work
from compliance.access.clients import Scope
from compliance.api.caller import CODES, Problem, by_key, enter
from compliance.audit import witnesses
from compliance.deployment import deployment
from compliance.errors import GateError
from compliance.proof import export
from compliance.proof.note import b64
from compliance.registry.sources import breaker_state
from compliance.registry.watchers import brake_states

LATE = timedelta(minutes=15)


def readyz() -> Any:
    """Ready to check. Reasons are told to callers with METRICS_TOKEN only."""
    expected, given = deployment().settings.metrics_token, request.headers.get("Authorization", "")
    operator = bool(expected) and hmac.compare_digest(given.encode(), f"Bearer {expected}".encode())
    try:
        deployment().log.check_ready()
    except (GateError, SQLAlchemyError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}\n" if operator else "not ready\n", 503, {}
    return "ok\n" + (_reasons() if operator else "")


def _reasons() -> str:
    """How the agency fares (its silence never makes the gate unready); regions whose refusals wait for an officer."""
    state, told = breaker_state(deployment().gate.source), ""
    if state and state.since:
        spared = "spared, asked again every 10 s" if state.open else "asked"
        told = f"agency: not answering since {state.since:%Y-%m-%dT%H:%M:%SZ}, {state.failures} times, {spared}\n"
    elif state:
        told = "agency: answering\n"
    with deployment().log.engine.connect() as connection:
        if (late := work.late_by(connection, deployment().clock())) > LATE:
            told += f"work: nothing was done for {late // timedelta(minutes=1)} minutes; is flask work running?\n"
        for brake in brake_states(connection).values():
            if brake.opened:
                told += f"refusals in {brake.region} are held since {brake.at:%Y-%m-%dT%H:%M:%SZ}: {brake.reason}\n"
    return told


def jwks() -> dict[str, Any]:
    """The public keys that sign receipts."""
    return deployment().log.keyring.jwks()


def openapi() -> Any:
    """This description."""
    return current_app.extensions["compliance-spec"]


def docs() -> Any:
    """The description as a page that loads nothing from elsewhere."""
    told = {"spec": current_app.extensions["compliance-spec"], "codes": CODES}
    return render_template("api/docs.html", resolve=lambda ref: ref.rsplit("/", 1)[-1], **told)


def checkpoint() -> str:
    """The newest head, signed now."""
    return deployment().log.checkpoint()


def witnessed() -> str:
    """The newest head that was published, with the cosignatures of its witnesses."""
    if (note := witnesses.published(deployment().log)) is None:
        raise Problem(404, "no head was published yet")
    return note


def keys() -> str:
    """The public keys that sign now, then those that signed before."""
    keyring = deployment().log.keyring
    return "".join(f"{key}\n" for key in [*keyring.keys, *keyring.retired])


def consistency(old: int, new: int) -> dict[str, Any]:
    """The proof that the log of `new` entries begins with that of `old`."""
    return {"proof": [b64(step) for step in deployment().log.consistency(old, new)]}


def inclusion(index: int, size: int) -> dict[str, Any]:
    """The proof that entry `index` is among the first `size` entries."""
    return {"proof": [b64(step) for step in deployment().log.inclusion(index, size)]}


def tile(name: str) -> Any:
    """A tile `<L>/<N>[.p/<W>]` of hashes; `entries/<N>[.p/<W>]`, the entries themselves, needs scope `audit`."""
    log = deployment().log
    level, index, width = export.read_path(f"tile/{name}")
    if isinstance(level, int):
        return log.tile(level, index, width)
    enter(by_key(), Scope.AUDIT)
    data = log.bundle(index, width)
    look = {"what": f"tile/{name}", "client": g.client.id}
    log.append("access.entries_read", look, entry_id=str(ULID()), private={}, at=deployment().clock())
    return data, 200, {"Cache-Control": "private, no-store"}
