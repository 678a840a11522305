"""Reads a JSON body: bounded, strictly JSON, no key twice, no NaN, no deep nesting."""

import hashlib
import json
from typing import Any, NamedTuple, NoReturn

from flask import g, request
from werkzeug.wsgi import get_input_stream

from compliance.api.problems import Problem

LIMIT = CHUNK = 64 * 1024
LEVELS = 20
DRAINED = 32 * 1024 * 1024  # a too large body is read on to here, so that the caller gets its answer


class Body(NamedTuple):
    """What came. `raw` is cut at the limit; `sha256` is None when the body did not end within the drained size."""

    raw: bytes
    length: int
    sha256: str | None


def read_json(limit: int = LIMIT) -> Any:
    """The request's JSON document. Raises Problem 415, 413 or 400."""
    if request.mimetype != "application/json":
        raise Problem(415, f"the body's type is {request.mimetype or 'none'}; send Content-Type: application/json")
    body = seen(limit)
    if body.length > limit:
        raise Problem(413, f"the body is larger than {limit // 1024} KiB")
    try:
        value = json.loads(body.raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse)
        if body.raw.count(b"{") + body.raw.count(b"[") > LEVELS and _deeper(value, LEVELS):
            raise RecursionError
    except UnicodeDecodeError as error:
        raise Problem(400, f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise Problem(400, f"the body has more than {LEVELS} levels") from error
    except ValueError as error:
        raise Problem(400, f"the body is not JSON: {error}") from error
    return value


def seen(limit: int = LIMIT) -> Body:
    """The body as it came, read once; at most `limit` bytes of it are kept."""
    if "body" not in g:
        stream = get_input_stream(request.environ)
        kept, length, digest = bytearray(), 0, hashlib.sha256()
        while length <= DRAINED and (chunk := stream.read(CHUNK)):
            length += len(chunk)
            digest.update(chunk)
            kept += chunk[: max(0, limit - len(kept))]
        g.body = Body(bytes(kept), length, None if length > DRAINED else digest.hexdigest())
    body: Body = g.body
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)
