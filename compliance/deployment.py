"""What one running gate is made of. `create_app` fills it; api, web and the commands take what they need."""

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from cryptography.fernet import Fernet
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

    def box(self, purpose: str) -> Fernet:
        """What seals values of one purpose, with a key that is made of SECRET_KEY and kept nowhere."""
        key = hmac.digest(self.settings.secret_key.encode(), purpose.encode(), "sha256")
        return Fernet(base64.urlsafe_b64encode(key))


def deployment() -> Deployment:
    """The running gate of the current application context."""
    return cast(Deployment, current_app.extensions["compliance"])
