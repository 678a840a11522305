"""The result page, its paper, the public receipt, lists, languages, and what people read when something fails."""

from __future__ import annotations

import io
import re
import shutil
import sqlite3
import subprocess
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from flask import Flask

from compliance.audit.erasure import erase
from compliance.database import db
from compliance.errors import LogUnavailable
from tests.conftest import Clock
from tests.web.catalogue import FOLDER, originals
from tests.web.conftest import Visit, add_user


def made(clerk: Visit, **changes: str) -> str:
    """The address of a new check's page."""
    answer = clerk.check(**changes)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return answer.headers["Location"]


def text(visit: Visit, path: str) -> str:
    return visit.get(path).get_data(as_text=True)


def code_of(page: str) -> str:
    found = re.search(r'class="code">([0-9A-Z-]{14})<', page)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("changes", "verdict", "label", "sentence"),
    [
        ({}, "MET", "Memenuhi", "Lanjutkan permohonan."),
        ({"workforce__declared": "8"}, "MET_WITH_NOTE", "Memenuhi dengan catatan", "sampaikan catatan"),
        ({"business__scale": "medium"}, "NOT_MET", "Tidak memenuhi", "serahkan lembar ini"),
        ({"workforce__declared": "30"}, "OFFICER_REVIEW", "Perlu verifikasi petugas", "bukan penolakan"),
        ({"permit_type": "SIP"}, "NOT_REQUIRED", "Tidak dipersyaratkan", "Lanjutkan permohonan."),
        ({"business__nib": "6603000000001"}, "UNDETERMINED", "Belum dapat dipastikan", "bukan penolakan"),
        ({"business__nib": "7719000000001"}, "BLOCKED", "Diblokir (TMP2T)", "selama sanksi berlaku"),
    ],
)
def test_the_verdict_stands_in_words_with_one_sentence_what_to_do(
    clerk: Visit, changes: dict[str, str], verdict: str, label: str, sentence: str
) -> None:
    page = text(clerk, made(clerk, **changes))
    banner = page.split('<div class="verdict ')[1].split("</div>")[0]
    assert banner.startswith(f'{verdict}"')
    assert label in banner
    assert sentence in banner


def test_a_refusal_says_why_what_to_do_and_on_what_ground(clerk: Visit) -> None:
    page = text(clerk, made(clerk, business__scale="medium"))
    assert "Yang harus dilakukan" in page
    assert "Periksa lagi mulai 23 November 2026" in page
    assert "Perpres 109/2013 Pasal 6 ayat (3) <em>(naskah dibaca)</em>" in page
    assert "<em>(contoh)</em>" in page
    assert "contoh: peraturan daerah belum ada" in page


def test_a_rule_that_is_not_yet_in_force_says_so_everywhere(clerk: Visit) -> None:
    page = text(clerk, made(clerk, permit_type="KAPAL", business__scale="large"))
    assert "belum diberlakukan" in page
    assert "Lanjutkan permohonan: aturan ini belum diberlakukan" in page
    assert "belum diberlakukan" in text(clerk, f"/r/{code_of(page)}")


def test_a_backdated_check_says_so_in_bold(clerk: Visit) -> None:
    page = text(clerk, made(clerk, as_at="2026-10-01"))
    assert re.search(r'class="notice">[^<]*1 Oktober 2026[^<]*tanggal mundur', page)
    assert 'class="notice">Tanggal mundur' in text(clerk, f"/r/{code_of(page)}")
    assert "tanggal mundur" not in text(clerk, made(clerk, as_at="2026-10-21"))


def test_the_result_is_read_in_english_as_well(clerk: Visit) -> None:
    page = text(clerk, made(clerk, business__scale="medium") + "?bahasa=en")
    assert '<html lang="en">' in page
    assert "Not met" in page
    assert "owes JKK, JKM, JHT, JP" in page
    assert "20 November 2026 at 16:00 WITA" in page
    assert "Alasan" not in page


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is not installed")
@pytest.mark.parametrize("language", ["id", "en"])
def test_the_paper_is_one_page_with_text_that_can_be_selected(clerk: Visit, language: str, tmp_path: Path) -> None:
    address = made(clerk, business__scale="medium", workforce__declared="40", business__name="PT Ü–Ž ≥ “Jaya”")
    code = code_of(text(clerk, f"{address}?bahasa={language}"))
    answer = clerk.get(f"{address}/hasil.pdf")
    assert answer.mimetype == "application/pdf"
    assert f'filename="hasil-{code}.pdf"' in answer.headers["Content-Disposition"]
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(answer.data)
    said = subprocess.run(["pdftotext", "-layout", paper, "-"], capture_output=True, check=True, text=True).stdout
    assert said.count("\f") == 1
    for word in ("DPMPTSP Maros", "Ibu sitti", code, "503/0123/DPMPTSP/2026", "PT Ü–Ž ≥ “Jaya”", "20 November 2026"):
        assert word in said, word


