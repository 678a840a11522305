"""Fair samples: a seed is committed before the period and revealed after it. The rule, for another machine: of every
office (`office_of`) the `per_office` checks (or all) with the smallest SHA-256(seed ‖ entry id), both as UTF-8."""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from compliance.errors import BadInput, FieldError

CONFIDENCE, MOST = 0.95, 1500  # an entry holds no more ids


def office_of(region: str, office: str, asker: str) -> str:
    """The office that a check counts for: software (`client:id`) is one of its own."""
    return f"{region} {office or asker}"


def pairs(bodies: Iterable[Mapping[str, Any]], said: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Office and id of the checks that a committed sample is about, from the bodies of a whole log."""
    for body in bodies:
        if body["kind"] == "check" and said["since"] <= body["facts"]["today"] <= said["until"]:
            region, asker = body["facts"]["application"]["region"], body["asker"]
            if region in said["regions"]:
                yield office_of(region, asker.get("office", ""), f"{asker['kind']}:{asker['id']}"), body["id"]


def draw(checks: Iterable[tuple[str, str]], seed: str, per_office: int) -> dict[str, dict[str, Any]]:
    """Draw from (office, entry id); holds no more than is drawn. Raises BadInput when that is more than MOST."""
    numbers, kept = defaultdict[str, int](int), defaultdict[str, list[tuple[int, str]]](list)
    for office, entry_id in checks:
        numbers[office] += 1
        rank = (-int.from_bytes(sha256(f"{seed}{entry_id}".encode()).digest(), "big"), entry_id)
        (heapq.heappush if len(kept[office]) < per_office else heapq.heappushpop)(kept[office], rank)
    if sum(map(len, kept.values())) > MOST:
        raise BadInput(FieldError("/seed", f"more than {MOST} checks would be drawn: the sample was planned too large"))
    ids = {office: [entry_id for _, entry_id in sorted(kept[office], reverse=True)] for office in sorted(kept)}
    return {office: {"checks": numbers[office], "ids": drawn} for office, drawn in ids.items()}


def upper_bound(wrong: int, looked: int, confidence: float = CONFIDENCE) -> float:
    """The highest error rate that so few wrong ones do not contradict (Clopper and Pearson, one-sided)."""
    low, high = wrong / looked, 1.0
    ways = [math.lgamma(looked + 1) - math.lgamma(k + 1) - math.lgamma(looked - k + 1) for k in range(wrong + 1)]
    for _ in range(60 if wrong < looked else 0):
        p = (low + high) / 2
        chance = math.fsum(math.exp(w + k * math.log(p) + (looked - k) * math.log1p(-p)) for k, w in enumerate(ways))
        low, high = (p, high) if chance > 1 - confidence else (low, p)
    return high


def bounds(drawn: Mapping[str, Mapping[str, Any]], wrong: Mapping[str, int]) -> tuple[dict[str, float], float]:
    """Upper bounds of each office's error rate, and of all checks together (each office held the more strictly). An
    office whose checks were all looked at leaves no doubt."""
    strict = 1 - (1 - CONFIDENCE) / max(sum(len(each["ids"]) < each["checks"] for each in drawn.values()), 1)
    single, whole = dict[str, float](), 0.0
    for office, each in drawn.items():
        bad, looked = wrong[office], len(each["ids"])
        known = looked == each["checks"]
        single[office] = bad / looked if known else upper_bound(bad, looked)
        whole += each["checks"] * (single[office] if known else upper_bound(bad, looked, strict))
    return single, whole / max(sum(each["checks"] for each in drawn.values()), 1)
