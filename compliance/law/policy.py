"""The law in force on a day in a region (first form: signatures and the simple path)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from compliance.errors import LawNotInForce, UnknownRegion
from compliance.law.facts import Application, Contract, Facts, RuleStage


@dataclass(frozen=True, slots=True)
class Region:
    """A region that has a policy; `first_day` is the first day on which anything can be decided there."""

    code: str
    name: str
    zone: ZoneInfo
    first_day: date


@dataclass(frozen=True, slots=True)
class Law:
    """The law of one region in one period. `texts` holds all policy texts by SHA-256 (`sha256` names the list of them)."""

    region: str
    version: str
    sha256: str
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    snapshot_age: timedelta = timedelta(days=45)
    stored_answer_age: timedelta = timedelta(hours=168)
    key_order: tuple[str, ...] = ("nib", "npwp", "npp")

    def stage(self, application: Application) -> RuleStage:
        gated = application.permit_type in ("RESTORAN", "PERDAGANGAN", "INDUSTRI")
        return RuleStage.ENFORCE if gated else RuleStage.OFF

    def asks(self, facts: Facts) -> bool:
        """Whether the agency must be asked to judge these facts."""
        return self.stage(facts.application) is not RuleStage.OFF

    def contract_in_force(self, application: Application) -> Contract | None:
        """The construction contract whose project must be looked at, if any."""
        return None


@dataclass(frozen=True)
class Policy:
    """All law that this deployment knows."""

    regions: Mapping[str, Region]

    @classmethod
    def load(cls, extra: Path | None = None) -> Policy:
        """Read the shipped law and the regional files of `extra`. Raises BadPolicy naming file, place and rule."""
        zone = ZoneInfo("Asia/Makassar")
        regions = {
            "73.09": Region("73.09", "Kabupaten Maros", zone, date(2022, 1, 1)),
            "73.08": Region("73.08", "Kabupaten Bone", zone, date(2014, 12, 1)),
            "76.05": Region("76.05", "Kabupaten Majene", zone, date(2022, 1, 1)),
        }
        return cls(regions)

    def on(self, day: date, region: str) -> Law:
        """The law in force. Raises UnknownRegion, and LawNotInForce for a day before it began."""
        known = self._region(region)
        if day < known.first_day:
            raise LawNotInForce(f"the policy of {region}", day, known.first_day)
        return Law(region, "draft", "0" * 64)

    def today(self, region: str, now: datetime) -> date:
        """The day in the region's zone. Raises UnknownRegion."""
        return now.astimezone(self._region(region).zone).date()

    def _region(self, code: str) -> Region:
        if code not in self.regions:
            raise UnknownRegion(code, tuple(sorted(self.regions)))
        return self.regions[code]
