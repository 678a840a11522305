"""Days and regions as people read them; pages of the law in force and to come, and of the agency's state."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import render_template, request
from flask_babel import format_date, format_datetime

from compliance.access.users import Role
from compliance.audit.table import check_record
from compliance.database import db
from compliance.deployment import deployment
from compliance.law.facts import Application, Programme, Scale
from compliance.law.law import GateRule, Law
from compliance.law.loading import Entry
from compliance.registry import snapshot, sources, watchers
from compliance.web import CHANGERS, Reply, fields, language, me, page, web

ZONES = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}
YEAR = dt.timedelta(days=365)


@web.app_template_filter()
def day(value: dt.date | str | None) -> str:
    """20 November 2026."""
    value = dt.date.fromisoformat(value) if value and isinstance(value, str) else value
    return str(format_date(value, "d MMMM y")) if value else ""


@web.app_template_filter()
def moment(value: dt.datetime | str | None, region: str) -> str:
    """20 November 2026 pukul 16.00 WITA: an aware moment in the region's zone, with the zone's name."""
    if not value:
        return ""
    known = deployment().policy.regions.get(region or deployment().settings.region)
    zone = known.zone if known else ZoneInfo("Asia/Makassar")
    at = (dt.datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(zone)
    pattern = "d MMMM y 'pukul' HH.mm" if language() == "id" else "d MMMM y 'at' HH:mm"
    return f"{format_datetime(at, pattern, rebase=False)} {ZONES.get(zone.key, zone.key)}"


@web.app_template_global()
def region_name(code: str) -> str:
    known = deployment().policy.regions.get(code)
    return known.name if known else code


@web.app_template_global()
def my_regions() -> dict[str, str]:
    return {code: region_name(code) for code in me().regions}


def today(region: str) -> dt.date:
    return deployment().policy.today(region, deployment().clock())


def law_of(region: str, as_at: dt.date | None = None) -> Law:
    """The law of a region, today if no day is said."""
    return deployment().policy.on(as_at or today(region), region)


def rule(region: str, permit_type: str, as_at: dt.date | None = None, scale: Scale | None = None) -> GateRule | None:
    """The region's rule for new permits of a type, if one is switched on."""
    found = law_of(region, as_at)
    return found.gate(Application(permit_type, region, as_at or found.since, scale=scale))


def offered(region: str) -> dict[str, str]:
    """Permit types to choose from, code and name: those with a rule here, then the well-known others."""
    known = list(fields.FORM["choices"]["permit_type"])
    gated = {permit_type for permit_type, _stage in law_of(region).gates}
    codes = sorted({*gated, *known}, key=lambda code: (code not in gated, [*known, code].index(code)))
    return {code: fields.word("permit_type", code) for code in codes}


def coming(region: str) -> list[tuple[Entry, Entry | None]]:
    """Entries that begin later, by day, each with the one that it takes the place of; new and renewal as one."""
    policy, now = deployment().policy, today(region)
    once: dict[Any, tuple[Entry, Entry | None]] = {}
    for group in (policy.national | policy.region(region).groups).values():
        for before, entry in zip([None, *group], group, strict=False):
            if entry.since > now:
                once[entry.where, entry.key[:1]] = (entry, before)
    return sorted(once.values(), key=lambda change: (change[0].since, change[0].kind, change[0].key))


@page("/syarat")
def needs() -> Reply:
    """What will be asked and what is owed, before anybody applies; nothing of it is kept."""
    regions, given, told = deployment().policy.regions, request.args, dict[str, Any]()
    region = given["daerah"] if given.get("daerah") in regions else deployment().settings.region or next(iter(regions))
    scale = Scale(given["skala"]) if given.get("skala") in list(Scale) else None
    permit_type = given.get("izin", "").strip().upper()[:200]
    if permit_type and scale:
        found, law = rule(region, permit_type, scale=scale), law_of(region)
        owed = law.entries["programmes", (scale,)]
        codes = {*owed.data["owed"], *(found.programmes if found else ())}
        later = [entry for entry, _before in coming(region) if (entry.kind, entry.key[:1]) == ("gate", (permit_type,))]
        told = {"rule": found, "law": law, "asked": fields.needed(found.grounds if found else ()), "basis": owed.basis}
        told |= {"today": today(region), "owed": [one for one in Programme if one in codes], "later": later}
    chosen = {"region": region, "permit_type": permit_type, "scale": scale, "regions": regions}
    return render_template("pages/needs.html", offered=offered(region), told=told, **chosen)


@page("/aturan", *CHANGERS)
def law() -> Reply:
    """What a region's law says today, and every change of it that is known already."""
    policy, regions = deployment().policy, me().regions
    region = request.args["daerah"] if request.args.get("daerah") in regions else regions[0]
    now = today(region)
    told = {"today": now, "law": law_of(region), "coming": coming(region), "unlooked": policy.unlooked(now - YEAR)}
    years = {year: policy.calendar.years.get(year) for year in (now.year, now.year + 1)}
    return render_template("pages/law.html", region=region, years=years, **told)


@page("/bpjs", Role.ADMINISTRATOR)
def agency() -> Reply:
    """How the agency answers."""
    gate, mine, gaps, c = deployment().gate, me().regions, watchers.OUTAGES, check_record.c
    with db.engine.connect() as connection:
        seen: dict[str, Any] = {
            "outages": connection.execute(sa.select(gaps).order_by(gaps.c.since.desc()).limit(10)).all(),
            "answered": connection.scalar(sa.select(sa.func.max(c.received_at)).where(c.region.in_(mine))),
            "brakes": watchers.brake_states(connection),
            "imports": [row for row in snapshot.current_imports(connection) if row.region in ("", *mine)],
        }
    seen |= {"sentinels": deployment().settings.registry_sentinels, "breaker": sources.breaker_state(gate.source)}
    return render_template("pages/agency.html", gate=gate, zone=mine[0], **seen)
