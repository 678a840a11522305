"""The log for auditors and witnesses: heads, tiles and proofs are public hashes; entries are for auditors alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from flask import Response, g
from flask_smorest import Blueprint
from ulid import ULID

from compliance.access.clients import Scope
from compliance.api.caller import allow, by_key, enter
from compliance.api.problems import Problem
from compliance.audit import witnesses
from compliance.deployment import deployment
from compliance.errors import LogBroken
from compliance.proof import tiles
from compliance.proof.note import b64

PLAIN, BYTES = "text/plain; charset=utf-8", "application/octet-stream"
PAGE = Path(tiles.__file__).parent / "receipt.html"
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
blueprint = Blueprint("log", __name__, url_prefix="/api/v1/log", description="The append-only log (C2SP tlog-tiles)")


@blueprint.get("/checkpoint")
@blueprint.response(200, {"type": "string"}, content_type="text/plain", description="A signed note")
def checkpoint() -> Response:
    """The newest head, signed now."""
    return Response(deployment().log.checkpoint(), content_type=PLAIN)


@blueprint.get("/witnessed")
@blueprint.response(200, {"type": "string"}, content_type="text/plain", description="A signed note")
@blueprint.alt_response(404, description="No head was published yet")
def witnessed() -> Response:
    """The newest head that was published, with the cosignatures of its witnesses."""
    note = witnesses.published(deployment().log)
    if note is None:
        raise Problem(404, "no head was published yet")
    return Response(note, content_type=PLAIN)


@blueprint.get("/keys")
@blueprint.response(200, {"type": "string"}, content_type="text/plain", description="One public key a line")
def keys() -> Response:
    """The public keys that sign now, then those that signed before."""
    keyring = deployment().log.keyring
    return Response("".join(f"{key}\n" for key in [*keyring.keys, *keyring.retired]), content_type=PLAIN)


@blueprint.get("/consistency/<int(max=9007199254740991):old>/<int(max=9007199254740991):new>")
@blueprint.response(200, {"type": "object"}, description="Hashes in RFC 6962's order")
@blueprint.alt_response(404, description="The log does not reach so far")
def consistency(old: int, new: int) -> Response:
    """The proof that the log of `new` entries begins with that of `old`."""
    try:
        return _hashes(deployment().log.consistency(old, new))
    except LogBroken as error:
        raise Problem(404, str(error)) from error


@blueprint.get("/inclusion/<int(max=9007199254740991):index>/<int(max=9007199254740991):size>")
@blueprint.response(200, {"type": "object"}, description="Hashes in RFC 6962's order")
@blueprint.alt_response(404, description="The log does not reach so far")
def inclusion(index: int, size: int) -> Response:
    """The proof that entry `index` is among the first `size` entries."""
    try:
        return _hashes(deployment().log.inclusion(index, size))
    except LogBroken as error:
        raise Problem(404, str(error)) from error


@blueprint.get("/receipt.html")
@blueprint.response(200, {"type": "string"}, content_type="text/html", description="A page to keep")
def receipt_page() -> Response:
    """A page that verifies receipts offline; it loads nothing and sends nothing."""
    headers = {"Content-Disposition": "attachment; filename=bukti-receipt.html", "Cache-Control": "max-age=3600"}
    return Response(PAGE.read_bytes(), content_type="text/html; charset=utf-8", headers=headers)


def _hashes(proof: Sequence[bytes]) -> Response:
    return Response(json.dumps({"proof": [b64(step) for step in proof]}), content_type="application/json")


@blueprint.get("/tile/<path:name>")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type=BYTES, description="Hashes, or entries")
@blueprint.alt_response(404, description="There is no such tile, or not yet")
def tile(name: str) -> Response:
    """A tile `<L>/<N>[.p/<W>]` of hashes; `entries/<N>[.p/<W>]`, the entries themselves, needs scope `audit`."""
    log = deployment().log
    try:
        level, index, width = tiles.parse(f"tile/{name}")
        if isinstance(level, int):
            return Response(log.tile(level, index, width), content_type=BYTES, headers=FOR_EVER)
        allow(enter(by_key()), Scope.AUDIT)
        data = log.bundle(index, width)
    except LogBroken as error:
        raise Problem(404, str(error)) from error
    look = {"what": f"tile/{name}", "client": g.caller.client.id}
    log.append("access.entries_read", look, entry_id=str(ULID()), private={}, at=deployment().clock())
    return Response(data, content_type=BYTES, headers={"Cache-Control": "private, no-store"})
