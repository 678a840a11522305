"""Indonesian by default, English by a switch; days and moments as they are written in each."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from flask import request, session
from flask_babel import format_date, format_datetime, get_locale

from compliance.deployment import deployment
from compliance.web.pages import pages

LANGUAGES = {"id": "Bahasa Indonesia", "en": "English"}
ZONES = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}


def chosen() -> str:
    """The language of this request: `?bahasa=` (kept for the session), else the session's, else Indonesian."""
    if (asked := request.args.get("bahasa")) in LANGUAGES:
        session["language"] = asked
    language = session.get("language")
    return language if language in LANGUAGES else "id"


def current() -> str:
    return str(get_locale())


@pages.app_template_filter()
def day(value: date | str | None) -> str:
    """20 November 2026."""
    if not value:
        return ""
    return str(format_date(date.fromisoformat(value) if isinstance(value, str) else value, "d MMMM y"))


@pages.app_template_filter()
def moment(value: datetime | str | None, region: str) -> str:
    """20 November 2026 pukul 16.00 WITA: an aware moment in the region's zone, with the zone's name."""
    if not value:
        return ""
    known = deployment().policy.regions.get(region or deployment().settings.region)
    zone = known.zone if known else ZoneInfo("Asia/Makassar")
    at = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(zone)
    pattern = "d MMMM y 'pukul' HH.mm" if current() == "id" else "d MMMM y 'at' HH:mm"
    return f"{format_datetime(at, pattern, rebase=False)} {ZONES.get(zone.key, zone.key)}"
