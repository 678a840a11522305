"""The permit types that a region's clerk is offered, their everyday names, and what a rule looks at."""

from __future__ import annotations

from datetime import date

from compliance.deployment import deployment
from compliance.law.facts import Application
from compliance.law.law import GateRule, Law
from compliance.web.fields import FORM
from compliance.web.pages import _, pages

NAMES: dict[str, str] = FORM["permits"]


@pages.app_template_global("permit_name")
def name(permit_type: str) -> str:
    return _(NAMES[permit_type]) if permit_type in NAMES else permit_type


@pages.app_template_global()
def region_name(code: str) -> str:
    known = deployment().policy.regions.get(code)
    return known.name if known else code


def law(region: str, day: date | None = None) -> Law:
    """The law of a region, today if no day is said."""
    gate = deployment()
    return gate.policy.on(day or gate.policy.today(region, gate.clock()), region)


def offered(region: str) -> list[tuple[str, str]]:
    """Permit types for the first page: those with a rule here, then the well-known others; code and name."""
    gated = {permit_type for permit_type, _stage in law(region).gates}
    codes = sorted({*gated, *NAMES}, key=lambda code: (code not in gated, [*NAMES, code].index(code)))
    return [(code, name(code)) for code in codes]


def rule(region: str, permit_type: str, day: date | None = None) -> GateRule | None:
    """The region's rule for new permits of a type, if one is switched on."""
    found = law(region, day)
    return found.gate(Application(permit_type, region, day or found.since))
