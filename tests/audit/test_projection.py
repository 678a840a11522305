"""The log is the only truth: tables that show it are caught up, rebuilt, and never trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text

from compliance.audit import projection
from compliance.audit.entry import Entry
from compliance.audit.log import AuditLog
from compliance.audit.projection import catch_up, rebuild
from compliance.audit.table import audit_mark, check_record
from compliance.audit.verify import verify_checks
from compliance.database import put
from compliance.errors import LogBroken
from compliance.gate import Recorded
from tests.audit.conftest import QUESTION
from tests.conftest import Clock

Add = Callable[..., Recorded]


def shown(log: AuditLog) -> list[dict[str, object]]:
    with log.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(check_record).order_by(check_record.c.pos)).mappings()]


def quiet(size: int) -> None:
    """No progress is shown."""


def test_a_kill_between_entry_and_projection_is_made_good(
    add: Add, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("before")
    with monkeypatch.context() as patched:
        patched.setattr("compliance.audit.projection.project", lambda *_: None)
        lost = add("killed")
    assert log.check("killed") is None
    assert catch_up(log) == 2
    found = log.check("killed")
    assert found is not None
    assert found.document == lost.document
    assert catch_up(log) == 0


def test_a_rebuild_gives_the_same_tables(add: Add, log: AuditLog) -> None:
    for _ in range(5):
        add()
    before = shown(log)
    assert rebuild(log) == 5
    assert shown(log) == before
    assert verify_checks(log, quiet) == 5


def test_a_failed_projection_does_not_lose_the_answer(
    add: Add, log: AuditLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(connection: object, entry: object) -> None:
        raise ValueError("a bug in a table")

    monkeypatch.setitem(projection._projectors, "check", [fails])
    assert add("kept").document
    assert "not yet in the tables" in caplog.text
    monkeypatch.undo()
    catch_up(log)
    assert log.check("kept") is not None


def mark(name: str, size: int = 1) -> dict[str, object]:
    return {"name": name, "size": size}


def marks(log: AuditLog) -> list[str]:
    with log.engine.connect() as connection:
        return sorted(connection.scalars(select(audit_mark.c.name)))


def puts(connection: Any, entry: Entry) -> None:
    put(connection, audit_mark, [mark("a"), mark("b"), mark("a", 2)])
    put(connection, audit_mark, mark("c"))


def looks(connection: Any, entry: Entry) -> None:
    found = connection.scalars(select(audit_mark.c.name).where(audit_mark.c.name < "d")).all()
    put(connection, audit_mark, mark(f"seen-{len(found)}"))


def breaks(connection: Any, entry: Entry) -> None:
    put(connection, audit_mark, mark("late"))
    raise ValueError("a bug in a table")


def wrong(connection: Any, entry: Entry) -> None:
    put(connection, audit_mark, [{"name": None, "size": 1}])


@pytest.mark.parametrize(
    ("projectors", "shown_then"),
    [
        ([puts], ["a", "b", "c"]),
        ([puts, looks], ["a", "b", "c", "seen-3"]),  # what was put before is there for who looks
        ([looks, puts], ["a", "b", "c", "seen-0"]),
        ([puts, breaks], []),
        ([puts, looks, breaks], []),
        ([puts, wrong], []),
        ([puts, looks, wrong], []),
    ],
)
def test_what_an_entry_shows_is_shown_whole_or_not_at_all(
    add: Add, log: AuditLog, monkeypatch: pytest.MonkeyPatch, projectors: list[Any], shown_then: list[str]
) -> None:
    monkeypatch.setitem(projection._projectors, "test.shown", projectors)
    for number in range(8):  # also once the statement is a prepared one
        assert log.append("test.shown", {"number": number}).position == number
        assert marks(log) == shown_then
        with log.engine.begin() as connection:
            connection.execute(audit_mark.delete())
    assert log.append("test.hidden", {}).position == 8
    assert add("next").position == 9
    assert log.check("next") is not None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE check_record SET verdict = 'MET' WHERE pos = 1",
        "UPDATE check_record SET document = replace(document, 'NOT_MET', 'MET') WHERE pos = 1",
        "UPDATE check_record SET valid_until = '2030-01-01' WHERE pos = 1",
        "DELETE FROM check_record WHERE pos = 1",
    ],
)
def test_a_table_that_shows_something_else_is_found(add: Add, log: AuditLog, change: str) -> None:
    for _ in range(3):
        add()
    with log.engine.begin() as connection:
        connection.execute(text(change))
    with pytest.raises(LogBroken) as caught:
        verify_checks(log, quiet)
    assert caught.value.position == 1
    rebuild(log)
    assert verify_checks(log, quiet) == 3


def test_checks_are_listed_newest_first_with_filters(add: Add, log: AuditLog, clock: Clock) -> None:
    from compliance.audit.checks import CheckFilter

    old = add(reference="A")
    clock.tick(hours=1)
    new = add(reference="B", replaces=old.id)
    assert [found.id for found in log.checks(CheckFilter(["73.09"]), 10)] == [new.id, old.id]
    assert [found.id for found in log.checks(CheckFilter(["73.09"], reference="A"), 10)] == [old.id]
    assert [found.id for found in log.checks(CheckFilter(["73.09"], since=clock()), 10)] == [new.id]
    assert [found.id for found in log.checks(CheckFilter(["73.09"], before=new.position), 10)] == [old.id]
    assert log.checks(CheckFilter(["76.05"]), 10) == []
    replaced = log.check(old.id)
    assert replaced is not None
    assert replaced.superseded_by == new.id


def test_the_questions_name_is_rebuilt_from_its_disclosure(add: Add, log: AuditLog, clock: Clock) -> None:
    add()
    rebuild(log)
    assert log.last_evidence(QUESTION, clock()) is not None