def test_a_check_is_asked_again_with_everything_that_was_typed(clerk: Visit) -> None:
    address = made(
        clerk,
        business__npwp="01.234.567.8-801.000",
        owner__name="Haji Dg Tata",
        owner__nik="7309054403880002",
        workforce__outsourced="2",
        workforce__declared="14",
    )
    form = text(clerk, "/periksa?ulang=" + address.rsplit("/", 1)[1])
    for value in ("8120001234567", "0012345678801000", "Haji Dg Tata", "7309054403880002", "14", "2"):
        assert f'value="{value}"' in form, value
    assert re.search(r'value="small"[^>]*checked', form)
    assert re.search(r'value="yes"[^>]*checked', form)


def test_earlier_checks_are_found_by_reference_nib_and_code(clerk: Visit) -> None:
    first, second = made(clerk), made(clerk, reference="A-2", business__nib="7701000000002", business__name="PT Lain")
    code = code_of(text(clerk, first))
    for query, found in [
        ("", {first, second}),
        ("503/0123/DPMPTSP/2026", {first}),
        ("A-2", {second}),
        ("7701 0000 00002", {second}),
        (code, {first}),
        (code.lower().replace("-", " "), {first}),
        ("sumber", {first}),
        ("REJ sumb", {first}),
        ("cv. lain", {second}),
        ("umber", set()),
        ("sumber lain", set()),
        ("PT", set()),
        ("%", set()),
        ("tidak ada", set()),
    ]:
        page = clerk.client.get("/riwayat", query_string={"q": query}).get_data(as_text=True)
        assert set(re.findall(r'href="(/periksa/\w{26})"', page)) == found, query


def test_a_name_that_was_erased_is_not_found(app: Flask, clerk: Visit) -> None:
    address = made(clerk)
    with app.app_context():
        log = app.extensions["compliance"].log
        entry = log.entry(address.rsplit("/", 1)[1])
        erase(log, [entry], ground="test", by="test")
    assert "Tidak ada yang cocok" in text(clerk, "/riwayat?q=sumber")
    assert "Sumber" not in text(clerk, address)


def test_a_long_list_goes_on(clerk: Visit) -> None:
    for number in range(27):
        made(clerk, permit_type="SIP", reference=f"Berkas {number}")
    page = text(clerk, "/riwayat")
    onward = re.search(r'href="(/riwayat\?sebelum=\d+)"', page)
    assert page.count(">Berkas ") == 25
    assert onward
    assert text(clerk, onward[1]).count(">Berkas ") == 2


def test_what_waits_is_listed_with_its_deadline_until_it_is_settled(clerk: Visit, clock: Clock) -> None:
    held = made(clerk, workforce__declared="30")
    made(clerk, reference="A-2")
    page = text(clerk, "/tindak-lanjut")
    assert re.findall(r'href="(/periksa/\w{26})"', page) == [held]
    assert "27 November 2026" in page
    clock.tick(minutes=10)
    made(clerk)
    assert "Belum ada." in text(clerk, "/tindak-lanjut")


def test_a_receipt_is_public_and_shows_no_more_than_it_must(app: Flask, clerk: Visit) -> None:
    code = code_of(text(clerk, made(clerk, owner__nik="7309054403880002", owner__name="Haji Tata")))
    anybody = Visit(app.test_client())
    for typed in (code, code.lower(), code.replace("-", ""), code.replace("-", " ")):
        page = text(anybody, f"/r/{typed}")
        assert "berlaku sampai 20 Desember 2026" in page
        assert "valid until 20 December 2026" in page
        assert "CV Sumber Rejeki" in page
        assert "503/0123/DPMPTSP/2026" in page
        for secret in ("7309054403880002", "Haji", "Ibu sitti", "8120001234567"):
            assert secret not in page
    assert anybody.get(f"/r/{code}").headers["X-Robots-Tag"] == "noindex"


def test_the_receipt_of_a_person_shows_only_how_the_name_begins(clerk: Visit) -> None:
    code = code_of(text(clerk, made(clerk, business__legal_form="17", business__name="Warung Sitti Aminah")))
    page = text(clerk, f"/r/{code}")
    assert "Wa… Si… Am…" in page
    assert "Aminah" not in page


def test_a_receipt_says_when_it_has_expired_or_was_replaced(clerk: Visit, clock: Clock) -> None:
    code = code_of(text(clerk, made(clerk)))
    clock.now += timedelta(days=31)
    assert "berakhir pada 20 Desember 2026" in text(clerk, f"/r/{code}")


def test_a_mistyped_code_is_told_from_an_unknown_one(clerk: Visit) -> None:
    code = code_of(text(clerk, made(clerk)))
    wrong = code[:-1] + ("2" if code[-1] != "2" else "3")
    answer = clerk.get(f"/r/{wrong}")
    assert answer.status_code == 404
    assert "Salah ketik?" in answer.get_data(as_text=True)
    assert clerk.get("/r/x/y/z").status_code == 404
    assert clerk.get(f"/r?kode={code}").headers["Location"].startswith("/r/")


