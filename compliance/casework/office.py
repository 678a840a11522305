"""What the office decided, as the gate and the API read it; implements the gate's `Office`."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Engine, Row, select

from compliance.casework.acts import Act, same_business
from compliance.casework.table import ACT
from compliance.deployment import Deployment
from compliance.law.facts import Effect, Identity, OfficerDecision, Sanction, Undertaking


class CaseOffice:
    """Reads accepted acts, newest first: of several on the same thing the newest stands."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sanctions(self, region: str, identity: Identity) -> tuple[Sanction, ...]:
        """The region's letters on this employer, oldest first; of several liftings the first day counts."""
        letters = self._accepted(region, (Act.IMPOSE,), same_business(identity.nib, identity.npp, identity.npwp))
        if not letters:
            return ()
        lifted: dict[str, date] = {}
        for row in self._accepted(region, (Act.LIFT,), ACT.c.about.in_([letter.id for letter in letters])):
            day = date.fromisoformat(row.said["dated"])
            lifted[row.about] = min(day, lifted.get(row.about, day))
        said = [(row.id, row.said["letter"], date.fromisoformat(row.said["dated"])) for row in letters[::-1]]
        return tuple(Sanction(region, number, dated, lifted.get(key)) for key, number, dated in said)

    def undertakings(self, region: str, reference: str, permit_type: str) -> tuple[Undertaking, ...]:
        """What was promised; a later promise about a finding takes the place of an earlier one."""
        found, seen = [], set[str]()
        about = (ACT.c.reference == reference, ACT.c.permit_type == permit_type)
        for row in self._accepted(region, (Act.UNDERTAKE,), *about):
            if codes := tuple(code for code in row.said["codes"] if code not in seen):
                found.append(Undertaking(codes, date.fromisoformat(row.said["until"])))
            seen |= set(codes)
        return tuple(found)

    def decision(self, region: str, reference: str, permit_type: str) -> OfficerDecision | None:
        """The newest; its ground is the act that made it, whose words stay in its entry (they may be personal)."""
        if not (row := self.decided(region, reference, permit_type)):
            return None
        said = row.said
        ground, until = f"{row.act} {row.id}", date.fromisoformat(said["until"])
        return OfficerDecision(Effect(said["effect"]), tuple(said["codes"]), ground, until)

    def decided(self, region: str, reference: str, permit_type: str) -> Row[Any] | None:
        about = (ACT.c.reference == reference, ACT.c.permit_type == permit_type)
        return next(iter(self._accepted(region, (Act.VERIFY, Act.OVERRIDE), *about)), None)

    def _accepted(self, region: str, kinds: tuple[Act, ...], *conditions: Any) -> list[Row[Any]]:
        held = (ACT.c.region == region, ACT.c.act.in_(kinds), ACT.c.state == "accepted")
        with self._engine.connect() as connection:
            return list(connection.execute(select(ACT).where(*held, *conditions).order_by(ACT.c.position.desc())))


def decision_shown(here: Deployment, region: str, reference: str, permit_type: str) -> dict[str, Any] | None:
    """The decision that stands on an application, as the API tells it (contract §2)."""
    row = CaseOffice(here.log.engine).decided(region, reference, permit_type)
    if row is None or (entry := here.log.entry(f"{row.id}.decided")) is None:
        return None
    told = {"effect": row.said["effect"], "ground": entry.disclosed.get("ground") or row.act, "by_role": "supervisor"}
    return told | {"at": entry.body["at"], "until": row.said["until"], "entry": entry.position}
