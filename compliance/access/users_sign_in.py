"""Signing in: password, second factor with once-only codes, recovery codes, and sessions that really end."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, or_, update

from compliance.access.users import HASHER, SECOND_FACTOR, SecretRow, SignInRow, User, Users
from compliance.access.users_guard import Guard, changed
from compliance.database import db
from compliance.errors import GateError

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
SECOND_FACTOR_WITHIN = timedelta(minutes=10)
LETTERS = "2346789ABCDEFGHJKLMNPQRTXYZ"  # nothing that is mistaken for something else when read aloud
RECOVERY_CODES = 8
NOBODY = HASHER.hash(secrets.token_hex(16))


class SignInRefused(GateError):
    """Wrong name, password or code: which of them is not said."""


class SignInLocked(GateError):
    """Too many failures; nothing was tried. Ends at `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"locked until {until:%H:%M} UTC")
        self.until = until


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser that signed in. `token` is the random id its cookie holds; `complete` False wants a second factor."""

    token: str
    user: User
    complete: bool


class SignIns:
    """Sessions of people. `secret` keys what is stored, so that a stolen table opens nothing."""

    def __init__(self, users: Users, clock: Callable[[], datetime], secret: bytes) -> None:
        self._users, self._clock, self._secret = users, clock, secret
        self._by_name = Guard("sign_in", 5, timedelta(minutes=15), secret, clock)
        self._by_address = Guard("address", 50, timedelta(minutes=15), secret, clock)

    def password(self, sign_in: str, password: str, address: str) -> SignedIn:
        """Check a password, in equal time for unknown names. Raises SignInRefused, SignInLocked, LogUnavailable."""
        name = sign_in.strip().lower()
        for guard, subject in ((self._by_name, name), (self._by_address, address)):
            if until := guard.locked_until(subject):
                raise SignInLocked(until)
        user = self._users.named(name)
        row = db.session.get(SecretRow, user.id) if user else None
        stored = row.password_hash if row else ""
        db.session.commit()  # hashing takes a tenth of a second: no connection is held meanwhile
        right = _verify(stored or NOBODY, password) and bool(stored)
        if not user or not right or not user.active:
            self._by_address.failed(address)
            self._failed(name, user)
            raise SignInRefused("name or password")
        return self._start(user, complete=user.role not in SECOND_FACTOR)

    def confirm(self, user: User, password: str) -> None:
        """Ask a signed-in person for the password once more. Raises SignInRefused, SignInLocked."""
        if until := self._by_name.locked_until(user.sign_in):
            raise SignInLocked(until)
        row = db.session.get(SecretRow, user.id)
        if not _verify(row.password_hash if row else NOBODY, password):
            self._failed(user.sign_in, user)
            raise SignInRefused("password")

    def current(self, token: str, *, complete: bool = True) -> SignedIn | None:
        """Whose session this is, if it has neither ended nor been idle; also moves its idle end."""
        now, key = self._clock(), _digest(token)
        row = db.session.get(SignInRow, key)
        idle = IDLE if complete else SECOND_FACTOR_WITHIN
        if row is None or row.complete is not complete:
            return None
        if now - row.seen_at > idle or now - row.started_at > LONGEST:
            return None
        if complete and now - row.seen_at > timedelta(minutes=1):
            row.seen_at = now
            db.session.commit()
        user = self._users.get(row.user_id)
        return SignedIn(token, user, complete) if user and user.active else None

    def end(self, token: str) -> None:
        changed(delete(SignInRow).where(SignInRow.token_hash == _digest(token)))

    # --- second factor ---------------------------------------------------------------------------------------------

    def has_second_factor(self, user: User) -> bool:
        row = db.session.get(SecretRow, user.id)
        return bool(row and row.totp_seed)

    def enrol(self, pending: SignedIn, seed: str, code: str) -> tuple[SignedIn, list[str]]:
        """Set up the second factor once its first code is right; the recovery codes are returned this once."""
        if self.has_second_factor(pending.user) or not _step(seed, code, 0, self._clock()):
            raise SignInRefused("code")
        codes = ["".join(secrets.choice(LETTERS) for _ in range(10)) for _ in range(RECOVERY_CODES)]
        hashes = [self._keyed(code) for code in codes]
        self._users.set_second_factor(pending.user, seed, hashes, pending.user.id)
        return self.second_factor(pending, code), codes

    def second_factor(self, pending: SignedIn, code: str) -> SignedIn:
        """Complete a sign-in with a code of the telephone or a recovery code; each works once."""
        user = pending.user
        if until := self._by_name.locked_until(user.sign_in):
            raise SignInLocked(until)
        plain = "".join(code.split()).replace("-", "").upper()
        if not (self._use_code(user, plain) or self._use_recovery(user, plain)):
            self._failed(user.sign_in, user)
            raise SignInRefused("code")
        self.end(pending.token)
        return self._start(user, complete=True)

    def _use_code(self, user: User, code: str) -> bool:
        row = db.session.get(SecretRow, user.id)
        step = _step(row.totp_seed, code, row.totp_counter, self._clock()) if row and row.totp_seed else 0
        mine = (SecretRow.user_id == user.id, SecretRow.totp_counter < step)
        return changed(update(SecretRow).where(*mine).values(totp_counter=step))

    def _use_recovery(self, user: User, code: str) -> bool:
        row = db.session.get(SecretRow, user.id)
        stored, key = (row.recovery if row else ""), self._keyed(code)
        left = [line for line in stored.split() if line != key]
        if len(left) == len(stored.split()):
            return False
        mine = (SecretRow.user_id == user.id, SecretRow.recovery == stored)
        used = changed(update(SecretRow).where(*mine).values(recovery="\n".join(left)))
        if used:
            self._users.note("recovery_code_used", user, left=len(left))
        return used

    # --- inside ----------------------------------------------------------------------------------------------------

    def _start(self, user: User, *, complete: bool) -> SignedIn:
        now, token = self._clock(), secrets.token_urlsafe(32)
        if complete:
            self._users.note("signed_in", user)
            self._by_name.succeeded(user.sign_in)
        over = or_(SignInRow.started_at < now - LONGEST, SignInRow.seen_at < now - IDLE)
        changed(delete(SignInRow).where(over))
        db.session.add(
            SignInRow(token_hash=_digest(token), user_id=user.id, complete=complete, started_at=now, seen_at=now)
        )
        db.session.commit()
        return SignedIn(token, user, complete)

    def _failed(self, name: str, user: User | None) -> None:
        if self._by_name.failed(name) and user:
            self._users.note("user_locked", user)

    def _keyed(self, code: str) -> str:
        return hmac.new(self._secret, f"recovery|{code}".encode(), hashlib.sha256).hexdigest()


def _verify(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def _step(seed: str, code: str, last: int, now: datetime) -> int:
    """The time step whose code this is (one step early or late is allowed), if later than `last`; else 0."""
    totp, at = pyotp.TOTP(seed), int(now.timestamp()) // 30
    steps = [step for step in (at - 1, at, at + 1) if step > last]
    return next((step for step in steps if totp.generate_otp(step) == code), 0)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
