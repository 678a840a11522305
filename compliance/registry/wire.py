"""Contract §4 to facts, closed: what is not understood word for word is RegistryMisunderstood, never a guess.
wire.toml says how it is asked and which fields an answer has; the table below, what a value of each kind must be."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import jmespath
from jmespath.exceptions import JMESPathError

from compliance.errors import BadIdentifier, Misconfigured, RegistryMisunderstood
from compliance.law import facts, identifiers
from compliance.law.facts import Answer, Ask, Employer, Programme, Project

Record = Mapping[str, Any]
Call = tuple[str, str, dict[str, str]]  # method, path, parameters
MAX_BYTES, MAX_LEVELS, MAX_TEXT = 1024 * 1024, 32, 500
MAX_ACCOUNTS, MAX_DIFFERENT = 800, 60  # in more than number and workers; an entry of the log holds 65,535 bytes
COUNTS = range(10_000_001)
CLOCK_SKEW = timedelta(minutes=5)
OK = frozenset({200})
SHAPES: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
_TEXT = rf"(?=.*\S)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_TEXT}}}"
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = _DAY + r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
_UNKNOWN_WORD = "a word that is not known"
# What a value must be: its type (a bool is an int to Python), its notation, how it becomes ours, and what it is not.
_VALUES: dict[str, tuple[type, str, Callable[[Any], Any], str]] = {
    "flag": (bool, "", bool, "not true or false"),
    "count": (int, "", COUNTS.index, "not a whole number from 0"),
    "ordinal": (int, "", lambda number: COUNTS[1:].index(number) + 1, "not a whole number from 1"),
    "list": (list, "", list, "not a list"),
    "object": (dict, "", dict, "not an object"),
    "programmes": (list, "", lambda words: frozenset(map(Programme, words)), f"not a list, or {_UNKNOWN_WORD}"),
    "status": (str, "AKTIF|NONAKTIF", "AKTIF".__eq__, _UNKNOWN_WORD),
    "segment": (str, "BPU|PU", str, _UNKNOWN_WORD),
    "text": (str, _TEXT, str, f"not a text of 1 to {MAX_TEXT} printable characters"),
    "day": (str, _DAY, date.fromisoformat, "not a day as yyyy-mm-dd"),
    "month": (str, "[0-9]{4}-[0-9]{2}", lambda text: date.fromisoformat(f"{text}-01"), "not a month as yyyy-mm"),
    "moment": (str, _MOMENT, lambda text: datetime.fromisoformat(text).astimezone(UTC), "not a moment with its offset"),
    "nib": (str, _TEXT, identifiers.nib, "not 13 digits"),
    "npwp": (str, _TEXT, identifiers.npwp, "not 15, 16 or 22 digits"),
    "npp": (str, _TEXT, identifiers.npp, "not 1 to 20 letters and digits"),
    "project_number": (str, _TEXT, identifiers.project_number, "not 13 digits"),
    "region": (str, _TEXT, identifiers.region_or_province, "not NN.NN or NN"),
}
_MADE: dict[str, Callable[..., Any]] = {"account": facts.Account, "warning": facts.Warned, "sanction": facts.Sanction}
_MADE |= {"head": dict, "employer": Employer, "participant": facts.Participant, "project": Project, "pds": dict}
# A closed account and a waged worker need not state what an active account and a self-employed one must.
_VARIANTS = {("account", "status", "NONAKTIF"): "closed", ("participant", "segmen", "PU"): "waged"}
_EACH: dict[str, Any] = {"npp": "", "active_workers": None}


class Unclear(str):
    """Why a value of another wire is not understood, in its place."""


def read_document(body: bytes) -> dict[str, Any]:
    """One UTF-8 JSON object of at most 1 MiB and 32 levels, no key twice, no NaN. Raises RegistryMisunderstood."""
    if len(body) > MAX_BYTES:
        raise RegistryMisunderstood("the answer is larger than 1 MiB")
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=int)  # no NaN
        if _deeper(document, MAX_LEVELS):
            raise RecursionError
    except RecursionError:
        raise RegistryMisunderstood(f"the answer is deeper than {MAX_LEVELS} levels") from None
    except ValueError as error:  # `from None`: the decoder's error holds the whole answer
        place = f"{error.msg}, character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)
        place = "wrong bytes" if isinstance(error, UnicodeDecodeError) else place
        raise RegistryMisunderstood(f"the answer is not JSON in UTF-8 ({place})") from None
    if not isinstance(document, dict):
        raise RegistryMisunderstood("the answer is not a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | list) and (levels == 0 or any(_deeper(item, levels - 1) for item in inner))


def understand(ask: Ask, document: Record, now: datetime, source: str) -> Answer:
    """The facts in an answer to `ask`; `now` is the gate's clock. Raises RegistryMisunderstood naming all fields."""
    wrong: dict[str, str] = {}
    head = _read("head", document, "", wrong)
    record = _read(ask.subject, document, "", wrong) if document.get("ditemukan") is True else None
    if head and head["as_of"] > now + CLOCK_SKEW:
        wrong["per_tanggal"] = "lies in the future"
    if wrong:
        raise RegistryMisunderstood("; ".join(f"{place}: {why}" for place, why in wrong.items()))
    if not _about(ask, document, record):
        raise RegistryMisunderstood(f"the answer is not about the {asked_by(ask).upper()} that was asked for")
    return Answer(record, source, head["as_of"], head["reference"])


