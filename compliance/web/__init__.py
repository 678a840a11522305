"""The pages, rendered here, without script; they decide nothing. Who may see each, headers, errors in words."""

import hashlib
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

import flask
import flask_babel
from flask import Response, abort, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy.exc import OperationalError
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.exceptions import HTTPException

from compliance.access.users import Role, User, Users
from compliance.access.users_sign_in import SignedIn, SignIns
from compliance.deployment import deployment
from compliance.errors import LogBroken, LogUnavailable

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
EVERYBODY, CHECKERS, CHANGERS = frozenset(Role), (Role.CLERK, Role.SUPERVISOR), (Role.SUPERVISOR, Role.ADMINISTRATOR)
BOTH, POST, LANGUAGES = ("GET", "POST"), ("POST",), ("id", "en")
CARRIED, SECRETS = "isi.", ("csrf_token", "password", "new_password")  # what travels through the sign-in page; not
USUAL = 128 * 1024  # bytes of a form; a view that takes files says how many it takes
FREE = ("web.account", "web.sign_out", "web.sign_out_everywhere")  # open before a given password is replaced
HERE = Path(__file__).parent
DIGESTS = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in (HERE / "static").iterdir()}
Reply = ResponseReturnValue
View = Callable[..., Reply]
Found = TypeVar("Found")
_: Callable[..., str] = flask_babel.gettext  # the Indonesian original is a text's name in the catalogue
web = flask.Blueprint("web", __name__, template_folder="templates", static_folder="static", static_url_path="/static")


def register(app: flask.Flask) -> None:
    """Add the pages, their sessions, languages, headers and error pages to the app."""
    secure = app.extensions["compliance"].settings.public_url.startswith("https://")
    app.config |= {"SESSION_COOKIE_NAME": "__Host-gate" if secure else "gate", "SESSION_COOKIE_SECURE": secure}
    app.config |= {"SESSION_COOKIE_SAMESITE": "Lax", "WTF_CSRF_CHECK_DEFAULT": False, "WTF_CSRF_TIME_LIMIT": None}
    CSRFProtect(app)
    translations = str(HERE / "translations")
    flask_babel.Babel(app, "id", default_translation_directories=translations, locale_selector=_language)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    for name in ("account", "checks", "records", "lists", "audit"):
        import_module(f"compliance.web.{name}")  # adds their routes
    app.register_blueprint(web)


def page(path: str, *roles: Role, name: str = "", most: int = USUAL, **options: Any) -> Callable[[View], View]:
    """Show a view at a path to these roles; no role at all means everybody, signed in or not. `most` bytes may be sent;
    `options` are Flask's."""

    def add(view: View) -> View:
        shown: Any = partial(view)
        shown.roles, shown.most = frozenset(roles), most
        web.add_url_rule(path, name or view.__name__, shown, **options)
        return view

    return add


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


def ours(regions: Collection[str]) -> bool:
    """Whether these regions, at least one, are all among the signed-in person's."""
    return bool(regions) and set(regions) <= set(me().regions)


def mine(found: Found | None) -> Found:
    """What was found, if all its regions are ours; else there is none."""
    return found if found and ours(cast(Any, found).regions) else abort(404)


