"""The people who work with the gate: who they are, what they may do, and the changes made to them.

A change is an entry of the log first; `access_user` is a projection of those entries. Secrets (password, second
factor) are in `access_user_secret`, which no entry holds: after a rebuild a person needs a new password.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import BigInteger, Boolean, Connection, Integer, String, Text, delete, false, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column
from ulid import ULID

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import Moment, db
from compliance.errors import BadInput, FieldError
from compliance.gate import Log

HASHER = PasswordHasher()
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 200


Role = StrEnum("Role", ["CLERK", "SUPERVISOR", "AUDITOR", "ADMINISTRATOR"])
SECOND_FACTOR = frozenset(Role) - {Role.CLERK}


@dataclass(frozen=True, slots=True)
class User:
    """One person. `sign_in` is what is typed to sign in (lower case), `regions` the codes he or she works for."""

    id: str
    sign_in: str
    name: str
    role: Role
    regions: tuple[str, ...]
    office: str = ""
    active: bool = True


class UserRow(db.Model):  # type: ignore[name-defined, misc]
    """Projection of `access.user_*`; `position` is the log position of the last entry applied."""

    __tablename__ = "access_user"
    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    sign_in: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    regions: Mapped[str] = mapped_column(Text)
    office: Mapped[str] = mapped_column(String(200))
    active: Mapped[bool] = mapped_column(Boolean)
    position: Mapped[int] = mapped_column(BigInteger)

    def value(self) -> User:
        regions = tuple(self.regions.split())
        return User(self.id, self.sign_in, self.name, Role(self.role), regions, self.office, self.active)


class SecretRow(db.Model):  # type: ignore[name-defined, misc]
    """What proves a person. `totp_counter`: the last time step whose code was used; `recovery`: keyed hashes.

    `given`: the password came from somebody else, so the person must choose another at the next sign-in.
    """

    __tablename__ = "access_user_secret"
    user_id: Mapped[str] = mapped_column(String(26), primary_key=True)
    password_hash: Mapped[str] = mapped_column(String(200), default="")
    totp_seed: Mapped[str | None] = mapped_column(String(64))
    totp_counter: Mapped[int] = mapped_column(Integer, default=0)
    recovery: Mapped[str] = mapped_column(Text, default="")
    given: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())


class SignInRow(db.Model):  # type: ignore[name-defined, misc]
    """One signed-in browser, by the hash of its random id. `complete` False: the second factor is still missing."""

    __tablename__ = "access_sign_in"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(26), index=True)
    complete: Mapped[bool] = mapped_column(Boolean)
    started_at: Mapped[datetime] = mapped_column(Moment)
    seen_at: Mapped[datetime] = mapped_column(Moment)


class Users:
    """Look-ups and changes of people. `by` is the id of the user or operator who makes the change."""

    def __init__(self, log: Log, clock: Callable[[], datetime]) -> None:
        self._log, self._clock = log, clock

    def get(self, user_id: str) -> User | None:
        row = db.session.get(UserRow, user_id)
        return row.value() if row else None

    def named(self, sign_in: str) -> User | None:
        row = db.session.scalar(select(UserRow).where(UserRow.sign_in == sign_in.strip().lower()))
        return row.value() if row else None

    def all(self) -> list[User]:
        """Everybody, by sign-in name."""
        return [row.value() for row in db.session.scalars(select(UserRow).order_by(UserRow.sign_in))]

    def create(
        self,
        sign_in: str,
        name: str,
        role: Role,
        regions: Iterable[str],
        password: str,
        *,
        office: str = "",
        by: str,
        given: bool = False,
    ) -> User:
        """Add a person. Raises BadInput (name taken, password too weak), LogUnavailable."""
        user = User(str(ULID()), sign_in.strip().lower(), name.strip(), role, tuple(regions), office.strip())
        if not 1 <= len(user.sign_in) <= 64 or not user.sign_in.isprintable() or " " in user.sign_in:
            raise BadInput(FieldError("/sign_in", "1 to 64 printable characters without a space"))
        if self.named(user.sign_in):
            raise BadInput(FieldError("/sign_in", f"the name {user.sign_in} is taken"))
        check_password(password, user.sign_in)
        self._record("user_created", user, by)
        self._keep(user, password_hash=HASHER.hash(password), given=given)
        return user

    def change(self, user: User, by: str, **changes: Any) -> User:
        """Change name, role, regions, office or active; ends the person's sessions, so that it holds at once."""
        changed = replace(user, **changes)
        self._record("user_changed", changed, by)
        self.end_sessions(user.id)
        return changed

    def set_password(self, user: User, password: str, by: str, *, given: bool = False) -> None:
        """Raises BadInput when the password is too weak. Ends the person's sessions."""
        check_password(password, user.sign_in)
        self.note("password_changed", user, by)
        self._keep(user, password_hash=HASHER.hash(password), given=given)
        self.end_sessions(user.id)

    def set_second_factor(self, user: User, seed: str, recovery: Iterable[str], by: str) -> None:
        """Store a telephone's seed (base32) and the keyed hashes of the recovery codes."""
        self.note("second_factor_set", user, by)
        self._keep(user, totp_seed=seed, totp_counter=0, recovery="\n".join(recovery))

    def forget_second_factor(self, user: User, by: str) -> None:
        """After a lost telephone: the next sign-in sets up a new one."""
        self.note("second_factor_reset", user, by)
        self._keep(user, totp_seed=None, totp_counter=0, recovery="")
        self.end_sessions(user.id)

    def end_sessions(self, user_id: str) -> None:
        db.session.execute(delete(SignInRow).where(SignInRow.user_id == user_id))
        db.session.commit()

    def note(self, kind: str, user: User, by: str = "", private: Mapping[str, Any] | None = None, **facts: Any) -> None:
        """An event about a person. Most change no projection (signed in, locked, recovery code used)."""
        db.session.commit()  # the log writes over a connection of its own
        body = {"user": user.id, "by": by or user.id, **facts}
        self._log.append(f"access.{kind}", body, entry_id=str(ULID()), private=private or {}, at=self._clock())

    def _record(self, kind: str, user: User, by: str) -> None:
        names = {"sign_in": user.sign_in, "name": user.name, "office": user.office}
        self.note(kind, user, by, names, role=user.role.value, regions=list(user.regions), active=user.active)

    def _keep(self, user: User, **secrets: Any) -> None:
        db.session.merge(SecretRow(user_id=user.id, **secrets))
        db.session.commit()


@projects("access.user_created", "access.user_changed", into=(UserRow.__table__,))
def project(connection: Connection, entry: Entry) -> None:
    """The last entry about a person says all there is; a name whose disclosure was erased becomes the id."""
    body, known = entry.body, entry.disclosed
    row = {"role": body["role"], "regions": " ".join(body["regions"]), "active": body["active"]}
    row |= {"sign_in": known.get("sign_in") or body["user"].lower(), "position": entry.position}
    row |= {"name": known.get("name", ""), "office": known.get("office", "")}
    put = insert(UserRow).values(id=body["user"], **row)
    connection.execute(
        put.on_conflict_do_update(index_elements=["id"], set_=row, where=UserRow.position < entry.position)
    )


def check_password(password: str, sign_in: str) -> None:
    """Length is what protects; a password that holds the sign-in name does not. Raises BadInput."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or sign_in in password.lower():
        rule = f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters without the sign-in name, e.g. four words"
        raise BadInput(FieldError("/password", rule))
