"""What OSS is told of its permits: a supervisor says each state."""

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue
from ulid import ULID

from compliance.access.users import Role
from compliance.delivery import oss
from compliance.deployment import deployment
from compliance.errors import BadInput, FieldError
from compliance.web import desk
from compliance.web.fields import Field
from compliance.web.pages import _, pages
from compliance.web.visitors import allow, me


@pages.route("/oss/status", methods=["GET", "POST"])
@allow(Role.SUPERVISOR)
def oss_status() -> ResponseReturnValue:
    """The list of OSS's newest permits; with `nib` and `izin` in the address the form of one."""
    here, wanted = deployment(), (request.args.get("nib", ""), request.args.get("izin", ""))
    known = oss.permits(here, me().regions)
    one = next((found for found in known if (found[0].nib, found[0].id_izin) == wanted), None)
    if not one:
        return abort(404) if any(wanted) else render_template("batches/oss.html", known=known, on=here.settings.oss_url)

    def show(boxes: list[Field], others: list[str]) -> str:
        fits = [status for status, action in oss.STATES.items() if action in (None, one[1].action)]
        told = {"permit": one[0], "check": one[1], "fits": fits, "once": str(ULID())}
        return render_template("batches/oss_one.html", boxes=boxes, others=others, **told)

    def tell(typed: dict[str, str]) -> ResponseReturnValue:
        status, private = typed.pop("status"), {"name": me().name} | {k: v for k, v in typed.items() if v}
        try:
            once = str(ULID.from_str(request.form.get("once", "")))
            oss.tell(here, *wanted, status, once=once, by=me().id, private=private)
        except BadInput as error:
            wrong = _("Status ini tidak sesuai dengan pemeriksaan terakhir.")
            raise BadInput(FieldError("/status", wrong)) from error
        except ValueError:
            abort(400)
        return desk.done(_("Dicatat; OSS diberi tahu."), "oss_status")

    return desk.run("oss_status", show, tell)
