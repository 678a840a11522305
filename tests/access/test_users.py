"""People: an entry before a change, secrets nowhere else, locks that tell nothing, codes that work once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from compliance import create_app
from compliance.access import users_sign_in
from compliance.access.users import HASHER, SECRET, SIGN_IN, USER, Role, User, Users
from compliance.access.users_sign_in import SignedIn, SignInFailed, SignIns
from compliance.audit.projection import rebuild
from compliance.database import db
from compliance.deployment import deployment
from compliance.errors import BadInput
from config import Settings
from tests.conftest import Clock

PASSWORD = "kuda laut makan petai"
KEYED = b"only-for-tests"
refused, locked = (partial(pytest.raises, SignInFailed, match=text) for text in ("password or code", "locked until"))


@pytest.fixture
def app(settings: Settings, clock: Clock) -> Iterator[Flask]:
    app = create_app(replace(settings, registry_url=""), clock=clock)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def users(app: Flask) -> Users:
    return Users(deployment().log, deployment().clock)


@pytest.fixture
def sign_ins(users: Users, clock: Clock) -> SignIns:
    return SignIns(users, clock, KEYED)


def add(users: Users, name: str = "sitti", role: Role = Role.CLERK) -> User:
    return users.create(name, "Sitti Aminah", role, ["73.09"], PASSWORD, office="DPMPTSP Maros", by="admin")


def kinds() -> list[str]:
    return [entry.kind for entry in deployment().log.entries(kinds=("access.",))]


def code_of(seed: str, clock: Clock, steps: int = 0) -> str:
    return pyotp.TOTP(seed).at(int(clock().timestamp()) + 30 * steps)


def enrolled(users: Users, sign_ins: SignIns, clock: Clock) -> tuple[User, str, list[str]]:
    """A supervisor whose telephone is set up; the last code used is that of now."""
    user, seed = add(users, "budi", Role.SUPERVISOR), pyotp.random_base32()
    pending = sign_ins.password("budi", PASSWORD, "10.0.0.1")
    _done, codes = sign_ins.enrol(pending, seed, code_of(seed, clock))
    return user, seed, codes


def test_a_new_person_is_an_entry_that_names_nobody_and_holds_no_secret(users: Users) -> None:
    user = add(users)
    entry = next(deployment().log.entries(kinds=("access.",)))
    assert entry.kind == "access.user_created"
    assert entry.body["user"] == user.id
    assert entry.body["role"] == "clerk"
    said = ("sitti", "Sitti", "Aminah", PASSWORD, "argon2")
    assert [word for word in said if word.encode() in entry.raw] == []
    assert entry.disclosed["sign_in"] == "sitti"
    assert users.named(" SITTI ") == user


def test_no_entry_means_no_person(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **named: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("compliance.audit.turn.Turns.append", full)
    with pytest.raises(Exception, match="log cannot be written"):
        add(users)
    assert users.all() == []


def test_the_table_of_people_is_made_again_from_the_log(users: Users) -> None:
    user = users.change(add(users), "admin", active=False, role=Role.AUDITOR)
    log = deployment().log
    db.session.execute(USER.delete())
    db.session.commit()
    from compliance.audit.projection import project

    entries = list(log.entries(kinds=("access.",)))
    with db.engine.begin() as connection:
        for entry in [*reversed(entries), *entries]:
            project(connection, entry.kind, entry)
    assert users.all() == [user]


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("sitti", PASSWORD),
        ("SITTI ", PASSWORD),
        ("budi", "kurang12345"),
        ("budi", "x" * 201),
        ("budi", "kata budi sandi panjang"),
        ("budi", "passwordpassword"),
        ("budi", "111111111111"),
        ("budi", "qwertyuiop12"),
        ("andi", "Siregar12345"),
        ("andi", "DPMPTSP Maros"),
        ("budi", "ab" * 100),
        ("", PASSWORD),
        ("dua kata", PASSWORD),
        ("x" * 65, PASSWORD),
    ],
)
def test_a_taken_name_or_a_weak_password_is_refused(users: Users, name: str, password: str) -> None:
    add(users)
    with pytest.raises(BadInput):
        users.create(name, "Budi Siregar", Role.CLERK, ["73.09"], password, office="DPMPTSP Maros", by="admin")
    assert len(users.all()) == 1


def test_a_clerk_signs_in_with_name_and_password_and_out_for_good(users: Users, sign_ins: SignIns) -> None:
    user = add(users)
    signed_in = sign_ins.password(" Sitti", PASSWORD, "10.0.0.1")
    assert (signed_in.user, signed_in.complete) == (user, True)
    assert sign_ins.current(signed_in.token) == signed_in
    sign_ins.end(signed_in.token)
    assert sign_ins.current(signed_in.token) is None


def test_what_the_cookie_holds_is_not_in_the_database(users: Users, sign_ins: SignIns) -> None:
    add(users)
    token = sign_ins.password("sitti", PASSWORD, "10.0.0.1").token
    rows = db.session.execute(SIGN_IN.select()).all()
    assert len(rows) == 1
    assert token not in rows[0].token_hash


@pytest.mark.parametrize(("minutes", "still"), [(29, True), (31, False)])
def test_an_idle_session_ends(users: Users, sign_ins: SignIns, clock: Clock, minutes: int, still: bool) -> None:
    add(users)
    token = sign_ins.password("sitti", PASSWORD, "10.0.0.1").token
    clock.tick(minutes=20)
    assert sign_ins.current(token)
    clock.tick(minutes=minutes)
    assert (sign_ins.current(token) is not None) is still


def test_a_session_ends_after_twelve_hours_of_work(users: Users, sign_ins: SignIns, clock: Clock) -> None:
    add(users)
    token = sign_ins.password("sitti", PASSWORD, "10.0.0.1").token
    for _ in range(36):
        assert sign_ins.current(token)
        clock.tick(minutes=20)
    clock.tick(minutes=1)
    assert sign_ins.current(token) is None


@pytest.mark.parametrize("change", ["disabled", "password", "everywhere"])
def test_a_change_ends_sessions_at_once(users: Users, sign_ins: SignIns, change: str) -> None:
    user = add(users)
    token = sign_ins.password("sitti", PASSWORD, "10.0.0.1").token
    if change == "disabled":
        users.change(user, "admin", active=False)
    elif change == "password":
        users.set_password(user, "kata sandi yang lain", "admin")
    else:
        users.end_sessions(user.id)
    assert sign_ins.current(token) is None
    if change != "everywhere":
        with refused():
            sign_ins.password("sitti", PASSWORD, "10.0.0.1")


@pytest.mark.parametrize("name", ["sitti", "nobody"])
def test_a_lock_is_the_same_for_names_that_nobody_has(users: Users, sign_ins: SignIns, clock: Clock, name: str) -> None:
    add(users)
    for _ in range(5):
        with refused():
            sign_ins.password(name, "salah", "10.0.0.1")
    with locked():
        sign_ins.password(name, PASSWORD, "10.0.0.2")
    clock.tick(minutes=15)
    with refused():
        sign_ins.password(name, "salah", "10.0.0.1")
    assert kinds().count("access.user_locked") == (1 if name == "sitti" else 0)


def test_a_right_password_forgets_the_wrong_ones(users: Users, sign_ins: SignIns) -> None:
    add(users)
    for _ in range(3):
        for _ in range(4):
            with refused():
                sign_ins.password("sitti", "salah", "10.0.0.1")
        assert sign_ins.password("sitti", PASSWORD, "10.0.0.1").complete


def test_an_address_that_tries_many_names_is_locked(users: Users, sign_ins: SignIns, fast_hashes: None) -> None:
    for number in range(50):
        with refused():
            sign_ins.password(f"nama{number}", "salah", "10.0.0.9")
    with locked():
        sign_ins.password("sitti", PASSWORD, "10.0.0.9")


@pytest.fixture
def fast_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_sign_in, "_verify", lambda stored, password: False)


def test_unknown_names_take_as_long_as_known_ones(users: Users, sign_ins: SignIns) -> None:
    add(users)

    def seconds(name: str) -> float:
        began = time.perf_counter()
        with refused():
            sign_ins.password(name, "salah", "10.0.0.1")
        return time.perf_counter() - began

    known, unknown = (min(seconds(name) for _ in range(3)) for name in ("sitti", "nobody"))
    assert unknown > known / 2


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.AUDITOR, Role.ADMINISTRATOR])
def test_a_password_alone_does_not_let_the_others_in(users: Users, sign_ins: SignIns, role: Role) -> None:
    add(users, "budi", role)
    pending = sign_ins.password("budi", PASSWORD, "10.0.0.1")
    assert not pending.complete
    assert sign_ins.current(pending.token) is None
    assert sign_ins.current(pending.token, complete=False) == pending


def test_a_code_of_the_telephone_works_once(users: Users, sign_ins: SignIns, clock: Clock) -> None:
    _user, seed, _codes = enrolled(users, sign_ins, clock)
    clock.tick(seconds=60)
    code = code_of(seed, clock)
    first, second = (sign_ins.password("budi", PASSWORD, "10.0.0.1") for _ in range(2))
    done = sign_ins.second_factor(first, code)
    assert done.complete
    assert done.token != first.token
    assert sign_ins.current(first.token, complete=False) is None
    with refused():
        sign_ins.second_factor(second, code)


def test_a_code_that_is_used_twice_at_the_same_time_signs_in_once(
    app: Flask, users: Users, sign_ins: SignIns, clock: Clock
) -> None:
    _user, seed, _codes = enrolled(users, sign_ins, clock)
    clock.tick(seconds=60)
    pending = [sign_ins.password("budi", PASSWORD, "10.0.0.1") for _ in range(4)]
    together, done = threading.Barrier(len(pending)), []

    def enter(one: SignedIn) -> None:
        with app.app_context():
            together.wait()
            try:
                done.append(
                    SignIns(Users(deployment().log, clock), clock, KEYED).second_factor(one, code_of(seed, clock))
                )
            except SignInFailed:
                done.append(None)
            db.session.remove()

    threads = [threading.Thread(target=enter, args=(one,)) for one in pending]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 4
    assert len([one for one in done if one]) == 1
    assert kinds().count("access.signed_in") == 2  # the telephone's set-up is the other


def test_the_code_that_set_the_telephone_up_is_used_as_well(users: Users, sign_ins: SignIns, clock: Clock) -> None:
    _user, seed, _codes = enrolled(users, sign_ins, clock)
    with refused():
        sign_ins.second_factor(sign_ins.password("budi", PASSWORD, "10.0.0.1"), code_of(seed, clock))


@pytest.mark.parametrize(("steps", "works"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_code_may_be_one_step_early_or_late(
    users: Users, sign_ins: SignIns, clock: Clock, steps: int, works: bool
) -> None:
    _user, seed, _codes = enrolled(users, sign_ins, clock)
    clock.tick(minutes=10)
    pending = sign_ins.password("budi", PASSWORD, "10.0.0.1")
    if works:
        assert sign_ins.second_factor(pending, f" {code_of(seed, clock, steps)} ").complete
    else:
        with refused():
            sign_ins.second_factor(pending, code_of(seed, clock, steps))


@pytest.mark.parametrize("code", ["", "☃☃☃☃☃☃", "000000\n", "0" * 2000])
def test_nonsense_is_no_code(users: Users, sign_ins: SignIns, clock: Clock, code: str) -> None:
    enrolled(users, sign_ins, clock)
    with refused():
        sign_ins.second_factor(sign_ins.password("budi", PASSWORD, "10.0.0.1"), code)


def test_guessing_codes_locks_although_the_password_is_right(users: Users, sign_ins: SignIns, clock: Clock) -> None:
    enrolled(users, sign_ins, clock)
    for _ in range(5):
        with refused():
            sign_ins.second_factor(sign_ins.password("budi", PASSWORD, "10.0.0.1"), "111111")
    with locked():
        sign_ins.password("budi", PASSWORD, "10.0.0.1")


def test_a_recovery_code_works_once_and_is_kept_as_a_hash(users: Users, sign_ins: SignIns, clock: Clock) -> None:
    user, _seed, codes = enrolled(users, sign_ins, clock)
    assert len(set(codes)) == 8
    assert codes[0] not in db.session.execute(select(SECRET.c.recovery).where(SECRET.c.user_id == user.id)).scalar_one()
    typed = f"{codes[0][:5]}-{codes[0][5:]}".lower()
    assert sign_ins.second_factor(sign_ins.password("budi", PASSWORD, "10.0.0.1"), typed).complete
    with refused():
        sign_ins.second_factor(sign_ins.password("budi", PASSWORD, "10.0.0.1"), typed)
    assert "access.recovery_code_used" in kinds()


def test_a_telephone_is_not_replaced_by_who_knows_the_password(users: Users, sign_ins: SignIns, clock: Clock) -> None:
    _user, _seed, _codes = enrolled(users, sign_ins, clock)
    pending, other = sign_ins.password("budi", PASSWORD, "10.0.0.1"), pyotp.random_base32()
    with refused():
        sign_ins.enrol(pending, other, code_of(other, clock))


def test_after_a_lost_telephone_a_new_one_is_set_up(users: Users, sign_ins: SignIns, clock: Clock) -> None:
    user, _seed, _codes = enrolled(users, sign_ins, clock)
    users.forget_second_factor(user, "admin")
    assert not sign_ins.has_second_factor(user)
    seed = pyotp.random_base32()
    done, _codes = sign_ins.enrol(sign_ins.password("budi", PASSWORD, "10.0.0.1"), seed, code_of(seed, clock))
    assert isinstance(done, SignedIn)
    assert "access.second_factor_reset" in kinds()


def test_a_half_made_sign_in_is_soon_over(users: Users, sign_ins: SignIns, clock: Clock) -> None:
    add(users, "budi", Role.AUDITOR)
    pending = sign_ins.password("budi", PASSWORD, "10.0.0.1")
    clock.tick(minutes=11)
    assert sign_ins.current(pending.token, complete=False) is None


def test_of_two_who_are_given_one_name_at_once_the_first_has_it(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second administrator is told so; the tables can be made anew from a log that holds both."""
    first = add(users)
    with monkeypatch.context() as patch:
        patch.setattr(Users, "named", lambda *_: None)  # looked up before the first one was there
        with pytest.raises(BadInput, match="taken"):
            add(users)
    rebuild(deployment().log)
    assert users.all() == [first]


