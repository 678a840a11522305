"""Auditors' pages: nothing of other regions, no look without its entry, a sample that nobody could choose."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date
from hashlib import sha256
from typing import Any

import pyotp
import pytest
from flask import Flask
from sqlalchemy import text

from compliance.access.users import Role
from compliance.errors import LogUnavailable
from compliance.reports import promises
from compliance.web.fields import FORM
from tests.conftest import Clock
from tests.web.conftest import Visit, add_user

SEED = "benih sendiri"


@pytest.fixture
def auditor(app: Flask, clock: Clock) -> Visit:
    return signed_in(app, clock, "rahma", ("73.09",))


def signed_in(app: Flask, clock: Clock, name: str, regions: tuple[str, ...]) -> Visit:
    add_user(app, name, Role.AUDITOR, regions)
    visit = Visit(app.test_client())
    visit.sign_in(name)
    seed = visit.get("/masuk/telepon").get_data(as_text=True).split('class="seed">')[1].split("<")[0]
    code = pyotp.TOTP(seed).at(int(clock().timestamp()))
    assert visit.post("/masuk/telepon", {"code": code}, page="/masuk/telepon").status_code == 200
    return visit


@pytest.fixture
def refused(clerk: Visit) -> str:
    """A check that is not met, by its id."""
    return clerk.check(business__scale="medium").headers["Location"].rsplit("/", 1)[1]


def last(app: Flask, kind: str) -> Any:
    with app.app_context():
        return list(app.extensions["compliance"].log.entries(kinds=(kind,)))[-1]


def page(visit: Visit, path: str) -> str:
    return visit.get(path).get_data(as_text=True)


def test_one_region_sees_nothing_of_another_by_any_door(app: Flask, clock: Clock, auditor: Visit, refused: str) -> None:
    other = signed_in(app, clock, "bone", ("73.08",))
    assert refused in page(auditor, "/audit")
    filters = ("", "?q=8120001234567", "?q=503/0123/DPMPTSP/2026", "?q=sumber", "?region=73.09", "?verdict=NOT_MET")
    for query in filters:
        assert refused not in page(other, f"/audit{query}")
        whole = zipfile.ZipFile(io.BytesIO(other.get(f"/audit/ekspor.csv{query}").data))
        assert whole.read("proofs.jsonl") == b""
    assert other.get(f"/audit/periksa/{refused}").status_code == 404
    assert other.get(f"/audit/periksa/{refused}/bukti.json").status_code == 404
    assert "NOT_MET" not in page(other, "/audit/laporan").split("<h2>")[1]
    add_user(app, "ani", regions=("73.08",))
    assert "Ibu ani" not in page(auditor, "/audit")


def test_an_auditor_reads_words_where_the_log_has_codes(app: Flask, auditor: Visit, clerk: Visit, refused: str) -> None:
    report = page(auditor, "/audit/laporan")
    assert "<td>Program belum lengkap</td>" in report
    assert "<td>Kabupaten Maros</td>" in report
    assert "Hari pertama tidak sesudah" in page(auditor, "/audit/laporan?since=2026-11-20&until=2026-11-01")
    ungated = clerk.check(permit_type="SIP").headers["Location"].rsplit("/", 1)[1]
    unasked = page(auditor, f"/audit/periksa/{ungated}").split("Tidak sampai ditanyakan:")[1]
    assert "<li>Apakah NIB dibekukan atau dicabut?</li>" in unasked
    named = set(app.extensions["compliance"].policy.on(date(2026, 11, 20), "73.09").findings)
    assert named == set(FORM["choices"]["finding"])


@pytest.mark.parametrize(
    ("address", "kind", "what"),
    [
        ("/audit?q=sumber&verdict=NOT_MET", "access.looked", "search"),
        ("/audit/periksa/{}", "access.looked", "check"),
        ("/audit/periksa/{}/bukti.json", "access.export", "proof"),
        ("/audit/ekspor.jsonl?q=sumber", "access.export", "checks"),
        ("/audit/laporan", "access.looked", "report"),
        ("/audit/log", "access.looked", "log"),
        ("/audit/sampel", "access.looked", "samples"),
        ("/cakupan", "access.looked", "coverage"),
        ("/cakupan/rapat.xlsx", "access.export", "coverage"),
    ],
)
def test_every_look_is_an_entry_and_a_name_that_was_typed_is_in_it_only_salted(
    app: Flask, auditor: Visit, refused: str, address: str, kind: str, what: str
) -> None:
    assert auditor.get(address.format(refused)).status_code == 200
    entry = last(app, kind)
    assert (entry.body["what"], entry.body["regions"]) == (what, ["73.09"])
    if "sumber" in address:
        assert entry.disclosed["query"] == "sumber"
        assert b"sumber" not in entry.raw
    if "verdict" in address:
        assert entry.body["asked"] == {"verdict": "NOT_MET"}


def test_without_the_entry_there_is_no_look(
    app: Flask, auditor: Visit, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **named: Any) -> None:
        raise LogUnavailable("disk full")

    monkeypatch.setattr(app.extensions["compliance"].log, "append", full)
    pages = ("/audit", "/audit/ekspor.csv", "/audit/laporan", "/audit/sampel", "/cakupan")
    for address in (*pages, f"/audit/periksa/{refused}"):
        answer = auditor.get(address)
        assert answer.status_code == 503
        assert refused not in answer.get_data(as_text=True)


def test_a_check_is_decided_again_and_explained_by_the_law_of_its_day(app: Flask, auditor: Visit, refused: str) -> None:
    shown = page(auditor, f"/audit/periksa/{refused}")
    assert "Perpres 109/2013 Pasal 6 ayat (3)" in shown
    address = re.search(r'href="(/audit/aturan/[0-9a-f]{64})">regions/73.09.toml', shown)
    assert address
    assert "ya, dihitung ulang sekarang" in page(auditor, address[1])
    again = auditor.post(f"/audit/periksa/{refused}", {}, page="/audit/log").get_data(as_text=True)
    assert "sama persis" in again
    assert last(app, "log.replayed").body["same"] is True


@pytest.mark.parametrize(
    "address", ["/audit?since=kemarin", "/audit?until=2026-02-30", "/audit/laporan?since=1999-01-01"]
)
def test_a_wrong_day_is_said_at_its_field_and_loses_nothing(auditor: Visit, address: str) -> None:
    answer = auditor.get(f"{address}&permit_type=PBG")
    assert answer.status_code == 422
    assert 'class="problem" role="alert"' in answer.get_data(as_text=True)
    assert auditor.get("/audit/ekspor.csv?since=kemarin").status_code == 400
    assert auditor.get("/audit?sebelum=x").status_code == 400
    assert auditor.get("/audit/ekspor.exe").status_code == 404


def test_the_whole_log_is_verified_while_one_watches_and_a_changed_entry_is_named(
    app: Flask, auditor: Visit, refused: str
) -> None:
    told = auditor.post("/audit/log", {}, page="/audit/log").get_data(as_text=True)
    assert "UTUH" in told
    assert last(app, "log.verified").body["broken"] == ""
    with app.app_context():
        log = app.extensions["compliance"].log
        if log.engine.dialect.name != "sqlite":
            return  # there the service's own role cannot touch an entry
        with log.engine.begin() as connection:
            connection.execute(text("DROP TRIGGER audit_entry_no_update"))
            changed = "UPDATE audit_entry SET body = CAST(replace(body, 'NOT_MET', 'MET') AS BLOB) WHERE entry_id = :id"
            connection.execute(text(changed), {"id": refused})
    told = auditor.post("/audit/log", {}, page="/audit/log").get_data(as_text=True)
    assert "RUSAK" in told
    assert "posisi rusak pertama" in told


PLAN = {"regions": "73.09", "since": "2026-11-21", "until": "2026-11-22", "per_office": "2", "seed_sha256": ""}


@pytest.mark.parametrize(
    "wrong",
    [
        *({"since": "2026-11-20"}, {"since": ""}, {"until": "2026-11-20"}, {"per_office": "0"}, {"per_office": "x"}),
        *({"regions": "73.08"}, {"regions": ""}, {"seed_sha256": "abc"}),
    ],
)
def test_a_sample_is_planned_only_for_days_to_come(auditor: Visit, wrong: dict[str, str]) -> None:
    answer = auditor.post("/audit/sampel", PLAN | wrong, page="/audit/sampel")
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.get_data(as_text=True)


def test_a_sample_from_its_seed_to_its_bound(app: Flask, clock: Clock, auditor: Visit, clerk: Visit) -> None:
    planned = auditor.post("/audit/sampel", PLAN, page="/audit/sampel").get_data(as_text=True)
    seed = re.search(r'class="seed"><code>([0-9a-f]{32})<', planned)
    address = re.search(r'href="(/audit/sampel/[0-9A-Z]{26})"', planned)
    assert seed
    assert address
    entry = last(app, "access.sample_committed")
    assert entry.body["seed_sha256"] == sha256(seed[1].encode()).hexdigest()
    assert seed[1].encode() not in entry.raw
    assert seed[1] not in page(auditor, address[1])
    clock.tick(days=1)
    clerk.sign_in("sitti")
    for number in range(5):
        assert clerk.check(reference=f"S/{number}").status_code == 303
    auditor = again(app, auditor, clock)
    early = auditor.post(address[1], {"seed": seed[1]}, page=address[1])
    assert "belum berakhir" in early.get_data(as_text=True)
    clock.tick(days=3)
    auditor = again(app, auditor, clock)
    assert auditor.post(address[1], {"seed": "another"}, page=address[1]).status_code == 422
    assert auditor.post(address[1], {"seed": seed[1]}, page=address[1]).status_code == 303
    assert "2 dari 5 pemeriksaan" in page(auditor, address[1])
    assert auditor.post(address[1], {"wrong.0": "3"}, page=address[1]).status_code == 422
    assert auditor.post(address[1], {"wrong.0": "0"}, page=address[1]).status_code == 303
    assert "tidak lebih dari 77,6 % dari semua" in page(auditor, address[1])
    other = signed_in(app, clock, "bone", ("73.08",))
    assert other.get(address[1]).status_code == 404


def again(app: Flask, visit: Visit, clock: Clock) -> Visit:
    """The auditor comes back another day, with the next code of the telephone."""
    with app.app_context():
        from compliance.access.users import SECRET, Users
        from compliance.database import db

        running = app.extensions["compliance"]
        user = Users(running.log, running.clock).named("rahma")
        assert user
        seed = db.session.execute(SECRET.select().where(SECRET.c.user_id == user.id)).one().totp_seed
        db.session.remove()
    visit.sign_in("rahma")
    visit.post("/masuk/kode", {"code": pyotp.TOTP(seed).at(int(clock().timestamp()))}, page="/masuk/kode")
    return visit


def test_promises_are_public_red_until_looked_at_and_red_when_stale(
    app: Flask, visit: Visit, clock: Clock, auditor: Visit, refused: str
) -> None:
    assert page(visit, "/promises").count('class="promise bad"') == 5
    with app.app_context():
        promises.prove(app.extensions["compliance"], [], by="test")
    shown = page(visit, "/promises")
    assert shown.count('class="promise good"') == 3  # no witness is configured here
    assert shown.count('class="promise idle"') == shown.count("Tidak ada yang dapat dilihat") == 1  # no outage
    assert "DILANGGAR" in shown
    assert refused not in shown
    clock.tick(hours=27)
    assert page(visit, "/promises").count('class="promise bad"') == 5
    assert "KEDALUWARSA" in page(visit, "/promises")
