"""The fast writer of RFC 8785 writes what the reference package writes, and refuses what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compliance.audit.entry import canonical

TEXT = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates, control characters, all planes
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))
REFUSED = (rfc8785.CanonicalizationError, UnicodeError)


def outcome(write: Any, value: Any) -> bytes | str:
    try:
        return bytes(write(value))
    except REFUSED:
        return "refused"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # which speak of a busy machine
@given(JSON)
def test_any_json_is_written_as_the_reference_writes_it(value: Any) -> None:
    assert outcome(canonical, value) == outcome(rfc8785.dumps, value)


@pytest.mark.parametrize(
    "value", [{"\ue000": 1, "\U00010000": 2}, 2**53, -(2**53), 1e21, 12.0, {"a": "\ud800"}, "\x7f\u2028"]
)
def test_what_other_writers_get_wrong(value: Any) -> None:
    assert outcome(canonical, value) == outcome(rfc8785.dumps, value)
