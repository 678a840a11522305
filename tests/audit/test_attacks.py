"""Who notices what (log.md's table): each attack by name, by who holds database and key, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from compliance.audit.log import AuditLog
from compliance.audit.verify import verify
from compliance.errors import LogBroken
from compliance.gate import Recorded
from compliance.proof.note import WITNESS_KEY, Signer, b64, open_head
from compliance.proof.witness import Refused, Witness
from tests.audit import forger
from tests.audit.forger import Rows
from tests.conftest import Clock

PUBLISHED, SIZE = 6, 10


class World:
    """A log of ten checks; a head of six is held by an auditor and a witness; every applicant holds a receipt."""

    def __init__(self, log: AuditLog, add: Callable[..., Recorded], folder: Path) -> None:
        self.log, self.keys = log, log.keyring.keys
        self.witness = Witness(Signer.generate("w", WITNESS_KEY), self.keys, folder)
        answers = []
        for number in range(SIZE):
            answers.append(json.loads(add(f"check-{number}").document))
            if log.head()[0] == PUBLISHED:
                self.witness.add_checkpoint(f"old 0\n\n{log.checkpoint()}")
                self.auditor = open_head(log.checkpoint(), self.keys)
        self.receipts = [open_head(answer["receipt"]["proof"].partition("\n\n")[2], self.keys) for answer in answers]

    def chain_notices(self) -> LogBroken | None:
        return self._verified({})

    def auditor_notices(self) -> bool:
        return self._verified({self.auditor.size: self.auditor.root}) is not None

    def receipt_notices(self, position: int) -> bool:
        head = self.receipts[position]
        return self._verified({head.size: head.root}) is not None

    def witness_notices(self) -> bool:
        old = self.witness.last(self.log.origin).size
        size = self.log.head()[0]
        proof = self.log.consistency(old, size) if old <= size else []
        hashes = "".join(b64(step) + "\n" for step in proof)
        try:
            self.witness.add_checkpoint(f"old {old}\n{hashes}\n{self.log.checkpoint()}")
        except Refused:
            return True
        return False

    def _verified(self, known: dict[int, bytes]) -> LogBroken | None:
        try:
            verify(self.log, known, lambda size: None)
        except LogBroken as error:
            return error
        return None


@pytest.fixture
def world(admin_log: AuditLog, add: Callable[..., Recorded], tmp_path: Path) -> World:
    return World(admin_log, add, tmp_path)


def test_an_honest_log_satisfies_everybody(world: World) -> None:
    assert world.chain_notices() is None
    assert not world.auditor_notices()
    assert not any(world.receipt_notices(position) for position in range(SIZE))
    assert not world.witness_notices()


@pytest.mark.parametrize("position", [0, 3, SIZE - 1])
@pytest.mark.parametrize("column", ["body", "leaf_hash", "root", "frontier", "entry_id"])
def test_edit_and_nothing_else_is_noticed_in_the_database(world: World, position: int, column: str) -> None:
    value = "other" if column == "entry_id" else b"\x00" * 32 if column != "body" else b'{"at":"2026-11-20T08:00:00Z"}'
    forger.overwrite(world.log, position, **{column: value})
    noticed = world.chain_notices()
    assert noticed is not None
    assert noticed.position == position


def test_a_removed_row_is_noticed_in_the_database(world: World) -> None:
    forger.remove(world.log, 4)
    noticed = world.chain_notices()
    assert noticed is not None
    assert noticed.position == 4


def edit(rows: Rows) -> Rows:
    return [(key, body.replace(b"NOT_MET", b"MET") if at == 2 else body) for at, (key, body) in enumerate(rows)]


def delete(rows: Rows) -> Rows:
    return [row for at, row in enumerate(rows) if at != 2]


def swap(rows: Rows) -> Rows:
    return [rows[0], rows[2], rows[1], *rows[3:]]


@pytest.mark.parametrize("change", [edit, delete, swap])
def test_everything_recomputed_and_signed_again_is_noticed_outside(
    world: World, change: Callable[[Rows], Rows]
) -> None:
    forger.rewrite(world.log, change)
    assert world.chain_notices() is None
    assert world.auditor_notices()
    assert world.receipt_notices(2)
    assert world.receipt_notices(SIZE - 1)
    assert world.witness_notices()


def test_a_tail_cut_below_a_published_head_is_noticed_outside(world: World) -> None:
    forger.rewrite(world.log, lambda rows: rows[: PUBLISHED - 2])
    assert world.chain_notices() is None
    assert world.auditor_notices()
    assert world.receipt_notices(PUBLISHED - 1)
    assert world.witness_notices()


def test_a_tail_cut_above_every_published_head_is_noticed_by_the_holder_of_its_receipt(world: World) -> None:
    forger.rewrite(world.log, lambda rows: rows[: PUBLISHED + 1])
    assert world.chain_notices() is None
    assert not world.auditor_notices()
    assert world.receipt_notices(PUBLISHED + 1)
    assert not world.witness_notices()


def insert_later(rows: Rows) -> Rows:
    return [*rows[:8], ("extra", rows[7][1].replace(b"check-7", b"extra")), *rows[8:]]


def leave_out(rows: Rows) -> Rows:
    return [*rows[:8], *rows[9:]]


@pytest.mark.parametrize("change", [insert_later, leave_out])
def test_inserting_or_leaving_out_above_heads_is_noticed_by_later_receipts(
    world: World, change: Callable[[Rows], Rows]
) -> None:
    forger.rewrite(world.log, change)
    assert world.chain_notices() is None
    assert not world.auditor_notices()
    assert world.receipt_notices(SIZE - 1)
    assert not world.witness_notices()


def test_a_split_view_is_noticed_when_heads_are_compared(world: World) -> None:
    for_one = open_head(world.log.checkpoint(), world.keys)
    forger.rewrite(world.log, edit)
    for_other = open_head(world.log.checkpoint(), world.keys)
    assert world.chain_notices() is None
    assert for_one.size == for_other.size
    assert for_one.root != for_other.root
    assert world.witness_notices()


@pytest.mark.parametrize(("seconds", "noticed"), [(119, False), (120, False), (121, True), (86_400, True)])
def test_back_dating_is_bounded_to_120_seconds(
    world: World, clock: Clock, add: Callable[..., Recorded], seconds: int, noticed: bool
) -> None:
    clock.tick(seconds=-seconds)
    add("back-dated")
    error = world.chain_notices()
    assert (error is not None) == noticed
    assert error is None or error.position == SIZE


def test_p3_no_change_below_a_held_head_stays_unseen(world: World) -> None:
    """Every position below the auditor's head, changed and everything recomputed: he sees each."""
    for position in range(PUBLISHED):

        def change(rows: Rows, position: int = position) -> Rows:
            key, body = rows[position]
            return [*rows[:position], (key, body + b" "), *rows[position + 1 :]]

        forger.rewrite(world.log, change)
        assert world.auditor_notices()
        forger.rewrite(world.log, lambda rows: [(key, body.rstrip()) for key, body in rows])
        assert not world.auditor_notices()
