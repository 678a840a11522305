"""Filling the form from OSS, pasted or uploaded; and the public page of what a permit will need."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.conftest import SHARED
from tests.web.conftest import Visit

MIB = 1024 * 1024
SAMPLES = sorted((SHARED / "samples").glob("oss-*.json"))
NIB = {"nib": "8120001234567", "nama_perseroan": "CV Sumber Rejeki", "skala_usaha": "02", "kd_daerah": "7309000000"}
RESTAURANT = {"id_izin": "I-1", "kd_izin": "055000000021", "kd_daerah": "7309000000", "flag_perpanjangan": "Y"}
BUILDING = {"id_izin": "I-2", "kd_izin": "027000000011", "kd_daerah": "7309000000"}
FOREIGN = {"id_izin": "I-3", "kd_izin": "027000000011", "kd_daerah": "7308000000"}


def message(*items: dict[str, str], **changes: Any) -> str:
    return json.dumps({"dataNIB": NIB | {"data_checklist": list(items)} | changes})


def sent(clerk: Visit, text: str = "", file: bytes | None = None) -> Any:
    """As a browser encodes it."""
    parts = {'name="csrf_token"': clerk.token("/periksa/oss").encode(), 'name="text"': text.encode()}
    parts['name="file"; filename="%s"' % ("" if file is None else "nib.json")] = file or b""
    lines = [b"--edge\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (n.encode(), v) for n, v in parts.items()]
    body = b"".join([*lines, b"--edge--\r\n"])
    return clerk.client.post("/periksa/oss", data=body, content_type="multipart/form-data; boundary=edge")


def page(answer: Any) -> str:
    return html.unescape(answer.get_data(as_text=True))


@pytest.mark.parametrize("uploaded", [False, True])
def test_one_permit_fills_the_form_and_is_checked(clerk: Visit, uploaded: bool) -> None:
    text = message(RESTAURANT, FOREIGN)
    answer = sent(clerk, file=b"\xef\xbb\xbf" + text.encode()) if uploaded else sent(clerk, text)
    form = page(answer)
    assert 'value="8120001234567"' in form
    assert 'value="CV Sumber Rejeki"' in form
    assert 'value="I-1"' in form
    assert re.search(r'value="small"[^>]* checked', form)
    assert re.search(r'value="renewal"[^>]* checked', form)
    typed = dict(re.findall(r'<input[^>]* name="([a-z._]+)"[^>]* value="([^"]*)"', form))
    answers = {"workforce.employs_workers": "yes", "workforce.declared": "12", "stage": "renewal", "step": "check"}
    made = clerk.post("/periksa", typed | {"business.scale": "small"} | answers, page="/periksa")
    assert "Memenuhi" in page(clerk.get(made.headers["Location"]))


def test_of_several_permits_the_clerk_chooses_and_foreign_ones_are_not_shown(clerk: Visit) -> None:
    choice = page(sent(clerk, message(RESTAURANT, BUILDING, FOREIGN)))
    assert choice.count("<button><strong>") == 2
    assert "I-3" not in choice
    assert "1 izin lain bukan untuk daerah Anda" in choice
    form = choice.split("<li><form")[2].split("</form>")[0]
    typed = dict(re.findall(r'name="([a-z._]+)" value="([^"]*)"', form))
    assert typed["permit_type"] == "PBG"
    assert 'value="I-2"' in page(clerk.client.post("/periksa", data=typed))


@pytest.mark.skipif(not SAMPLES, reason="the samples lie beside the checkout")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_samples_are_read(app: Flask, clerk: Visit, path: Path) -> None:
    answer = sent(clerk, file=path.read_bytes())
    foreign = "fisher" in path.stem
    assert answer.status_code == (422 if foreign else 200)
    assert ("Tidak ada izin untuk daerah Anda" in page(answer)) is foreign


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Tempel isi pesan OSS"),
        ("   ", "Tempel isi pesan OSS"),
        ('{"dataNIB": {"nib": ', "berhenti di baris 1, kolom 2"),
        ("[1, 2]", "dataNIB"),
        ("null", "dataNIB"),
        ('"x"', "dataNIB"),
        ("[" * 100_000, "terlalu dalam"),
        (message(), "Daftar izinnya kosong"),
        (message(FOREIGN), "Tidak ada izin untuk daerah Anda"),
        (message(RESTAURANT, skala_usaha="99"), "skala_usaha"),
        (message({"id_izin": "I-1"}), "kd_izin"),
        (message(RESTAURANT, nib=""), "nib"),
        (message(RESTAURANT, nib=["8120001234567"]), "nib"),
        (message(RESTAURANT | {"kd_daerah": "x"}), "kd_daerah"),
        (message(RESTAURANT, nib="7" * 13, junk="x" * MIB), "1 MiB"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_pasted_stays(clerk: Visit, text: str, said: str) -> None:
    answer = sent(clerk, text)
    assert answer.status_code == 422
    shown = page(answer)
    assert said in shown.split('class="problem"')[1].split("</ul>")[0]
    assert text.strip() in shown.split("<textarea")[1]
    uploaded = sent(clerk, file=text.encode())
    assert uploaded.status_code == 422
    assert said in page(uploaded)


@pytest.mark.parametrize("file", [b"\xff\xfe\x00x", b"%PDF-1.7 \x80", b"PK\x03\x04" + bytes(1000)])
def test_a_file_that_is_no_text_is_refused_in_words(clerk: Visit, file: bytes) -> None:
    answer = sent(clerk, file=file)
    assert answer.status_code == 422
    assert re.search("Bukan (JSON|teks)", page(answer))


def test_a_huge_upload_is_refused_before_it_is_read(clerk: Visit) -> None:
    answer = sent(clerk, file=b"x" * 3 * MIB)
    assert answer.status_code == 413
    assert "Paling besar 2.057 KiB" in page(answer) or "Paling besar 2057 KiB" in page(answer)


def test_nothing_of_what_was_sent_is_kept(app: Flask, clerk: Visit) -> None:
    sent(clerk, message(RESTAURANT, nama_perseroan="PT Rahasia Besar", nib="8120009999999"))
    with app.app_context():
        entries = list(app.extensions["compliance"].log.entries())
    assert not [entry for entry in entries if b"8120009999999" in entry.raw or "Rahasia" in repr(entry.disclosed)]


@pytest.mark.parametrize(
    ("query", "said", "unsaid"),
    [
        (
            "daerah=73.09&izin=RESTORAN&skala=micro",
            ["JKK", "JKM", "Jumlah seluruh pekerja", "contoh"],
            ["JHT", "JP</strong>", "SPK"],
        ),
        ("daerah=73.09&izin=RESTORAN&skala=small", ["JHT"], ["JP</strong>"]),
        ("daerah=73.09&izin=RESTORAN&skala=medium", ["JP</strong>"], []),
        ("daerah=73.09&izin=PBG&skala=large", ["SPK", "Tanggal kontrak", "14 hari kerja"], []),
        ("daerah=73.09&izin=INDUSTRI&skala=large", ["menunggak 3 bulan"], []),
        ("daerah=73.09&izin=HOTEL&skala=small", ["belum diberlakukan", "Mulai 1 Januari 2027: diberlakukan"], []),
        ("daerah=73.09&izin=SIP&skala=small", ["tidak disyaratkan"], ["Jumlah seluruh pekerja"]),
        ("daerah=73.09&izin=reklame&skala=small", ["tidak disyaratkan", "REKLAME"], []),
        ("daerah=73.08&izin=RESTORAN&skala=small", ["terdaftar dan aktif"], ["program lengkap"]),
        ("daerah=76.05&izin=RESTORAN&skala=small", ["tidak disyaratkan"], []),
        ("daerah=99.99&izin=%3Cscript%3E&skala=raksasa", [], ["Yang akan ditanyakan", "<script>"]),
        ("", ["Tampilkan"], ["Yang akan ditanyakan"]),
    ],
)
def test_anybody_learns_beforehand_what_will_be_asked_and_what_is_owed(
    app: Flask, visit: Visit, query: str, said: list[str], unsaid: list[str]
) -> None:
    shown = visit.get(f"/syarat?{query}").get_data(as_text=True)
    for word in said:
        assert word in shown, word
    for word in unsaid:
        assert word not in shown, word
    with app.app_context():
        assert not list(app.extensions["compliance"].log.entries())