@web.before_request
def admit() -> Reply | None:
    """Sign-in, role, then the CSRF token of everything that changes something. A form that comes without them changes
    nothing and loses nothing: it is shown again, after signing in, with what was typed (`g.typed`)."""
    view: Any = current_app.view_functions[request.endpoint or ""]
    request.max_content_length = request.max_form_memory_size = getattr(view, "most", USUAL)
    if "\0" in "".join(map(str, (request.path, *request.values.values(), *(request.view_args or {}).values()))):
        abort(400)  # no database takes it, no keyboard types it
    if request.endpoint == "web.static":
        return None
    if view.roles and not visitor():
        onward, typed = request.full_path.rstrip("?"), list(request.form.items(multi=True))
        if request.method == "POST" and request.endpoint not in FREE:
            return sign_in_page("", "ended", [(name, text) for name, text in typed if name not in SECRETS], onward)
        return redirect(url_for("web.sign_in", next=onward if request.method == "GET" else None))
    if view.roles and me().role not in view.roles:
        abort(403)
    if session.get("given") and view.roles and request.endpoint not in FREE:
        return redirect(url_for("web.account"))
    try:
        return current_app.extensions["csrf"].protect() if request.method == "POST" else None
    except CSRFError:
        if not view.roles or request.endpoint in FREE:
            raise
        flask.flash(_("Belum ada yang dikirim. Periksa isian Anda, lalu kirim sekali lagi."))
        g.typed, request.method = MultiDict(brought()) or request.form, "GET"
        request.form = ImmutableMultiDict()
        return None


def brought() -> list[tuple[str, str]]:
    """What was typed into a form before the session ended, as it comes through the sign-in page."""
    sent = request.form.items(multi=True)
    return [(name.removeprefix(CARRIED), text) for name, text in sent if name.startswith(CARRIED)]


def sign_in_page(typed: str, failure: Any = None, carried: Iterable[tuple[str, str]] = (), onward: str = "") -> Reply:
    """The sign-in page after a failure, if any; `carried` is a form that goes `onward` after signing in."""
    told = {"typed": typed, "failure": failure, "carried": carried, "onward": onward}
    return render_template("pages/sign_in.html", **told), 401 if failure else 200


def done(message: str, endpoint: str, **where: Any) -> Reply:
    """Go on to a page that says, this once, what was done."""
    flask.flash(message)
    return redirect(url_for(f"web.{endpoint}", **where), 303)


def download(content: Any, name: str, mimetype: str) -> Response:
    """A file to keep: bytes, text, or pieces of either."""
    return Response(content, mimetype=mimetype, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _language() -> str:
    """The language of this request: `?bahasa=` (kept for the session), else the session's, else Indonesian."""
    if (asked := request.args.get("bahasa")) in LANGUAGES:
        session["language"] = asked
    return session["language"] if session.get("language") in LANGUAGES else "id"


def language() -> str:
    """The language in which this request is answered."""
    return str(flask_babel.get_locale())


# Where a static file is; another content is another address, so that browsers may keep it for a year.
web.add_app_template_global(lambda name: url_for("web.static", filename=name, v=DIGESTS[name]), "static")


@web.app_context_processor
def _shared() -> dict[str, Any]:
    with suppress(OperationalError):  # so that a database which fails can be told of
        return {"language": language(), "user": me() if visitor() else None}
    return {"language": language(), "user": None}


@web.after_app_request
def _complete(response: Response) -> Response:
    """Load nothing from elsewhere, run no script, keep nothing personal."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if deployment().settings.public_url.startswith("https://"):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if request.endpoint == "web.static" and response.status_code < 400:
        response.headers["Cache-Control"] = "public, max-age=31536000"
    elif request.blueprint == "web":
        response.headers.update({"Cache-Control": "no-store", "X-Robots-Tag": "noindex"})
        response.status_code = 400 if "typed" in g and response.status_code == 200 else response.status_code
    return response


def failed(error: Exception) -> Reply:
    """What happened, and what to do; the API answers for its own paths before this is asked."""
    code = error.code or 500 if isinstance(error, HTTPException) else 500 if isinstance(error, LogBroken) else 503
    if code < 400:
        return cast(Reply, error)
    if not isinstance(error, HTTPException):
        current_app.logger.error("%s on %s: %s", type(error).__name__, request.path, str(error).splitlines()[0])
    whys = {CSRFError: "form", LogBroken: "tampered", OperationalError: "storage"}
    told = {"why": whys.get(type(error), code), "code": code, "position": getattr(error, "position", None)}
    return render_template("pages/error.html", **told), code


for kind in (HTTPException, LogUnavailable, LogBroken, OperationalError):
    web.app_errorhandler(kind)(failed)
