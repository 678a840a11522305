"""What one running gate is made of. `create_app` fills it; api, web and the commands take what they need."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import current_app

from compliance.audit.log import AuditLog
from compliance.gate import Gate
from compliance.law.policy import Policy
from config import Settings


@dataclass(frozen=True, slots=True)
class Deployment:  # `clock` returns an aware moment in UTC; tests set it
    settings: Settings
    policy: Policy
    log: AuditLog
    gate: Gate
    clock: Callable[[], datetime]


def deployment() -> Deployment:
    """The running gate of the current application context."""
    return cast(Deployment, current_app.extensions["compliance"])
