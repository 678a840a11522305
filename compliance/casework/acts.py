"""What one officer proposes and a second one decides (each act is an entry of the log), and what stands of it."""

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from compliance import work
from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import put, table
from compliance.deployment import Deployment
from compliance.errors import BadInput, FieldError, NotAllowed
from compliance.gate import Standing
from compliance.law import identifiers
from compliance.law.codec import moment
from compliance.law.facts import Application, Effect, Fact, Identity, OfficerDecision, Sanction, Undertaking

Act = StrEnum("Act", "VERIFY UNDERTAKE OVERRIDE CORRECT IMPOSE LIFT RECALL GRANT")
ABOUT_CHECKS = (Act.VERIFY, Act.UNDERTAKE, Act.OVERRIDE, Act.CORRECT, Act.GRANT)
TOLD = tomllib.loads(Path(__file__).with_name("acts.toml").read_text(encoding="utf-8"))
PRIVATE = ("ground", "name", "npwp")  # free text, and what may belong to a person
ACT = table(  # a projection; `state` is proposed, accepted, refused, granted or ended; `position` of the last entry
    "casework_act",
    "id:26! position:pos+ act:12 state:10 region:5 reference:64? permit_type:200? check_id:128? about:26?+ nib:13?+",
    "npp:20? taxpayer:16? said:json by:26 at:moment decided_by:26? decided_at:moment?",
    sa.Index("ix_casework_act_region_reference", "region", "reference"),
    sa.Index("ix_casework_act_region_act", "region", "act", "state"),
)
ITEM = table(  # what somebody must see to: recalled, overdue, lapsed, sanction, expiring (on `day`), erased
    "casework_item",
    "id:200! act_id:26+ kind:12 region:5+ check_id:128 day:day? position:pos at:moment",
    "handled_by:26? handled_at:moment?",
)


class Person(Fact):  # who acts. `role` is clerk or supervisor; others may do nothing here
    id: str
    name: str
    role: str
    regions: tuple[str, ...]


def acts(here: Deployment, regions: tuple[str, ...], *conditions: Any, most: int = 200) -> list[sa.Row[Any]]:
    """Acts of these regions as their projection shows them, newest first."""
    found = sa.select(ACT).where(ACT.c.region.in_(regions), *conditions).order_by(ACT.c.position.desc()).limit(most)
    return list(here.log.rows(found))


def find(here: Deployment, act_id: str, regions: tuple[str, ...] | None = None) -> sa.Row[Any]:
    """One act, of any region if none is said. Raises NotAllowed when there is none."""
    for act in acts(here, tuple(here.policy.regions) if regions is None else regions, ACT.c.id == act_id):
        return act
    raise NotAllowed("there is no such act")


def slot(here: Deployment, region: str, day: date, key: str) -> datetime:
    """A moment of that day in the region, for each key its own, so that not all is asked at once."""
    return datetime.combine(day, time(), here.policy.region(region).zone) + work.spread(key, 86_400)


def next_look(here: Deployment, region: str, days: int | None = None) -> date:
    """Today in the region and so many days; by itself the next day of the watch's rhythm (a month if there is none)."""
    today = here.policy.today(region, here.clock())
    rhythm = here.policy.on(today, region).values.get("watch_days") or 30
    return today + timedelta(days=rhythm if days is None else days)


