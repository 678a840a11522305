"""Every page: who may see it, and the addresses at which it is looked at.

Whoever adds a view adds a row to PAGES (a test fails until then). What is listed there is walked in a browser as each
role that may see it: in both languages, on three screens, without script; weight, hosts, WCAG 2.2 AA. `{name}` in an
address is filled in by a function in WORLD, which makes what the page shows and returns names with their values; all
of them run once, before the walk, as functions of the app. A view that only takes forms has no address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import pyotp
from flask import Flask
from ulid import ULID

from compliance import work
from compliance.access.clients import Clients
from compliance.access.users import Role
from compliance.audit.checks import CheckFilter
from compliance.batches import reading, run
from compliance.casework import acts as casework
from compliance.casework import watch
from compliance.coverage import acts
from compliance.gate import Asker
from compliance.reports import promises
from tests.conftest import Clock
from tests.web.conftest import Visit, add_user

PUBLIC: frozenset[Role] = frozenset()
ALL = frozenset(Role)
CHECKERS = frozenset({Role.CLERK, Role.SUPERVISOR})
SUPERVISORS = frozenset({Role.SUPERVISOR})
AUDITORS = frozenset({Role.AUDITOR})
ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})
CHANGERS = SUPERVISORS | ADMINISTRATORS


@dataclass(frozen=True)
class Page:
    """`who` may see it; `addresses` to look at."""

    who: frozenset[Role]
    addresses: tuple[str, ...] = ()


PAGES = {
    "home": Page(PUBLIC, ("/",)),
    "sign_in": Page(PUBLIC, ("/masuk",)),
    "second_factor": Page(PUBLIC),
    "enrol": Page(PUBLIC),
    "sign_out": Page(ALL),
    "sign_out_everywhere": Page(ALL),
    "account": Page(ALL, ("/akun",)),
    "receipt_form": Page(PUBLIC, ("/r",)),
    "receipt": Page(PUBLIC, ("/r/{code}", "/r/AAAA")),
    "needs": Page(PUBLIC, ("/syarat", "/syarat?daerah=73.09&izin=PBG&skala=large", "/syarat?izin=SIP&skala=micro")),
    "check_form": Page(CHECKERS, ("/periksa", "/periksa?ulang={check}")),
    "from_oss": Page(CHECKERS, ("/periksa/oss",)),
    "result": Page(CHECKERS, ("/periksa/{check}", "/periksa/{held}", "/periksa/{unsure}")),
    "paper": Page(CHECKERS),
    "earlier": Page(CHECKERS, ("/riwayat", "/riwayat?q=tidak")),
    "waiting": Page(CHECKERS, ("/tindak-lanjut",)),
    "about_check": Page(CHECKERS, tuple(f"/periksa/{{held}}/usul/{word}" for word in ("verifikasi", "koreksi"))),
    "proposals": Page(CHECKERS, ("/usulan",)),
    "proposal": Page(CHECKERS, ("/usulan/{proposal}", "/usulan/{letter}", "/usulan/{recall}")),
    "letters": Page(CHECKERS, ("/sanksi",)),
    "new_letter": Page(CHECKERS, ("/sanksi/baru",)),
    "lift_letter": Page(CHECKERS, ("/sanksi/{letter}/cabut",)),
    "new_recall": Page(CHECKERS, ("/usulan/penarikan",)),
    "watched": Page(CHECKERS, ("/pantauan",)),
    "batches": Page(CHECKERS, ("/kumpulan",)),
    "batch": Page(CHECKERS, ("/kumpulan/{batch}", "/kumpulan/{batch_done}")),
    "batch_results": Page(CHECKERS),
    "oss_status": Page(SUPERVISORS, ("/oss/status",)),
    "coverage": Page(ALL, ("/cakupan", "/cakupan?per=2026-10-31", "/cakupan?kind=bpu_group&state=registered")),
    "coverage_export": Page(ALL),
    "institution": Page(ALL, ("/cakupan/lembaga/{asked}", "/cakupan/lembaga/{group}")),
    "change_institution": Page(CHANGERS),
    "new_institution": Page(CHANGERS, ("/cakupan/baru",)),
    "coverage_import": Page(CHANGERS, ("/cakupan/impor",)),
    "users": Page(ADMINISTRATORS, ("/pengguna",)),
    "user": Page(ADMINISTRATORS, ("/pengguna/{user}",)),
    "clients": Page(ADMINISTRATORS, ("/aplikasi",)),
    "client": Page(ADMINISTRATORS, ("/aplikasi/{client}",)),
    "agency": Page(ADMINISTRATORS, ("/bpjs",)),
    "audit": Page(AUDITORS, ("/audit", "/audit?q=sumber&verdict=NOT_MET", "/audit?q=tidak")),
    "audit_check": Page(AUDITORS, ("/audit/periksa/{check}", "/audit/periksa/{unsure}")),
    "audit_proof": Page(AUDITORS),
    "audit_policy": Page(AUDITORS, ("/audit/aturan/{text}",)),
    "audit_export": Page(AUDITORS),
    "audit_log": Page(AUDITORS, ("/audit/log",)),
    "audit_report": Page(AUDITORS, ("/audit/laporan",)),
    "audit_samples": Page(AUDITORS, ("/audit/sampel",)),
    "audit_sample": Page(AUDITORS, ("/audit/sampel/{planned}", "/audit/sampel/{judged}")),
    "promised": Page(PUBLIC, ("/promises",)),
    "law": Page(frozenset({Role.ADMINISTRATOR, Role.SUPERVISOR}), ("/aturan",)),
}


def _people(app: Flask) -> dict[str, str]:
    return {"user": add_user(app, "rahma", Role.AUDITOR).id}


def _software(app: Flask) -> dict[str, str]:
    with app.app_context():
        running = app.extensions["compliance"]
        clients = Clients(running.log, running.clock)
        client, _key = clients.create("SiCantik", ["73.09"], ["check"], by="test", addresses=["10.0.0.0/8"])
    return {"client": client.id}


def _checks(app: Flask) -> dict[str, str]:
    add_user(app, "nurul")
    clerk = Visit(app.test_client())
    clerk.sign_in("nurul")
    asked = {
        "check": {"business__scale": "medium", "workforce__employs_workers": "yes"},
        "held": {"workforce__declared": "30", "reference": "A-2"},
        "unsure": {"business__nib": "6603000000001", "reference": "A-3"},
        "met": {"reference": "A-4"},
    }
    made = {name: clerk.check(**changes).headers["Location"].rsplit("/", 1)[1] for name, changes in asked.items()}
    page = clerk.get(f"/periksa/{made['check']}").get_data(as_text=True)
    return made | {"code": page.split('class="code">')[1][:14]}


def _institutions(app: Flask) -> dict[str, str]:
    """A list with everything, and the agency's answers about two: one registered, one that could not be asked."""
    rows = [("1", ("jenis", "nama", "terdaftar", "jumlah orang", "terlindungi", "sampai", "pembayar", "NIB", "per"))]
    rows += [("2", ("OPD", "Dinas Perikanan", "belum", "40", "", "", "APBD", "8120001234567", "2026-10-01"))]
    rows += [("3", ("desa", "Desa Bonto", "ya", "12", "12", "", "APBDes", "6603000000001", "2026-09-01"))]
    rows += [("4", ("kelompok BPU", "Nelayan Sinar Laut", "", "25", "20", "2026-12-05", "CSR", "", "2026-06-01"))]
    rows += [("5", ("sekolah", "SD 1", "", "", "", "", "", "", ""))]
    with app.app_context():
        here, by = app.extensions["compliance"], Asker("operator", "test")
        acts.take_list(here, "73.09", rows, "5f" * 32, by, "id")
        those = {one.facts["kind"]: one for one in acts.now_known(here, "73.09")}
        for one in acts.due(here, "73.09"):
            acts.ask(here, "73.09", one, by)
    return {"asked": those["village"].id, "group": those["bpu_group"].id}


