"""The documents of documents.toml and the like: each is read, and described for OpenAPI, from the same line."""

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import marshmallow as ma

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


class Kind(NamedTuple):  # of value: how OpenAPI shows it; what gives its canonical form, or raises ValidationError
    shown: dict[str, Any]
    take: Callable[[Any], Any]


def _kind(read: Callable[[Any], Any], of: type = str, **shown: Any) -> Kind:
    """`read` gives the canonical form of such a value, or a Say: what is wrong with it."""

    def take(value: Any) -> Any:
        if type(found := read(value) if isinstance(value, of) else NO_TEXT) is Say:
            raise ma.ValidationError([found])
        return found

    return Kind(({"type": "string"} if of is str else {}) | shown, take)


def _words(most: int = 200, printable: bool = False, upper: bool = False, **shown: Any) -> Kind:
    """Words of 1 to `most` characters, trimmed. `upper`: a code, the same in either case, so that a slip of the shift
    key opens no gate."""
    too_long = say("too_long", most=most)

    def read(value: str) -> Any:
        found = value.strip().upper() if upper else value.strip()
        if CONTROL.search(value) or (printable and not found.isprintable()):
            return HALF if CONTROL.search(value) else PRINTABLE
        return (found if len(found) <= most else too_long) if found else EMPTY

    return _kind(read, minLength=1, maxLength=most, **shown)


def _number(read: Callable[[str], Any], pattern: str, rule: str, example: str, **shown: Any) -> Kind:
    """A text that matches a pattern as a whole; `read` gives its canonical form."""
    matches, wrong = re.compile(pattern, re.ASCII).fullmatch, say(rule, example)

    def match(value: str) -> Any:
        try:
            return read(value) if matches(value) else wrong
        except ValueError:  # a day that no calendar has
            return wrong

    return _kind(match, **{"pattern": f"^(?:{pattern})$", "example": example} | shown)


def _one_of(words: Mapping[str, Any]) -> Kind:
    wrong = say("one_of", words=", ".join(words))
    return _kind(lambda value: words.get(value, wrong), enum=list(words))


def _day(text: str) -> date:
    found = date.fromisoformat(text)
    if found.year in (date.min.year, date.max.year):  # beyond which no zone's midnight can be computed
        raise ValueError
    return found


def _count(value: Any) -> Any:
    """An integer, also when JSON writes it 12.0 (RFC 8785 makes the two equal); never a boolean."""
    found = int(value) if isinstance(value, float) and value.is_integer() else value
    return found if type(found) is int and 0 <= found <= MOST_WORKERS else NO_COUNT


class Given(ma.fields.Field[Any]):
    """What `take` reads (it raises ValidationError). Null means left out; where `open`, so does an empty text."""

    def __init__(self, take: Callable[[Any], Any], required: bool, open: bool) -> None:
        super().__init__(required=required)
        self._take, self._open = take, open

    def deserialize(self, value: Any, *where: Any, **how: Any) -> Any:
        if value is None or value is ma.missing or (self._open and isinstance(value, str) and not value.strip()):
            if self.required:
                raise ma.ValidationError([REQUIRED])
            return ma.missing
        return self._take(value)


class Document:
    """A JSON object with named fields. `open`: empty texts are left out, and so is what is not known."""

    def __init__(self, name: str, text: str, known: Mapping[str, Any], *, open: bool = False) -> None:
        self.fields, members, properties, required = dict[str, Any](), dict[str, Any](), dict[str, Any](), list[str]()
        for part in text.split():
            marked, _, kind = part.partition(":")
            field, optional, nullable = marked.rstrip("?*~"), marked[-1] in "*~", marked[-1] in "?~"
            self.fields[field] = one = known[kind.strip("[]") or "text"]
            many = kind.startswith("[")
            members[field] = Given(partial(one.take, many=True) if many else one.take, not optional, open)
            shown = {"type": "array", "items": one.shown} if many else one.shown
            properties[field] = _or_null(shown) if nullable else shown
            required += [] if optional else [field]
        self.described = {"type": "object", "properties": properties, "additionalProperties": open}
        self.described |= {"required": required} if required else {}
        self.shown = {"$ref": f"#/components/schemas/{name}"}
        members["error_messages"] = {"unknown": UNKNOWN, "type": NO_OBJECT}
        self._schema = ma.Schema.from_dict(members, name=name)(unknown=ma.EXCLUDE if open else ma.RAISE)

    def take(self, stated: Any, many: bool = False) -> Any:  # raises ValidationError
        if many and not isinstance(stated, list):
            raise ma.ValidationError([NO_LIST])
        return self._schema.load(stated, many=many)

    def load(self, stated: Any, broken: Broken, at: str = "") -> dict[str, Any]:
        """What can be read of a document that stands at `at`, without nulls; what cannot is added to `broken`."""
        try:
            return dict(self.take(stated))
        except ma.ValidationError as error:
            broken += _places(error.messages, at)
            return dict(error.valid_data or {})


def _places(told: Any, at: str) -> Broken:
    """What marshmallow found, each with its pointer."""
    if isinstance(told, list):
        return [(at, each) for each in told]
    places = [(inner, at if name == "_schema" else f"{at}/{escaped(str(name))}") for name, inner in told.items()]
    return [found for inner, there in places for found in _places(inner, there)]


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
KINDS: dict[str, Any] = {name: _kind(lambda value: value, object, **shown) for name, shown in PLAIN.items()}
KINDS |= {kind.__name__: _one_of({str(one): one for one in kind}) for kind in CODES}
KINDS["bool"] = _kind(lambda value: value if isinstance(value, bool) else NO_YES, object, type="boolean")
KINDS["count"] = _kind(_count, object, type="integer", minimum=0, maximum=MOST_WORKERS, example=12)
DOCUMENTS = read_documents(HERE / "documents.toml", KINDS)