def possible(here: Deployment, check_id: str) -> dict[Act, tuple[str, ...]]:
    """What may be done about a check, each with the findings that it may name; nothing once it is replaced."""
    record, entry = here.log.check(check_id), here.log.entry(check_id)
    if record is None or entry is None or record.superseded_by:
        return {}
    decision, found = entry.body["decision"], dict[Act, tuple[str, ...]]()
    values = here.policy.on(next_look(here, record.region, 0), record.region).values
    for act, told in TOLD["act"].items():
        codes = []
        for finding in decision["findings"]:
            if "restates" in told and finding["code"] == "OFFICER_DECISION":
                codes += finding["facts"]["codes"]
            elif finding["effect"] in told.get("effects", ()) and finding["code"] != "UNDERTAKING_OVERDUE":
                codes.append(finding["code"])
        if codes and ("allowed_by" not in told or values.get(told["allowed_by"])):
            found[Act(act)] = tuple(dict.fromkeys(codes))
    if "evidence" in entry.body["facts"] and decision["verdict"] != "UNDETERMINED":
        found[Act.CORRECT] = ()
    same = (ACT.c.reference == record.reference, ACT.c.permit_type == record.permit_type, ACT.c.state == "granted")
    if decision["action"] == "PROCEED" and not acts(here, (record.region,), *same):
        found[Act.GRANT] = ()
    return found


def _must(holds: object, why: str) -> None:
    if not holds:
        raise NotAllowed(why)


def propose(here: Deployment, person: Person, act: Act, stated: Mapping[str, Any], about: str = "") -> str:
    """Record what an officer asks for, `codes` as a list; returns its id. `about`: a check's id, of LIFT the letter's.
    A GRANT takes effect at once; the same proposal twice is one. Raises BadInput, NotAllowed, LogUnavailable."""
    _must(person.role in ("clerk", "supervisor"), "only clerks and supervisors do casework")
    body: dict[str, Any] = {"region": stated.get("region") or next(iter(person.regions), "")}
    offered: tuple[str, ...] | None = ()
    if act in ABOUT_CHECKS:
        offered, record, entry = possible(here, about).get(act), here.log.check(about), here.log.entry(about)
        _must(offered is not None, "this is not possible for this check, or not allowed in this region")
        body = {name: getattr(record, name) for name in ("region", "reference", "permit_type")} | {"check": about}
        body |= {"business": entry.body["business"]} if entry and act is Act.GRANT else {}
    elif act is Act.LIFT:
        letter = find(here, about)
        _must((letter.act, letter.state) == (Act.IMPOSE, "accepted"), "only a letter in the register can be lifted")
        body = {"region": letter.region, "about": about}
    _must(body["region"] in person.regions, "this region is not yours")
    said = _read(here, act, body["region"], stated, offered or ())
    same = (ACT.c.act == act, ACT.c.state == "proposed", (ACT.c.check_id == about) | (ACT.c.about == about))
    for waiting in acts(here, (body["region"],), *same) if about else ():
        _must(waiting.by == person.id, "a colleague has proposed this already: it must be decided first")
        return str(waiting.id)
    body |= {"proposal": (name := str(ULID())), "act": act, "by": person.id, "proposed_at": moment(here.clock())}
    body |= {"said": {field: value for field, value in said.items() if field not in PRIVATE}}
    if act in (Act.UNDERTAKE, Act.GRANT):
        kept = date.fromisoformat(said["until"]) + timedelta(days=1) if act is Act.UNDERTAKE else None
        body["due_at"] = moment(slot(here, body["region"], kept or next_look(here, body["region"]), name))
    private = {field: said[field] for field in PRIVATE if field in said} | {"by_name": person.name}
    kind = "officer.granted" if act is Act.GRANT else "officer.proposed"
    return here.log.append(kind, body, entry_id=name, private=private).id


