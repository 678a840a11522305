"""Personal values: salted, erased on a stated ground, and told to the person they are about."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

from sqlalchemy import text

from compliance.audit.erasure import about, erase, outlived, retire
from compliance.audit.log import AuditLog
from compliance.audit.projection import rebuild
from compliance.audit.verify import verify, verify_checks
from compliance.gate import Recorded
from compliance.law.policy import Policy
from compliance.proof.note import unb64
from compliance.proof.receipt import verify_package, verify_proof
from tests.audit.conftest import PRIVATE, QUESTION
from tests.conftest import Clock

Add = Callable[..., Recorded]


def quiet(size: int) -> None:
    """No progress is shown."""


def test_p5_erasing_disturbs_no_proof_and_is_itself_logged(add: Add, log: AuditLog, clock: Clock) -> None:
    answer = json.loads(add("one").document)
    add("two")
    package = log.package("one")
    assert package is not None
    assert verify_package(package, log.keyring.keys).disclosed == PRIVATE
    one = log.entry("one")
    assert one is not None
    assert erase(log, [one], ground="JRA 10 tahun", by="u1") == 1

    after = log.package("one")
    assert after is not None
    assert verify_package(after, log.keyring.keys).disclosed == {}
    assert after["body"] == package["body"]
    verify_proof(answer["receipt"]["proof"], unb64(answer["log"]["leaf_hash"]), log.keyring.keys)
    verify(log, {}, quiet)
    last = log.entry_at(2)
    assert last is not None
    assert last.kind == "log.erasure"
    assert last.body["erased"] == [{"position": 0, "id": "one", "fields": ["name", "nik", "question"]}]
    assert last.body["ground"] == "JRA 10 tahun"
    assert b"7309054403880002" not in last.raw
    two = log.entry("two")
    assert two is not None
    assert two.disclosed == PRIVATE


def test_an_erased_value_stays_erased_after_a_restore_and_a_rebuild(add: Add, log: AuditLog, clock: Clock) -> None:
    add("one")
    one = log.entry("one")
    assert one is not None
    kept = log.disclosures(["one"])["one"]
    erase(log, [one], ground="permintaan", by="u1")
    with log.engine.begin() as connection:
        for name, string in zip(sorted(PRIVATE), kept, strict=True):
            connection.execute(text("INSERT INTO audit_disclosure VALUES ('one', :n, :s)"), {"n": name, "s": string})
    rebuild(log)
    assert log.disclosures(["one"]) == {}
    assert log.last_evidence(QUESTION, clock()) is None
    assert verify_checks(log, quiet) == 1


def test_one_field_can_be_erased_alone(add: Add, log: AuditLog) -> None:
    add("one")
    one = log.entry("one")
    assert one is not None
    assert erase(log, [one], ground="g", by="u", fields=["nik"]) == 1
    left = log.entry("one")
    assert left is not None
    assert set(left.disclosed) == {"name", "question"}
    assert erase(log, [left], ground="g", by="u", fields=["nik"]) == 0


def test_retention_erases_what_a_region_has_kept_long_enough(add: Add, log: AuditLog, clock: Clock) -> None:
    for number in range(3):
        add(f"old-{number}")
    clock.tick(days=400)
    add("young")
    before = clock() - timedelta(days=365)
    assert [entry.id for entry in outlived(log, "76.05", before)] == []
    assert erase(log, list(outlived(log, "73.09", before)), ground="JRA", by="work") == 3
    assert list(outlived(log, "73.09", before)) == []
    young = log.entry("young")
    assert young is not None
    assert young.disclosed


def test_the_schedule_of_each_region_is_data_of_its_policy(add: Add, log: AuditLog, clock: Clock) -> None:
    policy = Policy.load(None)
    years = policy.on(clock().date(), "73.09").values["retention_years"]
    add("one")
    clock.tick(days=years * 365)
    assert set(retire(log, policy, by="retention").values()) == {0}
    clock.tick(days=10)
    assert retire(log, policy, by="retention") == dict.fromkeys(policy.regions, 0) | {"73.09": 1}
    one, last = log.entry("one"), log.entry_at(1)
    assert one is not None
    assert last is not None
    assert one.disclosed == {}
    assert last.body["ground"] == f"retention_years: {years}"


def test_a_commitment_cannot_be_guessed_from_the_value(add: Add, log: AuditLog) -> None:
    add("one")
    add("two")
    one, two = log.entry("one"), log.entry("two")
    assert one is not None
    assert two is not None
    assert one.body["sd"]["nik"] != two.body["sd"]["nik"]
    assert sha256(b"7309054403880002").hexdigest() not in one.raw.decode()
    assert one.body["sd"]["nik"] != one.body["sd"]["name"]


def test_a_person_learns_who_asked_when_and_why(add: Add, log: AuditLog) -> None:
    add("one")
    add("other", private={"nik": "7309054403880003"})
    found = about(log, "7309054403880002", by="u1")
    assert [(row["position"], row["reference"], row["asker"]) for row in found] == [
        (0, "503/0123/DPMPTSP/2026", {"kind": "client", "id": "c1"})
    ]
    assert found[0]["recorded"] == ["name", "nik"]
    look = log.entry_at(2)
    assert look is not None
    assert look.kind == "access.person_report"
    assert b"7309054403880002" not in look.raw
