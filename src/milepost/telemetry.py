"""What milepost tells of itself: one table of metrics, treated as API, and structured logs on stderr.

A metric that is not in `EVENTS` cannot be counted: `count`, `observe` and `gauge` raise `KeyError` for an unknown
name and `ValueError` for one of another kind or a label it does not have. A label not given is empty. No label is a
tenant's, actor's or group's name: their number has no bound. In Prometheus each name begins with `milepost_` and a
counter ends with `_total`.

Metrics are of this process; a scraper adds processes up.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Literal, TextIO

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["CONTENT_TYPE_LATEST", "EVENTS", "Event", "configure_logs", "count", "gauge", "observe", "render"]

Kind = Literal["counter", "gauge", "histogram"]

FAST_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SLOW_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
ROWS = (1.0, 10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One metric. `unit` is what its number counts; `labels` are all the labels it can have."""

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = FAST_S


def counter(name: str, unit: str, description: str, *labels: str) -> Event:
    return Event(name=name, kind="counter", unit=unit, description=description, labels=labels)


def level(name: str, unit: str, description: str, *labels: str) -> Event:
    return Event(name=name, kind="gauge", unit=unit, description=description, labels=labels)


def spread(name: str, unit: str, description: str, *labels: str, buckets: tuple[float, ...] = FAST_S) -> Event:
    return Event(name=name, kind="histogram", unit=unit, description=description, labels=labels, buckets=buckets)


EVENTS: tuple[Event, ...] = (
    # Intake: accept
    counter("intake_accepted", "activities", "Activities accepted: they are durable once their receipt is sent."),
    counter("intake_rejected", "activities", "Activities refused one by one; the rest of their request went on."),
    counter("intake_requests", "requests", "Requests to take activities in.", "outcome"),
    counter("intake_bytes", "bytes", "Bytes of activities received, as sent."),
    counter("mapped_messages", "messages", "Messages of other standards, by what became of them.", "standard", "outcome"),
    spread("receipt_seconds", "seconds", "From the whole request received to its receipt.", buckets=FAST_S),
    # Intake: pressure
    counter("refused_requests", "requests", "Requests refused with 429, by the limit that was reached.", "reason"),
    counter(
        "token_leases",
        "leases",
        "Tokens of a rate leased from PostgreSQL: as many as were missing (granted) or not (short), or made up while it is away"
        " (local).",
        "outcome",
    ),
    # Intake: queue
    counter("queue_batches", "batches", "Batches put into the queue.", "kind"),
    counter("queue_commits", "transactions", "Transactions that put batches into the queue; several batches share one."),
    spread("queue_commit_seconds", "seconds", "One such transaction, its wait for a connection included."),
    counter("queue_rotations", "rotations", "Times the queue went on to its next table."),
    level(
        "queue_tables",
        "tables",
        "Tables the queue rotates over. More while an old transaction keeps them from emptying.",
    ),
    # Intake: Redis before the queue
    counter("redis_batches", "batches", "Batches that Redis acknowledged."),
    spread("redis_write_seconds", "seconds", "One group of batches written to Redis, until it may be acknowledged."),
    level(
        "redis_waiting", "batches", "Batches of the lane that wait in Redis to be moved into the queue, as last seen.", "lane"
    ),
    level("redis_waiting_bytes", "bytes", "Memory that they take there.", "lane"),
    counter("relayed_batches", "batches", "Batches moved from Redis into the queue.", "lane"),
    spread("relay_seconds", "seconds", "Moving one group of them.", "lane"),
    # Intake: what cannot be loaded
    level(
        "queue_state",
        "state",
        "1 for how batches go into the queue now, 0 for the others: direct, spilling, draining.",
        "state",
    ),
    counter("queue_failures", "failures", "Times the queue failed, or did not answer in time, and the spill was taken to."),
    counter("spilled", "batches", "Batches written to the spill because the queue was away."),
    counter("spill_drained", "batches", "Batches moved from the spill into the queue."),
    counter("spill_refused", "batches", "Batches that the spill had no room for, and nobody acknowledged."),
    counter("spill_files_corrupt", "files", "Spill files that were damaged and set aside: somebody has to look at them."),
    level("spill_batches", "batches", "Batches in the spill now: acknowledged, and not in the queue yet."),
    level("spill_bytes", "bytes", "Bytes of them."),
    counter("dead_letters", "rows", "Rows that could not be loaded and were set aside, by class of error.", "error_class"),
    counter("parked_commands", "commands", "Corrections that waited for their activity, by what became of them.", "outcome"),
    level("dead_letters_waiting", "letters", "Dead letters that nobody has replayed or discarded, as last seen."),
    level("dead_letter_rows_waiting", "rows", "Rows that lie in them."),
    level("dead_letter_oldest_seconds", "seconds", "How long ago the oldest of them failed first; 0 if there are none."),
    # Intake: load
    counter("loads", "transactions", "Load transactions.", "lane", "outcome"),
    spread("load_seconds", "seconds", "One load transaction.", "lane", buckets=SLOW_S),
    spread("load_rows", "rows", "Rows of one load transaction.", "lane", buckets=ROWS),
    counter("loaded_rows", "activities", "Activities stored and folded.", "lane"),
    counter("duplicates", "activities", "Activities that were there already, and counted once.", "lane"),
    counter("lane_commands", "commands", "Commands done in lane order.", "lane", "command"),
    level("lane_lag_seconds", "seconds", "Age of the oldest batch of the lane that is not loaded; 0 if all are.", "lane"),
    level("lane_waiting", "batches", "Batches of the lane that are not loaded, as last seen.", "lane"),
    counter("leases_taken", "leases", "Times a loader took over a lane.", "lane"),
    counter("leases_lost", "leases", "Times a loader lost a lane to another.", "lane"),
    spread("fold_seconds", "seconds", "Folding one load into all rollups.", "lane", buckets=SLOW_S),
    # Search
    counter(
        "search_indexed", "activities", "Activities that the search index has taken in, as they came or from history.", "kind"
    ),
    spread(
        "search_step_seconds",
        "seconds",
        "One step of the index: a few loads of one tenant, or a chunk of its history.",
        "kind",
        buckets=SLOW_S,
    ),
    counter("search_failures", "failures", "Steps or sessions of the indexer that failed; they are taken again."),
    level(
        "search_lag_seconds",
        "seconds",
        "Age of the oldest load that the search index has not taken in; 0 if it has all. Told by the process that indexes.",
    ),
    # HTTP
    counter("http_requests", "requests", "Requests answered.", "method", "route", "status"),
    spread("http_seconds", "seconds", "From a request's start to its answer's end.", "method", "route"),
    # PostgreSQL
    level("pool_connections", "connections", "Connections of a pool now.", "pool", "state"),
    spread("pool_wait_seconds", "seconds", "Wait for a connection of a pool.", "pool"),
    counter("database_retries", "attempts", "Work done again because the connection was lost or transactions collided."),
    counter("listener_reconnects", "attempts", "Attempts to connect a listener again."),
    # Upkeep
    counter("contents_kept", "contents", "Large contents that were in the object store before their rows were loaded."),
    counter("contents_moved", "contents", "Large contents moved from their rows to the object store."),
    counter("files_completed", "files", "Uploaded files that were looked at, and are what was said of them."),
    counter("files_refused", "files", "Uploaded files that were not what was said of them, and were deleted."),
    counter("files_collected", "files", "Files deleted because no activity names them any more, or ever did."),
    counter("files_missing", "files", "Files that a loaded activity names and that are not there: they were named too late."),
    counter("contents_collected", "objects", "Objects deleted because no activity has that content any more."),
    counter("partitions_made", "partitions", "Partitions made ahead or for old activities."),
    counter("maintenance_runs", "runs", "Runs of a maintenance job.", "job", "outcome"),
    spread("maintenance_seconds", "seconds", "One run of a maintenance job.", "job", buckets=SLOW_S),
    counter("job_runs", "runs", "Runs of a job of the schedule.", "job", "outcome"),
    spread("job_seconds", "seconds", "One run of a job of the schedule.", "job", buckets=SLOW_S),
    counter("archived_rows", "rows", "Activities that went from PostgreSQL to the archive."),
    counter("retention_removed", "activities", "Activities that retention removed.", "rule"),
    counter("verify_checked", "comparisons", "Comparisons that verify made in this process."),
    counter("verify_differences", "rows", "Derived rows and goals that verify found wrong."),
)


