"""Which entries of the registry become which tables (that room does not know the log), and which become work."""

from collections.abc import Mapping

from sqlalchemy import Engine

from compliance import work as work
from compliance.audit.log import AuditLog
from compliance.audit.projection import projects
from compliance.batches import run as run
from compliance.casework import watch as watch
from compliance.delivery import oss as oss
from compliance.delivery import outbox as outbox
from compliance.registry import brake, imports, outages, snapshot
from compliance.registry.port import Source

projects("registry.imported", into=(snapshot.IMPORTS,))(imports.record_import)
projects("registry.outage_began", "registry.outage_ended", into=(outages.OUTAGES,))(outages.record_outage)
projects("registry.brake_opened", "registry.brake_closed", into=(brake.BRAKES,))(brake.record_brake)
projects("check", into=(outages.FAILURES,))(outages.record_failure)
projects("check", into=(brake.SIGHTINGS,))(brake.record_sighting)


def watchers(
    engine: Engine, log: AuditLog, source: Source, known: Mapping[str, str]
) -> tuple[outages.Outages, brake.Brake]:
    """What the gate tells of the agency's answers."""
    return outages.Outages(engine, log), brake.Brake(engine, log, source, known)
