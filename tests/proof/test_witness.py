"""A witness cosigns one history of a log, and only that (C2SP tlog-witness)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compliance.errors import LogBroken
from compliance.proof.merkle import EMPTY_ROOT, consistency_spans, grow, leaf_hash, root_of, subtree
from compliance.proof.note import WITNESS_KEY, Head, Signer, b64, open_note
from compliance.proof.witness import Refused, Witness

LOG = Signer.generate("gate.test/log")
KEY = Signer.generate("inspectorate.test/witness", WITNESS_KEY)


class Tree:
    """A small log in memory."""

    def __init__(self, *bodies: bytes) -> None:
        self.rows: list[tuple[bytes, bytes]] = []
        self.frontier: list[bytes] = []
        self.roots = [EMPTY_ROOT]
        for body in bodies:
            self.rows.append((leaf_hash(body), b"".join(self.frontier)))
            grow(self.frontier, len(self.rows) - 1, leaf_hash(body))
            self.roots.append(root_of(self.frontier))

    def submission(self, old: int, size: int, signer: Signer = LOG) -> str:
        spans = consistency_spans(min(old, size), size)
        proof = [subtree(start, end, *self.rows[end - 1]) for start, end in spans]
        head = str(Head(signer.key.name, size, self.roots[size]))
        note = f"{head}\n{signer.line(head)}"
        return f"old {old}\n" + "".join(b64(step) + "\n" for step in proof) + "\n" + note


HONEST = Tree(*(bytes([n]) for n in range(20)))
FORGED = Tree(*(bytes([n]) for n in range(7)), b"changed", *(bytes([n]) for n in range(8, 20)))


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(KEY, [LOG.key], tmp_path, lambda: 1_763_600_000)


def refused(ask: Callable[[], object]) -> tuple[int, int | None]:
    with pytest.raises(Refused) as caught:
        ask()
    return caught.value.status, caught.value.size


def test_a_head_that_extends_the_last_one_is_cosigned(witness: Witness) -> None:
    for old, size in ((0, 3), (3, 3), (3, 8), (8, 20)):
        body = HONEST.submission(old, size)
        note = body.partition("\n\n")[2]
        line = witness.add_checkpoint(body)
        assert len(open_note(note + line, [LOG.key, KEY.key])[1]) == 2
        assert witness.last("gate.test/log").size == size


def test_p4_two_histories_are_never_both_cosigned(witness: Witness) -> None:
    witness.add_checkpoint(HONEST.submission(0, 12))
    assert refused(lambda: witness.add_checkpoint(FORGED.submission(12, 12))) == (409, 12)
    assert refused(lambda: witness.add_checkpoint(FORGED.submission(12, 20))) == (422, None)
    assert refused(lambda: witness.add_checkpoint(FORGED.submission(0, 20))) == (409, 12)
    witness.add_checkpoint(HONEST.submission(12, 20))


def test_a_shorter_log_is_not_cosigned(witness: Witness) -> None:
    witness.add_checkpoint(HONEST.submission(0, 12))
    assert refused(lambda: witness.add_checkpoint(HONEST.submission(0, 5))) == (409, 12)
    assert refused(lambda: witness.add_checkpoint(HONEST.submission(12, 5))) == (400, None)


def test_a_witness_remembers_after_a_restart(witness: Witness, tmp_path: Path) -> None:
    witness.add_checkpoint(HONEST.submission(0, 12))
    again = Witness(KEY, [LOG.key], tmp_path)
    assert refused(lambda: again.add_checkpoint(FORGED.submission(0, 20))) == (409, 12)


def test_strangers_and_nonsense_are_refused(witness: Witness) -> None:
    stranger, impostor = Signer.generate("other.test/log"), Signer.generate("gate.test/log")
    assert refused(lambda: witness.add_checkpoint(HONEST.submission(0, 3, stranger)))[0] == 404
    assert refused(lambda: witness.add_checkpoint(HONEST.submission(0, 3, impostor)))[0] == 403
    good = HONEST.submission(0, 3)
    for bad in ("", "old 0", good.replace("old 0", "old -1"), good.replace("old 0", "new 0"), "old 0\n!\n\n" + good):
        assert refused(lambda bad=bad: witness.add_checkpoint(bad))[0] == 400


def test_a_cosignature_is_over_its_own_time(witness: Witness) -> None:
    body = HONEST.submission(0, 3)
    note, line = body.partition("\n\n")[2], witness.add_checkpoint(HONEST.submission(0, 3))
    forged = KEY.line(str(Head("gate.test/log", 3, HONEST.roots[3])), 1)
    assert forged != line
    open_note(note + line, [KEY.key])
    with pytest.raises(LogBroken):
        open_note(note + line.replace(line[-20:-4], forged[-20:-4]), [KEY.key])
