"""What an operator sees from outside: one JSON line per event, and Prometheus metrics. Neither holds personal data. A
request's id and W3C trace context are bound here; they are in every line, and the registry sends them to the agency."""

import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import prometheus_client as prometheus
import sqlalchemy as sa
import structlog
from flask import Flask, Response, abort, g, request
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from structlog import processors, stdlib

from compliance import work
from compliance.audit.table import audit_head
from compliance.deployment import Deployment
from compliance.errors import RegistryError, RegistryUnavailable
from compliance.law.facts import Answer, Ask
from compliance.registry import port, sources, watchers

TRACE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", re.ASCII)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # others are anybody's words, without end
UNDER = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16)  # seconds
TOLD = ("method", "route", "status", "ms", "client")  # of a request, in its line
log = logging.getLogger("compliance.request")

REQUESTS = prometheus.Counter("gate_http_requests", "Requests by route and status", ["method", "route", "status"])
SECONDS = prometheus.Histogram("gate_http_seconds", "Seconds until a request was answered", ["route"])
VERDICTS = prometheus.Counter("gate_checks", "Checks recorded", ["region", "verdict", "action"])
FINDINGS = prometheus.Counter("gate_findings", "Findings of recorded checks", ["code"])
APPENDS = prometheus.Counter("gate_log_appends", "Entries appended to the log by this service", ["kind"])
CALLED = "Seconds of one call to the source, with its outcome"
AGENCY = prometheus.Histogram("gate_agency_seconds", CALLED, ["source", "outcome"], buckets=UNDER)


def configure_logging(level: str) -> None:
    """Every logger writes JSON lines to standard error; what was bound to the request is in each."""
    chain: list[Any] = [structlog.contextvars.merge_contextvars, stdlib.add_log_level, stdlib.add_logger_name]
    chain += [processors.TimeStamper(fmt="iso", utc=True), stdlib.ExtraAdder(TOLD), processors.format_exc_info]
    handler, last = logging.StreamHandler(), processors.JSONRenderer(ensure_ascii=False)
    handler.setFormatter(stdlib.ProcessorFormatter(last, foreign_pre_chain=chain))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("compliance").setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # its lines hold query strings


class Timed:
    """A source whose calls are counted and timed; all else is the source's own."""

    def __init__(self, inner: port.Source) -> None:
        self.inner, self.name = inner, inner.name

    def ask(self, ask: Ask, purpose: port.Purpose) -> Answer:
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


def state(here: Deployment) -> Iterator[GaugeMetricFamily]:
    """What is true of the whole deployment, read from the database at each scrape: the same from every worker. A gauge
    without a sample says that there is none: absent() alerts on it."""
    now, breaker, c = here.clock(), sources.breaker_state(here.gate.source), audit_head.c
    queued = GaugeMetricFamily("gate_queue", "Rows of work that are waiting, by kind", labels=["kind"])
    brakes = GaugeMetricFamily("gate_brake_open", "1 while refusals are held for an officer", labels=["region"])
    for brake in watchers.brake_states(here.log.engine).values():
        brakes.add_metric([brake.region], int(brake.opened))
    with here.log.engine.connect() as connection:
        for kind, count in work.waiting(connection).items():
            queued.add_metric([kind], count)
        heads = connection.execute(sa.select(c.at, c.note).order_by(c.size.desc()).limit(200)).all()
        late = work.late_by(connection, now)
    ages = [(max(0.0, (now - head.at).total_seconds()), head.note.count("\n— ") > 1) for head in heads]
    cosigned = next((age for age, witnessed in ages if witnessed), None)
    gauges = (
        ("gate_log_entries", "Entries in the log", here.log.head()[0]),
        ("gate_log_closed", "1 when the log takes no entries", bool(here.log.closed)),
        ("gate_breaker_open", "1 while the agency is spared", bool(breaker and breaker.open)),
        ("gate_work_late_seconds", "How long the oldest due work has waited", late.total_seconds()),
        ("gate_head_age_seconds", "Age of the newest kept head", ages[0][0] if ages else None),
        ("gate_witness_age_seconds", "Age of the newest head that a witness cosigned", cosigned),
    )
    yield from (queued, brakes, *(GaugeMetricFamily(name, about, value=value) for name, about, value in gauges))


def register(app: Flask, here: Deployment) -> None:
    """Bind, time, count and log each request; serve `/metrics` to holders of METRICS_TOKEN (404 to others)."""

    @app.before_request
    def begin() -> None:
        g.began = time.monotonic()
        stated = TRACE.fullmatch(request.headers.get("traceparent", ""))
        trace = stated[1] if stated and stated[1].strip("0") else secrets.token_hex(16)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id, trace_id=trace)

    @app.after_request
    def end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        method, status = request.method, response.status_code
        took = time.monotonic() - g.get("began", time.monotonic())
        REQUESTS.labels(method if method in METHODS else "other", route, status).inc()
        SECONDS.labels(route).observe(took)
        told = {"method": method, "route": route, "status": status, "ms": round(took * 1000, 1)}
        log.info("request", extra=told | {"client": g.client.id if "client" in g else None})
        return response

    @app.get("/metrics")
    def metrics() -> Response:
        expected, given = here.settings.metrics_token, request.headers.get("Authorization", "")
        if not expected or not hmac.compare_digest(given.encode(), f"Bearer {expected}".encode()):
            abort(404)
        counted, kept = prometheus.REGISTRY, SimpleNamespace(collect=lambda: state(here))
        if here.settings.metrics_folder:
            counted = prometheus.CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
        told = prometheus.generate_latest(counted) + prometheus.generate_latest(kept)
        return Response(told, content_type=prometheus.CONTENT_TYPE_LATEST)