def asked_by(ask: Ask) -> str:
    """The contract's word for what is asked by."""
    return "nomor" if ask.subject == "project" and ask.by != "npp" else ask.by


def _about(ask: Ask, document: Record, record: Any) -> bool:  # also a *not found* may name somebody else
    stated = document.get(key := asked_by(ask))
    if isinstance(record, Employer) and key == "npp":
        return any(account.npp == ask.value.upper() for account in record.accounts)
    if isinstance(record, Project) and key == "npp" and ask.region not in (None, record.region):
        return False
    if stated is None:  # the agency need not repeat a NIK
        return record is None or key == "nik"
    if key == "nik":  # a masked one proves nothing
        return isinstance(stated, str) and (stated == ask.value or not re.fullmatch(r"[0-9]{16}", stated))
    given = _read(key if key in _VALUES else "project_number", stated, "", {})
    if key == "npwp":  # a person's old number against his NIK says nothing yet: the law knows the legal form
        return bool(given) and identifiers.same_npwp(ask.value, given, identifiers.INDIVIDUAL) is not False
    return bool(given == ask.value.upper())


def _read(kind: str, value: Any, place: str, wrong: dict[str, str]) -> Any:
    """One value, an object, or with "*" a list of them; what is not as agreed is named in `wrong` by its place."""
    if isinstance(value, Unclear):
        wrong[place] = str(value)
    elif kind in _VALUES:
        of, notation, parse, why = _VALUES[kind]
        try:
            if type(value) is not of or (notation and not re.fullmatch(notation, str(value))):
                raise ValueError(why)
            return parse(value)
        except (ValueError, OverflowError, BadIdentifier):
            wrong[place] = why
    elif kind.endswith("*"):
        items = [_read(kind[:-1], item, place, wrong) for item in _read("list", value, place, wrong) or ()]
        if not wrong and (len(items) > MAX_ACCOUNTS or len({replace(item, **_EACH) for item in items}) > MAX_DIFFERENT):
            wrong[place] = f"more than {MAX_ACCOUNTS}, or more than {MAX_DIFFERENT} that differ"
        return tuple(items)
    elif _read("object", value, place, wrong) is not None:
        return _object(kind, value, place, wrong)
    return None


def _object(kind: str, document: Record, place: str, wrong: dict[str, str]) -> Any:
    variants = (shape for (of, key, word), shape in _VARIANTS.items() if of == kind and document.get(key) == word)
    read: dict[str, Any] = {}
    for key, rule in SHAPES[next(variants, kind)].items():
        name, inside, *may = rule.split()
        where = f"{place}.{key}" if place else key
        if key not in document and "absent" not in may:
            wrong[where] = "missing"
        else:
            given = document.get(key)
            read[name] = None if given is None and may else _read(inside, given, where, wrong)
            if key == "lunas_sampai" and given is None and read.get("first_payment"):
                wrong[where] = "null although the first contribution is paid"
    read.pop("_", None)
    read |= read.pop("pds", None) or {}
    return None if wrong else _MADE[kind](**read)


# --- how an agreement asks and answers; what it answers is brought into the shape that is read above

_AROUND = {"at", "each", "none"}  # what a table of rules says of itself
_PLACES = {"value": "0", "region": "73.09", "region_digits": "7309", "reference": "x"}
_NO_CODE = Unclear("a code that is not in the table")  # an error, never a default


def unread(document: Record) -> list[str]:
    """Names of an answer's fields, at any level, that nobody reads; for whoever writes a profile."""
    names: set[str] = set()
    json.loads(json.dumps(document), object_hook=names.update)
    return sorted(names.difference(*SHAPES.values()))


