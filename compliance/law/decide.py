"""From facts and law to a decision: pure, and the same for ever; judged again years later or under a draft, and rule by
rule, with the law of the day."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import cache, reduce
from typing import Any, NamedTuple

from compliance.law.codec import from_json, to_json
from compliance.law.facts import RANK, Action, Cure, Decision, Effect, Facts, Finding, RuleStage, Verdict
from compliance.law.law import Law
from compliance.law.loading import SCHEMA, Entry, Key
from compliance.law.policy import Policy
from compliance.law.rules import LANGUAGES, Case

ASK_AGAIN = timedelta(hours=1)  # when the agency named no time, or was misunderstood and somebody must repair that
VERDICTS = {Effect.NOTE: Verdict.MET_WITH_NOTE, Effect.OK: Verdict.MET}  # of the others the names are the same
ACTIONS = dict.fromkeys((Verdict.NOT_MET, Verdict.BLOCKED), Action.STOP)
ACTIONS |= dict.fromkeys((Verdict.OFFICER_REVIEW, Verdict.UNDETERMINED), Action.HOLD)
BEYOND_OFFICERS = (Effect.BLOCKED, Effect.UNDETERMINED)
CURABLE = (Effect.NOT_MET, Effect.OFFICER_REVIEW)
IN_THE_WAY = (*BEYOND_OFFICERS, *CURABLE)
MOST_STEPS = 40  # of a firm with hundreds of accounts; the next check names the rest


class Rule(NamedTuple):  # one question of the law; schema.toml lists them in their order
    name: str
    judge: Callable[[Case], None]
    reads: list[str]  # the facts it looks at
    rests_on: list[str]  # the dated law it applies: a kind, or `value.` and a name
    stops: bool = False  # a finding of it ends the judgement


RULES = [Rule(name, getattr(Case, name), **said) for name, said in SCHEMA["rules"].items()]


def decide(facts: Facts, law: Law) -> Decision:
    """Judge one application. Raises ValueError when the agency must be asked and was not."""
    case, findings = Case(facts, law), list[Finding]()
    deque(judge(case), 0)
    for weigh in (_check_scales, _take_decision, _take_undertakings, _take_doubt):
        weigh(case)
    for finding in sorted(case.found, key=_weight):  # of accounts, the worst finding of each code is shown once
        if "npp" not in finding.facts or all(finding.code != other.code for other in findings):
            findings.append(finding)
    worst = findings[0].effect if findings else Effect.OK
    verdict = VERDICTS.get(worst) or Verdict(worst)
    stage, blocked, action = case.gate.stage, verdict is Verdict.BLOCKED, ACTIONS.get(verdict, Action.PROCEED)
    trial = stage in (RuleStage.SHADOW, RuleStage.ADVISE) and not blocked
    reasons = findings[0].message if findings else dict.fromkeys(LANGUAGES, "")
    told, failure = law.says("verdict", verdict), case.evidence.failure
    named = {"permit_type": facts.application.permit_type}
    last_days = [date.fromisoformat(one.facts["deadline"]) for one in findings if one.code == "UNDERTAKING_OPEN"]
    last_days.append(facts.application.as_at + timedelta(days=law.valid_days))
    retry_at = failure.retry_at or case.evidence.received_at + ASK_AGAIN if failure else None
    return Decision(
        verdict,
        Action.PROCEED if trial else action,
        blocked or stage is RuleStage.ENFORCE,
        stage,
        dict(told["label"]),
        {name: told["summary"][name].format(reason=reasons[name], **named) for name in LANGUAGES},
        tuple(findings),
        _cure(case, verdict),
        min(last_days) if action is Action.PROCEED else None,
        retry_at if verdict is Verdict.UNDETERMINED else None,
    )


def judge(case: Case) -> Iterator[tuple[Rule, list[Finding]]]:
    """Ask every rule in order until one ends the judgement."""
    for rule in RULES:
        case.owed, before = {}, len(case.found)
        rule.judge(case)
        yield rule, case.found[before:]
        if rule.stops and len(case.found) > before:
            return


def _check_scales(case: Case) -> None:
    """A rule for some scales alone refuses nobody whose scale is unknown."""
    refused = any(finding.effect is Effect.NOT_MET for finding in case.found)
    if case.gate.scales and case.application.scale is None and refused:
        case.found = [_softened(finding) for finding in case.found]
        case.find("SCALE_UNKNOWN", variant="gate", anywhere=True)


def _take_decision(case: Case) -> None:
    """An officer's decision replaces the findings it names; a sanction ends with its letter alone."""
    decision, as_at = case.facts.decision, case.application.as_at
    if decision is None or decision.effect in BEYOND_OFFICERS or (decision.until or date.max) < as_at:
        return
    replaced = [one for one in case.found if one.code in decision.codes and one.effect is not Effect.BLOCKED]
    if replaced:
        case.found = [finding for finding in case.found if finding not in replaced]
        codes = sorted({finding.code for finding in replaced})
        case.find("OFFICER_DECISION", decision.effect, codes=codes, until=decision.until)