def test_passwords_are_kept_as_argon2(users: Users) -> None:
    mine = SECRET.c.user_id == add(users).id
    stored = db.session.execute(select(SECRET.c.password_hash).where(mine)).scalar_one()
    assert stored.startswith("$argon2id$")
    assert HASHER.verify(stored, PASSWORD)


def test_the_command_makes_a_person_whose_password_is_the_last_line(app: Flask, sign_ins: SignIns) -> None:
    said = app.test_cli_runner().invoke(args=["user", "create", "Rahma", "--role", "clerk", "--region", "73.08"])
    assert said.exit_code == 0, said.output
    assert sign_ins.password("rahma", said.output.splitlines()[-1], "10.0.0.1").complete
    listed = app.test_cli_runner().invoke(args=["user", "list"]).output
    assert "rahma" in listed
    assert "73.08" in listed


@pytest.mark.parametrize(
    "args",
    [
        ["create", "x", "--role", "king", "--region", "73.09"],
        ["create", "x", "--role", "clerk", "--region", "99.99"],
        ["create", "x", "--role", "clerk"],
        ["disable", "nobody"],
    ],
)
def test_wrong_usage_of_the_command_is_status_2(app: Flask, args: list[str]) -> None:
    assert app.test_cli_runner().invoke(args=["user", *args]).exit_code == 2
