"""Contract §4 to facts, closed: what is not understood word for word is RegistryMisunderstood, never a guess."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn, TypeVar

from compliance.errors import BadIdentifier, RegistryMisunderstood
from compliance.law import identifiers
from compliance.law.facts import (
    Account,
    Answer,
    Ask,
    Employer,
    Participant,
    Programme,
    Project,
    Sanction,
    Subject,
    Warned,
)

Record = Mapping[str, Any]
Day = TypeVar("Day", date, datetime)
MAX_BYTES = 1024 * 1024
MAX_LEVELS = 32
MAX_TEXT = 500
MAX_COUNT = 10_000_000
MAX_ACCOUNTS = 150  # an entry of the log holds 65,535 bytes
CLOCK_SKEW = timedelta(minutes=5)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def read_document(body: bytes) -> dict[str, Any]:
    """One UTF-8 JSON object of at most 1 MiB and 32 levels, no key twice, no NaN. Raises RegistryMisunderstood."""
    if len(body) > MAX_BYTES:
        raise RegistryMisunderstood("the answer is larger than 1 MiB")
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise RegistryMisunderstood(f"the answer is deeper than {MAX_LEVELS} levels") from None
    except ValueError as error:
        # `from None`: the decoder's error holds the whole answer
        raise RegistryMisunderstood(f"the answer is not JSON in UTF-8 ({_place(error)})") from None
    if not isinstance(document, dict):
        raise RegistryMisunderstood("the answer is not a JSON object")
    if _deeper(document, MAX_LEVELS):
        raise RegistryMisunderstood(f"the answer is deeper than {MAX_LEVELS} levels")
    return document


def understand(ask: Ask, document: Record, now: datetime, source: str) -> Answer:
    """The facts in an answer to `ask`. `now` is the gate's clock. Raises RegistryMisunderstood naming the field."""
    found = _flag(document, "ditemukan")
    as_of = _moment(document, "per_tanggal")
    if as_of > now + CLOCK_SKEW:
        _refuse("per_tanggal", "lies in the future")
    reference = _text(document, "no_ref")
    record = _READERS[ask.subject](document) if found else None
    _same_as_asked(ask, document, record)
    return Answer(record, source, as_of, reference)


def asked_by(ask: Ask) -> str:
    """The contract's word for what is asked by."""
    return "nomor" if ask.subject is Subject.PROJECT and ask.by != "npp" else ask.by


def _employer(document: Record) -> Employer:
    accounts = _list(document, "kepesertaan")
    if len(accounts) > MAX_ACCOUNTS:
        _refuse("kepesertaan", f"more than {MAX_ACCOUNTS} accounts")
    return Employer(
        name=_text(document, "nama"),
        nib=_optional(document, "nib", _number_of(identifiers.nib)),
        npwp=_optional(document, "npwp", _number_of(identifiers.npwp)),
        accounts=tuple(_account(_object(item, "kepesertaan[]")) for item in accounts),
        warning=_nullable(document, "teguran", _warning),
        sanction=_nullable(document, "tmp2t", _sanction),
    )


def _account(document: Record) -> Account:
    npp = _number_of(identifiers.npp)(document, "npp")
    region = _optional(document, "kd_daerah", _number_of(identifiers.region_or_province))
    if not _active(document):
        return Account(npp, active=False, region=region)
    first_payment = _flag(document, "iuran_pertama_dibayar")
    paid_through = _nullable(document, "lunas_sampai", lambda value, key: _month({key: value}, key))
    if paid_through is None and first_payment:
        _refuse("lunas_sampai", "null although the first contribution is paid")
    pds = _object(_there(document, "pds"), "pds")
    return Account(
        npp,
        active=True,
        programmes=_programmes(document),
        active_workers=_count(document, "jumlah_tk_aktif"),
        first_payment=first_payment,
        paid_through=paid_through,
        months_in_arrears=_count(document, "bulan_menunggak"),
        instalment_plan=_flag(document, "ada_perjanjian_angsuran"),
        partial_workers=_flag(pds, "tk"),
        partial_wages=_flag(pds, "upah"),
        partial_programmes=_flag(pds, "program"),
        region=region,
    )


def _warning(value: Any, key: str) -> Warned:
    document = _object(value, key)
    count = _count(document, "ke")
    return Warned(count, _day(document, "tanggal")) if count else _refuse("teguran.ke", "zero")


def _sanction(value: Any, key: str) -> Sanction:
    document = _object(value, key)
    return Sanction(
        region=_number_of(identifiers.region_or_province)(document, "kd_daerah"),
        letter=_optional(document, "no_surat", _text),
        dated=_optional(document, "tanggal", _day),
        lifted=_optional(document, "dicabut_tanggal", _day),
    )


def _participant(document: Record) -> Participant:
    _programmes(document)
    segment = _word(document, "segmen", ("BPU", "PU"))
    until = _day(document, "berlaku_sampai") if segment == "BPU" else _optional(document, "berlaku_sampai", _day)
    return Participant(segment, _active(document), until)


