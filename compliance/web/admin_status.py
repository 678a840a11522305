"""How the agency answers, and the law in force and to come; for administrators, the law for supervisors too."""

from datetime import timedelta
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from compliance.access.users import Role
from compliance.audit.table import check_record
from compliance.database import db
from compliance.deployment import deployment
from compliance.registry.brake import brake_states
from compliance.registry.outages import OUTAGES
from compliance.registry.snapshot import current_imports
from compliance.registry.sources import breaker_state
from compliance.web import permits
from compliance.web.pages import pages
from compliance.web.visitors import allow, me

YEAR = timedelta(days=365)


@pages.route("/bpjs")
@allow(Role.ADMINISTRATOR)
def agency() -> ResponseReturnValue:
    running, mine = deployment(), me().regions
    gate, c = running.gate, check_record.c
    with db.engine.connect() as connection:
        outages = connection.execute(select(OUTAGES).order_by(OUTAGES.c.since.desc()).limit(10)).all()
        answered = connection.scalar(select(func.max(c.received_at)).where(c.region.in_(mine)))
        brakes = {region: found for region, found in brake_states(connection).items() if region in mine}
        imports = [row for row in current_imports(connection) if row.region in ("", *mine)]
    seen = {"outages": outages, "answered": answered, "brakes": brakes, "imports": imports, "zone": mine[0]}
    sentinels, breaker = running.settings.registry_sentinels, breaker_state(gate.source)
    return render_template("pages/agency.html", gate=gate, sentinels=sentinels, breaker=breaker, **seen)


@pages.route("/aturan")
@allow(Role.ADMINISTRATOR, Role.SUPERVISOR)
def law() -> ResponseReturnValue:
    """What a region's law says today, and every change of it that is known already."""
    running, regions = deployment(), me().regions
    region = request.args.get("daerah", regions[0])
    region = region if region in regions else regions[0]
    today, calendar = permits.today(region), running.policy.calendar
    years = {year: calendar.years.get(year) for year in (today.year, today.year + 1)}
    told: dict[str, Any] = {"unlooked": running.policy.unlooked(today - YEAR), "coming": permits.coming(region)}
    return render_template("pages/law.html", region=region, law=permits.law(region), today=today, years=years, **told)
