"""Which entries of the registry become which tables (that room does not know the log), and which become work."""

from compliance import work as work
from compliance.audit.projection import projects
from compliance.batches import run as run
from compliance.casework import watch as watch
from compliance.delivery import outbox as outbox
from compliance.registry import snapshot, watchers

projects("registry.imported", into=(snapshot.IMPORTS,))(snapshot.record_import)
projects("registry.outage_began", "registry.outage_ended", into=(watchers.OUTAGES,))(watchers.record_outage)
projects("registry.brake_opened", "registry.brake_closed", into=(watchers.BRAKES,))(watchers.record_brake)
projects("check", into=(watchers.FAILURES, watchers.SIGHTINGS))(watchers.record_answer)