def _samples(app: Flask) -> dict[str, str]:
    """One that is planned, one whose period is over; and the promises."""
    with app.app_context():
        running = app.extensions["compliance"]
        promises.prove(running, [], by="test", most=10)
        text = next(e.body["sha256"] for e in running.log.entries(kinds=("policy.text",)) if "region" in e.body["text"])
        told = {"by": "test", "regions": ["73.09"], "per_office": 2, "seed_sha256": sha256(b"benih").hexdigest()}
        drawn = {"73.09 DPMPTSP Maros": {"checks": 9, "ids": ["A", "B"]}, "73.09 client:1": {"checks": 1, "ids": ["C"]}}
        said = [
            ("committed", {"sample": "PLANNED", "since": "2026-12-01", "until": "2026-12-31", **told}),
            ("committed", {"sample": "JUDGED", "since": "2026-10-01", "until": "2026-10-31", **told}),
            ("drawn", {"sample": "JUDGED", "seed": "benih", "drawn": drawn}),
            ("judged", {"sample": "JUDGED", "wrong": dict.fromkeys(drawn, 0)}),
        ]
        for kind, body in said:
            entry_id = f"{kind}-{body['sample']}"
            running.log.append(f"access.sample_{kind}", body, entry_id=entry_id, private={}, at=running.clock())
    return {"planned": "PLANNED", "judged": "JUDGED", "text": text}


