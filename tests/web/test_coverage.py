"""The pages on coverage: from a list to the sentence in a browser, roles, regions, and files that are bad."""

from __future__ import annotations

import io
from pathlib import Path

import openpyxl
import pyotp
import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from compliance.access.users import Role
from compliance.batches import reading
from compliance.coverage import acts
from compliance.deployment import Deployment
from compliance.gate import Asker
from tests.conftest import SAMPLES, Clock
from tests.web.conftest import PASSWORD, Visit, add_user
from tests.web.table import enter

HEAD = ("jenis", "nama", "terdaftar", "jumlah orang", "terlindungi", "sampai", "pembayar", "NIB", "per")
ROWS = [
    HEAD,
    ("opd", "Dinas Perikanan", "belum", "40", "", "", "APBD", "8120001234567", "2026-10-01"),
    ("kelompok BPU", "Sinar Laut", "", "25", "20", "2026-12-05", "CSR", "", "2026-06-01"),
    ("desa", "=1+1", "ya", "", "", "", "", "", "2026-06-01"),
]


@pytest.fixture
def here(app: Flask) -> Deployment:
    return app.extensions["compliance"]


def take(here: Deployment, region: str = "73.09", rows: list[tuple[str, ...]] = ROWS) -> dict[str, str]:
    """The ids by name."""
    acts.take_list(here, region, [(str(n), row) for n, row in enumerate(rows, 1)], "ab" * 32, Asker("user", "t"), "id")
    return {one.facts["name"]: one.id for one in acts.now_known(here, region)}


@pytest.fixture
def supervisor(app: Flask, visit: Visit, clock: Clock) -> Visit:
    enter(app, visit, Role.SUPERVISOR, clock)
    return visit


def send(visit: Visit, file: bytes, **typed: str) -> tuple[int, str]:
    data = typed | {"csrf_token": visit.token("/cakupan/impor"), "file": (io.BytesIO(file), "daftar.csv")}
    answer = visit.client.post("/cakupan/impor", data=data, follow_redirects=True)
    return answer.status_code, answer.get_data(as_text=True)


