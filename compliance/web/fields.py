"""What people read and type: days, regions and their law in words; the forms of form.toml, named as pointers say."""

import datetime as dt
import re
import tomllib
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any
from zoneinfo import ZoneInfo

from flask import g, request
from flask_babel import format_date, format_datetime

from compliance.batches import reading
from compliance.errors import BadInput, FieldError
from compliance.law.facts import Application, Scale
from compliance.law.law import GateRule, Law
from compliance.law.loading import Entry
from compliance.web import HERE, _, here, language, me, ours, web

FORM = tomllib.loads((HERE / "form.toml").read_text(encoding="utf-8"))
STAND_FOR = {"business": "business.nib", "workforce": "workforce.declared", "project": "project.contract_date"}
Field = dict[str, Any]  # what form.toml says, with part, id and choices; on a page also value and error


def _field(part: str, told: Field) -> Field:
    choices = FORM["choices"].get(told["name"].rpartition(".")[2], {})
    return {"kind": "text", "part": part, "id": re.sub("[._]", "-", told["name"]), "choices": choices} | told


FIELDS = {told["name"]: _field(part["name"], told) for part in FORM["part"] for told in part["field"]}
FORMS = {name: [_field(name, told) for told in form] for name, form in FORM["form"].items()}


def must(**rules: tuple[object, str]) -> None:
    """Raise BadInput that names each field whose rule does not hold, with its words."""
    if wrong := [FieldError(f"/{name}", words) for name, (holds, words) in rules.items() if not holds]:
        raise BadInput(*wrong)


class Form(AbstractContextManager["Form"]):
    """A form on a page, `[[form.NAME]]`: `stated` before, `sent` now (nothing by a GET). `with` keeps a BadInput;
    after it `page` is what the template shows."""

    def __init__(self, name: str, stated: Mapping[str, str] | None = None) -> None:
        self.fields, self.page, is_sent = FORMS[name], dict[str, Any](), request.method == "POST"
        given = g.get("typed", request.form)  # what came without session or token is shown, not sent
        typed = {each["name"]: " ".join(given.getlist(each["name"])).strip() for each in self.fields}
        self.sent = typed if is_sent else {}
        self.typed = typed if is_sent or "typed" in g else stated or {}

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self.page = filled(self.fields, self.typed, error.errors if isinstance(error, BadInput) else ())
        return isinstance(error, BadInput)

    def fit(self, **more: tuple[object, str]) -> dict[str, str]:
        """What was sent, where each field follows its `rule`, regions are one's own, and more rules hold."""
        for field in self.fields if self.sent else ():
            text, rule = self.sent[field["name"]], field.get("rule")
            holds = ours(text.split()) if field["name"] == "regions" else not rule or re.fullmatch(rule, text)
            more.setdefault(field["name"], (holds and (not rule or text.isprintable()), field.get("wrong", "")))
        must(**more)
        return self.sent


def days(typed: Mapping[str, str], *names: str) -> dict[str, dt.date]:
    """The days in these fields. Raises BadInput naming each that is none."""
    found = dict[str, dt.date]()
    for name in names:
        with suppress(ValueError):
            found[name] = dt.date.fromisoformat(typed[name])
    must(**{name: (name in found, _("Tulis tanggal seperti 2026-11-20.")) for name in names})
    return found


def needed(rule: GateRule | None) -> list[Field]:
    """The fields of a check for a rule, in the order of the page."""
    grounds = rule.grounds if rule else ()
    return [field for field in FIELDS.values() if "needed_for" not in field or {*field["needed_for"]} & {*grounds}]


def read(typed: Mapping[str, str], asked: Collection[Field]) -> dict[str, Any]:
    """The document of a check (contract §2) from what was typed; spaces and dots inside numbers are people's way."""
    texts = {field["name"]: typed.get(field["name"], "").strip() for field in asked}
    numbers = {field["name"] for field in asked if field["kind"] in ("digits", "count")}
    texts |= {name: re.sub(r"[\s.]", "", texts[name]) for name in numbers}
    return reading.stated(list(texts), list(texts.values()))


def flat(document: Mapping[str, Any]) -> dict[str, str]:
    """The inverse of `read`: a check's document as typed into the fields."""
    typed: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            typed |= {f"{name}.{last}": text for last, text in flat(value).items()}
        elif value is not None:
            typed[name] = ("no", "yes")[value] if isinstance(value, bool) else str(value)
    return typed


def filled(asked: Collection[Field], typed: Mapping[str, str], errors: Collection[FieldError]) -> dict[str, Any]:
    """What a page shows of a form: `boxes`, every field with what was typed and the first thing that is wrong with it;
    `others`, what is wrong in none of them; and the errors."""
    names = [error.pointer.strip("/").replace("/", ".") for error in errors]
    placed = [(STAND_FOR.get(name, name), error) for name, error in zip(names, errors, strict=True)]
    first, known = {name: error.detail for name, error in reversed(placed)}, {field["name"] for field in asked}
    boxes = [field | {"value": typed.get(field["name"], ""), "error": first.get(field["name"], "")} for field in asked]
    strange = [error for name, error in placed if name not in known]
    others = [f"{error.pointer}: {error.detail}".removeprefix(": ") for error in strange]
    return {"boxes": boxes, "others": others, "errors": errors}


@web.app_template_global()
def word(about: str, code: str | None) -> str:
    """A code as people say it; other texts as they are."""
    choices = FORM["choices"].get(about, {})
    return _(choices[code]) if code in choices else code or ""


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
    zone = getattr(here.policy.regions.get(region or here.settings.region), "zone", ZoneInfo("Asia/Makassar"))
    at = (dt.datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(zone)
    pattern = "d MMMM y 'pukul' HH.mm" if language() == "id" else "d MMMM y 'at' HH:mm"
    return f"{format_datetime(at, pattern, rebase=False)} {at.tzname()}"


@web.app_template_global()
def region_name(code: str) -> str:
    return getattr(here.policy.regions.get(code), "name", code)


@web.app_template_global()
def my_regions() -> dict[str, str]:
    return {code: region_name(code) for code in me.regions}


def today(region: str) -> dt.date:
    return here.policy.today(region, here.clock())


def law_of(region: str, as_at: dt.date | None = None) -> Law:
    """The law of a region, today if no day is said."""
    return here.policy.on(as_at or today(region), region)


def rule(region: str, permit_type: str, as_at: dt.date | None = None, scale: Scale | None = None) -> GateRule | None:
    """The region's rule for new permits of a type, if one is switched on."""
    found = law_of(region, as_at)
    return found.gate(Application(permit_type, region, as_at or found.since, scale=scale))


def offered(region: str) -> dict[str, str]:
    """Permit types to choose from, code and name: those with a rule here, then the well-known others."""
    known, gated = FORM["choices"]["permit_type"], {permit_type for permit_type, _stage in law_of(region).gates}
    first = [*(code for code in known if code in gated), *sorted(gated - known.keys())]
    return {code: word("permit_type", code) for code in dict.fromkeys([*first, *known])}


def coming(region: str) -> list[tuple[Entry, Entry | None]]:
    """Entries that begin later, by day, each with the one that it takes the place of; new and renewal as one."""
    now, once = today(region), dict[Any, tuple[Entry, Entry | None]]()
    for group in (here.policy.national | here.policy.region(region).groups).values():
        for before, entry in zip([None, *group], group, strict=False):
            if entry.since > now:
                once[entry.where, entry.key[:1]] = (entry, before)
    return sorted(once.values(), key=lambda change: (change[0].since, change[0].kind, change[0].key))
