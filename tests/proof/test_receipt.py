"""Codes for people, signed claims for software: every small mistake is noticed."""

from __future__ import annotations

import json

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from compliance.errors import LogBroken
from compliance.proof.note import Signer, VerifierKey
from compliance.proof.receipt import ALPHABET, jwk, new_code, read_code, sign_claims, verify_claims

SIGNER = Signer.generate("gate.test/log")


def test_the_alphabet_leaves_out_what_people_confuse() -> None:
    assert not set("IOSUVW015") & set(ALPHABET)
    assert len(set(ALPHABET)) == len(ALPHABET) == 27


@pytest.mark.parametrize("shape", [str.lower, lambda code: code.replace("-", " "), lambda code: code.replace("-", "")])
def test_a_code_is_read_however_it_is_typed(shape: object) -> None:
    code = new_code()
    assert read_code(shape(code)) == code  # type: ignore[operator]


def test_every_single_wrong_character_is_noticed() -> None:
    for _ in range(20):
        code = new_code().replace("-", "")
        for at in range(12):
            for char in ALPHABET:
                if char != code[at]:
                    assert read_code(code[:at] + char + code[at + 1 :]) is None


def test_every_swap_of_two_characters_is_noticed() -> None:
    for _ in range(200):
        code = new_code().replace("-", "")
        for one in range(12):
            for other in range(one + 1, 12):
                if code[one] != code[other]:
                    typed = list(code)
                    typed[one], typed[other] = typed[other], typed[one]
                    assert read_code("".join(typed)) is None


@pytest.mark.parametrize("typed", ["", "K7QF", "K7QF-2M9X-4T3P-A", "IIII-OOOO-SSSS", "K7QF-2M9X-4T3\n"])
def test_what_is_no_code_is_refused(typed: str) -> None:
    assert read_code(typed) is None


def test_another_library_verifies_our_signed_claims() -> None:
    token = sign_claims({"verdict": "MET", "name": "é"}, SIGNER)
    found = jws.deserialize_compact(token, OKPKey.import_key(jwk(SIGNER.key)), algorithms=["EdDSA"])
    assert json.loads(found.payload) == {"verdict": "MET", "name": "é"}
    assert found.headers()["kid"] == jwk(SIGNER.key)["kid"] == OKPKey.import_key(jwk(SIGNER.key)).thumbprint()


def test_claims_are_refused_when_changed_or_signed_by_another() -> None:
    token = sign_claims({"verdict": "NOT_MET"}, SIGNER)
    assert verify_claims(token, [SIGNER.key]) == {"verdict": "NOT_MET"}
    header, payload, signature = token.split(".")
    other = sign_claims({"verdict": "MET"}, SIGNER).split(".")[1]
    bad = [f"{header}.{other}.{signature}", f"{header}.{payload}", "a.b.c", "", f"{header}.{payload}.{signature[:-4]}"]
    for damaged in bad:
        with pytest.raises(LogBroken):
            verify_claims(damaged, [SIGNER.key])
    with pytest.raises(LogBroken, match="unknown key"):
        verify_claims(token, [Signer.generate("gate.test/log").key])


def test_a_key_is_read_back_from_its_text() -> None:
    assert VerifierKey.parse(str(SIGNER.key)) == SIGNER.key
    assert Signer.parse(SIGNER.secret_line()).key == SIGNER.key
    for wrong in ("", "gate.test/log", str(SIGNER.key).replace("+", "-"), f"other{SIGNER.key}"):
        with pytest.raises(LogBroken):
            VerifierKey.parse(wrong)