def test_a_large_list_waits_while_others_are_read(supervisor: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGE", 10)
    with reading.turn(None, AssertionError()), reading.turn(None, AssertionError()):
        status, page = send(supervisor, b"jenis;nama\ndesa;Desa 1\n")
        assert (status, "Tunggu setengah menit, lalu kirim lagi." in page) == (422, True)
    assert send(supervisor, b"jenis;nama\ndesa;Desa 1\n")[0] == 200


@pytest.mark.browser
@pytest.mark.timeout(240)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_supervisor_goes_from_the_articles_lists_to_its_sentence(
    browser: Browser, server: tuple[str, Flask], clock: Clock, tmp_path: Path
) -> None:
    """Without script: import, mend a bad file, read the sentence, follow a number, change one, ask, download."""
    context = browser.new_context(base_url=server[0], java_script_enabled=False)
    page: Page = context.new_page()
    page.goto("/masuk")
    page.fill("#sign-in", "budi")
    page.fill("#password", PASSWORD)
    page.click("main .button")
    page.fill("#code", pyotp.TOTP(page.locator(".seed").inner_text()).at(int(clock().timestamp())))
    page.click("main .button")
    page.goto("/")
    page.click("nav >> text=Cakupan")
    expect(page.locator(".lead")).to_contain_text("Belum ada daftar")
    (tmp_path / "salah.csv").write_text("jenis;nama;jumlah orang;terlindungi\ndesa;Desa 1;5;6\nkeraton;X;;\n")
    for file, says in [
        (tmp_path / "salah.csv", "Baris 2: terlindungi 6 orang, lebih dari yang seharusnya (5)"),
        (SAMPLES / "majene-opd-2022-11.csv", "39 OPD"),
        (SAMPLES / "majene-desa-2022-11.csv", "62 desa"),
    ]:
        page.goto("/cakupan/impor")
        page.set_input_files("input[type=file]", file)
        page.click("main form .button")
        expect(page.locator("main")).to_contain_text(says)
    page.fill("#per", "2022-12-31")
    page.click("text=Tampilkan")
    sentence = "Per 31 Desember 2022, dari 39 OPD, 12 terdaftar, 27 belum; dari 62 desa, 19 terdaftar, 43 belum."
    expect(page.locator(".sentence")).to_have_text(sentence)
    page.locator("tr:has-text('OPD') >> a", has_text="27").first.click()
    expect(page.locator(".chosen")).to_contain_text("27 lembaga")
    page.click("text=Dinas 13")
    page.fill("#nib", "8120001234567")
    page.fill("#as-of", "2026-11-01")
    page.click("main form >> text=Simpan")
    expect(page.locator("[role=status]")).to_have_text("Perubahan dicatat.")
    page.click("button:has-text('Tanyakan sekarang')")
    expect(page.locator("[role=status]")).to_contain_text("terdaftar dan aktif")
    page.goto("/cakupan")
    expect(page.locator(".sentence")).to_contain_text("dari 39 OPD, 13 terdaftar, 26 belum")
    with page.expect_download() as download:
        page.click("text=Unduh untuk rapat")
    book = openpyxl.load_workbook(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert "dari 39 OPD, 13 terdaftar, 26 belum" in [row[0].value for row in book["Kalimat"].iter_rows()]
    context.close()


def test_the_workbook_holds_every_number_and_no_formula(here: Deployment, clerk: Visit) -> None:
    take(here)
    answer = clerk.get("/cakupan/rapat.xlsx")
    book = openpyxl.load_workbook(io.BytesIO(answer.data))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    assert "'=1+1" in [cell.value for cell in cells]
    assert [row[0].value for row in book["Berakhir"].iter_rows()] == ["Nama", "Sinar Laut"]
    assert [cell.value for cell in list(book["Pembayar iuran"].iter_rows())[2]] == ["APBD", 1, 0, 1, 0, 40, 0]
    exported = list(here.log.entries(kinds=("access.export",)))[-1].body
    assert (exported["what"], exported["region"], exported["as_of"]) == ("coverage", "73.09", "2026-11-20")


def test_the_season_that_ends_is_on_the_page_and_the_hash_of_the_list(here: Deployment, clerk: Visit) -> None:
    take(here)
    page = clerk.get("/cakupan").get_data(as_text=True)
    assert "sampai dengan 5 Desember 2026, 20 orang, dibayar CSR" in page
    assert "dari 1 kelompok BPU, 1 terdaftar, 0 belum (20 dari 25 orang terlindungi)" in page
    assert page.count('title="' + "ab" * 32) >= 3
    assert "Impor daftar" not in page


def test_no_region_sees_or_changes_the_lists_of_another(app: Flask, here: Deployment, supervisor: Visit) -> None:
    ids = take(here, "76.05")
    size = here.log.head()[0]
    for path in ("/cakupan?daerah=76.05", "/cakupan/rapat.xlsx?daerah=76.05", "/cakupan/impor?daerah=76.05"):
        assert supervisor.get(path).status_code == 404
    one = f"/cakupan/lembaga/{ids['Sinar Laut']}"
    assert supervisor.get(one).status_code == 404
    for path in (one, f"{one}?daerah=76.05"):
        assert supervisor.post(path, {"act": "remove"}, page="/akun").status_code == 404
    assert "Sinar Laut" not in supervisor.get("/cakupan").get_data(as_text=True)
    assert here.log.head()[0] == size


def test_a_clerk_sees_and_changes_nothing(here: Deployment, clerk: Visit) -> None:
    ids = take(here)
    size = here.log.head()[0]
    one = f"/cakupan/lembaga/{ids['Dinas Perikanan']}"
    page = clerk.get(one).get_data(as_text=True)
    assert "Penyelia atau administrator daerah dapat mengubah daftar ini." in page
    assert 'name="act"' not in page
    for act in ("ask", "remove", ""):
        assert clerk.post(one, {"act": act}, page="/akun").status_code == 403
    assert clerk.get("/cakupan/baru").status_code == 403
    assert here.log.head()[0] == size


def test_a_new_one_without_a_name_says_so_at_its_field(supervisor: Visit) -> None:
    page = supervisor.post("/cakupan/baru", {"kind": "", "name": ""}, page="/cakupan/baru").get_data(as_text=True)
    assert "Jenis: wajib diisi" in page
    assert "Nama lembaga atau kelompok: wajib diisi" in page
    assert "berkas" not in page.split("<h1>")[0]


def test_an_auditors_look_at_coverage_is_in_the_log_and_a_clerks_is_not(
    app: Flask, here: Deployment, visit: Visit, clerk: Visit, clock: Clock
) -> None:
    one, size = f"/cakupan/lembaga/{(key := take(here)['Sinar Laut'])}", here.log.head()[0]
    assert [clerk.get(path).status_code for path in ("/cakupan", one)] == [200, 200]
    assert here.log.head()[0] == size
    enter(app, visit, Role.AUDITOR, clock)
    assert [visit.get(path).status_code for path in ("/cakupan?per=2026-11-01", one)] == [200, 200]
    there, then = [entry.body for entry in here.log.entries(kinds=("access.looked",))][-2:]
    assert (there["what"], there["region"], there["as_of"]) == ("coverage", "73.09", "2026-11-01")
    assert (then["what"], then["region"], then["institution"]) == ("institution", "73.09", key)


def test_one_is_changed_added_asked_and_taken_off_each_in_the_log(here: Deployment, supervisor: Visit) -> None:
    ids = take(here)
    one = f"/cakupan/lembaga/{ids['Sinar Laut']}"
    bad = supervisor.post(one, {"total": "5", "covered": "6", "name": "Orang Lain"}, page=one)
    assert bad.status_code == 422
    assert "lebih dari yang seharusnya" in bad.get_data(as_text=True)
    assert supervisor.post(one, {"total": "30", "covered": "30", "until": ""}, page=one).status_code == 303
    [changed] = [each for each in acts.now_known(here, "73.09") if each.id == ids["Sinar Laut"]]
    assert (changed.facts["name"], changed.covered, changed.until) == ("Sinar Laut", 30, None)
    new = {"kind": "village", "name": "Desa Baru", "registered": "yes"}
    assert supervisor.post("/cakupan/baru", new, page="/cakupan/baru").status_code == 303
    again = supervisor.post("/cakupan/baru", new | {"name": "DESA  BARU"}, page="/cakupan/baru")
    assert "sudah ada di daftar" in again.get_data(as_text=True)
    known = f"/cakupan/lembaga/{ids['Dinas Perikanan']}"
    assert supervisor.post(known, {"act": "ask"}, page=known).status_code == 303
    assert supervisor.post(one, {"act": "remove"}, page=one).status_code == 303
    assert supervisor.get(one).status_code == 404
    kinds = [entry.kind.removeprefix("coverage.") for entry in here.log.entries(kinds=("coverage.",))]
    assert kinds == ["imported", "changed", "changed", "asked", "changed"]
    assert (
        len({entry.body["by"]["id"] for entry in here.log.entries(kinds=("coverage.changed", "coverage.asked"))}) == 1
    )


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (b"", "tidak"),
        (b"%PDF-1.7", "Tidak terbaca"),
        (b"PK\x03\x04broken", "Tidak terbaca"),
        (b"a;b\n1;2\n", "baris judul kolom tidak ditemukan"),
        (b"jenis;nama;NIK\ndesa;X;1\n", "hapus kolom itu"),
        (b"jenis;nama\n", "tidak ada satu lembaga pun"),
        (b"jenis;nama\n" + b"".join(b"desa;X%d\n" % n for n in range(5_001)), "lebih dari 5000 baris"),
        (b"jenis;nama\n" + b"keraton;X\n" * 5_000, "keraton"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_bad_file_is_told_what_is_wrong_and_leaves_nothing(
    here: Deployment, supervisor: Visit, file: bytes, says: str
) -> None:
    size = here.log.head()[0]
    status, page = send(supervisor, file)
    assert status == 422
    assert says in page
    assert len(page) < 150_000
    assert here.log.head()[0] == size
    assert acts.now_known(here, "73.09") == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("day", ["besok", "2026-11-21", "9999-12-31", "0000-00-00"])
def test_a_day_that_has_not_come_is_refused_with_an_example(here: Deployment, clerk: Visit, day: str) -> None:
    take(here)
    answer = clerk.get(f"/cakupan?per={day}")
    assert answer.status_code == 422
    assert "Isi tanggal yang sudah tiba, misalnya 2026-11-20." in answer.get_data(as_text=True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_sentence_is_there_in_english_too(here: Deployment, clerk: Visit) -> None:
    take(here)
    page = clerk.get("/cakupan?bahasa=en").get_data(as_text=True)
    assert "of 1 offices (OPD), 0 registered, 1 not" in page


def test_a_person_of_two_regions_chooses_between_them(app: Flask, visit: Visit) -> None:
    add_user(app, "dua", regions=("73.09", "76.05"))
    visit.sign_in("dua")
    assert 'name="daerah"' in visit.get("/cakupan").get_data(as_text=True)