class Wire:
    """The wire of contract §4, or that of a file (REGISTRY_PROFILE, docs/agency.md). `statuses` are those of answers
    that are read. Raises Misconfigured naming the file and the entry that is wrong."""

    def __init__(self, path: Path | None = None) -> None:
        self._file, self._answers = path.name if path else "", dict[str, dict[str, Any]]()
        try:
            self._data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")) if path else SHAPES["agreed"]
            self._zone = ZoneInfo(self._data.get("zone", "Asia/Jakarta"))
        except (OSError, ValueError, KeyError) as error:
            raise self._wrong("", f"cannot be read: {error}") from error
        self.statuses = frozenset(self._data.get("statuses", OK))
        for name in ("employer", *({"participant", "project"} & self._data.keys())):
            if not (section := self._data.get(name)):
                raise self._wrong(name, "is missing")
            if section.get("method", "GET") not in ("GET", "POST"):
                raise self._wrong(f"{name}.method", "must be GET or POST")
            try:
                for text in (section["path"], *(text for ask in section["ask"].values() for text in ask.values())):
                    text.format(**_PLACES)
            except (KeyError, ValueError, AttributeError, TypeError) as error:
                raise self._wrong(f"{name}.path or {name}.ask", f"is missing or has no such place {error}") from error
            if path:
                self._answers[name] = self._compiled(section.get("answer", {}), f"{name}.answer", "head", name)

    def _wrong(self, where: str, what: str) -> Misconfigured:
        return Misconfigured(f"REGISTRY_PROFILE {self._file}: {where} {what}")

    def _compiled(self, rules: dict[str, Any], where: str, *kinds: str) -> dict[str, Any]:
        """The rules for each field of these kinds."""
        fields = {key: rule.split()[1].rstrip("*") for kind in kinds for key, rule in SHAPES[kind].items()}
        if odd := sorted((set(rules) - _AROUND) ^ set(fields)):
            raise self._wrong(where, f"must name every field of the shape and no other; look at: {', '.join(odd)}")
        made = {}
        for key, rule in rules.items():
            try:
                inner = fields.get(key) in SHAPES and isinstance(rule, dict)
                made[key] = self._compiled(rule, f"{where}.{key}", fields[key]) if inner else jmespath.compile(rule)
            except (JMESPathError, TypeError, AttributeError) as error:
                raise self._wrong(f"{where}.{key}", "is no JMESPath expression") from error
        return made

    def call(self, ask: Ask, reference: str) -> Call:
        """One call; `reference` is the permit application's number. Parameters of a POST go as a JSON body."""
        section = self._data.get(ask.subject, {})
        params = section.get("ask", {}).get(asked_by(ask))
        if params is None:
            raise RegistryMisunderstood(f"this agreement has no question for {ask.subject} by {asked_by(ask)}")
        words = {"value": ask.value, "region": ask.region or "", "reference": reference}
        words["region_digits"] = words["region"].replace(".", "")
        path = section["path"].format(**{key: quote(word, safe="") for key, word in words.items()})
        return section.get("method", "GET"), path, {key: text.format(**words) for key, text in params.items()}

    def shape(self, ask: Ask, document: Record) -> Record:
        """The answer in the shape of contract §4; a value may be an Unclear."""
        rules = self._answers.get(ask.subject)
        return self._built(rules, document, self._data[ask.subject]) if rules else document

    def _built(self, rules: dict[str, Any], data: Any, section: Record, parent: str = "") -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, rule in rules.items():
            if not isinstance(rule, dict):
                if key not in _AROUND:
                    made[key] = self._translated(f"{parent}{key}", _found(rule, data), section)
            elif "none" in rule and _found(rule["none"], data) is True:
                made[key] = None
            elif "each" in rule:
                listed = _found(rule["each"], data)
                several = isinstance(listed, list)
                made[key] = [self._built(rule, item, section, f"{key}.") for item in listed] if several else listed
            elif (inner := _found(rule["at"], data) if "at" in rule else data) is not None:
                made[key] = inner if isinstance(inner, Unclear) else self._built(rule, inner, section, f"{key}.")
            # else it stays missing: only `none` says that there is none
        return made

    def _translated(self, name: str, value: Any, section: Record) -> Any:
        """A value in the contract's words, as the section's tables say."""
        if isinstance(value, str) and name in section.get("split", {}):
            value = [part.strip() for part in value.split(section["split"][name])]
        if isinstance(value, list):
            items = [self._translated(name, item, {**section, "split": {}}) for item in value]
            return _NO_CODE if _NO_CODE in items else items
        if value is not None and (codes := section.get("codes", {}).get(name)):
            value = codes.get(value if isinstance(value, str) else json.dumps(value), _NO_CODE)
        if not isinstance(value, str):
            return value
        if name in section.get("numbers", ()) and re.fullmatch(r"[0-9]{1,9}", value):
            return int(value)
        if not (form := section.get("formats", {}).get(name)):
            return value
        try:
            moment = datetime.strptime(value, form)  # noqa: DTZ007 (the zone follows)
        except ValueError:
            return Unclear(f"not written as {form}")
        if name == "per_tanggal":
            return (moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).isoformat()
        return moment.strftime("%Y-%m" if name.endswith("lunas_sampai") else "%Y-%m-%d")


def _found(expression: Any, data: Any) -> Any:
    try:
        return expression.search(data)
    except JMESPathError as error:
        return Unclear(f"does not fit the profile ({type(error).__name__})")
