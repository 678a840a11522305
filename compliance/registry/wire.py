"""Contract §4 to facts, closed: what is not understood word for word is RegistryMisunderstood, never a guess."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NoReturn

from compliance.errors import RegistryMisunderstood
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
from compliance.registry.fields import (
    Record,
    count,
    day,
    flag,
    items,
    moment,
    month,
    nullable,
    number_of,
    one_of,
    optional,
    refuse,
    table,
    text,
    word,
)

MAX_BYTES = 1024 * 1024
MAX_LEVELS = 32
MAX_ACCOUNTS = 100  # an entry of the log holds 65,535 bytes
CLOCK_SKEW = timedelta(minutes=5)


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
    found = flag(document, "ditemukan")
    as_of = moment(document, "per_tanggal")
    if as_of > now + CLOCK_SKEW:
        refuse("per_tanggal", "lies in the future")
    reference = text(document, "no_ref")
    record = _READERS[ask.subject](document) if found else None
    _same_as_asked(ask, document, record)
    return Answer(record, source, as_of, reference)


def asked_by(ask: Ask) -> str:
    """The contract's word for what is asked by."""
    return "nomor" if ask.subject is Subject.PROJECT and ask.by != "npp" else ask.by


def _employer(document: Record) -> Employer:
    accounts = items(document, "kepesertaan")
    if len(accounts) > MAX_ACCOUNTS:
        refuse("kepesertaan", f"more than {MAX_ACCOUNTS} accounts")
    return Employer(
        name=text(document, "nama"),
        nib=optional(document, "nib", number_of(identifiers.nib)),
        npwp=optional(document, "npwp", number_of(identifiers.npwp)),
        accounts=tuple(_account(table({"kepesertaan": item}, "kepesertaan")) for item in accounts),
        warning=nullable(document, "teguran", _warning),
        sanction=nullable(document, "tmp2t", _sanction),
    )


def _account(document: Record) -> Account:
    npp = number_of(identifiers.npp)(document, "npp")
    region = optional(document, "kd_daerah", number_of(identifiers.region_or_province))
    if not _active(document):
        return Account(npp, active=False, region=region)
    first_payment = flag(document, "iuran_pertama_dibayar")
    paid_through = nullable(document, "lunas_sampai", month)
    if paid_through is None and first_payment:
        refuse("lunas_sampai", "null although the first contribution is paid")
    pds = table(document, "pds")
    return Account(
        npp,
        active=True,
        programmes=_programmes(document),
        active_workers=count(document, "jumlah_tk_aktif"),
        first_payment=first_payment,
        paid_through=paid_through,
        months_in_arrears=count(document, "bulan_menunggak"),
        instalment_plan=flag(document, "ada_perjanjian_angsuran"),
        partial_workers=flag(pds, "tk"),
        partial_wages=flag(pds, "upah"),
        partial_programmes=flag(pds, "program"),
        region=region,
    )


def _warning(parent: Record, key: str) -> Warned:
    document = table(parent, key)
    return Warned(count(document, "ke") or refuse("teguran.ke", "zero"), day(document, "tanggal"))


def _sanction(parent: Record, key: str) -> Sanction:
    document = table(parent, key)
    return Sanction(
        region=number_of(identifiers.region_or_province)(document, "kd_daerah"),
        letter=optional(document, "no_surat", text),
        dated=optional(document, "tanggal", day),
        lifted=optional(document, "dicabut_tanggal", day),
    )


def _participant(document: Record) -> Participant:
    _programmes(document)
    segment = word(document, "segmen", ("BPU", "PU"))
    until = day(document, "berlaku_sampai") if segment == "BPU" else optional(document, "berlaku_sampai", day)
    return Participant(segment, _active(document), until)


def _project(document: Record) -> Project:
    return Project(
        number=number_of(identifiers.project_number)(document, "nomor"),
        npp=number_of(identifiers.npp)(document, "npp"),
        region=number_of(identifiers.region_or_province)(document, "kd_daerah"),
        active=_active(document),
        since=day(document, "berlaku_dari"),
        until=day(document, "berlaku_sampai"),
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
        canonical = number_of(identifiers.npwp)({key: stated}, key)
        # a person's old number against his NIK says nothing here; the law knows the legal form and compares again
        return identifiers.same_npwp(asked, canonical, identifiers.INDIVIDUAL) is not False
    return stated.upper() == asked.upper()


def _programmes(document: Record) -> frozenset[Programme]:
    return frozenset(Programme(one_of("program", item, tuple(Programme))) for item in items(document, "program"))


def _active(document: Record) -> bool:
    return word(document, "status", ("AKTIF", "NONAKTIF")) == "AKTIF"


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
