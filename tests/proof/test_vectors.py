"""The field's own vectors: trees, proofs, notes, canonical JSON and disclosures, good and damaged."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from compliance.errors import LogBroken
from compliance.proof.merkle import (
    EMPTY_ROOT,
    Span,
    consistency_spans,
    grow,
    inclusion_spans,
    leaf_hash,
    root_of,
    split,
    subtree,
    verify_consistency,
    verify_inclusion,
)
from compliance.proof.note import VerifierKey, open_note
from compliance.proof.receipt import commitment, disclosed_by
from tests.conftest import SHARED

VECTORS = SHARED / "vectors"
pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason="../shared/vectors is not there")


def files(pattern: str) -> list[Any]:
    return [pytest.param(path, id="/".join(path.parts[-3:])) for path in sorted(VECTORS.glob(pattern))]


def hashes(texts: list[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in texts or []]


def test_roots_of_all_sizes_are_those_of_rfc_6962() -> None:
    vectors = json.loads((VECTORS / "rfc6962-roots.json").read_text())
    frontier: list[bytes] = []
    assert root_of(frontier).hex() == vectors["roots_by_size"][0] == EMPTY_ROOT.hex()
    for position, leaf in enumerate(vectors["leaf_inputs_hex"]):
        assert leaf_hash(bytes.fromhex(leaf)).hex() == vectors["leaf_hashes"][position]
        grow(frontier, position, leaf_hash(bytes.fromhex(leaf)))
        assert root_of(frontier).hex() == vectors["roots_by_size"][position + 1]


@pytest.mark.parametrize("path", files("transparency-dev-merkle/inclusion/**/*.json"))
def test_an_inclusion_proof_is_taken_or_refused_as_the_vector_says(path: Path) -> None:
    case = json.loads(path.read_text())
    root, leaf = base64.b64decode(case["root"]), base64.b64decode(case["leafHash"])
    try:
        verify_inclusion(case["leafIdx"], case["treeSize"], leaf, hashes(case["proof"]), root)
        refused = False
    except LogBroken:
        refused = True
    assert refused == case["wantErr"]


@pytest.mark.parametrize("path", files("transparency-dev-merkle/consistency/**/*.json"))
def test_a_consistency_proof_is_taken_or_refused_as_the_vector_says(path: Path) -> None:
    case = json.loads(path.read_text())
    roots = base64.b64decode(case["root1"]), base64.b64decode(case["root2"])
    try:
        verify_consistency(case["size1"], case["size2"], *roots, hashes(case["proof"]))
        refused = False
    except LogBroken:
        refused = True
    assert refused == case["wantErr"]


def notes() -> list[Any]:
    path = VECTORS / "signed-note" / "notes.json"
    return [pytest.param(case, id=case["name"]) for case in json.loads(path.read_text())] if path.exists() else []


@pytest.mark.parametrize("case", notes())
def test_a_signed_note_is_taken_or_refused_as_the_vector_says(case: dict[str, Any]) -> None:
    try:
        note = case["note"].encode("latin1" if case.get("latin1") else "utf-8").decode()
        open_note(note, [VerifierKey.parse(key) for key in case["vkeys"]])
        taken = True
    except (LogBroken, UnicodeDecodeError):
        taken = False
    assert taken == case["ok"]


@pytest.mark.parametrize("path", files("rfc8785-jcs/testdata/input/*.json"))
def test_the_canonical_form_is_that_of_rfc_8785(path: Path) -> None:
    expected = (path.parents[1] / "output" / path.name).read_bytes()
    assert rfc8785.dumps(json.loads(path.read_text(encoding="utf-8"))) == expected.rstrip(b"\n")


def test_a_disclosure_is_hashed_as_rfc_9901_says() -> None:
    case = json.loads((VECTORS / "sd-jwt" / "disclosures.json").read_text())[0]
    assert commitment(case["disclosure"]) == case["sha256_b64url"]
    name, value = disclosed_by({case["name"]: case["sha256_b64url"]}, case["disclosure"])
    assert (name, value) == (case["name"], case["value"])


def test_every_proof_of_every_small_tree_verifies_and_no_other_size_does() -> None:
    rows: list[tuple[bytes, bytes]] = []
    frontier: list[bytes] = []
    roots = [EMPTY_ROOT]
    for position in range(40):
        leaf = leaf_hash(bytes([position]))
        rows.append((leaf, b"".join(frontier)))
        grow(frontier, position, leaf)
        roots.append(root_of(frontier))

    def hashes_of(spans: list[Span]) -> list[bytes]:
        return [subtree(start, end, *rows[end - 1]) for start, end in spans]

    for size in range(1, 41):
        assert split(rows[size - 1][1])[::-1] == hashes_of(inclusion_spans(size - 1, size))
        for index in range(size):
            proof = hashes_of(inclusion_spans(index, size))
            verify_inclusion(index, size, rows[index][0], proof, roots[size])
            with pytest.raises(LogBroken):
                verify_inclusion(index, size, rows[index][0], proof, roots[size - 1])
        for old in range(size + 1):
            proof = hashes_of(consistency_spans(old, size))
            verify_consistency(old, size, roots[old], roots[size], proof)
            with pytest.raises(LogBroken):
                verify_consistency(old, size, roots[old][::-1], roots[size], proof)
