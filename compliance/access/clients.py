"""API clients: who they are, what their keys open, and the changes made to them.

A change is an entry of the log first; `access_client` is a projection of those entries. Keys and OSS passwords are in
tables of their own, which no entry holds. A key is shown once; of its 256 random bits only the SHA-256 is kept.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from ulid import ULID

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import Moment, db
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError
from compliance.gate import Log

PREFIX = "cg"


class Scope(StrEnum):
    CHECK = "check"
    READ = "read"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Client:
    """One piece of software that may ask. Its first region is the default of its questions.

    `addresses`: networks (CIDR) that it may call from; none: from anywhere.
    """

    id: str
    name: str
    regions: tuple[str, ...]
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    addresses: tuple[str, ...] = ()

    def alive(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may_call_from(self, address: str) -> bool:
        """An address that is none is let in only where any address is."""
        try:
            given = ip_address(address)
        except ValueError:
            return not self.addresses
        given = getattr(given, "ipv4_mapped", None) or given
        return not self.addresses or any(given in ip_network(network) for network in self.addresses)


CLIENT = sa.Table(  # projection of `access.client_*`; `position` is the log position of the last entry applied
    "access_client",
    db.metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("regions", sa.JSON, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("revoked_at", Moment),
    sa.Column("addresses", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("position", sa.BigInteger, nullable=False),
)
KEY = sa.Table(  # what proves a client; several during a rotation. `ends_at` None: as long as the client lives
    "access_client_key",
    db.metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("client_id", sa.String(26), nullable=False, index=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("ends_at", Moment),
)
BY_KEY = sa.select(CLIENT, KEY.c.digest, KEY.c.ends_at).where(
    KEY.c.client_id == CLIENT.c.id, KEY.c.id == sa.bindparam("key_id")
)


class Clients:
    """Look-ups and changes of clients. `by` is the id of the user or operator who makes the change."""

    def __init__(self, log: Log, clock: Callable[[], datetime]) -> None:
        self._log, self._clock = log, clock

    def authenticate(self, token: str) -> Client | None:
        """The client whose key this is, if the key and the client are alive now."""
        prefix, _, rest = token.partition(".")
        key_id, _, secret = rest.partition(".")
        if prefix != PREFIX or not key_id.isalnum() or not secret:
            return None
        with deployment().log.turns.reading.connect() as connection:
            row = connection.execute(BY_KEY, {"key_id": key_id}).one_or_none()
        if row is None or not hmac.compare_digest(row.digest, hashlib.sha256(secret.encode()).digest()):
            return None
        client, now = _client(row), self._clock()
        return client if client.alive(now) and (row.ends_at is None or now < row.ends_at) else None

    def get(self, client_id: str) -> Client | None:
        row = db.session.execute(sa.select(CLIENT).where(CLIENT.c.id == client_id)).one_or_none()
        return _client(row) if row else None

    def all(self) -> list[Client]:
        """Every client that ever was, oldest first."""
        return [_client(row) for row in db.session.execute(sa.select(CLIENT).order_by(CLIENT.c.id))]

    def create(
        self,
        name: str,
        regions: Iterable[str],
        scopes: Iterable[str],
        *,
        by: str,
        expires_at: datetime | None = None,
        addresses: Iterable[str] = (),
    ) -> tuple[Client, str]:
        """Add a client; the text is its key, which is never shown again. Raises BadInput, LogUnavailable."""
        name, regions, named = name.strip(), tuple(dict.fromkeys(regions)), {scope.strip() for scope in scopes}
        if not 1 <= len(name) <= 200 or not name.isprintable():
            raise BadInput(FieldError("/name", "must be 1 to 200 printable characters, e.g. SiCantik Maros"))
        if not regions:
            raise BadInput(FieldError("/regions", "must name at least one region, e.g. 73.09"))
        if not named or not named <= set(Scope):
            raise BadInput(FieldError("/scopes", f"must be some of {', '.join(Scope)}, e.g. check,read"))
        networks, now = _networks(addresses), self._clock()
        client = Client(
            str(ULID()), name, regions, frozenset(map(Scope, named)), now, expires_at, addresses=tuple(networks)
        )
        facts = {"ends": expires_at.isoformat() if expires_at else None, "addresses": networks}
        self._record("created", client, by, name=name, regions=list(regions), scopes=sorted(named), **facts)
        return client, self._new_key(client)

    def keys(self, client: Client) -> list[tuple[datetime, datetime | None]]:
        """When each key that still holds was made, and when it ends (None: with the client); oldest first."""
        mine = sa.select(KEY.c.id, KEY.c.ends_at).where(KEY.c.client_id == client.id).order_by(KEY.c.id)
        rows, now = db.session.execute(mine), self._clock()
        return [(ULID.from_str(key).datetime, ends) for key, ends in rows if ends is None or ends > now]

    def limit(self, client: Client, by: str, expires_at: datetime | None, addresses: Iterable[str]) -> None:
        """Change until when and from which addresses a client may call. Raises BadInput, LogUnavailable."""
        ends = expires_at.isoformat() if expires_at else None
        self._record("limited", client, by, ends=ends, addresses=_networks(addresses))

    def revoke(self, client: Client, by: str) -> None:
        """End a client and all its keys, at once and for good."""
        self._record("revoked", client, by)
        db.session.execute(sa.delete(KEY).where(KEY.c.client_id == client.id))
        db.session.commit()

    def rotate(self, client: Client, by: str, grace: timedelta = timedelta(0)) -> str:
        """A new key; the old ones hold for `grace` more. The text is the key, never shown again."""
        ends_at = self._clock() + grace
        self._record("key_rotated", client, by, old_keys_end_at=ends_at.isoformat())
        old = sa.update(KEY).where(
            KEY.c.client_id == client.id, sa.or_(KEY.c.ends_at.is_(None), KEY.c.ends_at > ends_at)
        )
        db.session.execute(old.values(ends_at=ends_at))
        return self._new_key(client)

    def _new_key(self, client: Client) -> str:
        key_id, secret = str(ULID()), secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).digest()
        db.session.execute(sa.insert(KEY).values(id=key_id, client_id=client.id, digest=digest))
        db.session.commit()
        return f"{PREFIX}.{key_id}.{secret}"

    def _record(self, change: str, client: Client, by: str, **facts: Any) -> None:
        body = {"client": client.id, "by": by, **facts}
        self._log.append(f"access.client_{change}", body, entry_id=str(ULID()), private={}, at=self._clock())


@projects("access.client_created", "access.client_limited", "access.client_revoked", into=(CLIENT,))
def _project(connection: sa.Connection, entry: Entry) -> None:
    body = entry.body
    row: dict[str, Any] = {name: body[name] for name in ("name", "regions", "scopes", "addresses") if name in body}
    if "ends" in body:
        row["expires_at"] = body["ends"] and datetime.fromisoformat(body["ends"])
    if entry.kind == "access.client_revoked":
        row["revoked_at"] = entry.at
    row["position"] = entry.position
    if entry.kind == "access.client_created":
        new = insert(CLIENT).values(id=body["client"], created_at=entry.at, **({"addresses": []} | row))
        connection.execute(new.on_conflict_do_nothing())
    else:
        mine = (CLIENT.c.id == body["client"], CLIENT.c.position < entry.position)
        connection.execute(sa.update(CLIENT).where(*mine).values(**row))


def _client(row: Any) -> Client:
    scopes = frozenset(Scope(scope) for scope in row.scopes)
    ends = (row.created_at, row.expires_at, row.revoked_at)
    return Client(row.id, row.name, tuple(row.regions), scopes, *ends, tuple(row.addresses))


def _networks(addresses: Iterable[str]) -> list[str]:
    """Addresses and networks as CIDR, each once. Raises BadInput."""
    try:
        return list(dict.fromkeys(str(ip_network(address, strict=False)) for address in addresses))
    except ValueError as error:
        rule = "must be IP addresses or networks, e.g. 103.10.20.30 or 10.8.0.0/16"
        raise BadInput(FieldError("/addresses", rule)) from error
