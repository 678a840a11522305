"""The one blueprint of the pages, with its own templates and a stylesheet that browsers may keep."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, url_for

YEAR = 365 * 86400


class Pages(Blueprint):
    """Static files carry their hash in the address, so they may be kept for a year."""

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        return YEAR


pages = Pages("web", __name__, template_folder="templates", static_folder="static", static_url_path="/static")


@cache
def version(name: str) -> str:
    """The beginning of a static file's hash."""
    return hashlib.sha256((Path(__file__).with_name("static") / name).read_bytes()).hexdigest()[:12]


def address(name: str) -> str:
    """Where a static file is; another content is another address."""
    return url_for("web.static", filename=name, v=version(name))
