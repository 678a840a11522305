"""Indonesian by default, English by a switch; numbers, days and moments as they are written in each."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from flask import Flask, request, session
from flask_babel import Babel, get_locale, gettext

LANGUAGES = {"id": "Bahasa Indonesia", "en": "English"}
ZONES = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}
FOLDER = Path(__file__).with_name("translations")


def register(app: Flask) -> None:
    Babel(app, default_locale="id", default_translation_directories=str(FOLDER), locale_selector=chosen)
    app.jinja_env.filters.update(day=day, moment=moment, number=number)
    app.context_processor(lambda: {"language": current()})


def _(text: str, **named: Any) -> str:
    """The text in the reader's language; the Indonesian original is its name in the catalogue."""
    return str(gettext(text, **named))


def chosen() -> str:
    """The language of this request: `?bahasa=` (kept for the session), else the session's, else Indonesian."""
    asked = request.args.get("bahasa")
    if asked in LANGUAGES:
        session["language"] = asked
    language = session.get("language")
    return language if language in LANGUAGES else "id"


def current() -> str:
    return str(get_locale() or "id")


def day(value: date | str | None) -> str:
    """20 November 2026."""
    if not value:
        return ""
    return format_date(date.fromisoformat(value) if isinstance(value, str) else value, "d MMMM y", locale=current())


def moment(value: datetime | str | None, zone: str = "Asia/Jakarta") -> str:
    """20 November 2026 pukul 16.00 WITA: an aware moment in the region's zone, with the zone's name."""
    if not value:
        return ""
    at = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(ZoneInfo(zone))
    pattern = "d MMMM y 'pukul' HH.mm" if current() == "id" else "d MMMM y 'at' HH:mm"
    return f"{format_datetime(at, pattern, locale=current())} {ZONES.get(zone, zone)}"


def number(value: Any) -> str:
    """1.234 in Indonesian, 1,234 in English."""
    return str(format_decimal(value, locale=current()))
