"""Contract §4 to facts, closed: what is not understood word for word is RegistryMisunderstood, never a guess."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NoReturn

from compliance.errors import RegistryMisunderstood
from compliance.law import identifiers
from compliance.law.facts import Account, Answer, Ask, Employer, Participant, Programme, Project, Sanction, Warned
from compliance.registry import fields as read
from compliance.registry.fields import Record, nullable, optional, refuse

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
    except ValueError as error:  # `from None`: the decoder's error holds the whole answer
        place = f"{error.msg}, character {error.pos}" if isinstance(error, json.JSONDecodeError) else str(error)
        place = "wrong bytes" if isinstance(error, UnicodeDecodeError) else place
        raise RegistryMisunderstood(f"the answer is not JSON in UTF-8 ({place})") from None
    if not isinstance(document, dict):
        raise RegistryMisunderstood("the answer is not a JSON object")
    if _deeper(document, MAX_LEVELS):
        raise RegistryMisunderstood(f"the answer is deeper than {MAX_LEVELS} levels")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(word: str) -> NoReturn:
    raise ValueError("NaN or Infinity")


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)


def understand(ask: Ask, document: Record, now: datetime, source: str) -> Answer:
    """The facts in an answer to `ask`. `now` is the gate's clock. Raises RegistryMisunderstood naming the field."""
    found = read.flag(document, "ditemukan")
    as_of = read.moment(document, "per_tanggal")
    if as_of > now + CLOCK_SKEW:
        refuse("per_tanggal", "lies in the future")
    reference = read.text(document, "no_ref")
    record = _READERS[ask.subject](document) if found else None
    _same_as_asked(ask, document, record)
    return Answer(record, source, as_of, reference)


def asked_by(ask: Ask) -> str:
    """The contract's word for what is asked by."""
    return "nomor" if ask.subject == "project" and ask.by != "npp" else ask.by


def _same_as_asked(ask: Ask, document: Record, record: Employer | Participant | Project | None) -> None:
    """An answer about somebody else, also a *not found* that names him, is no answer."""
    key = asked_by(ask)
    stated = document.get(key)
    if isinstance(record, Employer) and key == "npp":
        same = any(account.npp == ask.value.upper() for account in record.accounts)
    elif stated is None:  # the agency need not repeat a NIK
        same = record is None or key == "nik"
    elif not isinstance(stated, str):
        same = False
    elif key == "nik":
        same = stated == ask.value or not re.fullmatch(r"[0-9]{16}", stated)  # a masked NIK proves nothing
    elif key == "npwp":
        # a person's old number against his NIK says nothing here; the law knows the legal form and compares again
        same = identifiers.same_npwp(ask.value, read.npwp(document, key), identifiers.INDIVIDUAL) is not False
    else:
        same = stated.upper() == ask.value.upper()
    if isinstance(record, Project) and key == "npp":
        same = same and ask.region in (None, record.region)
    if not same:
        raise RegistryMisunderstood(f"the answer is not about the {key.upper()} that was asked for")


def _employer(document: Record) -> Employer:
    accounts = read.items(document, "kepesertaan")
    if len(accounts) > MAX_ACCOUNTS:
        refuse("kepesertaan", f"more than {MAX_ACCOUNTS} accounts")
    return Employer(
        name=read.text(document, "nama"),
        nib=optional(document, "nib", read.nib),
        npwp=optional(document, "npwp", read.npwp),
        accounts=tuple(_account(read.table({"kepesertaan": item}, "kepesertaan")) for item in accounts),
        warning=nullable(document, "teguran", _warning),
        sanction=nullable(document, "tmp2t", _sanction),
    )


def _account(document: Record) -> Account:
    npp = read.npp(document, "npp")
    region = optional(document, "kd_daerah", read.region)
    if not _active(document):
        return Account(npp, active=False, region=region)
    first_payment = read.flag(document, "iuran_pertama_dibayar")
    paid_through = nullable(document, "lunas_sampai", read.month)
    if paid_through is None and first_payment:
        refuse("lunas_sampai", "null although the first contribution is paid")
    pds = read.table(document, "pds")
    return Account(
        npp,
        active=True,
        programmes=_programmes(document),
        active_workers=read.count(document, "jumlah_tk_aktif"),
        first_payment=first_payment,
        paid_through=paid_through,
        months_in_arrears=read.count(document, "bulan_menunggak"),
        instalment_plan=read.flag(document, "ada_perjanjian_angsuran"),
        partial_workers=read.flag(pds, "tk"),
        partial_wages=read.flag(pds, "upah"),
        partial_programmes=read.flag(pds, "program"),
        region=region,
    )


def _programmes(document: Record) -> frozenset[Programme]:
    known = tuple(Programme)
    return frozenset(Programme(read.one_of("program", item, known)) for item in read.items(document, "program"))


def _active(document: Record) -> bool:
    return read.word(document, "status", ("AKTIF", "NONAKTIF")) == "AKTIF"


def _warning(parent: Record, key: str) -> Warned:
    document = read.table(parent, key)
    return Warned(read.count(document, "ke") or refuse("teguran.ke", "zero"), read.day(document, "tanggal"))


def _sanction(parent: Record, key: str) -> Sanction:
    document = read.table(parent, key)
    return Sanction(
        region=read.region(document, "kd_daerah"),
        letter=optional(document, "no_surat", read.text),
        dated=optional(document, "tanggal", read.day),
        lifted=optional(document, "dicabut_tanggal", read.day),
    )


def _participant(document: Record) -> Participant:
    _programmes(document)
    segment = read.word(document, "segmen", ("BPU", "PU"))
    until = optional(document, "berlaku_sampai", read.day) if segment == "PU" else read.day(document, "berlaku_sampai")
    return Participant(segment, _active(document), until)


def _project(document: Record) -> Project:
    return Project(
        number=read.project_number(document, "nomor"),
        npp=read.npp(document, "npp"),
        region=read.region(document, "kd_daerah"),
        active=_active(document),
        since=read.day(document, "berlaku_dari"),
        until=read.day(document, "berlaku_sampai"),
    )


_READERS: dict[str, Callable[[Record], Employer | Participant | Project]] = {
    "employer": _employer,
    "participant": _participant,
    "project": _project,
}
