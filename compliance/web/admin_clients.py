"""Administrators' pages of the software that may ask: keys, until when, from where. All in the log."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from compliance.access.clients import Client, Clients
from compliance.access.users import Role
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError
from compliance.web import desk
from compliance.web.fields import Field
from compliance.web.pages import _, pages
from compliance.web.visitors import allow, me

SOON = timedelta(days=14)
OVERLAPS = {"0": 0, "24": 24, "168": 168, "720": 720}  # hours that the old keys still hold beside a new one


def _clients() -> Clients:
    return Clients(deployment().log, deployment().clock)


def _mine() -> list[Client]:
    """Those that ask for no other region than the administrator's, the newest first."""
    return [client for client in _clients().all()[::-1] if set(client.regions) <= set(me().regions)]


@pages.app_template_global("client_state")
def state(client: Client) -> str:
    """revoked, expired, soon (to expire), or alive."""
    now, ends = deployment().clock(), client.expires_at
    if client.revoked_at or not client.alive(now):
        return "revoked" if client.revoked_at else "expired"
    return "soon" if ends and ends - now < SOON else "alive"


def _end(text: str, region: str) -> datetime | None:
    """The end of the day that was typed, in the region's zone. Raises BadInput for a day that is past, or none."""
    running = deployment()
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        day = date.min
    if day and not running.policy.today(region, running.clock()) <= day < date.max:
        raise BadInput(FieldError("/expires", "must be a day that is not past"))
    zone = running.policy.region(region).zone
    return datetime.combine(day + timedelta(days=1), time(), zone) if day else None


def _key(client: Client, key: str) -> str:
    back = ("web.client", {"client_id": client.id})
    return render_template("pages/secret.html", what="key", secret=key, about=client.name, back=back)


@pages.route("/aplikasi", methods=["GET", "POST"])
@allow(Role.ADMINISTRATOR)
def clients() -> ResponseReturnValue:
    def show(boxes: list[Field], others: list[str]) -> str:
        return render_template("pages/clients.html", boxes=boxes, others=others, clients=_mine())

    def add(typed: dict[str, str]) -> str:
        regions, scopes = typed["regions"].split(), typed["scopes"].split()
        if not set(regions) <= set(me().regions):
            raise BadInput(FieldError("/regions", "must be among yours"))
        ends, addresses = _end(typed["expires"], me().regions[0]), typed["addresses"].split()
        made = _clients().create(typed["name"], regions, scopes, by=me().id, expires_at=ends, addresses=addresses)
        return _key(*made)

    return desk.run("client", show, add)


@pages.route("/aplikasi/<client_id>", methods=["GET", "POST"])
@allow(Role.ADMINISTRATOR)
def client(client_id: str) -> ResponseReturnValue:
    known = next((one for one in _mine() if one.id == client_id), None) or abort(404)
    region, by = known.regions[0], me().id
    if request.method == "POST" and known.revoked_at:
        abort(403)

    def show(boxes: list[Field], others: list[str]) -> str:
        told = {"client": known, "keys": _clients().keys(known), "region": region, "overlaps": OVERLAPS}
        return render_template("pages/client.html", boxes=boxes, others=others, **told)

    def act(typed: dict[str, str]) -> ResponseReturnValue:
        asked = request.form.get("act")
        if asked == "revoke":
            _clients().revoke(known, by)
            return desk.done(_("Aplikasi dicabut; kuncinya tidak berlaku lagi."), "client", client_id=known.id)
        if asked == "rotate":
            hours = OVERLAPS.get(request.form.get("hours", ""))
            return abort(400) if hours is None else _key(known, _clients().rotate(known, by, timedelta(hours=hours)))
        _clients().limit(known, by, _end(typed["expires"], region), typed["addresses"].split())
        return desk.done(_("Perubahan disimpan dan langsung berlaku."), "client", client_id=known.id)

    zone = deployment().policy.region(region).zone
    ends = (known.expires_at - timedelta(seconds=1)).astimezone(zone).date().isoformat() if known.expires_at else ""
    return desk.run("limits", show, act, {"expires": ends, "addresses": " ".join(known.addresses)})
