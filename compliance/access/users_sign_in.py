"""Signing in: password, second factor with once-only codes, recovery codes, and sessions that really end."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import pyotp
import sqlalchemy as sa
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy.dialects.postgresql import insert

from compliance.access.users import HASHER, NO_SECRET, SECOND_FACTOR, SECRET, SIGN_IN, User, Users, changed
from compliance.database import db, table
from compliance.errors import GateError

NOBODY, RECOVERY_CODES = HASHER.hash(secrets.token_hex(16)), 8
LETTERS = "2346789ABCDEFGHJKLMNPQRTXYZ"  # nothing that is mistaken for something else when read aloud
IDLE, LONGEST, SECOND_FACTOR_WITHIN = timedelta(minutes=30), timedelta(hours=12), timedelta(minutes=10)
# `failed` failures since the window began; the last of them at `failed_at`.
ATTEMPT = table("access_attempt", "subject:64! failed:int failed_at:moment+")


class SignInFailed(GateError):
    """Wrong name, password or code, and which is not said; or too many of them: nothing is tried until `until`."""

    def __init__(self, until: datetime | None = None) -> None:
        super().__init__(f"locked until {until:%H:%M} UTC" if until else "name, password or code")
        self.until = until


class Guard(NamedTuple):
    """Locks a subject after `most` failures that are less than `window` apart, until `window` after the last one.
    Subjects are known by a keyed hash; one that nobody has is counted like others, so that a lock tells nothing."""

    kind: str
    most: int
    window: timedelta
    secret: bytes
    clock: Callable[[], datetime]

    def locked_until(self, subject: str) -> datetime | None:
        query = sa.select(ATTEMPT).where(ATTEMPT.c.subject == self._key(subject))
        row = db.session.execute(query).one_or_none()
        until = row.failed_at + self.window if row and row.failed >= self.most else None
        return until if until and until > self.clock() else None

    def failed(self, subject: str) -> bool:
        """Count one failure; True when it is the one that locks."""
        now, c = self.clock(), ATTEMPT.c
        put = insert(ATTEMPT).values(subject=self._key(subject), failed=1, failed_at=now)
        again = {"failed": sa.case((c.failed_at <= now - self.window, 1), else_=c.failed + 1), "failed_at": now}
        put = put.on_conflict_do_update(index_elements=["subject"], set_=again)
        failed: int = db.session.execute(put.returning(c.failed)).scalar_one()
        changed(ATTEMPT.delete().where(c.failed_at < now - timedelta(days=1)))
        return failed == self.most

    def succeeded(self, subject: str) -> None:
        changed(ATTEMPT.delete().where(ATTEMPT.c.subject == self._key(subject)))

    def _key(self, subject: str) -> str:
        return hmac.digest(self.secret, f"{self.kind}|{subject}".encode(), "sha256").hex()


class SignedIn(NamedTuple):  # a browser; `token`: the random id of its cookie; not `complete`: wants a second factor
    token: str
    user: User
    complete: bool


class SignIns:
    """Sessions of people. `secret` keys what is stored, so that a stolen table opens nothing."""

    def __init__(self, users: Users, clock: Callable[[], datetime], secret: bytes) -> None:
        self.users, self._clock, self._secret = users, clock, secret
        self._by_name = Guard("sign_in", 5, timedelta(minutes=15), secret, clock)
        self._by_address = Guard("address", 50, timedelta(minutes=15), secret, clock)

    def password(self, sign_in: str, password: str, address: str) -> SignedIn:
        """Check a password, in equal time for unknown names. Raises SignInFailed, LogUnavailable."""
        user, name = self.users.named(sign_in), sign_in.strip().lower()
        known = self._prove(user, name, lambda: _verify(_kept(user).password_hash, password), address)
        return self._start(known, complete=known.role not in SECOND_FACTOR)

    def confirm(self, user: User, password: str) -> None:
        """Ask a signed-in person for the password once more. Raises SignInFailed."""
        self._prove(user, user.sign_in, lambda: _verify(_kept(user).password_hash, password))

    def second_factor(self, pending: SignedIn, code: str) -> SignedIn:
        """Complete a sign-in with a code of the telephone or a recovery code; each works once. Raises SignInFailed."""
        user, plain = pending.user, "".join(code.split()).replace("-", "").upper()
        self._prove(user, user.sign_in, lambda: self._use(user, plain))
        self.end(pending.token)
        return self._start(user, complete=True)

    def enrol(self, pending: SignedIn, seed: str, code: str) -> tuple[SignedIn, list[str]]:
        """Set up the second factor once its first code is right; the recovery codes are returned this once."""
        if self.has_second_factor(pending.user) or not _step(seed, code, 0, self._clock()):
            raise SignInFailed
        codes = ["".join(secrets.choice(LETTERS) for _ in range(10)) for _ in range(RECOVERY_CODES)]
        kept: dict[str, Any] = {"totp_seed": seed, "totp_counter": 0, "recovery": "\n".join(map(self._keyed, codes))}
        self.users.keep(pending.user, "second_factor_set", **kept)
        return self.second_factor(pending, code), codes

    def current(self, token: str, *, complete: bool = True) -> SignedIn | None:
        """Whose session this is, if it has neither ended nor been idle; also moves its idle end."""
        now, mine = self._clock(), SIGN_IN.c.token_hash == _digest(token)
        row = db.session.execute(sa.select(SIGN_IN).where(mine, SIGN_IN.c.complete == complete)).one_or_none()
        idle = IDLE if complete else SECOND_FACTOR_WITHIN
        if not row or now - row.seen_at > idle or now - row.started_at > LONGEST:
            return None
        if complete and now - row.seen_at > timedelta(minutes=1):
            changed(SIGN_IN.update().where(mine).values(seen_at=now))
        user = self.users.get(row.user_id)
        return SignedIn(token, user, complete) if user and user.active else None

    def end(self, token: str) -> None:
        changed(SIGN_IN.delete().where(SIGN_IN.c.token_hash == _digest(token)))

    def has_second_factor(self, user: User) -> bool:
        return bool(_kept(user).totp_seed)

    def must_choose_password(self, user: User) -> bool:
        """Whether the password was given by somebody else and has not been replaced since."""
        return bool(_kept(user).given)

    def _prove(self, user: User | None, name: str, holds: Callable[[], bool], address: str | None = None) -> User:
        """The person of this name, if this proof holds. Raises SignInFailed."""
        watched = [(self._by_address, address)] if address is not None else []
        watched.append((self._by_name, name))
        for guard, subject in watched:
            if until := guard.locked_until(subject):
                raise SignInFailed(until)
        if holds() and user and user.active:
            return user
        *_, locks = [guard.failed(subject) for guard, subject in watched]
        if locks and user:
            self.users.note("user_locked", user)
        raise SignInFailed

    def _use(self, user: User, code: str) -> bool:
        """Use a code up. Of two at the same moment the database lets one."""
        kept, c = _kept(user), SECRET.c
        mine, codes, key = SECRET.update().where(c.user_id == user.id), kept.recovery.split(), self._keyed(code)
        step = _step(kept.totp_seed, code, kept.totp_counter, self._clock()) if kept.totp_seed else 0
        if changed(mine.where(c.totp_counter < step).values(totp_counter=step)):
            return True
        left = "\n".join(one for one in codes if one != key)
        if key not in codes or not changed(mine.where(c.recovery == kept.recovery).values(recovery=left)):
            return False
        self.users.note("recovery_code_used", user, left=len(codes) - 1)
        return True

    def _start(self, user: User, *, complete: bool) -> SignedIn:
        now, token, c = self._clock(), secrets.token_urlsafe(32), SIGN_IN.c
        if complete:
            self.users.note("signed_in", user)
            self._by_name.succeeded(user.sign_in)
        changed(SIGN_IN.delete().where(sa.or_(c.started_at < now - LONGEST, c.seen_at < now - IDLE)))
        row = {"token_hash": _digest(token), "user_id": user.id, "complete": complete}
        changed(SIGN_IN.insert().values(**row, started_at=now, seen_at=now))
        return SignedIn(token, user, complete)

    def _keyed(self, code: str) -> str:
        return hmac.digest(self._secret, f"recovery|{code}".encode(), "sha256").hex()


def _kept(user: User | None) -> Any:
    """What is kept of a person; of nobody, and after a rebuild, nothing that anything could match."""
    row = db.session.execute(sa.select(SECRET).where(SECRET.c.user_id == (user.id if user else ""))).one_or_none()
    db.session.commit()  # hashing takes a tenth of a second: no connection is held meanwhile
    return row or SimpleNamespace(**NO_SECRET)


def _verify(stored: str, password: str) -> bool:
    """In equal time when nothing is stored."""
    with suppress(VerifyMismatchError, InvalidHashError):
        return HASHER.verify(stored or NOBODY, password)
    return False


def _step(seed: str, code: str, last: int, now: datetime) -> int:
    """The time step whose code this is (one step early or late is allowed), if later than `last`; else 0."""
    totp, at = pyotp.TOTP(seed), int(now.timestamp()) // 30
    return next((step for step in (at - 1, at, at + 1) if step > last and totp.generate_otp(step) == code), 0)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
