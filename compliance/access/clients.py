"""API clients: who they are, what their keys open, and the changes made to them. A change is an entry of the log first;
`access_client` is a projection of those entries. No entry holds keys (shown once; of 256 random bits the SHA-256 is
kept) or OSS's passwords (to make its tokens: sealed with a key of SECRET_KEY)."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from ulid import ULID

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import db, put, table
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError
from compliance.gate import Asker, Log
from compliance.law.facts import Fact

JAKARTA, PREFIX = ZoneInfo("Asia/Jakarta"), "cg"
Scope = StrEnum("Scope", ["CHECK", "READ", "AUDIT"])
End = datetime | None
Words = Iterable[str]
# Projection of `access.client_*`; `position` is the log position of the last entry applied.
_columns = "id:26! name:200 regions:json scopes:json created_at:moment expires_at:moment? revoked_at:moment?"
_addresses = sa.Column("addresses", sa.JSON, nullable=False, server_default="[]")
CLIENT = table("access_client", _columns, "position:big", _addresses)
# What proves a client; several during a rotation. `ends_at` None: as long as the client lives.
KEY = table("access_client_key", "id:26! client_id:26+ digest:bytes ends_at:moment?")
# The user and sealed password that OSS has for calls to a client's office.
OSS = table("access_client_oss", "client_id:26! username:200 sealed_password:text")
_by_key = sa.select(CLIENT, KEY.c.digest, KEY.c.ends_at).join(KEY, KEY.c.client_id == CLIENT.c.id)
_by_key = _by_key.where(KEY.c.id == sa.bindparam("key"))


class Client(Fact):  # its first region is the default of its questions; it may call from `addresses` (CIDR; none: all)
    id: str
    name: str
    regions: tuple[str, ...]
    scopes: frozenset[str]
    created_at: datetime
    expires_at: End = None
    revoked_at: End = None
    addresses: tuple[str, ...] = ()

    @property
    def asker(self) -> Asker:
        return Asker("client", self.id)

    def alive(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may_call_from(self, address: str) -> bool:
        """An address that is none is let in only where any address is."""
        try:
            given = ipaddress.ip_address(address)
        except ValueError:
            return not self.addresses
        given = getattr(given, "ipv4_mapped", None) or given
        return not self.addresses or any(given in ipaddress.ip_network(network) for network in self.addresses)


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
            row = connection.execute(_by_key, {"key": key_id}).one_or_none()
        if row is None or not hmac.compare_digest(row.digest, hashlib.sha256(secret.encode()).digest()):
            return None
        client, now = _client(row), self._clock()
        return client if client.alive(now) and (row.ends_at is None or now < row.ends_at) else None

    def by_oss_token(self, token: str, nib: str) -> Client | None:
        """The living client for whom OSS made this: SHA1(user + password + NIB + today's day in Jakarta)."""
        now, found = self._clock(), None
        given, day = token.strip().lower().encode(), f"{now.astimezone(JAKARTA):%Y%m%d}"
        for row in db.session.execute(sa.select(OSS)):
            password = deployment().box("oss-password").decrypt(row.sealed_password.encode()).decode()
            expected = hashlib.sha1(f"{row.username}{password}{nib}{day}".encode(), usedforsecurity=False)
            if hmac.compare_digest(expected.hexdigest().encode(), given):
                found = living(db.session, row.client_id, now)
        return found

    def all(self) -> list[Client]:
        """Every client that ever was, oldest first."""
        return [_client(row) for row in db.session.execute(sa.select(CLIENT).order_by(CLIENT.c.id))]

    def keys(self, client: Client) -> list[tuple[datetime, End]]:
        """When each key that still holds was made, and when it ends (None: with the client); oldest first."""
        mine = sa.select(KEY.c.id, KEY.c.ends_at).where(KEY.c.client_id == client.id).order_by(KEY.c.id)
        rows, now = db.session.execute(mine), self._clock()
        return [(ULID.from_str(key).datetime, ends) for key, ends in rows if ends is None or ends > now]

    def create(
        self, name: str, regions: Words, scopes: Words, *, by: str, expires_at: End = None, addresses: Words = ()
    ) -> tuple[Client, str]:
        """Add a client; the text is its key, which is never shown again. Raises BadInput, LogUnavailable."""
        name, regions, named = name.strip(), tuple(dict.fromkeys(regions)), frozenset(map(str.strip, scopes))
        if not 1 <= len(name) <= 200 or not name.isprintable():
            raise BadInput(FieldError("/name", "must be 1 to 200 printable characters, e.g. SiCantik Maros"))
        if not regions:
            raise BadInput(FieldError("/regions", "must name at least one region, e.g. 73.09"))
        if not named or not named <= set(Scope):
            raise BadInput(FieldError("/scopes", f"must be some of {', '.join(Scope)}, e.g. check,read"))
        told = _limits(expires_at, addresses)
        made = Client(str(ULID()), name, regions, named, self._clock(), expires_at, None, tuple(told["addresses"]))
        self._record("created", made, by, name=name, regions=list(regions), scopes=sorted(named), **told)
        return made, self._new_key(made)

    def limit(self, client: Client, by: str, expires_at: End, addresses: Words) -> None:
        """Change until when and from which addresses a client may call. Raises BadInput, LogUnavailable."""
        self._record("limited", client, by, **_limits(expires_at, addresses))

    def revoke(self, client: Client, by: str) -> None:
        """End a client and all its keys, at once and for good."""
        self._record("revoked", client, by)
        db.session.execute(sa.delete(KEY).where(KEY.c.client_id == client.id))
        db.session.commit()

    def rotate(self, client: Client, by: str, grace: timedelta = timedelta(0)) -> str:
        """A new key; the old ones hold for `grace` more. The text is the key, never shown again."""
        ends_at = self._clock() + grace
        self._record("key_rotated", client, by, old_keys_end_at=ends_at.isoformat())
        longer = sa.or_(KEY.c.ends_at.is_(None), KEY.c.ends_at > ends_at)
        db.session.execute(sa.update(KEY).where(KEY.c.client_id == client.id, longer).values(ends_at=ends_at))
        return self._new_key(client)

    def keep_oss_user(self, client: Client, username: str, password: str, by: str) -> None:
        """Set or replace the user of OSS's calls to a client's office. Raises BadInput, LogUnavailable."""
        if not 1 <= len(username) <= 200 or not 1 <= len(password) <= 200:
            raise BadInput(FieldError("/username", "user and password must have 1 to 200 characters each"))
        self._record("oss_user_set", client, by)
        row = {
            "username": username,
            "sealed_password": deployment().box("oss-password").encrypt(password.encode()).decode(),
        }
        put(db.session, OSS, row | {"client_id": client.id}, newest="")
        db.session.commit()

    def _new_key(self, client: Client) -> str:
        key_id, secret = str(ULID()), secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).digest()
        db.session.execute(sa.insert(KEY).values(id=key_id, client_id=client.id, digest=digest))
        db.session.commit()
        return f"{PREFIX}.{key_id}.{secret}"

    def _record(self, change: str, client: Client, by: str, **facts: Any) -> None:
        self._log.append(f"access.client_{change}", {"client": client.id, "by": by, **facts})


