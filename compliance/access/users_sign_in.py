"""Signing in: password, second factor with once-only codes, recovery codes, and sessions that really end."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import pyotp
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import CursorResult, Integer, String, UpdateBase, case, delete, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from compliance.access.users import HASHER, SECOND_FACTOR, SecretRow, SignInRow, User, Users
from compliance.database import Moment, db
from compliance.errors import GateError

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
SECOND_FACTOR_WITHIN = timedelta(minutes=10)
LETTERS = "2346789ABCDEFGHJKLMNPQRTXYZ"  # nothing that is mistaken for something else when read aloud
RECOVERY_CODES = 8
NOBODY = HASHER.hash(secrets.token_hex(16))


class SignInFailed(GateError):
    """Nobody was signed in."""


class SignInRefused(SignInFailed):
    """Wrong name, password or code: which of them is not said."""


class SignInLocked(SignInFailed):
    """Too many failures; nothing was tried. Ends at `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"locked until {until:%H:%M} UTC")
        self.until = until


class AttemptRow(db.Model):  # type: ignore[name-defined, misc]
    """`failed` failures since the window began; the last of them at `failed_at`."""

    __tablename__ = "access_attempt"
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    failed: Mapped[int] = mapped_column(Integer)
    failed_at: Mapped[datetime] = mapped_column(Moment, index=True)


def changed(statement: UpdateBase) -> bool:
    """Run and commit one UPDATE or DELETE; whether it changed any row. Of two simultaneous ones, one is told so."""
    result = db.session.execute(statement.execution_options(synchronize_session=False))
    db.session.commit()
    return bool(cast("CursorResult[Any]", result).rowcount)


@dataclass(frozen=True, slots=True)
class Guard:
    """Locks a subject after `most` failures that are less than `window` apart, until `window` after the last one.

    Subjects are known by a keyed hash; one that nobody has is counted like others, so that a lock tells nothing.
    """

    kind: str
    most: int
    window: timedelta
    secret: bytes
    clock: Callable[[], datetime]

    def locked_until(self, subject: str) -> datetime | None:
        row = db.session.get(AttemptRow, self._key(subject), populate_existing=True)
        until = row.failed_at + self.window if row and row.failed >= self.most else None
        return until if until and until > self.clock() else None

    def failed(self, subject: str) -> bool:
        """Count one failure; True when it is the one that locks."""
        now = self.clock()
        again = case((AttemptRow.failed_at <= now - self.window, 1), else_=AttemptRow.failed + 1)
        put = insert(AttemptRow).values(subject=self._key(subject), failed=1, failed_at=now)
        put = put.on_conflict_do_update(index_elements=["subject"], set_={"failed": again, "failed_at": now})
        failed = db.session.scalar(put.returning(AttemptRow.failed))
        changed(delete(AttemptRow).where(AttemptRow.failed_at < now - timedelta(days=1)))
        return failed == self.most

    def succeeded(self, subject: str) -> None:
        changed(delete(AttemptRow).where(AttemptRow.subject == self._key(subject)))

    def _key(self, subject: str) -> str:
        return hmac.digest(self.secret, f"{self.kind}|{subject}".encode(), "sha256").hex()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser that signed in. `token` is the random id its cookie holds; `complete` False wants a second factor."""

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
        """Check a password, in equal time for unknown names. Raises SignInRefused, SignInLocked, LogUnavailable."""
        name = sign_in.strip().lower()
        self._refuse_locked(name)
        if until := self._by_address.locked_until(address):
            raise SignInLocked(until)
        user = self.users.named(name)
        stored = _secrets(user).password_hash or NOBODY
        db.session.commit()  # hashing takes a tenth of a second: no connection is held meanwhile
        if not _verify(stored, password) or not user or not user.active:
            self._by_address.failed(address)
            raise self._failed(name, user)
        return self._start(user, complete=user.role not in SECOND_FACTOR)

    def confirm(self, user: User, password: str) -> None:
        """Ask a signed-in person for the password once more. Raises SignInRefused, SignInLocked."""
        self._refuse_locked(user.sign_in)
        if not _verify(_secrets(user).password_hash or NOBODY, password):
            raise self._failed(user.sign_in, user)

    def current(self, token: str, *, complete: bool = True) -> SignedIn | None:
        """Whose session this is, if it has neither ended nor been idle; also moves its idle end."""
        now, row = self._clock(), db.session.get(SignInRow, _digest(token))
        idle = IDLE if complete else SECOND_FACTOR_WITHIN
        if not row or row.complete is not complete or now - row.seen_at > idle or now - row.started_at > LONGEST:
            return None
        if complete and now - row.seen_at > timedelta(minutes=1):
            row.seen_at = now
            db.session.commit()
        user = self.users.get(row.user_id)
        return SignedIn(token, user, complete) if user and user.active else None

    def end(self, token: str) -> None:
        changed(delete(SignInRow).where(SignInRow.token_hash == _digest(token)))

    def has_second_factor(self, user: User) -> bool:
        return bool(_secrets(user).totp_seed)

    def must_choose_password(self, user: User) -> bool:
        """Whether the password was given by somebody else and has not been replaced since."""
        return bool(_secrets(user).given)

    def enrol(self, pending: SignedIn, seed: str, code: str) -> tuple[SignedIn, list[str]]:
        """Set up the second factor once its first code is right; the recovery codes are returned this once."""
        if self.has_second_factor(pending.user) or not _step(seed, code, 0, self._clock()):
            raise SignInRefused("code")
        codes = ["".join(secrets.choice(LETTERS) for _ in range(10)) for _ in range(RECOVERY_CODES)]
        self.users.set_second_factor(pending.user, seed, map(self._keyed, codes), pending.user.id)
        return self.second_factor(pending, code), codes

    def second_factor(self, pending: SignedIn, code: str) -> SignedIn:
        """Complete a sign-in with a code of the telephone or a recovery code; each works once."""
        user, plain = pending.user, "".join(code.split()).replace("-", "").upper()
        self._refuse_locked(user.sign_in)
        if not (self._use_code(user, plain) or self._use_recovery(user, plain)):
            raise self._failed(user.sign_in, user)
        self.end(pending.token)
        return self._start(user, complete=True)

    def _use_code(self, user: User, code: str) -> bool:
        """Of two at the same moment the database lets one move the counter."""
        kept = _secrets(user)
        step = _step(kept.totp_seed, code, kept.totp_counter, self._clock()) if kept.totp_seed else 0
        mine = (SecretRow.user_id == user.id, SecretRow.totp_counter < step)
        return changed(update(SecretRow).where(*mine).values(totp_counter=step))

    def _use_recovery(self, user: User, code: str) -> bool:
        stored, key = _secrets(user).recovery, self._keyed(code)
        left = [line for line in stored.split() if line != key]
        mine = (SecretRow.user_id == user.id, SecretRow.recovery == stored)
        used = key in stored.split() and changed(update(SecretRow).where(*mine).values(recovery="\n".join(left)))
        if used:
            self.users.note("recovery_code_used", user, left=len(left))
        return used

    def _start(self, user: User, *, complete: bool) -> SignedIn:
        now, token = self._clock(), secrets.token_urlsafe(32)
        if complete:
            self.users.note("signed_in", user)
            self._by_name.succeeded(user.sign_in)
        changed(delete(SignInRow).where(or_(SignInRow.started_at < now - LONGEST, SignInRow.seen_at < now - IDLE)))
        row = {"token_hash": _digest(token), "user_id": user.id, "complete": complete}
        db.session.add(SignInRow(**row, started_at=now, seen_at=now))
        db.session.commit()
        return SignedIn(token, user, complete)

    def _refuse_locked(self, name: str) -> None:
        if until := self._by_name.locked_until(name):
            raise SignInLocked(until)

    def _failed(self, name: str, user: User | None) -> SignInRefused:
        if self._by_name.failed(name) and user:
            self.users.note("user_locked", user)
        return SignInRefused("name, password or code")

    def _keyed(self, code: str) -> str:
        return hmac.digest(self._secret, f"recovery|{code}".encode(), "sha256").hex()


def _secrets(user: User | None) -> SecretRow:
    """What is kept of a person; of nobody, and after a rebuild, nothing that anything could match."""
    kept = db.session.get(SecretRow, user.id) if user else None
    return kept or SecretRow(password_hash="", totp_counter=0, recovery="")


def _verify(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _step(seed: str, code: str, last: int, now: datetime) -> int:
    """The time step whose code this is (one step early or late is allowed), if later than `last`; else 0."""
    totp, at = pyotp.TOTP(seed), int(now.timestamp()) // 30
    return next((step for step in (at - 1, at, at + 1) if step > last and totp.generate_otp(step) == code), 0)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
