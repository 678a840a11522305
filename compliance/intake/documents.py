"""The documents of documents.toml and the like: each is read, and described for OpenAPI, from the same line."""

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from compliance.errors import BadInput, FieldError
from compliance.law import facts, identifiers

HERE = Path(__file__).parent
WORDS = tomllib.loads((HERE / "words.toml").read_text(encoding="utf-8"))
CONTROL, MOST_WORKERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"), 9_999_999


class Say(NamedTuple):  # one sentence in both languages
    en: str
    id: str


def say(rule: str, example: str = "", **values: object) -> Say:
    """What to tell about a rule of words.toml, with its values filled in."""
    english, indonesian = (text.format(**values) for text in WORDS[rule])
    return Say(f"{english}, e.g. {example}", f"{indonesian}, mis. {example}") if example else Say(english, indonesian)


Broken = list[tuple[str, Say]]  # pointers and what is wrong there
REQUIRED, EMPTY, PRINTABLE, UNKNOWN, HALF = map(say, ("required", "empty", "printable", "unknown", "control"))
NO_TEXT, NO_OBJECT, NO_LIST = say("text"), say("object", '{"nib": "8120001234567"}'), say("list", "[]")
NO_COUNT, NO_YES = say("count", "12", most=MOST_WORKERS), say("yes_no")


def bad_input(broken: Broken, language: str = "en") -> BadInput:
    """The error that names each field once, the first complaint about it."""
    first = dict(reversed(broken))
    return BadInput(*(FieldError(at, getattr(first[at], language)) for at in dict.fromkeys(at for at, _ in broken)))


