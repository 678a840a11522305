"""Who is asking, and who may: every view says so, and one place enforces it."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import abort, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError

from compliance.access.users import Role, User, Users
from compliance.access.users_sign_in import SignedIn, SignIns
from compliance.deployment import deployment
from compliance.web import language
from compliance.web.pages import pages

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])
EVERYBODY = frozenset(Role)
CHECKERS = (Role.CLERK, Role.SUPERVISOR)
USUAL = 128 * 1024  # bytes of a form; a view that takes files says how many it takes
FREE = ("web.account", "web.sign_out", "web.sign_out_everywhere")  # open before a given password is replaced
CARRIED = "isi."  # a form that was typed before the session ended travels through the sign-in page


def sign_ins() -> SignIns:
    """Sessions; `users` of it are the people."""
    running = deployment()
    return SignIns(Users(running.log, running.clock), running.clock, running.settings.secret_key.encode())


def visitor() -> SignedIn | None:
    """Who is signed in, asked once per request."""
    if "visitor" not in g:
        g.visitor = sign_ins().current(session["signed_in"]) if "signed_in" in session else None
    return cast("SignedIn | None", g.visitor)


def me() -> User:
    """The signed-in person of a view that is not public."""
    return cast(SignedIn, visitor()).user


@pages.app_context_processor
def _shared() -> dict[str, Any]:
    try:
        return {"language": language.current(), "user": me() if visitor() else None}
    except OperationalError:  # so that a database which fails can be told of
        return {"language": language.current(), "user": None}


def allow(
    *roles: Role, rescue: Callable[[bool], ResponseReturnValue] | None = None, most: int = USUAL
) -> Callable[[View], View]:
    """Mark a view with who may see it; no role at all means everybody, signed in or not. An unmarked one fails.

    `rescue` answers a POST whose session (True) or CSRF token (False) has ended, so that what was typed is not lost.
    `most` bytes may be sent to it.
    """

    def mark(view: View) -> View:
        view.roles, view.rescue, view.most = frozenset(roles), rescue, most  # type: ignore[attr-defined]
        return view

    return mark


@pages.before_request
def admit() -> ResponseReturnValue | None:
    """Sign-in, role, then the CSRF token of everything that changes something."""
    view: Any = current_app.view_functions[request.endpoint or ""]
    request.max_content_length = request.max_form_memory_size = getattr(view, "most", USUAL)
    if any("\0" in text for text in (request.path, *request.values.values(), *(request.view_args or {}).values())):
        abort(400)  # no database takes it, no keyboard types it
    if request.endpoint == "web.static":
        return None
    if view.roles and not visitor():
        if request.method == "POST" and view.rescue:
            return cast(ResponseReturnValue, view.rescue(True))
        onward = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("web.sign_in", next=onward))
    if view.roles and me().role not in view.roles:
        abort(403)
    if session.get("given") and view.roles and request.endpoint not in FREE:
        return redirect(url_for("web.account"))
    try:
        return current_app.extensions["csrf"].protect() if request.method == "POST" else None
    except CSRFError:
        if view.rescue:
            return cast(ResponseReturnValue, view.rescue(False))
        raise


def sign_in_page(typed: str, failure: Any = None, carried: dict[str, str] | None = None) -> ResponseReturnValue:
    """The sign-in page after a failure, if any; `carried` is a form that comes back after signing in."""
    told = {"typed": typed, "failure": failure, "carried": carried or {}, "prefix": CARRIED}
    return render_template("pages/sign_in.html", **told), 401 if failure else 200


def begin(signed_in: SignedIn | None) -> None:
    """A new session, for who has just proved who he or she is; of the old one only the language stays."""
    kept = session.get("language")
    session.clear()
    session["language"] = kept
    g.visitor = signed_in
    if signed_in:
        session["signed_in"], session["given"] = signed_in.token, sign_ins().must_choose_password(signed_in.user)


def leave(onward: str) -> ResponseReturnValue:
    """End the session for good, here and in the database, and go on to a page."""
    sign_ins().end(session.get("signed_in", ""))
    begin(None)
    return redirect(url_for(onward))
