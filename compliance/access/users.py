"""The people who work with the gate: who they are, what they may do, and the changes made to them.
A change is an entry of the log first; `access_user` is a projection of those entries. Secrets (password, second
factor) are in `access_user_secret`, which no entry holds: after a rebuild a person needs a new password."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from sqlalchemy.dialects.postgresql import insert
from ulid import ULID
from zxcvbn import zxcvbn

from compliance.audit.entry import Entry
from compliance.audit.projection import projects
from compliance.database import db, put, table
from compliance.errors import BadInput, FieldError
from compliance.gate import Log
from compliance.law.facts import Fact

HASHER = PasswordHasher()
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 200
ESTIMATED, STRONG = 72, 3  # characters that zxcvbn looks at, for its time grows with them; 0 to 4: how hard to guess
Role = StrEnum("Role", ["CLERK", "SUPERVISOR", "AUDITOR", "ADMINISTRATOR"])
SECOND_FACTOR = frozenset(Role) - {Role.CLERK}
# Projection of `access.user_*`; `position` is the log position of the last entry applied.
_user = "id:26! sign_in:64 name:200 role:16 regions:text office:200 active:bool position:big"
USER = table("access_user", _user, sa.UniqueConstraint("sign_in"))
# What proves a person. `totp_counter`: the last time step whose code was used; `recovery`: keyed hashes; `given`: the
# password came from somebody else, so the person must choose another at the next sign-in.
_given = sa.Column("given", sa.Boolean, nullable=False, server_default=sa.false())
SECRET = table(
    "access_user_secret", "user_id:26! password_hash:200 totp_seed:64? totp_counter:int recovery:text", _given
)
NO_SECRET = {"password_hash": "", "totp_seed": None, "totp_counter": 0, "recovery": "", "given": False}
# One signed-in browser, by the hash of its random id. `complete` False: the second factor is still missing.
SIGN_IN = table("access_sign_in", "token_hash:64! user_id:26+ complete:bool started_at:moment seen_at:moment")


class User(Fact):  # `sign_in` is what is typed to sign in (lower case), `regions` the codes he or she works for
    id: str
    sign_in: str
    name: str
    role: Role
    regions: tuple[str, ...]
    office: str = ""
    active: bool = True


class Users:
    """Look-ups and changes of people. `by` is the id of the user or operator who makes the change."""

    def __init__(self, log: Log, clock: Callable[[], datetime]) -> None:
        self._log, self._clock = log, clock

    def all(self, *where: sa.ColumnElement[bool]) -> list[User]:
        """Everybody of whom this holds, by sign-in name."""
        return [_person(row) for row in db.session.execute(sa.select(USER).where(*where).order_by(USER.c.sign_in))]

    def get(self, user_id: str) -> User | None:
        return next(iter(self.all(USER.c.id == user_id)), None)

    def named(self, sign_in: str) -> User | None:
        return next(iter(self.all(USER.c.sign_in == sign_in.strip().lower())), None)

    def create(
        self, sign_in: str, name: str, role: Role, regions: Iterable[str], password: str, *, by: str, **more: Any
    ) -> User:
        """Add a person; `more`: office, and given (the password, by somebody else). Raises BadInput (name taken,
        password too weak), LogUnavailable."""
        office = more.get("office", "").strip()
        made = User(str(ULID()), sign_in.strip().lower(), name.strip(), role, tuple(regions), office)
        if not 1 <= len(made.sign_in) <= 64 or not made.sign_in.isprintable() or " " in made.sign_in:
            raise BadInput(FieldError("/sign_in", "1 to 64 printable characters without a space"))
        taken = BadInput(FieldError("/sign_in", f"the name {made.sign_in} is taken"))
        if self.named(made.sign_in):
            raise taken
        hashed = _hashed(password, made)
        self._record("user_created", made, by)
        if not self.get(made.id):  # somebody took the name meanwhile
            raise taken
        self.keep(made, password_hash=hashed, given=more.get("given", False))
        return made

    def change(self, user: User, by: str, **changes: Any) -> User:
        """Change name, role, regions, office or active; ends the person's sessions, so that it holds at once."""
        changed = replace(user, **changes)
        self._record("user_changed", changed, by)
        self.end_sessions(user.id)
        return changed

    def set_password(self, user: User, password: str, by: str, *, given: bool = False) -> None:
        """Raises BadInput when the password is too weak. Ends the person's sessions."""
        self.keep(user, "password_changed", by, password_hash=_hashed(password, user), given=given)

    def forget_second_factor(self, user: User, by: str) -> None:
        """After a lost telephone: the next sign-in sets up a new one. Ends the person's sessions."""
        self.keep(user, "second_factor_reset", by, totp_seed=None, totp_counter=0, recovery="")

    def end_sessions(self, user_id: str) -> None:
        changed(SIGN_IN.delete().where(SIGN_IN.c.user_id == user_id))

    def keep(self, user: User, event: str = "", by: str = "", **kept: Any) -> None:
        """Set some of a person's secrets, once the event is logged."""
        if event:
            self.note(event, user, by)
        first = insert(SECRET).values(NO_SECRET | {"user_id": user.id} | kept)
        changed(first.on_conflict_do_update(index_elements=["user_id"], set_=kept))
        self.end_sessions(user.id)

    def note(self, kind: str, user: User, by: str = "", private: Mapping[str, Any] | None = None, **facts: Any) -> None:
        """An event about a person. Most change no projection (signed in, locked, recovery code used)."""
        db.session.commit()  # the log writes over a connection of its own
        body = {"user": user.id, "by": by or user.id, **facts}
        self._log.append(f"access.{kind}", body, private=private)

    def _record(self, kind: str, user: User, by: str) -> None:
        names = {"sign_in": user.sign_in, "name": user.name, "office": user.office}
        self.note(kind, user, by, names, role=user.role.value, regions=list(user.regions), active=user.active)


@projects("access.user_created", "access.user_changed", into=(USER,))
def project(connection: sa.Connection, entry: Entry) -> None:
    """The last entry about a person says all there is; a name whose disclosure was erased becomes the id. Of two who
    were given the same name at once the first has it."""
    body, known = entry.body, entry.disclosed
    row = {"role": body["role"], "regions": " ".join(body["regions"]), "active": body["active"]}
    row |= {"sign_in": known.get("sign_in") or body["user"].lower(), "position": entry.position}
    row |= {"name": known.get("name", ""), "office": known.get("office", "")}
    others = sa.select(USER.c.id).where(USER.c.sign_in == row["sign_in"], USER.c.id != body["user"])
    if not connection.execute(others).first():
        put(connection, USER, row | {"id": body["user"]}, newest="position")


def _person(row: Any) -> User:
    return User(row.id, row.sign_in, row.name, Role(row.role), tuple(row.regions.split()), row.office, row.active)


def changed(statement: sa.UpdateBase) -> bool:
    """Run and commit one statement; whether it changed any row. Of two simultaneous ones, one is told so."""
    result: Any = db.session.execute(statement)
    db.session.commit()
    return bool(result.rowcount)


def _hashed(password: str, user: User) -> str:
    """Long, without the sign-in name, and hard to guess for who knows the person (ASVS 6.2.4). Raises BadInput."""
    fits = SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD and user.sign_in not in password.lower()
    known = [user.name, user.office, *f"{user.sign_in} {user.name} {user.office}".split()]
    if not fits or zxcvbn(password[:ESTIMATED], known)["score"] < STRONG:
        rule = f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, no name, hard to guess: four unrelated words"
        raise BadInput(FieldError("/password", rule))
    return HASHER.hash(password)
