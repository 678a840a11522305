"""The pages, rendered here, without script; they decide nothing. pages.toml says where each is and who may see it; here
is what every view goes through: sign-in, role, form token, language, headers, errors in words."""

import hashlib
import tomllib
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import flask
import flask_babel
from flask import Response, abort, current_app, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy.exc import OperationalError
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

from compliance.access.users import Role, User, Users
from compliance.access.users_sign_in import SignIns
from compliance.deployment import Deployment, deployment
from compliance.errors import BadInput, LogBroken, LogUnavailable, NotAllowed

HERE = Path(__file__).parent
PAGES: dict[str, Any] = tomllib.loads((HERE / "pages.toml").read_text(encoding="utf-8"))
HEADERS: dict[str, str] = PAGES.pop("headers")
DIGESTS = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in (HERE / "static").iterdir()}
CARRIED, SECRETS = "isi.", ("csrf_token", "password", "new_password")  # what travels through the sign-in page; not
LANGUAGES, USUAL = ("id", "en"), 128 * 1024  # bytes of a form
FAILURES: dict[type[Exception], tuple[str, int]] = {CSRFError: ("form", 400), OperationalError: ("storage", 503)}
FAILURES |= {LogBroken: ("tampered", 500), LogUnavailable: ("", 503), BadInput: ("", 400)}
Reply = ResponseReturnValue
Told = Reply | dict[str, Any]  # an answer, or what the page's template shows
_: Callable[..., str] = flask_babel.gettext  # the Indonesian original is a text's name in the catalogue
web = flask.Blueprint("web", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
# Where a static file is; another content is another address, so that browsers may keep it for a year.
web.add_app_template_global(lambda name: url_for("web.static", filename=name, v=DIGESTS[name]), "static")


def register(app: flask.Flask) -> None:
    """Add the pages, their sessions, languages, headers and error pages to the app."""
    secure = app.extensions["compliance"].settings.public_url.startswith("https://")
    app.config |= {"SESSION_COOKIE_NAME": "__Host-gate" if secure else "gate", "SESSION_COOKIE_SECURE": secure}
    app.config |= {"SESSION_COOKIE_SAMESITE": "Lax", "WTF_CSRF_CHECK_DEFAULT": False, "WTF_CSRF_TIME_LIMIT": None}
    CSRFProtect(app)
    translations = str(HERE / "translations")
    flask_babel.Babel(app, "id", default_translation_directories=translations, locale_selector=language)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    modules = {room: import_module(f"compliance.web.{room}") for room in PAGES}
    app.register_blueprint(web)
    for room, pages in PAGES.items():
        for name, page in pages.items():
            shown: Any = partial(_show, getattr(modules[room], page.get("view", name)), page)
            shown.page, shown.roles = page, frozenset(map(Role, page.get("for", "").split()))
            methods, rule = page["at"].split()
            app.add_url_rule(rule, f"web.{name}", shown, methods=methods.split(","))


def _show(view: Callable[..., Told], page: dict[str, Any], **named: str) -> Reply:
    """What a view tells, in its page's template; where there are errors the status is 422, if it says no other."""
    told = view(**page.get("with", {}), **named)
    if not isinstance(told, dict):
        return told
    status = told.get("status", 422 if told.get("errors") else 200)
    return render_template(page["show"], **told), status, told.get("headers", {})


def visitor() -> User | None:
    """Who is signed in, asked once per request."""
    if "visitor" not in g:
        found = sign_ins.current(session["signed_in"]) if "signed_in" in session else None
        g.visitor = found and found.user
    return cast("User | None", g.visitor)


def secret() -> bytes:
    return here.settings.secret_key.encode()


# The running gate; sessions, and with them the people; the signed-in person of a view that is not public.
here = cast(Deployment, LocalProxy(deployment))
sign_ins = cast(SignIns, LocalProxy(lambda: SignIns(Users(here.log, here.clock), here.clock, secret())))
me = cast(User, LocalProxy(visitor))


def ours(regions: Collection[str]) -> bool:
    """Whether these regions, at least one, are all among the signed-in person's."""
    return bool(regions) and set(regions) <= set(me.regions)


def mine(found: Any) -> Any:
    """What was found, if all its regions are ours; else there is none."""
    return found if found and ours(found.regions) else abort(404)


@web.before_request
def admit() -> Reply | None:
    """Sign-in, role, then the CSRF token of everything that changes something. A form that comes without them changes
    nothing and loses nothing: it is shown again, after signing in, with what was typed (`g.typed`)."""
    view: Any = current_app.view_functions[request.endpoint or ""]
    page, roles = getattr(view, "page", {}), getattr(view, "roles", ())
    request.max_content_length = request.max_form_memory_size = page.get("most", USUAL)
    if "\0" in "".join(map(str, (request.path, *request.values.values(), *(request.view_args or {}).values()))):
        abort(400)  # no database takes it, no keyboard types it
    sent, given = request.method == "POST", "given" in page
    if roles and not me:
        told: dict[str, Any] = {"failure": "ended", "onward": request.full_path.rstrip("?")}
        if not sent or given:
            return redirect(url_for("web.sign_in", next=None if sent else told["onward"]))
        told["carried"] = [typed for typed in request.form.items(multi=True) if typed[0] not in SECRETS]
        return render_template("pages/sign_in.html", **told), 401
    if roles and me.role not in roles:
        abort(403)
    if roles and session.get("given") and not given:
        return redirect(url_for("web.account"))
    try:
        return current_app.extensions["csrf"].protect() if sent else None
    except CSRFError:
        if given or not roles:
            raise
    flask.flash(_("Belum ada yang dikirim. Periksa isian Anda, lalu kirim sekali lagi."))
    g.typed, request.method = MultiDict(brought()) or request.form, "GET"
    request.form = ImmutableMultiDict()
    return None


def brought() -> list[tuple[str, str]]:
    """What was typed into a form before the session ended, as it comes through the sign-in page."""
    sent = request.form.items(multi=True)
    return [(name.removeprefix(CARRIED), text) for name, text in sent if name.startswith(CARRIED)]


def done(message: str, endpoint: str, **where: Any) -> Reply:
    """Go on to a page that says, this once, what was done."""
    flask.flash(message)
    return redirect(url_for(f"web.{endpoint}", **where), 303)


def download(content: Any, name: str, mimetype: str) -> Response:
    """A file to keep: bytes, text, or pieces of either."""
    return Response(content, mimetype=mimetype, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def language() -> str:
    """The language of this request: `?bahasa=` (kept for the session), else the session's, else Indonesian."""
    if (asked := request.args.get("bahasa")) in LANGUAGES:
        session["language"] = asked
    return session["language"] if session.get("language") in LANGUAGES else "id"


@web.app_context_processor
def _shared() -> dict[str, Any]:
    with suppress(OperationalError):  # so that a database which fails can be told of
        return {"language": language(), "user": visitor()}
    return {"language": language(), "user": None}


@web.after_app_request
def _complete(response: Response) -> Response:
    """Load nothing from elsewhere, run no script, keep nothing personal."""
    stated = {name.lower() for name, _ in response.headers}
    response.headers.extend({name: value for name, value in HEADERS.items() if name.lower() not in stated})
    if here.settings.public_url.startswith("https://"):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if request.endpoint == "web.static" and response.status_code < 400:
        response.headers["Cache-Control"] = "public, max-age=31536000"
    elif request.blueprint == "web":
        response.headers.update({"Cache-Control": "no-store", "X-Robots-Tag": "noindex"})
        response.status_code = 400 if "typed" in g and response.status_code == 200 else response.status_code
    return response


def failed(error: Exception) -> Reply:
    """What happened, and what to do; the API answers for its own paths before this is asked."""
    if isinstance(error, NotAllowed):  # nothing was changed
        return render_template("casework/refused.html", why=str(error)), 409
    why, code = FAILURES.get(type(error), ("", getattr(error, "code", None) or 500))
    if code < 400:
        return cast(Reply, error)
    if not isinstance(error, HTTPException):
        current_app.logger.error("%s on %s: %s", type(error).__name__, request.path, str(error).splitlines()[0])
    told = {"why": why or code, "code": code, "position": getattr(error, "position", None)}
    return render_template("pages/error.html", **told), code


for kind in (HTTPException, NotAllowed, *FAILURES):
    web.app_errorhandler(kind)(failed)