def test_guessing_receipts_is_stopped_for_a_while(clerk: Visit, clock: Clock) -> None:
    code = code_of(text(clerk, made(clerk)))
    for _ in range(20):
        assert clerk.get("/r/AAAA-AAAA-AAAA").status_code == 404
    assert clerk.get(f"/r/{code}").status_code == 429
    assert "Tunggu beberapa menit" in text(clerk, f"/r/{code}")
    clock.tick(minutes=10)
    assert clerk.get(f"/r/{code}").status_code == 200


@pytest.mark.parametrize("language", ["id", "en"])
def test_errors_are_pages_in_words(visit: Visit, language: str) -> None:
    answer = visit.get(f"/tidak-ada?bahasa={language}")
    assert answer.status_code == 404
    assert ("Halaman tidak ditemukan" if language == "id" else "Page not found") in answer.get_data(as_text=True)
    assert visit.client.put("/periksa").status_code == 405
    assert "<html" in visit.client.put("/periksa").get_data(as_text=True)


def test_the_api_answers_its_own_errors(visit: Visit) -> None:
    answer = visit.get("/api/v1/tidak-ada")
    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_a_failure_that_nobody_foresaw_is_a_page_that_says_nothing_inside(
    app: Flask, clerk: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("rahasia")

    monkeypatch.setattr(app.extensions["compliance"].log, "checks", broken)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = clerk.get("/riwayat")
    assert answer.status_code == 500
    assert "Terjadi gangguan" in answer.get_data(as_text=True)
    assert "rahasia" not in answer.get_data(as_text=True)


def test_signing_in_while_the_log_cannot_be_written_says_so(
    app: Flask, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(app, "sitti")

    def full(*args: object, **named: object) -> None:
        raise LogUnavailable("no space left")

    monkeypatch.setattr(app.extensions["compliance"].log, "append", full)
    answer = visit.sign_in("sitti")
    assert answer.status_code == 503
    assert "Catatan tidak dapat ditulis" in answer.get_data(as_text=True)


TAMPERED = [
    "UPDATE audit_entry SET body = CAST(replace(CAST(body AS TEXT), 'NOT_MET', 'MET') AS BLOB) WHERE entry_id = :id",
    "UPDATE audit_entry SET body = CAST('nothing' AS BLOB) WHERE entry_id = :id",
    "UPDATE check_record SET document = replace(document, '\"NOT_MET\"', '\"MET\"') WHERE id = :id",
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("statement", TAMPERED)
def test_a_tampered_entry_is_not_shown_but_named_with_what_to_do(app: Flask, clerk: Visit, statement: str) -> None:
    address, sound = made(clerk, business__scale="medium"), made(clerk, reference="A-2")
    code = code_of(text(clerk, address))
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP TRIGGER IF EXISTS audit_entry_no_update"))
        for (name,) in connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            connection.execute(sa.text(f"DROP TRIGGER {name}"))
        assert connection.execute(sa.text(statement), {"id": address.rsplit("/", 1)[1]}).rowcount == 1
    for path in (address, f"{address}/hasil.pdf", f"/r/{code}", f"{address}?bahasa=en", f"{address}?bahasa=id"):
        answer = clerk.get(path)
        assert answer.status_code == 500, path
        said = answer.get_data(as_text=True)
        assert "tidak utuh" in said or "not whole" in said, path
        assert "auditor" in said
        assert "Diblokir" not in said
    listed = text(clerk, "/riwayat")
    assert "tidak utuh" in listed
    assert sound in listed
    assert clerk.get(sound).status_code == 200


def test_a_full_disk_is_told_in_words_and_changes_nothing(app: Flask, clerk: Visit, clock: Clock) -> None:
    """The database itself refuses to write, as it does on a full disk."""
    clock.tick(minutes=2)  # so that the session's idle end would be moved

    def full(*_: object) -> None:
        if is_sqlite:
            raise sqlite3.OperationalError("database or disk is full")
        raise psycopg.errors.DiskFull("could not extend file: No space left on device")

    with app.app_context():
        is_sqlite = db.engine.dialect.name == "sqlite"
        sa.event.listen(db.engine, "before_cursor_execute", full)
    for answer in (clerk.get("/riwayat"), clerk.get("/periksa"), clerk.get("/akun")):
        assert answer.status_code == 503
        assert "ruang disk penuh" in answer.get_data(as_text=True)
    with app.app_context():
        sa.event.remove(db.engine, "before_cursor_execute", full)
    assert clerk.get("/riwayat").status_code == 200


def test_every_text_of_the_pages_has_its_english() -> None:
    english = read_po(io.BytesIO((FOLDER / "messages.po").read_bytes()))
    known = {message.id: message.string for message in english if message.id}
    assert originals() == set(known), "python -m tests.web.catalogue"
    assert not [original for original, said in known.items() if not said]
    for original, said in known.items():
        assert re.findall(r"%\(\w+\)s", original) == re.findall(r"%\(\w+\)s", said), original
    compiled = read_mo(io.BytesIO((FOLDER / "messages.mo").read_bytes()))
    assert {message.id: message.string for message in compiled if message.id} == known