def _casework(app: Flask) -> dict[str, str]:
    """A proposal that waits, a letter in the register, a permit with news, and a recall with what it found."""
    nib = "8120001234567"
    with app.app_context():
        here = app.extensions["compliance"]
        clerk, boss = (casework.Person(f"01{role}", "Ibu Ani", role, ("73.09",)) for role in ("clerk", "supervisor"))
        checks = here.log.checks(CheckFilter(("73.09",)), 10)
        held = next(check for check in checks if check.verdict == "OFFICER_REVIEW")
        typed = {"codes": ["HEADCOUNT_DIFFERS"], "effect": "OK", "certificate": "SK-1", "dated": "2026-11-19"}
        typed |= {"sha256": "a" * 64, "until": "2026-12-20", "ground": "Sertifikat asli dilihat", "nib": nib}
        proposal = casework.propose(here, clerk, casework.Act.VERIFY, typed, held.id)
        met = next(check for check in checks if check.verdict == "MET")
        casework.propose(here, clerk, casework.Act.GRANT, {"permit": "IZIN-7", "dated": "2026-11-20"}, met.id)
        made = {"proposal": proposal}
        typed = {"nib": nib, "ground": "Laporan cabang keliru", "letter": "B/9/2026", "dated": "2026-11-19"}
        for name, act in (("recall", casework.Act.RECALL), ("letter", casework.Act.IMPOSE)):
            made[name] = casework.propose(here, clerk, act, typed)
            casework.settle(here, boss, made[name], "accepted", "Surat asli dilihat")
        watch.recall(here, work.Row("recall", made["recall"], 1))
        for row in work.claim(here.log.engine, here.clock()):
            if row.kind == "watch":
                watch.look(here, row)
    return made


def _batches(app: Flask) -> dict[str, str]:
    """One that is asked and one that waits."""
    table = b"reference,permit_type,business.nib\nB-1,SIP,8120001234567\n"
    with app.app_context():
        here, by, ids = app.extensions["compliance"], Asker("operator", "test"), (str(ULID()), str(ULID()))
        lines = list(reading.judge(here, reading.read_csv(table), ("73.09",), by))
        for batch_id in ids:
            run.start(here, batch_id, lines, by)
            if batch_id == ids[0]:
                run.ask_lines(here, work.Row("batch", "1", 1))
    return {"batch_done": ids[0], "batch": ids[1]}


WORLD: list[Callable[[Flask], dict[str, str]]] = [
    _batches,
    _people,
    _software,
    _checks,
    _casework,
    _institutions,
    _samples,
]


def made(app: Flask) -> dict[str, str]:
    """Everything that the addresses name."""
    return {name: value for make in WORLD for name, value in make(app).items()}


def seen_by(role: Role | None) -> list[str]:
    """The addresses that a role (None: nobody who signed in) may open."""
    return [each for page in PAGES.values() if not page.who or role in page.who for each in page.addresses]


def enter(app: Flask, visit: Visit, role: Role, clock: Clock, name: str = "orang") -> str:
    """Sign somebody of this role in, setting up the telephone where the role needs one: gives its seed."""
    add_user(app, name, role)
    visit.sign_in(name)
    seed = ""
    if role is not Role.CLERK:
        page = visit.get("/masuk/telepon").get_data(as_text=True)
        seed = page.split('class="seed">')[1].split("<")[0]
        code = pyotp.TOTP(seed).at(int(clock().timestamp()))
        assert visit.post("/masuk/telepon", {"code": code}, page="/masuk/telepon").status_code == 200
    return seed
