"""What everybody may ask: is the service alive and ready, its keys, its description, and of its log heads, tiles and
proofs, which are public hashes; entries are for auditors alone."""

import hmac
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import current_app, g, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from compliance import work
from compliance.access.clients import Scope
from compliance.api.caller import by_key, enter
from compliance.api.problems import CODES, HERE, Problem
from compliance.audit import witnesses
from compliance.deployment import deployment
from compliance.errors import GateError, LogBroken
from compliance.proof import export
from compliance.proof.note import b64
from compliance.registry.sources import breaker_state
from compliance.registry.watchers import brake_states

STYLE = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
LATE = timedelta(minutes=15)
PAGE = Path(export.__file__).parent / "receipt.html"


def healthz() -> str:
    """Alive."""
    return "ok\n"


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
    page = render_template("api/docs.html", resolve=lambda ref: ref.rsplit("/", 1)[-1], **told)
    return page, 200, {"Content-Security-Policy": STYLE}


def docs_css() -> str:
    """The stylesheet of the page."""
    return (HERE / "static" / "docs.css").read_text(encoding="utf-8")


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
    return _hashes(deployment().log.consistency, old, new)


def inclusion(index: int, size: int) -> dict[str, Any]:
    """The proof that entry `index` is among the first `size` entries."""
    return _hashes(deployment().log.inclusion, index, size)


def _hashes(prove: Callable[[int, int], Any], *numbers: int) -> dict[str, Any]:
    try:
        return {"proof": [b64(step) for step in prove(*numbers)]}
    except LogBroken as error:
        raise Problem(404, str(error)) from error


def receipt_page() -> Any:
    """A page that verifies receipts offline; it loads nothing and sends nothing."""
    return PAGE.read_bytes(), 200, {"Content-Disposition": "attachment; filename=bukti-receipt.html"}


def tile(name: str) -> Any:
    """A tile `<L>/<N>[.p/<W>]` of hashes; `entries/<N>[.p/<W>]`, the entries themselves, needs scope `audit`."""
    log = deployment().log
    try:
        level, index, width = export.read_path(f"tile/{name}")
        if isinstance(level, int):
            return log.tile(level, index, width)
        enter(by_key(), Scope.AUDIT)
        data = log.bundle(index, width)
    except LogBroken as error:
        raise Problem(404, str(error)) from error
    look = {"what": f"tile/{name}", "client": g.client.id}
    log.append("access.entries_read", look, entry_id=str(ULID()), private={}, at=deployment().clock())
    return data, 200, {"Cache-Control": "private, no-store"}
