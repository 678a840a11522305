"""Which entries of the registry become which tables (that room does not know the log), and which become work."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine

from compliance import work as work
from compliance.audit.log import AuditLog
from compliance.audit.projection import projects
from compliance.registry.brake import BRAKES, SIGHTINGS, Brake, record_brake, record_sighting
from compliance.registry.imports import record_import
from compliance.registry.outages import FAILURES, OUTAGES, Outages, record_failure, record_outage
from compliance.registry.port import Source
from compliance.registry.snapshot import IMPORTS

projects("registry.imported", into=(IMPORTS,))(record_import)
projects("registry.outage_began", "registry.outage_ended", into=(OUTAGES,))(record_outage)
projects("registry.brake_opened", "registry.brake_closed", into=(BRAKES,))(record_brake)
projects("check", into=(FAILURES,))(record_failure)
projects("check", into=(SIGHTINGS,))(record_sighting)


def watchers(engine: Engine, log: AuditLog, source: Source, sentinels: Mapping[str, str]) -> tuple[Outages, Brake]:
    """What the gate tells of the agency's answers."""
    return Outages(engine, log), Brake(engine, log, source, sentinels)
