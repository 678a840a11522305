"""Who is asking, and who may: every view says so, and one place enforces it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from flask import Flask, abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError

from compliance.access.users import Role, User, Users
from compliance.access.users_sign_in import SignedIn, SignIns
from compliance.deployment import deployment
from compliance.web.blueprint import pages

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])
EVERYBODY = frozenset(Role)
CHECKERS = (Role.CLERK, Role.SUPERVISOR)
KEPT = ("language",)  # what outlives a change of session
CARRIED = "isi."  # a form that was typed before the session ended travels through the sign-in page


class Visitor(UserMixin):  # type: ignore[misc]
    """A signed-in person as Flask-Login wants it: known by the session's random id, not by the person's."""

    def __init__(self, signed_in: SignedIn) -> None:
        self.token, self.user = signed_in.token, signed_in.user

    def get_id(self) -> str:
        return self.token


def people() -> Users:
    gate = deployment()
    return Users(gate.log, gate.clock)


def sign_ins() -> SignIns:
    gate = deployment()
    return SignIns(people(), gate.clock, gate.settings.secret_key.encode())


def me() -> User:
    """The signed-in person of a view that is not public."""
    return cast(Visitor, current_user).user


def allow(*roles: Role, rescue: Callable[[bool], ResponseReturnValue] | None = None) -> Callable[[View], View]:
    """Mark a view with who may see it; no role at all means everybody, signed in or not.

    `rescue` answers a POST whose session (True) or CSRF token (False) has ended, so that what was typed is not lost.
    """

    def mark(view: View) -> View:
        view.roles, view.rescue = frozenset(roles), rescue  # type: ignore[attr-defined]
        return view

    return mark


def register(app: Flask) -> None:
    login = LoginManager(app)
    login.session_protection = None  # the session is a row of ours; telephones change their address

    @login.user_loader  # type: ignore[untyped-decorator]
    def load(token: str) -> Visitor | None:
        signed_in = sign_ins().current(token)
        return Visitor(signed_in) if signed_in else None

    app.context_processor(lambda: {"user": me() if current_user and current_user.is_authenticated else None})


def all_marked(app: Flask) -> None:
    """Raises LookupError at start when a view does not say who may see it."""
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith("web.") and endpoint != "web.static" and not hasattr(view, "roles"):
            raise LookupError(f"{endpoint} does not say who may see it")


@pages.before_request
def admit() -> ResponseReturnValue | None:
    """Sign-in, role, then the CSRF token of everything that changes something."""
    if any("\0" in text for text in (request.path, *request.values.values(), *(request.view_args or {}).values())):
        abort(400)  # no database takes it, no keyboard types it
    view = current_app.view_functions[request.endpoint or ""]
    roles: frozenset[Role] = getattr(view, "roles", frozenset())
    rescue: Callable[[bool], ResponseReturnValue] | None = getattr(view, "rescue", None)
    if roles and not current_user.is_authenticated:
        if request.method == "POST" and rescue:
            return rescue(True)
        onward = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("web.sign_in", next=onward))
    if roles and me().role not in roles:
        abort(403)
    if request.method == "POST":
        try:
            current_app.extensions["csrf"].protect()
        except CSRFError:
            if rescue:
                return rescue(False)
            raise
    return None


def sign_in_page(typed: str, error: str = "", carried: dict[str, str] | None = None) -> ResponseReturnValue:
    """The sign-in page; `carried` is a form that comes back after signing in."""
    onward = request.values.get("next", "")
    page = render_template(
        "pages/sign_in.html", typed=typed, error=error, onward=onward, carried=carried or {}, prefix=CARRIED
    )
    return page, 401 if error else 200


def begin(signed_in: SignedIn) -> None:
    """A new session for a person who has just proved who he or she is; nothing of the old one stays."""
    kept = {name: session[name] for name in KEPT if name in session}
    session.clear()
    session.update(kept)
    login_user(Visitor(signed_in))


def leave() -> None:
    """End the session for good, here and in the database."""
    if current_user.is_authenticated:
        sign_ins().end(cast(Visitor, current_user).token)
    logout_user()
    kept = {name: session[name] for name in KEPT if name in session}
    session.clear()
    session.update(kept)
