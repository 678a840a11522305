"""OSS signs its calls with SHA1(username + password + NIB + day). The office keeps user and password per client.

The password must be readable to compute that, so it is kept sealed with a key made from SECRET_KEY, never in the log.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from cryptography.fernet import Fernet
from ulid import ULID

from compliance.access.clients import Client, Clients
from compliance.database import db
from compliance.errors import BadInput, FieldError
from compliance.gate import Log

JAKARTA = ZoneInfo("Asia/Jakarta")
OSS = sa.Table(  # the user and sealed password that OSS has for calls to a client's office
    "access_client_oss",
    db.metadata,
    sa.Column("client_id", sa.String(26), primary_key=True),
    sa.Column("username", sa.String(200), nullable=False),
    sa.Column("sealed_password", sa.Text, nullable=False),
)


class OssCallers:
    """Knows which client a call of OSS belongs to."""

    def __init__(self, log: Log, clock: Callable[[], datetime], secret: bytes) -> None:
        self._log, self._clock = log, clock
        self._box = Fernet(base64.urlsafe_b64encode(hmac.digest(secret, b"oss-password", "sha256")))

    def keep(self, client: Client, username: str, password: str, by: str) -> None:
        """Set or replace a client's OSS user. Raises BadInput, LogUnavailable."""
        if not 1 <= len(username) <= 200 or not 1 <= len(password) <= 200:
            raise BadInput(FieldError("/username", "user and password must have 1 to 200 characters each"))
        body = {"client": client.id, "by": by}
        self._log.append("access.client_oss_user_set", body, entry_id=str(ULID()), private={}, at=self._clock())
        sealed = self._box.encrypt(password.encode()).decode()
        db.session.execute(sa.delete(OSS).where(OSS.c.client_id == client.id))
        db.session.execute(sa.insert(OSS).values(client_id=client.id, username=username, sealed_password=sealed))
        db.session.commit()

    def authenticate(self, token: str, nib: str) -> Client | None:
        """The living client whose user, password and today's day (in Jakarta) make this token for this NIB."""
        now = self._clock()
        given, day, found = token.strip().lower().encode(), f"{now.astimezone(JAKARTA):%Y%m%d}", None
        for row in db.session.execute(sa.select(OSS)):
            password = self._box.decrypt(row.sealed_password.encode()).decode()
            expected = hashlib.sha1(f"{row.username}{password}{nib}{day}".encode(), usedforsecurity=False)
            if hmac.compare_digest(expected.hexdigest().encode(), given):
                found = row.client_id
        client = Clients(self._log, self._clock).get(found) if found else None
        return client if client and client.alive(now) else None