def _project(document: Record) -> Project:
    return Project(
        number=_number_of(identifiers.project_number)(document, "nomor"),
        npp=_number_of(identifiers.npp)(document, "npp"),
        region=_number_of(identifiers.region_or_province)(document, "kd_daerah"),
        active=_active(document),
        since=_day(document, "berlaku_dari"),
        until=_day(document, "berlaku_sampai"),
    )


_READERS: dict[Subject, Callable[[Record], Employer | Participant | Project]] = {
    Subject.EMPLOYER: _employer,
    Subject.PARTICIPANT: _participant,
    Subject.PROJECT: _project,
}


def _same_as_asked(ask: Ask, document: Record, record: Employer | Participant | Project | None) -> None:
    """An answer about somebody else, also a *not found* that names him, is no answer."""
    key = asked_by(ask)
    if isinstance(record, Employer) and key == "npp":
        same = any(account.npp == ask.value.upper() for account in record.accounts)
    elif document.get(key) is None:  # the agency need not repeat a NIK
        same = record is None or key == "nik"
    else:
        same = _same(key, ask.value, document[key])
    if isinstance(record, Project) and key == "npp":
        same = same and ask.region in (None, record.region)
    if not same:
        raise RegistryMisunderstood(f"the answer is not about the {key.upper()} that was asked for")


def _same(key: str, asked: str, stated: Any) -> bool:
    if not isinstance(stated, str):
        return False
    if key == "nik":
        return stated == asked or not re.fullmatch(r"[0-9]{16}", stated)  # a masked NIK proves nothing
    if key == "npwp":
        canonical = _number_of(identifiers.npwp)({key: stated}, key)
        return bool(identifiers.same_npwp(asked, canonical))
    return stated.upper() == asked.upper()


def _programmes(document: Record) -> frozenset[Programme]:
    return frozenset(Programme(_one_of("program", word, tuple(Programme))) for word in _list(document, "program"))


def _active(document: Record) -> bool:
    return _word(document, "status", ("AKTIF", "NONAKTIF")) == "AKTIF"


def _word(document: Record, key: str, words: tuple[str, ...]) -> str:
    return _one_of(key, _there(document, key), words)


def _one_of(key: str, value: Any, words: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in words:
        _refuse(key, "a word that is not known")
    return value


def _flag(document: Record, key: str) -> bool:
    value = _there(document, key)
    return value if isinstance(value, bool) else _refuse(key, "not true or false")


def _count(document: Record, key: str) -> int:
    value = _there(document, key)
    if type(value) is not int or not 0 <= value <= MAX_COUNT:  # a bool is an int to Python
        _refuse(key, "not a whole number from 0")
    return int(value)


def _text(document: Record, key: str) -> str:
    value = _there(document, key)
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT or _CONTROL.search(value):
        _refuse(key, f"not a text of 1 to {MAX_TEXT} printable characters")
    return value


def _day(document: Record, key: str) -> date:
    return _calendar(key, _there(document, key), _DAY, date.fromisoformat)


def _month(document: Record, key: str) -> date:
    return _calendar(key, _there(document, key), _MONTH, lambda text: date.fromisoformat(f"{text}-01"))


def _moment(document: Record, key: str) -> datetime:
    return _calendar(key, _there(document, key), _MOMENT, lambda text: datetime.fromisoformat(text).astimezone(UTC))


def _calendar(key: str, value: Any, form: re.Pattern[str], read: Callable[[str], Day]) -> Day:
    if not isinstance(value, str) or not form.fullmatch(value):
        _refuse(key, "not written as agreed")
    try:
        return read(value)
    except (ValueError, OverflowError):
        _refuse(key, "not a day of the calendar")


def _number_of(check: Callable[[str], str]) -> Callable[[Record, str], str]:
    """A reader of an identifier in the law's canonical form; its error never shows the number."""

    def read(document: Record, key: str) -> str:
        try:
            return check(_text(document, key))
        except BadIdentifier as error:
            _refuse(key, f"not {error.rule}")

    return read


def _optional(document: Record, key: str, read: Callable[[Record, str], Any]) -> Any:
    return None if document.get(key) is None else read(document, key)


def _nullable(document: Record, key: str, read: Callable[[Any, str], Any]) -> Any:
    value = _there(document, key)
    return None if value is None else read(value, key)


def _there(document: Record, key: str) -> Any:
    return document[key] if key in document else _refuse(key, "missing")


def _list(document: Record, key: str) -> list[Any]:
    value = _there(document, key)
    return value if isinstance(value, list) else _refuse(key, "not a list")


def _object(value: Any, key: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse(key, "not an object")


def _refuse(key: str, why: str) -> NoReturn:
    raise RegistryMisunderstood(f"{key}: {why}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(word: str) -> NoReturn:
    raise ValueError("NaN or Infinity")


def _place(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, character {error.pos}"
    return "wrong bytes" if isinstance(error, UnicodeDecodeError) else str(error)


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)
