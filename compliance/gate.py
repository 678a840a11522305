"""One check: ask → decide → record → answer. Knows no Flask, SQL or HTTP. It declares what it needs of the log and of
the office; `create_app` brings them. No record, no answer. No registry, no refusal."""

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from ulid import ULID

from compliance.errors import RegistryUnavailable
from compliance.law import facts as fact
from compliance.law.codec import to_json
from compliance.law.decide import decide
from compliance.law.facts import Application, Evidence, Fact, Facts, Identity, Verdict
from compliance.law.identifiers import npwp_is_personal
from compliance.law.inquiry import inquire, question_text
from compliance.law.law import Law
from compliance.law.policy import Policy
from compliance.registry.port import Brake, Outages, Purpose, Source

RETRY_AFTER = timedelta(minutes=5)
BACKDATED_AFTER = timedelta(days=30)
Private = Mapping[str, Any] | None  # of an entry: nothing is salted
Clocked = datetime | None  # its moment: that of the clock
GOOD = {Verdict.MET, Verdict.MET_WITH_NOTE, Verdict.NOT_REQUIRED}


class Asker(Fact):  # `kind`: client, user or operator; `id` of that record, never a name; `office` of a user or ""
    kind: str
    id: str
    office: str = ""


class Officer(Fact):  # the official who handles the application, as stated by the caller; recorded salted, never judged
    nip: str | None = None
    name: str | None = None


class Question(Fact):  # one check to be made. `id` becomes the entry's id, so that a retry is idempotent
    reference: str
    application: Application
    identity: Identity
    asker: Asker
    officer: Officer | None = None
    replaces: str | None = None
    request_id: str = ""
    id: str = field(default_factory=lambda: str(ULID()))


class Recorded(Fact):
    """A durable entry. `document` is the answer of the API (contract §2) as text, byte for byte what is kept."""

    id: str
    position: int
    document: str


class Log(Protocol):
    """The append-only log as the gate sees it."""

    def append(
        self, kind: str, body: Mapping[str, Any], *, entry_id: str = "", private: Private = None, at: Clocked = None
    ) -> Recorded:
        """Make an entry durable, then return it. Raises LogUnavailable; then nothing may be answered."""

    def last_evidence(self, question_key: str, since: datetime) -> Evidence | None:
        """The last understood fresh answer to the same question that was received at or after `since`."""


class Standing(NamedTuple):  # what the office's own people decided about application and employer: fields of Facts
    register: tuple[fact.Sanction, ...] = ()
    undertakings: tuple[fact.Undertaking, ...] = ()
    decision: fact.OfficerDecision | None = None


class Office(Protocol):
    """What the office decided, as it stands now."""

    def standing(self, application: Application, reference: str, identity: Identity) -> Standing: ...


