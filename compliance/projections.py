"""Which entries of the registry become which tables; the rooms themselves do not know the log."""

from __future__ import annotations

from compliance.audit.projection import projects
from compliance.registry.imports import record_import
from compliance.registry.snapshot import IMPORTS

projects("registry.imported", into=(IMPORTS,))(record_import)