def _take_undertakings(case: Case) -> None:
    """An accepted undertaking turns what it names into a note until its due day, inclusive."""
    # A source that may be incomplete refuses nobody.
    refusing = Effect.NOT_MET if case.evidence.complete else Effect.OFFICER_REVIEW
    for undertaking in case.facts.undertakings if case.law.values["undertakings"] else ():
        named = [one for one in case.found if one.code in undertaking.codes and one.effect in CURABLE]
        facts: dict[str, Any] = {"codes": sorted({finding.code for finding in named}), "deadline": undertaking.due}
        if named and undertaking.due >= case.application.as_at:
            case.found = [finding for finding in case.found if finding not in named]
            case.find("UNDERTAKING_OPEN", **facts)
        elif named:
            case.found = [replace(one, effect=refusing) if one in named else one for one in case.found]
            case.find("UNDERTAKING_OVERDUE", refusing, **facts)


def _take_doubt(case: Case) -> None:
    """While the agency's answers look doubtful, an officer looks before anybody is refused."""
    if case.facts.doubtful:
        why = case.law.says("phrase", "doubtful")["text"]
        case.found = [one if one.code == "OFFICER_DECISION" else _softened(one, why) for one in case.found]


def _softened(finding: Finding, why: Mapping[str, str] | None = None) -> Finding:
    if finding.effect is not Effect.NOT_MET:
        return finding
    message = {lang: f"{text} {why[lang]}" for lang, text in finding.message.items()} if why else finding.message
    return replace(finding, effect=Effect.OFFICER_REVIEW, message=message)


def _weight(finding: Finding) -> tuple[int, int]:  # the worst first
    return RANK[finding.effect], -len(finding.facts.get("missing", ())) - finding.facts.get("months", 0)


def _cure(case: Case, verdict: Verdict) -> Cure | None:
    """One step for each finding in the way, of every account, the gravest first; None when there is nothing to do. An
    overdue undertaking is no step of its own: it ends with the findings it named. A project that may still be
    registered in time is a step although it stops nothing."""
    steps = [one for one in case.found if one.effect in IN_THE_WAY and one.code != "UNDERTAKING_OVERDUE"]
    in_time = [] if steps else [finding for finding in case.found if finding.code == "PROJECT_WITHIN_DEADLINE"]
    if not steps and not in_time:
        return None
    ordered = sorted(steps or in_time, key=lambda finding: RANK[finding.effect])
    texts = {lang: list(dict.fromkeys(f.remedy[lang] for f in ordered))[:MOST_STEPS] for lang in LANGUAGES}
    tomorrow = case.law.working_day_after(case.facts.today, 1)[0]
    useful = None if verdict in (Verdict.BLOCKED, Verdict.UNDETERMINED) else tomorrow
    return Cure(texts, date.fromisoformat(in_time[0].facts["deadline"]) if in_time else useful)


class Difference(NamedTuple):  # where a decision no longer comes out as it was recorded
    path: str  # a JSON pointer into the decision
    then: Any
    now: Any


class Replay(NamedTuple):  # a decision made again
    decision: Decision
    differences: tuple[Difference, ...]  # none when it came out the same to the letter
    policy_sha256: str

    @property
    def same(self) -> bool:
        return not self.differences


class Policies:
    """The policies of the past by hash, from stored texts; `text_of` returns None for one that is not stored."""

    def __init__(self, text_of: Callable[[str], str | None]) -> None:
        self.get: Callable[[str], Policy] = cache(lambda sha256: Policy.from_texts(sha256, text_of))

    def judged(self, body: Mapping[str, Any]) -> tuple[Facts, Law]:
        """What an entry's decision rests on. Raises BadPolicy; KeyError or ValueError for facts unknown."""
        facts: Facts = from_json(Facts, body["facts"])
        law = self.get(body["policy"]["sha256"]).on(facts.application.as_at, facts.application.region)
        return facts, law


