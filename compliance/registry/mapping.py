"""In which words the agency is asked, and how its answer becomes the shape of contract §4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from compliance.law.facts import Ask, Subject


class Wire(Protocol):
    """One agreement's wire format. `statuses` are those of answers that are read."""

    statuses: frozenset[int]

    def call(self, ask: Ask, reference: str) -> tuple[str, dict[str, str]]:
        """Path and query of one call; `reference` is the permit application's number."""
        ...

    def shape(self, ask: Ask, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer in the shape of contract §4. Raises RegistryMisunderstood."""
        ...


class Agreed:
    """Contract §4 itself."""

    statuses = frozenset({200})
    _paths: Mapping[Subject, str] = {
        Subject.EMPLOYER: "/v1/badan-usaha",
        Subject.PARTICIPANT: "/v1/peserta",
        Subject.PROJECT: "/v1/proyek",
    }

    def call(self, ask: Ask, reference: str) -> tuple[str, dict[str, str]]:
        key = "nomor" if ask.subject is Subject.PROJECT and ask.by != "npp" else ask.by
        query = {key: ask.value, "keperluan": reference}
        return self._paths[ask.subject], query | ({"kd_daerah": ask.region} if ask.region else {})

    def shape(self, ask: Ask, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return document
