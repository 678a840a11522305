"""The English catalogue: `python -m tests.web.catalogue [NEW.json]` adds translations, compiles, lists what lacks.

NEW.json maps Indonesian originals to English. Texts come from the code, the templates and form.toml; what nothing says
any more goes.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from compliance.web.fields import FORM

WEB = Path(__file__).resolve().parents[2] / "compliance" / "web"
FOLDER = WEB / "translations/en/LC_MESSAGES"


def originals() -> set[str]:
    """Every text that people read."""
    keywords = {"_": None, "gettext": None, "lazy_gettext": None}
    methods = [("**.py", "python"), ("templates/**.html", "jinja2"), ("templates/**.txt", "jinja2")]
    found = {str(found[2]) for found in extract_from_dir(WEB, methods, keywords=keywords)}
    return found | set(_form_texts())


def _form_texts() -> Iterator[str]:
    """What form.toml says."""
    for choices in FORM["choices"].values():
        yield from choices.values()
    for part in FORM["part"]:
        yield from filter(None, (part["title"], part["more"]))
    for fields in (*(part["field"] for part in FORM["part"]), *FORM["form"].values()):
        for field in fields:
            yield from filter(None, (field["label"], field.get("hint"), field.get("wrong")))


def main() -> int:
    catalogue = read_po(io.BytesIO((FOLDER / "messages.po").read_bytes()), locale="en")
    wanted = originals()
    for path in sys.argv[1:]:
        for original, english in json.loads(Path(path).read_text(encoding="utf-8")).items():
            catalogue.add(original, english)
    for original in {message.id for message in catalogue if message.id and message.id not in wanted}:
        catalogue.delete(original)
    po, mo = io.BytesIO(), io.BytesIO()
    write_po(po, catalogue, width=120, sort_output=True, ignore_obsolete=True, no_location=True)
    write_mo(mo, catalogue)
    (FOLDER / "messages.po").write_bytes(po.getvalue())
    (FOLDER / "messages.mo").write_bytes(mo.getvalue())
    missing = sorted(wanted - {message.id for message in catalogue if message.id and message.string})
    print(json.dumps(dict.fromkeys(missing, ""), ensure_ascii=False, indent=1))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