@dataclass(eq=False, repr=False)
class Gate:
    """Joins law, registry and log. `standby` is asked when `source` is unavailable and no stored answer serves
    (`http,snapshot`). `secret` keys the names of questions, so that they reveal nothing. `timeout` and `cache_ttl` are
    seconds. Thread-safe."""

    policy: Policy
    source: Source
    log: Log
    office: Office
    _: KW_ONLY
    clock: Callable[[], datetime]
    secret: bytes
    timeout: float = 8.0
    cache_ttl: int = 0
    standby: Source | None = None
    outages: Outages | None = None
    brake: Brake | None = None

    def __post_init__(self) -> None:
        self._stored_laws: set[str] = set()
        self._storing = threading.Lock()

    def check(self, question: Question) -> Recorded:
        """Make one check and return it with its durable entry. Raises LogUnavailable when the entry cannot be written,
        and whatever unforeseen error stopped the judgement, after recording it as `check.failed`. The agency's failures
        are verdicts, not errors."""
        now = self.clock()
        try:
            law = self.policy.on(question.application.as_at, question.application.region)
            key = self.key(question, law)
            body, private = _entry(question, law, *self._judge(question, law, key, now))
            self._store(law, now)
        except Exception as error:
            failed = {"check": question.id, "reference": question.reference, "error": type(error).__name__}
            self.log.append("check.failed", failed, at=now)
            raise
        return self.log.append("check", body, entry_id=question.id, private=private | {"question": key}, at=now)

    def _store(self, law: Law, now: datetime) -> None:
        """The texts of a policy go into the log once, before the first decision that names them; ids make it so."""
        if law.sha256 in self._stored_laws:
            return
        with self._storing:  # one thread writes them; hundreds may come at once after a start
            for name, text in law.texts.items() if law.sha256 not in self._stored_laws else ():
                self.log.append("policy.text", {"sha256": name, "text": text}, entry_id=f"policy.text.{name}", at=now)
            self._stored_laws.add(law.sha256)

    def _judge(self, question: Question, law: Law, key: str, now: datetime) -> tuple[Facts, fact.Decision]:
        application, started = question.application, time.monotonic()
        standing = self.office.standing(application, question.reference, question.identity)
        facts = Facts(application, self.policy.today(application.region, now), *standing)
        if law.asks(facts):
            facts = replace(facts, evidence=self.evidence(question, law, key, now))
        decision, failure = decide(facts, law), facts.evidence and facts.evidence.failure
        if decision.verdict is Verdict.UNDETERMINED and failure and failure.kind == "unavailable":
            if stored := self._stored(question, law, key, now):
                aged = replace(facts, evidence=stored)
                by_stored = decide(aged, law)
                if by_stored.verdict in GOOD:
                    return aged, by_stored
        elif decision.verdict is Verdict.NOT_MET and self.doubtful(question, facts, started, now):
            facts = replace(facts, doubtful=True)
            decision = decide(facts, law)
        return facts, decision

    def doubtful(self, question: Question, facts: Facts, started: float, now: datetime) -> bool:
        """Ask the brake, within what is left of the question's time."""
        if not self.brake or not facts.evidence:
            return False
        purpose = Purpose(question.request_id, question.reference, started + self.timeout)
        return self.brake.doubtful(question.application.region, question.identity, facts.evidence, purpose, now)

    def evidence(self, question: Question, law: Law, key: str, now: datetime) -> Evidence:
        """What the agency says, an outage included, without judgement or entry. `key` is `self.key` of the question."""
        if self.cache_ttl and (stored := self.log.last_evidence(key, now - timedelta(seconds=self.cache_ttl))):
            return replace(stored, cached=True)
        evidence = self._ask(self.source, law.snapshot_age, question, law, now)
        return self.outages.saw(evidence, now) if self.outages else evidence

    def _ask(self, source: Source, oldest: timedelta, question: Question, law: Law, now: datetime) -> Evidence:
        """Ask all that the question needs. A source that may be incomplete must not be older than `oldest`."""
        purpose = Purpose(question.request_id, question.reference, time.monotonic() + self.timeout)

        def call(step: fact.Ask) -> fact.Answer:
            try:
                answer = source.ask(step, purpose)
                if not answer.complete and now - answer.as_of > oldest:
                    raise RegistryUnavailable(f"the imported report is from {answer.as_of:%Y-%m-%d}, too old to use")
            except RegistryUnavailable as error:
                raise RegistryUnavailable(str(error), error.retry_at or now + RETRY_AFTER) from error
            return answer

        return inquire(question.application, question.identity, law, source.name, now, call)

    def _stored(self, question: Question, law: Law, key: str, now: datetime) -> Evidence | None:
        """What stands in for an agency that is silent, with its age: the last understood answer, or the standby's."""
        stored = self.log.last_evidence(key, now - law.stored_answer_age)
        since, cached = stored and stored.received_at, stored is not None
        if not stored and self.standby:
            stored = self._ask(self.standby, law.stored_answer_age, question, law, now)
            since = stored.as_of
        if not stored or stored.failure or not since:
            return None
        return replace(stored, cached=cached, age_hours=max(int((now - since).total_seconds() // 3600), 0))

    def key(self, question: Question, law: Law) -> str:
        """The question's name in the log: the same for all that shape the asking, and telling nothing of them."""
        text = question_text(question.application, question.identity, law)
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()


def _entry(
    question: Question, law: Law, facts: Facts, decision: fact.Decision
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The public part: everything a replay needs, no name and no number of a person. And what may be erased one day: in
    the entry only as salted commitments."""
    identity, officer = question.identity, question.officer or Officer()
    private = {name: getattr(identity, name) for name in ("name", "owner_name", "nik")}
    private |= {"officer_nip": officer.nip, "officer_name": officer.name}
    numbers = {"nib": identity.nib, "npp": identity.npp}
    if identity.npwp:
        personal = npwp_is_personal(identity.npwp, question.application.legal_form)
        (private if personal else numbers)["npwp"] = identity.npwp
    body = {
        "reference": question.reference,
        "request_id": question.request_id,
        "asker": {name: said for name, said in asdict(question.asker).items() if said},
        "business": {name: value for name, value in numbers.items() if value},
        "backdated": facts.today - question.application.as_at > BACKDATED_AFTER,
        "facts": to_json(facts),
        "decision": to_json(decision),
        "policy": {"region": law.region, "version": law.version, "sha256": law.sha256},
    }
    body |= {"replaces": question.replaces} if question.replaces else {}
    return body, {name: value for name, value in private.items() if value}
