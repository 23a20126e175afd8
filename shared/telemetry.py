"""What this process counts of itself, for Prometheus: every metric object, and a function for each thing to count.

Counting is one line where something happens. What it means is said here and in docs/metrics.md, which a test compares
with what is declared. What can be read when somebody asks (readiness, the age of a watch, the work in Redis) is not
counted at all: see `shared.exposition`.

A label's values are few and known beforehand: kinds of keys and of objects, methods, statuses, classes of errors.
Never a name, a key, an address or a text that came from outside. A counter costs about a microsecond.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from shared.errors import AkoError, KubeError

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, of which nobody makes anything

_EXACT = frozenset((200, 201, 204, 400, 401, 403, 404, 409, 410, 412, 419, 422, 429, 500, 502, 503, 504))


@dataclass(frozen=True, slots=True)
class Metric:
    """What there is to know of a metric; `type` is Prometheus's word."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


CATALOGUE: list[Metric] = []
"""All metrics that start with `ako_` and are declared so far; `shared.exposition` has the others."""


def declare(type_: str, name: str, meaning: str, *labels: str) -> Metric:
    """Adds a metric to the catalogue."""
    metric = Metric(name, type_, labels, meaning)
    CATALOGUE.append(metric)
    return metric


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    declare("counter", name, meaning, *labels)
    return Counter(name, meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    declare("gauge", name, meaning, *labels)
    return Gauge(name, meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    declare("histogram", name, meaning, *labels)
    return Histogram(name, meaning, labels, registry=REGISTRY, buckets=buckets)


# Runs of keys

_RUNS = _counter("ako_runs_total", "Runs of work keys that ended, by kind of key and how they ended", "kind", "outcome")
_RUN_SECONDS = _histogram(
    "ako_run_duration_seconds",
    "Time from the claim of a key to the end of its run",
    "kind",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
_RUN_ERRORS = _counter(
    "ako_run_errors_total", "Runs that ended with an error and are tried again, by class of the error", "error"
)
_OPERATIONS = _counter(
    "ako_operations_total",
    "Writes of a plan that the controller has carried out; cause is census where a census alone asked for the run",
    "operation",
    "type",
    "cause",
)
_DEFECTS = _counter("ako_defects_total", "Exceptions that nobody foresaw, each with a traceback in the log", "where")
_LEASES_LOST = _counter(
    "ako_leases_lost_total", "Leases found ended before their runs were: a worker died, hung or was cut off"
)
_HANDED_BACK = _counter("ako_claims_handed_back_total", "Claims given back unfinished because this worker ended")

# The Avi Controller

_CALLS = _counter(
    "ako_controller_calls_total",
    "Exchanges with the Avi Controller, by method, object type and HTTP status (none: no answer)",
    "method",
    "type",
    "status",
)
_CALL_SECONDS = _histogram(
    "ako_controller_call_duration_seconds",
    "Time from sending a request to the controller to the end of its answer",
    "method",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
CALLS_IN_FLIGHT = _gauge("ako_controller_calls_in_flight", "Requests to the controller that wait for their answers now")

# Kubernetes

_KUBE_CALLS = _counter(
    "ako_kube_calls_total",
    "Calls to the Kubernetes API server but for watches, by method, resource and HTTP status (none: no answer)",
    "method",
    "resource",
    "status",
)
_KUBE_SECONDS = _histogram(
    "ako_kube_call_duration_seconds",
    "Duration of calls to the Kubernetes API server but for watches",
    "method",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
_WATCH_EVENTS = _counter("ako_watch_events_total", "Events and bookmarks that watches have delivered", "kind")
_WATCH_LAG = _histogram(
    "ako_watch_lag_seconds",
    "Time from reading events off a watch until they stand in the mirror and their keys are marked",
    "kind",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_WATCH_LISTS = _counter("ako_watch_lists_total", "Complete lists of a kind; the first of each epoch counts", "kind")
_WATCH_RESTARTS = _counter(
    "ako_watch_restarts_total",
    "Watches and lists that ended and began again, by class of the error (Ended: in the ordinary way)",
    "kind",
    "reason",
)


for _where in ("run", "watch"):
    _DEFECTS.labels(_where)  # there from the start: the first increase counts, too


class Run:
    """A run under way; whoever runs it says how it `ended`."""

    def __init__(self) -> None:
        self._outcome = "lost"

    def ended(self, outcome: str, error: AkoError | None) -> None:
        """It ended so, and Redis has taken note."""
        self._outcome = outcome
        if error is not None:
            _RUN_ERRORS.labels(type(error).__name__).inc()

    @property
    def outcome(self) -> str:
        """How it ended; `lost` when nobody said so."""
        return self._outcome


@contextmanager
def running(kind: str) -> Iterator[Run]:
    """Counts the run of a key of that kind, and how long the block takes."""
    began, run = time.monotonic(), Run()
    try:
        yield run
    finally:
        _RUNS.labels(kind, run.outcome).inc()
        _RUN_SECONDS.labels(kind).observe(time.monotonic() - began)


def operated(operation: str, type_: str, cause: str) -> None:
    """A write was carried out: `create`, `update` or `delete`, for a run with that cause."""
    _OPERATIONS.labels(operation, type_, "census" if cause == "census" else "change").inc()


def defect(where: str) -> None:
    """An exception that nobody foresaw, in a `run` or a `watch`."""
    _DEFECTS.labels(where).inc()


def leases_lost(claims: int) -> None:
    """So many claims had ended before their runs did, at this process or another."""
    _LEASES_LOST.inc(claims)


def handed_back() -> None:
    """A claim was given back unfinished."""
    _HANDED_BACK.inc()


def controller_called(method: str, type_: str, status: int, seconds: float) -> None:
    """One exchange with the controller ended; status 0: no answer. For AviClient's `on_call`."""
    _CALLS.labels(method, type_, _status(status)).inc()
    _CALL_SECONDS.labels(method).observe(seconds)


@contextmanager
def kube_call(method: str, target: str) -> Iterator[None]:
    """Counts a call to the API server, and how long the block takes."""
    began, status = time.monotonic(), "2xx"
    try:
        yield
    except KubeError as error:
        status = _status(error.status)
        raise
    finally:
        _KUBE_CALLS.labels(method, _resource(target), status).inc()
        _KUBE_SECONDS.labels(method).observe(time.monotonic() - began)


@contextmanager
def taking(kind: str, events: int) -> Iterator[None]:
    """Counts events of a watch, and how long the block takes to bring them into the mirror."""
    _WATCH_EVENTS.labels(kind).inc(events)
    with _WATCH_LAG.labels(kind).time():
        yield


def listed(kind: str) -> None:
    """A list of a kind was read to its end."""
    _WATCH_LISTS.labels(kind).inc()


def watch_ended(kind: str, error: Exception | None = None) -> None:
    """A watch or list of a kind ended and begins again, because of an error or in the ordinary way."""
    reason = "Ended" if error is None else type(error).__name__ if isinstance(error, AkoError) else "Defect"
    _WATCH_RESTARTS.labels(kind, reason).inc()


def _status(status: int) -> str:
    if status in _EXACT:
        return str(status)
    return f"{status // 100}xx" if 100 <= status < 600 else "none"


def _resource(target: str) -> str:
    """`ingresses` of `/apis/networking.k8s.io/v1/namespaces/red/ingresses/web/status`; the paths are our own."""
    parts = target.partition("?")[0].strip("/").split("/")
    rest = parts[{"api": 2, "apis": 3}.get(parts[0], len(parts)) :]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    return rest[0] if rest else "discovery"