class Metrics:
    """The metrics of `EVENTS` in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = {event.name: event for event in EVENTS}
        self._metrics: dict[str, Counter | Gauge | Histogram] = {e.name: self._made(e) for e in EVENTS}
        ProcessCollector(namespace="milepost", registry=self.registry)

    def _made(self, event: Event) -> Counter | Gauge | Histogram:
        name = f"milepost_{event.name}"
        if event.kind == "histogram":
            return Histogram(name, event.description, event.labels, registry=self.registry, buckets=event.buckets)
        made = Counter if event.kind == "counter" else Gauge
        return made(name, event.description, event.labels, registry=self.registry)

    def find(self, name: str, kind: Kind, labels: dict[str, str]) -> Counter | Gauge | Histogram:
        event = self._events[name]
        if event.kind != kind:
            raise ValueError(f"{name} is a {event.kind}, not a {kind}")
        if unknown := labels.keys() - set(event.labels):
            raise ValueError(f"{name} has no label {', '.join(sorted(unknown))}; it has {event.labels}")
        metric = self._metrics[name]
        return metric.labels(*(labels.get(label, "") for label in event.labels)) if event.labels else metric


_metrics = Metrics()


def count(name: str, value: float = 1, **labels: object) -> None:
    """Adds `value` to a counter."""
    metric = _metrics.find(name, "counter", as_text(labels))
    assert isinstance(metric, Counter)
    metric.inc(value)


def observe(name: str, value: float, **labels: object) -> None:
    """Puts one measured value into a histogram."""
    metric = _metrics.find(name, "histogram", as_text(labels))
    assert isinstance(metric, Histogram)
    metric.observe(value)


def gauge(name: str, value: float, **labels: object) -> None:
    """Sets a gauge."""
    metric = _metrics.find(name, "gauge", as_text(labels))
    assert isinstance(metric, Gauge)
    metric.set(value)


def as_text(labels: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in labels.items()}


def render() -> bytes:
    """All metrics in Prometheus' text format (`CONTENT_TYPE_LATEST`)."""
    return generate_latest(_metrics.registry)


# Without the values of local variables: they hold keys, and what people sent.
_json_tracebacks = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure_logs(
    level: str = "info", format: Literal["auto", "console", "json"] = "auto", stream: TextIO | None = None
) -> None:
    """Sends logs to stderr, as JSON lines or for a person to read (`auto`: by whether it is a terminal).

    Called once, by the program that is run; as a library milepost leaves structlog as it finds it. Messages of other
    libraries that use `logging` come out the same way.
    """
    target = stream or sys.stderr
    console = format == "console" or (format == "auto" and target.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[structlog.typing.Processor] = [renderer] if console else [_json_tracebacks, renderer]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