def _read(
    here: Deployment, act: Act, region: str, stated: Mapping[str, Any], offered: tuple[str, ...]
) -> dict[str, Any]:
    """What was stated, as texts in canonical form. Raises BadInput naming every wrong field."""
    told, today, wrong = TOLD["act"][act], next_look(here, region, 0), list[str]()
    said: dict[str, Any] = {"effect": "NOTE"} if act is Act.OVERRIDE else {}
    most = told.get("days") or here.policy.on(today, region).values.get(told.get("allowed_by"), 0)
    for field in told["fields"].split():
        name, good = field.rstrip("?"), False
        rule, given = TOLD["field"].get(name, TOLD["field"]["text"]), stated.get(name) or ""
        text = given.strip() if isinstance(given, str) else " ".join(sorted({*given}))
        if "until_today" in rule:
            first, last = (date.min, today) if rule["until_today"] else (today, today + timedelta(days=most))
            with suppress(ValueError):
                good = len(text) == 10 and first <= date.fromisoformat(text) <= last
        else:
            good = {*text.split()} <= {*offered} if name == "codes" else bool(re.fullmatch(rule["pattern"], text))
        said |= {name: getattr(text, rule.get("fold", "strip"))()} if text else {}
        wrong += [] if (good if text else field.endswith("?")) else [name]
    if ("to" in said and "since" not in said) or said.get("to", "") < said.get("since", ""):
        wrong.append("to")
    if "one_of" in told and not said.keys() & {*told["one_of"].split()}:
        wrong.append(told["one_of"].split()[0])
    if wrong:
        rules = {name: TOLD["field"].get(name, TOLD["field"]["text"]) for name in wrong}
        raise BadInput(*(FieldError(f"/{name}", rule["wrong"]) for name, rule in rules.items()))
    forms: dict[str, Any] = {"npwp": identifiers.npwp, "codes": str.split}
    return said | {name: form(said[name]) for name, form in forms.items() if name in said}


def settle(here: Deployment, person: Person, act_id: str, word: str, reason: str = "") -> None:
    """A supervisor's word on somebody else's proposal (accepted, refused), or the end of a watch (ended). Of two words
    at the same moment the first one stands. Raises NotAllowed, BadInput, LogUnavailable."""
    row, ends = find(here, act_id, person.regions), word == "ended"
    entry: Any = here.log.entry(act_id)
    _must(entry and row.state == ("granted" if ends else "proposed"), "this is already decided")
    _must(ends or person.role == "supervisor", "only a supervisor decides")
    _must(ends or person.id != row.by, "nobody decides on a proposal of his own: a second person must")
    if word == "accepted":
        codes = possible(here, row.check_id).get(row.act) if row.act in ABOUT_CHECKS else ()
        in_time = row.said.get("until", "9999") >= next_look(here, row.region, 0).isoformat()
        stands = codes is not None and in_time and {*row.said.get("codes", ())} <= {*codes}
        _must(stands, "the check was replaced, the last day has passed or the policy changed: propose it anew")
    if not ends and not re.fullmatch(TOLD["field"]["ground"]["pattern"], reason.strip()):
        raise BadInput(FieldError("/reason", TOLD["field"]["ground"]["wrong"]))
    name, kind = f"{act_id}.decided", f"officer.{word}"
    body = {field: value for field, value in entry.body.items() if field not in ("id", "kind", "at", "sd")}
    private = {**entry.disclosed, "decided_by_name": person.name, "reason": reason.strip()}
    here.log.append(kind, body | {"decided_by": person.id}, entry_id=name, private=private)
    first = here.log.entry(name)
    _must(first and (first.kind, first.body["decided_by"]) == (kind, person.id), "this is already decided")


def handle(here: Deployment, person: Person, item_id: str) -> None:
    """Somebody has seen to an item of the work list. Raises NotAllowed."""
    mine = sa.select(ITEM.c.region).where(ITEM.c.id == item_id, ITEM.c.region.in_(person.regions))
    found = here.log.rows(mine)
    _must(found, "there is no such item")
    body = {"item": item_id, "region": found[0].region, "by": person.id}
    here.log.append("officer.handled", body, private={"by_name": person.name})