def replay(body: Mapping[str, Any], policies: Policies) -> Replay:
    """Decide an entry's facts again by the law it names. Raises as `judged`."""
    facts, law = policies.judged(body)
    decision = decide(facts, law)
    found = [*differences(body["decision"], to_json(decision))]
    found += differences(body["policy"]["version"], law.version, "/policy/version")
    return Replay(decision, tuple(found), body["policy"]["sha256"])


def differences(then: Any, now: Any, path: str = "") -> Iterator[Difference]:
    """Every place where two JSON values differ."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted(then.keys() | now.keys()):
            yield from differences(then.get(key), now.get(key), f"{path}/{key}")
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from differences(one, other, f"{path}/{number}")
    elif then != now:
        yield Difference(path, then, now)


class Flip(NamedTuple):  # a logged check that a draft would decide otherwise
    entry_id: str
    reference: str
    as_at: date
    then: Mapping[str, Any]
    now: Decision | None  # None: the agency was not asked then
    stopped: bool  # the draft would stop what went on


def flips(bodies: Iterable[Mapping[str, Any]], draft: Policy, region: str) -> Iterator[Flip]:
    """The checks of a region that a draft would decide otherwise, judged by the draft as its last change leaves it."""

    def outcome(decided: Mapping[str, Any]) -> tuple[Any, ...]:
        found = sorted((finding["code"], finding["effect"]) for finding in decided["findings"])
        return decided["verdict"], decided["action"], decided["enforced"], found

    known = draft.region(region)
    changed = max((group[-1].since for group in known.groups.values()), default=known.first_day)
    for body in bodies:
        facts, then = from_json(Facts, body["facts"]), body["decision"]
        if facts.application.region != region:
            continue
        as_at = facts.application.as_at
        law = draft.on(max(changed, as_at), region)
        now = None if facts.evidence is None and law.asks(facts) else decide(facts, law)
        if now is None or outcome(to_json(now)) != outcome(then):
            stopped = now is not None and now.action is Action.STOP and then["action"] != Action.STOP
            yield Flip(body["id"], body["reference"], as_at, then, now, stopped)


def explain(facts: Facts, law: Law) -> dict[str, Any]:
    """Rule by rule: which facts were looked at, what was owed, what was found, and which day of which law applied; as
    JSON values. Raises ValueError when the agency must be asked and was not."""
    case, stated, application, rules = Case(facts, law), to_json(facts), facts.application, list[dict[str, Any]]()
    about: dict[str, Key] = {"gate": (application.permit_type, application.stage)}
    about |= {"service": (application.permit_type,), "legal_form": (application.legal_form or "",)}
    about |= {"programmes": (application.scale or "micro",)}
    for rule, found in judge(case):
        parts = {path: path.split(".") for path in rule.reads}
        looked_at = {path: reduce(lambda part, name: (part or {}).get(name), parts[path], stated) for path in parts}
        named = [kind.partition(".") for kind in rule.rests_on]
        rested_on = [law.entries.get((kind, (name,) if name else about.get(kind, ()))) for kind, _, name in named]
        told = {"rule": rule.name, "question": to_json(law.says("rule", rule.name).get("question", {}))}
        told |= {"looked_at": looked_at, "owed": to_json(case.owed), "found": to_json(found)}
        told |= {"law": [_cited(entry) for entry in rested_on if entry]}
        rules.append(told | {"ended_here": rule.stops and bool(found)})
    return {
        "as_at": application.as_at.isoformat(),
        "policy": {"region": law.region, "version": law.version, "sha256": law.sha256, "since": law.since.isoformat()},
        "rules": rules,
        "not_reached": [rule.name for rule in RULES[len(rules) :]],
        "decision": to_json(decide(facts, law)),
    }


def _cited(entry: Entry) -> dict[str, Any]:
    says = {"what": " ".join((entry.kind, *entry.key)), "says": to_json(entry.data), "since": to_json(entry.since)}
    return says | {"legal_basis": to_json(entry.basis), "where": entry.where}
