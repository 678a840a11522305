"""What the office decided, as the gate and the API read it; implements the gate's `Office`."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, and_, bindparam, or_, select

from compliance.casework.acts import Act
from compliance.casework.table import ACT
from compliance.deployment import Deployment
from compliance.gate import Standing
from compliance.law.facts import Application, Effect, Identity, OfficerDecision, Sanction, Undertaking


def _is(*acts: Act) -> ColumnElement[bool]:
    return or_(*(ACT.c.act == one for one in acts))


_APPLICATION = and_(ACT.c.reference == bindparam("reference"), ACT.c.permit_type == bindparam("permit_type"))
_EMPLOYER = or_(*(ACT.c[name] == bindparam(name) for name in ("nib", "npp", "taxpayer")))
_ACCEPTED = select(ACT).where(ACT.c.region == bindparam("region"), ACT.c.state == "accepted")
_ACCEPTED = _ACCEPTED.order_by(ACT.c.position.desc())
_STANDING = _ACCEPTED.where(
    or_(and_(_is(Act.UNDERTAKE, Act.VERIFY, Act.OVERRIDE), _APPLICATION), and_(_is(Act.IMPOSE), _EMPLOYER))
)
_DECIDED = _ACCEPTED.where(_is(Act.VERIFY, Act.OVERRIDE), _APPLICATION).limit(1)
_LIFTED = _ACCEPTED.where(_is(Act.LIFT), ACT.c.about.in_(bindparam("letters", expanding=True)))


class CaseOffice:
    """Reads accepted acts, newest first: of several on the same thing the newest stands."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def standing(self, application: Application, reference: str, identity: Identity) -> Standing:
        """All that stands about an application and its employer, in one statement where nothing was lifted."""
        about = {"region": application.region, "reference": reference, "permit_type": application.permit_type}
        numbers = {"nib": identity.nib, "npp": identity.npp}
        numbers["taxpayer"] = identity.npwp and identity.npwp[:13]  # of 16 digits; branches share 13
        with self._engine.connect() as connection:
            rows = connection.execute(_STANDING, about | numbers).all()
            letters = [row for row in rows if row.act == Act.IMPOSE]
            lifted: dict[str, date] = {}
            known = {"region": application.region, "letters": [letter.id for letter in letters]}
            for row in connection.execute(_LIFTED, known) if letters else ():
                day = date.fromisoformat(row.said["dated"])
                lifted[row.about] = min(day, lifted.get(row.about, day))  # of several liftings the first day counts
        said = [(row.id, row.said["letter"], date.fromisoformat(row.said["dated"])) for row in letters[::-1]]
        sanctions = tuple(Sanction(application.region, number, dated, lifted.get(key)) for key, number, dated in said)
        decided = next((row for row in rows if row.act in (Act.VERIFY, Act.OVERRIDE)), None)
        return Standing(sanctions, _undertakings(rows), _decision(decided) if decided else None)

    def decided(self, region: str, reference: str, permit_type: str) -> Row[Any] | None:
        about = {"region": region, "reference": reference, "permit_type": permit_type}
        with self._engine.connect() as connection:
            return connection.execute(_DECIDED, about).one_or_none()


def _undertakings(rows: Sequence[Row[Any]]) -> tuple[Undertaking, ...]:
    """What was promised; a later promise about a finding takes the place of an earlier one."""
    found, seen = [], set[str]()
    for row in rows:
        codes = tuple(c for c in row.said["codes"] if c not in seen) if row.act == Act.UNDERTAKE else ()
        if codes:
            found.append(Undertaking(codes, date.fromisoformat(row.said["until"])))
        seen |= set(codes)
    return tuple(found)


def _decision(row: Row[Any]) -> OfficerDecision:
    """Its ground is the act that made it, whose words stay in its entry (they may be personal)."""
    said = row.said
    until = date.fromisoformat(said["until"])
    return OfficerDecision(Effect(said["effect"]), tuple(said["codes"]), f"{row.act} {row.id}", until)


def decision_shown(here: Deployment, region: str, reference: str, permit_type: str) -> dict[str, Any] | None:
    """The decision that stands on an application, as the API tells it (contract §2)."""
    row = CaseOffice(here.log.engine).decided(region, reference, permit_type)
    if row is None or (entry := here.log.entry(f"{row.id}.decided")) is None:
        return None
    told = {"effect": row.said["effect"], "ground": entry.disclosed.get("ground") or row.act, "by_role": "supervisor"}
    return told | {"at": entry.body["at"], "until": row.said["until"], "entry": entry.position}
