"""Permit types, their everyday names, what a rule looks at; and the public page of what a permit will need."""

from datetime import date
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from flask import render_template, request
from flask.typing import ResponseReturnValue

from compliance.deployment import deployment
from compliance.law.facts import Application, Programme, Scale
from compliance.law.law import GateRule, Law
from compliance.law.loading import Entry
from compliance.web import fields
from compliance.web.fields import FORM
from compliance.web.pages import _, pages
from compliance.web.visitors import allow, me

NAMES: dict[str, str] = FORM["permits"]


@pages.app_template_global("permit_name")
def name(permit_type: str) -> str:
    return _(NAMES[permit_type]) if permit_type in NAMES else permit_type


@pages.app_template_global()
def my_regions() -> dict[str, str]:
    return {code: region_name(code) for code in me().regions}


@pages.app_template_global()
def region_name(code: str) -> str:
    known = deployment().policy.regions.get(code)
    return known.name if known else code


def law(region: str, day: date | None = None) -> Law:
    """The law of a region, today if no day is said."""
    return deployment().policy.on(day or today(region), region)


def offered(region: str) -> list[tuple[str, str]]:
    """Permit types for the first page: those with a rule here, then the well-known others; code and name."""
    gated = {permit_type for permit_type, _stage in law(region).gates}
    codes = sorted({*gated, *NAMES}, key=lambda code: (code not in gated, [*NAMES, code].index(code)))
    return [(code, name(code)) for code in codes]


def rule(region: str, permit_type: str, day: date | None = None, scale: Scale | None = None) -> GateRule | None:
    """The region's rule for new permits of a type, if one is switched on."""
    found = law(region, day)
    return found.gate(Application(permit_type, region, day or found.since, scale=scale))


@pages.route("/syarat")
@allow()
def needs() -> ResponseReturnValue:
    """What will be asked and what is owed, before anybody applies; nothing of it is kept."""
    regions, given = deployment().policy.regions, request.args
    region = given["daerah"] if given.get("daerah") in regions else deployment().settings.region or next(iter(regions))
    scale = Scale(given["skala"]) if given.get("skala") in list(Scale) else None
    permit_type = given.get("izin", "").strip().upper()[:200]
    told: dict[str, Any] = {}
    if permit_type and scale:
        found, here = rule(region, permit_type, scale=scale), law(region)
        owed = here.entries["programmes", (scale,)]
        added = found.programmes if found else ()
        told = {"rule": found, "law": here, "asked": fields.needed(found.grounds if found else ()), "basis": owed.basis}
        told["today"] = today(region)
        told["owed"] = [one for one in Programme if one in {*owed.data["owed"], *added}]
        told["later"] = [e for e, _before in coming(region) if e.kind == "gate" and e.key[0] == permit_type]
    chosen = {"region": region, "permit_type": permit_type, "scale": scale, "regions": regions}
    return render_template("pages/needs.html", offered=offered(region), told=told, **chosen)


def today(region: str) -> date:
    return deployment().policy.today(region, deployment().clock())


def zone(region: str) -> ZoneInfo:
    return deployment().policy.region(region).zone


def coming(region: str) -> list[tuple[Entry, Entry | None]]:
    """Entries that begin later, by day, each with the one that it takes the place of; new and renewal as one."""
    policy, now = deployment().policy, today(region)
    own, found = policy.region(region).groups, []
    national = (group for about, group in policy.national.items() if about not in own)
    for group in chain(own.values(), national):
        found += [(entry, before) for before, entry in zip([None, *group], group, strict=False) if entry.since > now]
    once = {(entry.where, entry.key[:1]): (entry, before) for entry, before in found}
    return sorted(once.values(), key=lambda change: (change[0].since, change[0].kind, change[0].key))