def escaped(name: str) -> str:
    """A field's name as a JSON pointer's token (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


class Kind(NamedTuple):
    """One kind of value: how OpenAPI shows it; `load` gives the canonical form of one that stands at a pointer, or adds
    to the broken ones what is wrong with it and gives None."""

    shown: dict[str, Any]
    load: Callable[[Any, Broken, str], Any]


def _kind(read: Callable[[Any], Any], **shown: Any) -> Kind:
    """`read` gives the canonical form, or a Say: what is wrong."""

    def load(value: Any, broken: Broken, at: str) -> Any:
        found = read(value)
        if type(found) is not Say:
            return found
        broken.append((at, found))

    return Kind(shown, load)


def _many(one: Any) -> Kind:
    def load(value: Any, broken: Broken, at: str) -> Any:
        if isinstance(value, list):
            return [one.load(each, broken, f"{at}/{number}") for number, each in enumerate(value)]
        broken.append((at, NO_LIST))

    return Kind({"type": "array", "items": one.shown}, load)


def _text(read: Callable[[str], Any], **shown: Any) -> Kind:
    return _kind(lambda value: read(value) if isinstance(value, str) else NO_TEXT, **{"type": "string"} | shown)


def _words(most: int = 200, printable: bool = False, upper: bool = False, **shown: Any) -> Kind:
    """Words of 1 to `most` characters, trimmed. `upper`: a code, the same in either case, so that a slip of the shift
    key opens no gate."""
    too_long = say("too_long", most=most)

    def read(value: str) -> Any:
        found = value.strip().upper() if upper else value.strip()
        if CONTROL.search(value):
            return HALF
        if printable and not found.isprintable():
            return PRINTABLE
        return (found if len(found) <= most else too_long) if found else EMPTY

    return _text(read, minLength=1, maxLength=most, **shown)


def _number(read: Callable[[str], Any], pattern: str, rule: str, example: str, **shown: Any) -> Kind:
    """A text that matches a pattern as a whole; `read` gives its canonical form."""
    matches, wrong = re.compile(pattern, re.ASCII).fullmatch, say(rule, example)

    def match(value: str) -> Any:
        try:
            return read(value) if matches(value) else wrong
        except ValueError:  # a day that no calendar has
            return wrong

    return _text(match, **{"pattern": f"^(?:{pattern})$", "example": example} | shown)


def _one_of(words: Mapping[str, Any]) -> Kind:
    wrong = say("one_of", words=", ".join(words))
    return _text(lambda value: words.get(value, wrong), enum=list(words))


def _day(text: str) -> date:
    found = date.fromisoformat(text)
    if found.year in (date.min.year, date.max.year):  # beyond which no zone's midnight can be computed
        raise ValueError
    return found


def _count(value: Any) -> Any:
    """An integer, also when JSON writes it 12.0 (RFC 8785 makes the two equal); never a boolean."""
    found = int(value) if isinstance(value, float) and value.is_integer() else value
    return found if type(found) is int and 0 <= found <= MOST_WORKERS else NO_COUNT


class Document:
    """A JSON object with named fields; null means left out. `open`: so do empty texts, and what is not known."""

    def __init__(self, name: str, text: str, known: Mapping[str, Any], *, open: bool = False) -> None:
        self.fields, self._required, self._open = dict[str, Any](), list[str](), open
        properties: dict[str, Any] = {}
        for part in text.split():
            marked, _, kind = part.partition(":")
            field, one = marked.rstrip("?*~"), known[kind.strip("[]") or "text"]
            self.fields[field] = one = _many(one) if kind.startswith("[") else one
            properties[field] = _or_null(one.shown) if marked[-1] in "?~" else one.shown
            self._required += [] if marked[-1] in "*~" else [field]
        self.described = {"type": "object", "properties": properties, "additionalProperties": open}
        self.described |= {"required": self._required} if self._required else {}
        self.shown = {"$ref": f"#/components/schemas/{name}"}

    def load(self, stated: Any, broken: Broken, at: str = "") -> dict[str, Any]:
        """What can be read of a document that stands at `at`, without nulls; what cannot is added to `broken`."""
        found: dict[str, Any] = {}
        if not isinstance(stated, Mapping):
            broken.append((at, NO_OBJECT))
            return found
        for name, kind in self.fields.items():
            value = stated.get(name)
            if value is None or (self._open and isinstance(value, str) and not value.strip()):
                broken += [(f"{at}/{name}", REQUIRED)] if name in self._required else []
            elif (read := kind.load(value, broken, f"{at}/{name}")) is not None:
                found[name] = read
        if not self._open:
            broken += [(f"{at}/{escaped(str(name))}", UNKNOWN) for name in stated if name not in self.fields]
        return found


def _or_null(shown: dict[str, Any]) -> dict[str, Any]:
    if "type" not in shown:
        return {"anyOf": [shown, {"type": "null"}]} if shown else shown
    more = {"enum": [*shown["enum"], None]} if "enum" in shown else {}
    return {**shown, "type": [shown["type"], "null"], **more}


def read_documents(file: Path, known: dict[str, Any]) -> dict[str, Document]:
    """The documents of a file; its kinds and documents are added to `known`."""
    table, made = tomllib.loads(file.read_text(encoding="utf-8")), {}
    for name, rule in table.get("kinds", {}).items():
        if "pattern" in rule:
            known[name] = _number(READ.get(name, str), **rule)
        else:
            known[name] = _one_of({word: word for word in rule["words"]}) if "words" in rule else _words(**rule)
    for part in ("documents", "open"):
        for name, text in table.get(part, {}).items():
            made[name] = known[name] = Document(name, text.format(**table), known, open=part == "open")
    return made


READ: dict[str, Callable[[str], Any]] = {"npwp": identifiers.npwp, "npp": identifiers.npp, "day": _day, "limit": int}
READ["cursor"] = lambda text: int(text[1:], 16)
CODES = (facts.Action, facts.Certainty, facts.Effect, facts.RuleStage, facts.Scale, facts.Verdict)
PLAIN = {"int": {"type": "integer"}, "object": {"type": "object"}, "any": {}, "text": {"type": "string"}}
PLAIN |= {name: {"type": "string", "format": form} for name, form in (("moment", "date-time"), ("uri", "uri"))}
KINDS: dict[str, Any] = {name: _kind(lambda value: value, **shown) for name, shown in PLAIN.items()}
KINDS |= {kind.__name__: _one_of({str(one): one for one in kind}) for kind in CODES}
KINDS["bool"] = _kind(lambda value: value if isinstance(value, bool) else NO_YES, type="boolean")
KINDS["count"] = _kind(_count, type="integer", minimum=0, maximum=MOST_WORKERS, example=12)
DOCUMENTS = read_documents(HERE / "documents.toml", KINDS)