@projects(*(f"officer.{state}" for state in ("proposed", "accepted", "refused", "granted", "ended")), into=(ACT,))
def record_act(connection: sa.Connection, entry: Entry) -> None:
    """Every entry about an act says all there is; the last one counts. `taxpayer`: what branches share of the NPWP."""
    body, business = entry.body, entry.body.get("business", entry.body["said"])
    npwp = business.get("npwp") or entry.disclosed.get("npwp")
    names = ("act", "region", "reference", "permit_type", "about", "said", "by", "decided_by")
    row = {name: body.get(name) for name in names} | {name: business.get(name) for name in ("nib", "npp")}
    row |= {"position": entry.position, "state": entry.kind.removeprefix("officer."), "check_id": body.get("check")}
    row |= {"taxpayer": npwp and npwp[:13], "at": datetime.fromisoformat(body["proposed_at"])}
    row["decided_at"] = entry.at if "decided_by" in body else None
    put(connection, ACT, row | {"id": body["proposal"]}, newest="position")


_is = {name: ACT.c[name] == sa.bindparam(name) for name in ("region", "reference", "permit_type")}
_employer = (ACT.c[name] == sa.bindparam(name) for name in ("nib", "npp", "taxpayer"))
_told = sa.select(ACT.c.id, ACT.c.act, ACT.c.about, ACT.c.said)
_ACCEPTED = _told.where(_is["region"], ACT.c.state == "accepted").order_by(ACT.c.position.desc())
_STANDING = _ACCEPTED.where(sa.or_(sa.and_(_is["reference"], _is["permit_type"]), *_employer))
_LIFTED = _ACCEPTED.where(ACT.c.about.in_(sa.bindparam("letters", expanding=True)))


class CaseOffice:
    """Reads accepted acts, newest first: of several on the same thing the newest stands."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def standing(self, application: Application, reference: str, identity: Identity) -> Standing:
        """All that stands about an application and its employer, in one statement where nothing was lifted."""
        region, day, promised, seen = application.region, date.fromisoformat, list[Undertaking](), set[str]()
        about = {"region": region, "reference": reference, "permit_type": application.permit_type}
        employer = {"nib": identity.nib, "npp": identity.npp, "taxpayer": identity.npwp and identity.npwp[:13]}
        with self._engine.connect() as connection:
            rows = connection.execute(_STANDING, about | employer).all()
            letters = [row for row in reversed(rows) if row.act == Act.IMPOSE]
            known = {"region": region, "letters": [letter.id for letter in letters]}
            liftings = connection.execute(_LIFTED, known).all() if letters else []
        liftings = sorted(liftings, key=lambda row: row.said["dated"], reverse=True)
        lifted = {row.about: day(row.said["dated"]) for row in liftings}  # of several liftings the first day counts
        sanctions = [
            Sanction(region, row.said["letter"], day(row.said["dated"]), lifted.get(row.id)) for row in letters
        ]
        for said in (row.said for row in rows if row.act == Act.UNDERTAKE):
            if codes := tuple(code for code in said["codes"] if code not in seen):  # a later promise came before
                promised.append(Undertaking(codes, day(said["until"])))
            seen |= set(codes)
        for row in (row for row in rows if row.act in (Act.VERIFY, Act.OVERRIDE)):
            effect, codes = Effect(row.said["effect"]), tuple(row.said["codes"])
            ground = f"{row.act} {row.id}"  # its words stay in its entry (they may be personal)
            decision = OfficerDecision(effect, codes, ground, day(row.said["until"]))
            return Standing(tuple(sanctions), tuple(promised), decision)
        return Standing(tuple(sanctions), tuple(promised))


def decision_shown(here: Deployment, region: str, reference: str, permit_type: str) -> dict[str, Any] | None:
    """The decision that stands on an application, as the API tells it (contract §2)."""
    same = (ACT.c.reference == reference, ACT.c.permit_type == permit_type, ACT.c.state == "accepted")
    for row in acts(here, (region,), *same, ACT.c.act.in_((Act.VERIFY, Act.OVERRIDE)), most=1):
        if entry := here.log.entry(f"{row.id}.decided"):
            told = {"effect": row.said["effect"], "ground": entry.disclosed.get("ground") or row.act}
            told |= {"by_role": "supervisor", "at": entry.body["at"], "until": row.said["until"]}
            return told | {"entry": entry.position}
    return None
