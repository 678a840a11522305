"""What the office decided, as the gate and the API read it; implements the gate's `Office`."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from compliance.casework.acts import ACT, Act, acts
from compliance.deployment import Deployment
from compliance.gate import Standing
from compliance.law.facts import Application, Effect, Identity, OfficerDecision, Sanction, Undertaking

_is = {name: ACT.c[name] == sa.bindparam(name) for name in ("region", "reference", "permit_type")}
_employer = (ACT.c[name] == sa.bindparam(name) for name in ("nib", "npp", "taxpayer"))
_ACCEPTED = sa.select(ACT).where(_is["region"], ACT.c.state == "accepted").order_by(ACT.c.position.desc())
_STANDING = _ACCEPTED.where(sa.or_(sa.and_(_is["reference"], _is["permit_type"]), *_employer))
_LIFTED = _ACCEPTED.where(ACT.c.about.in_(sa.bindparam("letters", expanding=True)))


class CaseOffice:
    """Reads accepted acts, newest first: of several on the same thing the newest stands."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def standing(self, application: Application, reference: str, identity: Identity) -> Standing:
        """All that stands about an application and its employer, in one statement where nothing was lifted."""
        about = {"region": application.region, "reference": reference, "permit_type": application.permit_type}
        numbers = {"nib": identity.nib, "npp": identity.npp}
        numbers["taxpayer"] = identity.npwp and identity.npwp[:13]  # of 16 digits; branches share 13
        lifted, seen = dict[str, date](), set[str]()
        with self._engine.connect() as connection:
            rows = connection.execute(_STANDING, about | numbers).all()
            letters = [row for row in rows if row.act == Act.IMPOSE]
            known = {"region": application.region, "letters": [letter.id for letter in letters]}
            for row in connection.execute(_LIFTED, known) if letters else ():
                day = date.fromisoformat(row.said["dated"])
                lifted[row.about] = min(day, lifted.get(row.about, day))  # of several liftings the first day counts
        sanctions, undertakings, decision = [], list[Undertaking](), None
        for row in rows:
            said = row.said
            if row.act == Act.IMPOSE:
                dated = date.fromisoformat(said["dated"])
                sanctions.append(Sanction(application.region, said["letter"], dated, lifted.get(row.id)))
            elif row.act == Act.UNDERTAKE:  # a later promise about a finding takes the place of an earlier one
                if codes := tuple(code for code in said["codes"] if code not in seen):
                    undertakings.append(Undertaking(codes, date.fromisoformat(said["until"])))
                seen |= set(codes)
            elif row.act in (Act.VERIFY, Act.OVERRIDE) and not decision:
                ground = f"{row.act} {row.id}"  # its words stay in its entry (they may be personal)
                until = date.fromisoformat(said["until"])
                decision = OfficerDecision(Effect(said["effect"]), tuple(said["codes"]), ground, until)
        return Standing(tuple(sanctions[::-1]), tuple(undertakings), decision)


def decision_shown(here: Deployment, region: str, reference: str, permit_type: str) -> dict[str, Any] | None:
    """The decision that stands on an application, as the API tells it (contract §2)."""
    same = (ACT.c.reference == reference, ACT.c.permit_type == permit_type, ACT.c.state == "accepted")
    for row in acts(here, (region,), *same, ACT.c.act.in_((Act.VERIFY, Act.OVERRIDE)), most=1):
        if entry := here.log.entry(f"{row.id}.decided"):
            told = {"effect": row.said["effect"], "ground": entry.disclosed.get("ground") or row.act}
            told |= {"by_role": "supervisor", "at": entry.body["at"], "until": row.said["until"]}
            return told | {"entry": entry.position}
    return None
