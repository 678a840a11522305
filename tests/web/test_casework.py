"""Casework in pages: two people, their buttons, and what each of them is told when it may not be."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from compliance import work
from compliance.access.users import Role
from tests.conftest import Clock
from tests.web.conftest import Visit, add_user
from tests.web.table import enter

VERIFY = {
    "codes": "HEADCOUNT_DIFFERS",
    "effect": "OK",
    "certificate": "SK-1/2026",
    "dated": "2026-11-19",
    "sha256": "a" * 64,
    "until": "2026-12-31",
    "ground": "Sertifikat <asli> dilihat",
}
LETTER = {"letter": "B/9/2026", "dated": "2026-11-18", "nib": "8120001234567", "name": "CV Sumber Rejeki"}


@pytest.fixture
def boss(app: Flask, clock: Clock) -> Visit:
    """A supervisor, signed in."""
    visit = Visit(app.test_client())
    enter(app, visit, Role.SUPERVISOR, clock)
    return visit


def text(visit: Visit, path: str) -> str:
    return visit.get(path).get_data(as_text=True)


def sent(visit: Visit, path: str, typed: dict[str, str], status: int = 303) -> str:
    """Where a form leads to, or (not 303) the page that comes back."""
    answer = visit.post(path, typed, page=path)
    assert answer.status_code == status, answer.get_data(as_text=True)
    return answer.headers["Location"] if status == 303 else answer.get_data(as_text=True)


def held(clerk: Visit) -> str:
    return clerk.check(workforce__declared="30").headers["Location"]


def test_a_clerk_asks_and_a_supervisor_decides(clerk: Visit, boss: Visit) -> None:
    address = held(clerk)
    assert f'{address}/usul/verifikasi"' in text(clerk, address)
    assert "usul/pengecualian" not in text(clerk, address)
    proposal = sent(clerk, f"{address}/usul/verifikasi", VERIFY)
    page = text(clerk, proposal)
    assert "Menunggu penyelia" in page
    assert "Sertifikat &lt;asli&gt; dilihat" in page
    assert 'value="accepted"' not in page
    assert proposal in text(boss, "/usulan")
    page = text(boss, proposal)
    for shown in ("Ibu sitti", "SK-1/2026", "a" * 64, "31 Desember 2026", "UU 24/2011", "Pekerja aktif terdaftar 12"):
        assert shown in page, shown
    sent(boss, proposal, {"act": "accepted", "reason": "ya"}, 422)
    sent(boss, proposal, {"act": "accepted", "reason": "Sesuai arsip"})
    page = text(clerk, address)
    later = re.search(r'href="(/periksa/[0-9A-Z]{26})">Lihat yang terbaru', page)
    assert later
    assert "Memenuhi</h1>" in text(clerk, later[1])
    assert "Putusan petugas: Memenuhi" in page
    assert "Sesuai arsip" in text(clerk, proposal)
    assert "sudah diputuskan" in sent(boss, proposal, {"act": "refused", "reason": "Berubah pikiran"}, 409)


def test_a_supervisor_cannot_decide_on_his_own_proposal_even_by_hand(boss: Visit) -> None:
    address = held(boss)
    proposal = sent(boss, f"{address}/usul/verifikasi", VERIFY)
    assert 'value="accepted"' not in text(boss, proposal)
    assert "Usulan Anda sendiri" in text(boss, proposal)
    assert "penyelia lain" in sent(boss, proposal, {"act": "accepted", "reason": "Sesuai arsip"}, 409)
    assert "Menunggu penyelia" in text(boss, proposal)


def test_a_clerk_cannot_decide_even_by_hand(app: Flask, clerk: Visit) -> None:
    proposal = sent(clerk, "/sanksi/baru", LETTER)
    add_user(app, "ani")
    other = Visit(app.test_client())
    other.sign_in("ani")
    assert "Hanya penyelia" in sent(other, proposal, {"act": "accepted", "reason": "Sesuai arsip"}, 409)


def test_what_is_typed_wrongly_is_named_and_nothing_is_lost(clerk: Visit) -> None:
    path = f"{held(clerk)}/usul/verifikasi"
    page = sent(clerk, path, VERIFY | {"sha256": "abc", "until": "2026-01-01"}, 422)
    assert 'href="#sha256"' in page
    assert 'id="sha256-error"' in page
    assert re.search(r'id="until"[^>]* aria-invalid="true"', page)
    assert 'value="SK-1/2026"' in page
    assert "Sertifikat &lt;asli&gt; dilihat</textarea>" in page
    assert re.search(r'value="HEADCOUNT_DIFFERS"[^>]* checked', page)
    without = {name: value for name, value in VERIFY.items() if name != "codes"}
    assert 'href="#codes"' in sent(clerk, path, without, 422)


def test_what_is_not_possible_is_not_offered_and_refused_in_words(clerk: Visit) -> None:
    address = clerk.check(business__scale="medium").headers["Location"]
    assert "usul/pernyataan" in text(clerk, address)
    assert clerk.get(f"{address}/usul/pengecualian").status_code == 409
    assert clerk.get(f"{address}/usul/izin-terbit").status_code == 409
    assert clerk.get(f"{address}/usul/lain").status_code == 404


def test_the_register_blocks_and_its_lifting_frees(clerk: Visit, boss: Visit) -> None:
    letter = sent(clerk, "/sanksi/baru", LETTER)
    assert "B/9/2026" not in text(clerk, "/sanksi")
    sent(boss, letter, {"act": "accepted", "reason": "Surat asli dilihat"})
    page = text(clerk, "/sanksi")
    assert "CV Sumber Rejeki" in page
    assert "Diblokir" in text(clerk, clerk.check().headers["Location"])
    lifting = re.search(r'href="(/sanksi/[0-9A-Z]{26}/cabut)"', page)
    assert lifting
    second = sent(clerk, lifting[1], {"letter": "B/10/2026", "dated": "2026-11-20"})
    sent(boss, second, {"act": "accepted", "reason": "Surat pencabutan dilihat"})
    assert "Dicabut sejak 20 November 2026" in text(clerk, "/sanksi")
    assert "Lanjutkan permohonan, dan sampaikan catatan" in text(clerk, clerk.check().headers["Location"])


def test_a_granted_permit_is_watched_until_somebody_ends_it(app: Flask, clerk: Visit, boss: Visit) -> None:
    address = clerk.check().headers["Location"]
    assert sent(clerk, f"{address}/usul/izin-terbit", {"permit": "IZIN-7", "dated": "2026-11-20"}) == address
    sent(boss, sent(clerk, "/sanksi/baru", LETTER), {"act": "accepted", "reason": "Surat asli dilihat"})
    with app.app_context():
        while work.do_due(app.extensions["compliance"]):
            pass
    page = text(clerk, "/pantauan")
    assert "Sanksi TMP2T" in page
    assert "IZIN-7" in page
    for word, gone in (("handled", "Sanksi TMP2T"), ("ended", "IZIN-7")):
        of = re.search(rf'value="{word}"><input type="hidden" name="of" value="([^"]+)"', page)
        assert of
        sent(clerk, "/pantauan", {"act": word, "of": of[1]})
        assert gone not in text(clerk, "/pantauan")
    sent(clerk, "/pantauan", {"act": "handled", "of": "tidak-ada"}, 409)


def test_a_recall_lists_who_must_be_told(app: Flask, clerk: Visit, boss: Visit) -> None:
    address = clerk.check(business__scale="medium").headers["Location"]
    recall = sent(clerk, "/usulan/penarikan", {"nib": "8120001234567", "ground": "Laporan cabang keliru"})
    sent(boss, recall, {"act": "accepted", "reason": "Surat cabang dilihat"})
    assert "Belum ada yang ditemukan" in text(clerk, recall)
    with app.app_context():
        while work.do_due(app.extensions["compliance"]):
            pass
    page = text(clerk, recall)
    assert address in page
    assert ">sama<" in page


def test_nothing_of_another_region_is_seen_or_touched(app: Flask, clerk: Visit) -> None:
    letter = sent(clerk, "/sanksi/baru", LETTER)
    address = held(clerk)
    add_user(app, "bone", regions=("73.08",))
    other = Visit(app.test_client())
    other.sign_in("bone")
    for path in (letter, f"{address}/usul/verifikasi", f"/sanksi/{letter.rsplit('/', 1)[1]}/cabut"):
        assert other.get(path).status_code == 404
    for path in ("/usulan", "/sanksi", "/pantauan"):
        assert "B/9/2026" not in text(other, path)
    assert "bukan dari daerah Anda" in sent(other, "/sanksi/baru", LETTER | {"region": "73.09"}, 409)
