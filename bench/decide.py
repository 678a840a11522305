"""How long one decision takes with all rules, and 100,000 replays from entries; the golden cases are the load."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

from compliance.law.codec import to_json
from compliance.law.decide import Policies, decide, replay
from compliance.law.facts import Facts
from compliance.law.law import Law
from tests.law import golden

REPLAYS = 100_000
ROUNDS = 20


def main() -> None:
    load = _load()
    _decisions(load)
    _replays(load)


def _load() -> list[tuple[Facts, Law]]:
    """Facts and law of every golden case, as the gate would hand them to `decide`."""
    taken: list[tuple[Facts, Law]] = []

    def taking(facts: Facts, law: Law) -> Any:
        taken.append((facts, law))
        return decide(facts, law)

    golden.decide = taking
    try:
        for case in golden.golden_cases():
            golden.run(case)
    finally:
        golden.decide = decide
    return taken


def _decisions(load: list[tuple[Facts, Law]]) -> None:
    spent = []
    for facts, law in load * ROUNDS:
        begun = time.perf_counter_ns()
        decide(facts, law)
        spent.append((time.perf_counter_ns() - begun) / 1000)
    spent.sort()
    p99 = spent[len(spent) * 99 // 100]
    print(f"decide: {len(load)} cases, median {statistics.median(spent):.0f} µs, p99 {p99:.0f} µs (bar: 200 µs)")


def _replays(load: list[tuple[Facts, Law]]) -> None:
    texts = {name: text for _, law in load for name, text in law.texts.items()}
    policies = Policies(texts.get)
    entries = [_entry(facts, law) for facts, law in load]
    begun, differing = time.perf_counter(), 0
    for number in range(REPLAYS):
        differing += not replay(json.loads(entries[number % len(entries)]), policies).same
        if number % 10_000 == 0 and sys.stderr.isatty():
            print(f"\r{number} replays", end="", file=sys.stderr)
    seconds = time.perf_counter() - begun
    print(f"replay: {REPLAYS} entries in {seconds:.1f} s, {differing} differ (bar: 60 s, 0)")


def _entry(facts: Facts, law: Law) -> str:
    policy = {"region": law.region, "version": law.version, "sha256": law.sha256}
    return json.dumps({"facts": to_json(facts), "decision": to_json(decide(facts, law)), "policy": policy})


if __name__ == "__main__":
    main()