@projects("access.client_created", "access.client_limited", "access.client_revoked", into=(CLIENT,))
def _project(connection: sa.Connection, entry: Entry) -> None:
    body = entry.body
    row: dict[str, Any] = {name: body[name] for name in ("name", "regions", "scopes", "addresses") if name in body}
    if "ends" in body:
        row["expires_at"] = body["ends"] and datetime.fromisoformat(body["ends"])
    if entry.kind == "access.client_created":
        row |= {"id": body["client"], "created_at": entry.at, "position": entry.position}
        put(connection, CLIENT, {"addresses": []} | row)
        return
    if entry.kind == "access.client_revoked":
        row["revoked_at"] = entry.at
    older = sa.update(CLIENT).where(CLIENT.c.id == body["client"], CLIENT.c.position < entry.position)
    connection.execute(older.values(position=entry.position, **row))


def living(connection: sa.Connection | Any, client_id: str, now: datetime) -> Client | None:
    """The client of this id, if it is alive."""
    row = connection.execute(sa.select(CLIENT).where(CLIENT.c.id == client_id)).one_or_none()
    return _client(row) if row and _client(row).alive(now) else None


def _client(row: Any) -> Client:
    regions, scopes, addresses = tuple(row.regions), frozenset(row.scopes), tuple(row.addresses)
    return Client(row.id, row.name, regions, scopes, row.created_at, row.expires_at, row.revoked_at, addresses)


def _limits(expires_at: End, addresses: Words) -> dict[str, Any]:
    """What an entry says of them: networks as CIDR, each once. Raises BadInput."""
    try:
        networks = list(dict.fromkeys(str(ipaddress.ip_network(one, strict=False)) for one in addresses))
    except ValueError as error:
        rule = "must be IP addresses or networks, e.g. 103.10.20.30 or 10.8.0.0/16"
        raise BadInput(FieldError("/addresses", rule)) from error
    return {"ends": expires_at.isoformat() if expires_at else None, "addresses": networks}
