"""Facts survive the journey through the log, and what is not understood is not read."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from compliance.law.codec import from_json, moment, to_json
from compliance.law.facts import Account, Application, Certainty, Evidence, Facts, Programme, Scale, Workforce

PLAIN = Facts(Application("RESTORAN", "73.09", date(2026, 11, 20)), date(2026, 11, 20))


def test_what_holds_its_default_is_not_written() -> None:
    assert to_json(PLAIN) == {
        "application": {"permit_type": "RESTORAN", "region": "73.09", "as_at": "2026-11-20"},
        "today": "2026-11-20",
    }


def test_zero_false_and_nothing_are_told_apart() -> None:
    account = Account("A1", active=False, active_workers=0, first_payment=False, programmes=frozenset())
    written = json.loads(json.dumps(to_json(account)))
    assert written == {"npp": "A1", "active": False, "active_workers": 0, "first_payment": False, "programmes": []}
    assert from_json(Account, written) == account
    assert from_json(Account, {"npp": "A1", "active": False}).programmes is None


def test_sets_are_written_in_order_and_read_as_sets() -> None:
    account = Account("A1", True, frozenset({Programme.JP, Programme.JHT, Programme.JKK}))
    assert to_json(account)["programmes"] == ["JHT", "JKK", "JP"]
    assert from_json(Account, to_json(account)) == account


def test_words_days_and_moments_keep_their_kind() -> None:
    facts = Facts(
        Application("PBG", "73.09", date(2026, 2, 28), scale=Scale.SMALL, workforce=Workforce(True, 3)),
        date(2026, 3, 1),
        evidence=Evidence("http", datetime(2026, 3, 1, 1, 2, 3, 4000, tzinfo=UTC)),
    )
    read = from_json(Facts, json.loads(json.dumps(to_json(facts))))
    assert read == facts
    assert isinstance(read.application.scale, Scale)
    assert read.evidence.received_at.tzinfo is not None


def test_a_moment_is_written_in_utc() -> None:
    makassar = timezone(timedelta(hours=8))
    assert moment(datetime(2026, 11, 20, 16, 0, tzinfo=makassar)) == "2026-11-20T08:00:00Z"
    assert moment(datetime(2026, 11, 20, 8, 0, 0, 123000, tzinfo=UTC)) == "2026-11-20T08:00:00.123Z"


@pytest.mark.parametrize(
    "spoiled",
    [
        {"permit_type": "X", "region": "73.09", "as_at": "2026-11-20", "colour": "red"},
        {"permit_type": "X", "region": "73.09"},
        {"permit_type": "X", "region": "73.09", "as_at": "soon"},
        {"permit_type": "X", "region": "73.09", "as_at": "2026-11-20", "scale": "tiny"},
    ],
)
def test_what_is_not_understood_is_not_read(spoiled: dict) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_json(Application, spoiled)


def test_a_word_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError):
        from_json(Certainty, "sure")
