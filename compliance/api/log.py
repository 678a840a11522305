"""The log for auditors and witnesses: heads, tiles and proofs are public hashes; entries are for auditors alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Response, g
from flask_smorest import Blueprint
from ulid import ULID

from compliance.access.clients import Scope
from compliance.api.caller import allow, by_key, enter
from compliance.api.problems import Problem
from compliance.audit import witnesses
from compliance.deployment import deployment
from compliance.errors import LogBroken
from compliance.proof import export
from compliance.proof.note import b64

PLAIN, BYTES, HTML, JSON = "text/plain; charset=utf-8", "application/octet-stream", "text/html", "application/json"
PAGE = Path(export.__file__).parent / "receipt.html"
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
BETWEEN = "<int(max=9007199254740991):{}>/<int(max=9007199254740991):{}>"
blueprint = Blueprint("log", __name__, url_prefix="/api/v1/log", description="The append-only log (C2SP tlog-tiles)")


def public(rule: str, kind: str, what: str) -> Callable[[Any], Any]:
    """A path that needs no key; what the log does not hold is 404."""
    schema = {"type": "object"} if kind == JSON else {"type": "string"}

    def add(view: Any) -> Any:
        view = blueprint.response(200, schema, content_type=kind.partition(";")[0], description=what)(view)
        return blueprint.get(rule)(blueprint.alt_response(404, description="Not in the log, or not yet")(view))

    return add


@public("/checkpoint", PLAIN, "A signed note")
def checkpoint() -> Response:
    """The newest head, signed now."""
    return Response(deployment().log.checkpoint(), content_type=PLAIN)


@public("/witnessed", PLAIN, "A signed note")
def witnessed() -> Response:
    """The newest head that was published, with the cosignatures of its witnesses."""
    note = witnesses.published(deployment().log)
    if note is None:
        raise Problem(404, "no head was published yet")
    return Response(note, content_type=PLAIN)


@public("/keys", PLAIN, "One public key a line")
def keys() -> Response:
    """The public keys that sign now, then those that signed before."""
    keyring = deployment().log.keyring
    return Response("".join(f"{key}\n" for key in [*keyring.keys, *keyring.retired]), content_type=PLAIN)


@public(f"/consistency/{BETWEEN.format('old', 'new')}", JSON, "Hashes in RFC 6962's order")
def consistency(old: int, new: int) -> Response:
    """The proof that the log of `new` entries begins with that of `old`."""
    return _hashes(deployment().log.consistency, old, new)


@public(f"/inclusion/{BETWEEN.format('index', 'size')}", JSON, "Hashes in RFC 6962's order")
def inclusion(index: int, size: int) -> Response:
    """The proof that entry `index` is among the first `size` entries."""
    return _hashes(deployment().log.inclusion, index, size)


def _hashes(prove: Callable[[int, int], Any], *numbers: int) -> Response:
    try:
        return Response(json.dumps({"proof": [b64(step) for step in prove(*numbers)]}), content_type=JSON)
    except LogBroken as error:
        raise Problem(404, str(error)) from error


@public("/receipt.html", HTML, "A page to keep")
def receipt_page() -> Response:
    """A page that verifies receipts offline; it loads nothing and sends nothing."""
    headers = {"Content-Disposition": "attachment; filename=bukti-receipt.html", "Cache-Control": "max-age=3600"}
    return Response(PAGE.read_bytes(), content_type=f"{HTML}; charset=utf-8", headers=headers)


@public("/tile/<path:name>", BYTES, "Hashes, or entries")
def tile(name: str) -> Response:
    """A tile `<L>/<N>[.p/<W>]` of hashes; `entries/<N>[.p/<W>]`, the entries themselves, needs scope `audit`."""
    log = deployment().log
    try:
        level, index, width = export.read_path(f"tile/{name}")
        if isinstance(level, int):
            return Response(log.tile(level, index, width), content_type=BYTES, headers=FOR_EVER)
        allow(enter(by_key()), Scope.AUDIT)
        data = log.bundle(index, width)
    except LogBroken as error:
        raise Problem(404, str(error)) from error
    look = {"what": f"tile/{name}", "client": g.caller.client.id}
    log.append("access.entries_read", look, entry_id=str(ULID()), private={}, at=deployment().clock())
    return Response(data, content_type=BYTES, headers={"Cache-Control": "private, no-store"})
