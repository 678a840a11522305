"""What dated law must hold together: complete, no text without a filler, no gate that reaches beyond what it may."""

from collections.abc import Iterable
from datetime import date
from itertools import chain
from string import Formatter

from compliance.errors import BadPolicy
from compliance.law.facts import Certainty, Scale, Verdict
from compliance.law.grounds import RULES
from compliance.law.loading import VALUES, Entry, Groups, Key
from compliance.law.rules import RANK

_CODES = """
    TMP2T_IN_FORCE TMP2T_OTHER_REGION TMP2T_UNDOCUMENTED TMP2T_LIFTED WARNING_RUNNING PERMIT_NOT_GATED NIB_NOT_ACTIVE
    STATE_BODY REGISTRY_UNAVAILABLE REGISTRY_MISUNDERSTOOD REGISTRY_STALE IDENTITY_UNRESOLVED NPP_OF_ANOTHER
    NAME_DIFFERS NO_WORKERS OWNER_BPU_ACTIVE OWNER_BPU_LAPSED NOT_REGISTERED INACTIVE FIRST_PAYMENT_PENDING
    PROGRAMMES_MISSING SCALE_UNKNOWN WORKERS_PARTIAL HEADCOUNT_DIFFERS HEADCOUNT_STALE WAGES_PARTIAL ARREARS
    INSTALMENT_PLAN NOT_YET_DUE PROJECT_REGISTERED PROJECT_WITHIN_DEADLINE PROJECT_NOT_REGISTERED UNDERTAKING_OPEN
    UNDERTAKING_OVERDUE OFFICER_DECISION"""
CODES = frozenset(_CODES.split())
ALWAYS_IN_FORCE = ("finding", "text", "verdict", "phrase", "rule", "value", "programmes", "due")
_FILLED_IN = """
    permit_type region_name branch reason owed missing npp active expected months due deadline number letter dated
    lifted region until count age_hours codes"""
FILLED_IN = frozenset(_FILLED_IN.split())


def check_national(groups: Groups) -> None:
    """Raises BadPolicy when something is missing that every decision needs, or has no reader."""
    needed = {
        "finding": CODES,
        "value": VALUES,
        "verdict": Verdict,
        "phrase": ("doubtful",),
        "rule": [rule.name for rule in RULES],
        "programmes": Scale,
    }
    closed: set[tuple[str, Key]] = {(kind, (str(name),)) for kind, names in needed.items() for name in names}
    other: set[tuple[str, Key]] = {("due", ()), *(("text", (code, "")) for code in CODES)}
    for kind, key in sorted((closed | other) - groups.keys()):
        raise BadPolicy("national law", f"has no {kind} {' '.join(key)}".rstrip())
    for (kind, key), group in groups.items():
        if kind in needed and (kind, key) not in closed:
            raise BadPolicy(group[0].where, f"no rule reads the {kind} {' '.join(key)}")
    _check_texts(chain.from_iterable(groups.values()))


def check_region(groups: Groups, national: Groups, first_day: date, *, shipped: bool) -> None:
    """Raises BadPolicy when a region's rule reaches beyond what a region may decide."""
    for (kind, key), group in groups.items():
        if kind == "text" and ("text", key) not in national:
            raise BadPolicy(group[0].where, f"there is no text {' '.join(key)} to replace")
        for entry in group:
            if entry.since < first_day:
                raise BadPolicy(f"{entry.where}.since", f"lies before the region's first day, {first_day}")
            cited = (*entry.basis, *entry.data.get("arrears", {}).get("basis", ()))
            if not shipped and any(basis.certainty is Certainty.EXAMPLE for basis in cited):
                raise BadPolicy(f"{entry.where}.basis", "certainty example is only for files shipped with the program")
            for code, effect in entry.data.get("effects", {}).items():
                where, standard = f"{entry.where}.effects.{code}", national.get(("finding", (code,)), [])
                if not standard or "ground" not in standard[-1].data:
                    raise BadPolicy(where, "is no finding of a ground that a region may judge")
                if RANK[effect] < RANK[nations := standard[-1].data["effect"]]:
                    raise BadPolicy(where, f"is harder than national law, which says {nations}")
    _check_texts(chain.from_iterable(groups.values()))


def _check_texts(entries: Iterable[Entry]) -> None:
    for entry in entries:
        for part in ("message", "remedy", "label", "summary", "text"):
            for language, words in entry.data.get(part, {}).items():
                where = f"{entry.where}.{part}.{language}"
                try:
                    unknown = {name for _, name, _, _ in Formatter().parse(words) if name is not None} - FILLED_IN
                except ValueError as error:
                    raise BadPolicy(where, f"braces: {error}") from error
                if unknown:
                    raise BadPolicy(where, f"nothing fills in {', '.join(sorted(unknown))}")
