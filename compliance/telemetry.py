"""What an operator sees from outside: one JSON line per event, and Prometheus metrics. Neither holds personal data.

A request's id and W3C trace context are bound here; they are in every line, and the registry sends them to the agency.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, abort, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import select

from compliance import work
from compliance.audit.table import audit_head
from compliance.deployment import Deployment
from compliance.errors import RegistryError, RegistryUnavailable
from compliance.registry.sources import breaker_state
from compliance.registry.watchers import brake_states

if TYPE_CHECKING:
    from compliance.law.facts import Answer, Ask
    from compliance.registry.port import Purpose, Source

TRACE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", re.ASCII)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # others are anybody's words, without end
log = structlog.stdlib.get_logger("compliance.request")

REQUESTS = Counter("gate_http_requests", "Requests by route and status", ["method", "route", "status"])
SECONDS = Histogram("gate_http_seconds", "Seconds until a request was answered", ["route"])
VERDICTS = Counter("gate_checks", "Checks recorded", ["region", "verdict", "action"])
FINDINGS = Counter("gate_findings", "Findings of recorded checks", ["code"])
APPENDS = Counter("gate_log_appends", "Entries appended to the log by this service", ["kind"])
AGENCY = Histogram(
    "gate_agency_seconds",
    "Seconds of one call to the source, with its outcome",
    ["source", "outcome"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16),
)


def configure_logging(level: str) -> None:
    """Every logger writes JSON lines to standard error; what was bound to the request is in each."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[*last, structlog.processors.JSONRenderer(ensure_ascii=False)]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("compliance").setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # its lines hold query strings


class Timed:
    """A source whose calls are counted and timed; all else is the source's own."""

    def __init__(self, inner: Source) -> None:
        self.inner, self.name = inner, inner.name

    def ask(self, ask: Ask, purpose: Purpose) -> Answer:
        began, outcome = time.monotonic(), "understood"
        try:
            return self.inner.ask(ask, purpose)
        except RegistryError as error:
            outcome = "unavailable" if isinstance(error, RegistryUnavailable) else "misunderstood"
            raise
        finally:
            AGENCY.labels(self.name, outcome).observe(time.monotonic() - began)


def appended(kind: str, body: Mapping[str, Any]) -> None:
    """Count an entry that this process made durable."""
    APPENDS.labels(kind).inc()
    if kind == "check":
        decision, region = body["decision"], body["facts"]["application"]["region"]
        VERDICTS.labels(region, decision["verdict"], decision["action"]).inc()
        for finding in decision["findings"]:
            FINDINGS.labels(finding["code"]).inc()


class State:
    """What is true of the whole deployment, read from the database at each scrape: the same from every worker."""

    def __init__(self, here: Deployment) -> None:
        self._here = here

    def collect(self) -> Iterator[Metric]:
        here, now = self._here, self._here.clock()
        size, _ = here.log.head()
        yield GaugeMetricFamily("gate_log_entries", "Entries in the log", value=size)
        yield GaugeMetricFamily("gate_log_closed", "1 when the log takes no entries", value=bool(here.log.closed))
        state = breaker_state(here.gate.source)
        yield GaugeMetricFamily("gate_breaker_open", "1 while the agency is spared", value=bool(state and state.open))
        queued = GaugeMetricFamily("gate_queue", "Rows of work that are waiting, by kind", labels=["kind"])
        brakes = GaugeMetricFamily("gate_brake_open", "1 while refusals are held for an officer", labels=["region"])
        with here.log.engine.connect() as connection:
            for kind, count in work.waiting(connection).items():
                queued.add_metric([kind], count)
            for brake in brake_states(connection).values():
                brakes.add_metric([brake.region], int(brake.opened))
            kept = select(audit_head.c.at, audit_head.c.note).order_by(audit_head.c.size.desc()).limit(200)
            heads = connection.execute(kept).all()
            late = work.late_by(connection, now)
        yield from (queued, brakes)
        yield GaugeMetricFamily(
            "gate_work_late_seconds", "How long the oldest due work has waited", value=late.total_seconds()
        )
        yield _age("gate_head_age_seconds", "Age of the newest kept head", now, heads[:1])
        signed = [head for head in heads if head.note.count("\n— ") > 1]
        yield _age("gate_witness_age_seconds", "Age of the newest head that a witness cosigned", now, signed[:1])


def _age(name: str, text: str, now: datetime, found: Any) -> Metric:
    """A gauge without a sample says that there is none: absent() alerts on it."""
    family = GaugeMetricFamily(name, text)
    for head in found:
        family.add_metric([], max(0.0, (now - head.at).total_seconds()))
    return family


def register(app: Flask, here: Deployment) -> None:
    """Bind, time, count and log each request; serve `/metrics` to holders of METRICS_TOKEN (404 to others)."""

    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()
        stated = TRACE.fullmatch(request.headers.get("traceparent", ""))
        structlog.contextvars.clear_contextvars()
        trace = stated[1] if stated and stated[1].strip("0") else secrets.token_hex(16)
        structlog.contextvars.bind_contextvars(request_id=g.request_id, trace_id=trace)

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        took = time.monotonic() - g.get("began", time.monotonic())
        REQUESTS.labels(request.method if request.method in METHODS else "other", route, response.status_code).inc()
        SECONDS.labels(route).observe(took)
        who = g.client.id if "client" in g else None
        log.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            ms=round(took * 1000, 1),
            client=who,
        )
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        expected, given = here.settings.metrics_token, request.headers.get("Authorization", "")
        if not expected or not hmac.compare_digest(given.encode(), f"Bearer {expected}".encode()):
            abort(404)
        registry = REGISTRY
        if here.settings.metrics_folder:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        state = CollectorRegistry()
        state.register(State(here))
        return Response(generate_latest(registry) + generate_latest(state), content_type=CONTENT_TYPE_LATEST)
