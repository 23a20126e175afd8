"""`/metrics`: what the process has counted, what it reports of itself, and the figures of the site.

The first part is `shared.telemetry`. The second is the report of `/readyz` as numbers: there is one source for both, so
they can't disagree. The third is read from Redis by one bounded script when somebody asks, and every process serves it,
so that the end of all workers is seen at a watcher and the end of all watchers at a worker. It is the same at each of
them: take the `max` of it, never the sum.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric as Family
from prometheus_client import generate_latest
from prometheus_client.registry import Collector

from shared.state.figures import Figures
from shared.state.keys import KINDS
from shared.state.work import MILLION
from shared.telemetry import CATALOGUE, REGISTRY, Metric, declare

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_VERSION = importlib.metadata.version("ako-celery")


def _gauge(name: str, meaning: str, *labels: str) -> Metric:
    return declare("gauge", name, meaning, *labels)


# Of the process

_BUILD = _gauge("ako_build_info", "Always 1; the version of this process and what it is", "version", "role")
_SETTINGS = _gauge("ako_settings_info", "Always 1; digest of the settings in use, absent without usable ones", "digest")
_ALIVE = _gauge("ako_alive", "1 while the process makes progress (/healthz)", "role")
_READY = _gauge("ako_ready", "1 while the process can do its work (/readyz)", "role")
_LEADING = _gauge("ako_leading", "1 at the watcher that leads, 0 at the others")
_HEARD = _gauge(
    "ako_watch_last_heard_timestamp_seconds", "Unix time of the last event, bookmark or list of a kind", "kind"
)
_FAILING_FOR = _gauge("ako_watch_failing_seconds", "For how long a kind can't be followed, 0 while it is", "kind")
_WATCH_HELD = _gauge("ako_watch_held_deletions", "Deletions that a second list has to confirm", "kind")
_CLAIMS = _gauge("ako_claims_held", "Keys that this worker runs now")

# Of the site

_REDIS = _gauge("ako_redis_up", "1 when Redis answered for this scrape; without it there are no figures of the site")
_KEYS = _gauge(
    "ako_work_keys",
    "Unfinished keys: due (the time has come), later (waiting for a time or an object), claimed (a worker has it)",
    "state",
    "kind",
)
_OLDEST = _gauge("ako_work_oldest_due_seconds", "For how long the oldest due key of a kind is due", "kind")
_FAILING = _gauge("ako_work_failing_keys", "Keys whose last run failed, until one succeeds or they change", "kind")
_HELD = _gauge("ako_work_held_keys", "Keys that may write nothing until a second census agrees to what they take away")
_PROBLEMS = _gauge("ako_problems", "What can't be served as written, by the reason of its Event", "reason")
_UNSERVED = _gauge(
    "ako_vip_families_without_servers", "Families of VIPs (IPv4, IPv6) behind which no server is enabled"
)
_WORKERS = _gauge("ako_workers", "Worker processes that announced themselves in the last 15 s")
_SLOTS = _gauge("ako_worker_slots", "Keys that all workers together can run at a time")
_EPOCH = _gauge("ako_epoch", "Number of the watcher's epoch; it grows with each new leader and change of settings")
_MIRROR_DONE = _gauge("ako_mirror_complete", "1 when every kind was listed under the present settings")
_LEDGER_DONE = _gauge("ako_ledger_complete", "1 when a census has succeeded under the present settings")
_PUBLISHED = _gauge("ako_published_settings_info", "Always 1; the digest that the leading watcher published", "digest")
_MIRROR = _gauge("ako_mirror_objects", "Kubernetes objects in the mirror", "kind")
_STANDING = _gauge("ako_objects_standing", "Avi objects of this cluster that stand, as far as the ledger knows")
_BREAKER = _gauge("ako_controller_breaker_open", "1 while the controller does not answer and one key at a time tries")
_CENSUS_AT = _gauge("ako_census_last_success_timestamp_seconds", "Unix time of the end of the last good census")
_CENSUS_TOOK = _gauge("ako_census_duration_seconds", "How long the last census took")
_CENSUS_EVERY = _gauge("ako_census_interval_seconds", "Time until the next census, 0 when none follows by itself")
_CENSUS_OBJECTS = _gauge("ako_census_objects", "Objects of this cluster that the last census found on the controller")
_DRIFTED = _gauge(
    "ako_census_drifted_keys",
    "Keys whose objects the last census found changed; 0 for the first after new settings or a new Redis",
)
_ORPHANS = _gauge("ako_census_orphans", "Objects of this cluster that no key owns, at the last census")
_LEFT_OUT = _gauge("ako_routes_left_out", "Pod networks without a static route, by the reason of their Event", "reason")


EVERY: tuple[Metric, ...] = tuple(CATALOGUE)
"""All metrics that start with `ako_`, as docs/metrics.md lists them."""


@dataclass(slots=True)
class _Scrape(Collector):
    """One answer to Prometheus."""

    read: Iterable[Family]

    def collect(self) -> Iterator[Family]:
        yield from REGISTRY.collect()
        yield from self.read


def render(role: str, report: Mapping[str, Any], figures: Figures | None, *, redis: bool) -> bytes:
    """The text. `role`: watcher or worker; `report`: as for /readyz, with the `digest` of the settings in use.

    `figures` are None when Redis didn't answer; without `redis` the process doesn't know yet where that is.
    """
    families = list(_of_process(role, report))
    if redis:
        families.append(_one(_REDIS, figures is not None))
    if figures is not None:
        families += [*_of_work(figures), *_of_site(figures), *_of_census(figures.census)]
    return generate_latest(_Scrape(families))


def _of_process(role: str, report: Mapping[str, Any]) -> Iterator[Family]:
    yield _family(_BUILD, {(_VERSION, role): 1})
    yield _family(_SETTINGS, {(report["digest"],): 1} if report.get("digest") else {})
    yield _family(_ALIVE, {(role,): report["alive"]})
    yield _family(_READY, {(role,): report["ready"]})
    if role == "worker":
        yield _one(_CLAIMS, len(report.get("held", ())))
        return
    yield _one(_LEADING, report.get("leading", False))
    kinds = report.get("kinds", {}) if report.get("leading") else {}
    now = time.time()
    yield _family(_HEARD, {(kind,): now - each["age"] for kind, each in kinds.items() if each["age"] is not None})
    yield _family(_FAILING_FOR, {(kind,): each["failing"] or 0 for kind, each in kinds.items()})
    yield _family(_WATCH_HELD, {(kind,): each["held"] for kind, each in kinds.items()})


def _of_work(figures: Figures) -> Iterator[Family]:
    states = {"due": figures.due, "later": figures.later, "claimed": figures.claimed}
    yield _family(_KEYS, {(state, kind): n for state, counts in states.items() for kind, n in _every(counts)})
    yield _family(_OLDEST, {(kind,): age for kind, age in _every(figures.oldest)})
    yield _family(_FAILING, {(kind,): n for kind, n in _every(figures.failing)})
    yield _one(_HELD, figures.held)
    yield _family(_PROBLEMS, {(reason,): n for reason, n in figures.problems.items()})
    yield _one(_UNSERVED, figures.unserved)
    yield _one(_WORKERS, figures.workers)
    yield _one(_SLOTS, figures.slots)
    yield _one(_BREAKER, figures.breaker > 0)


def _of_site(figures: Figures) -> Iterator[Family]:
    yield _one(_EPOCH, figures.epoch)
    yield _one(_MIRROR_DONE, figures.mirror_complete)
    yield _one(_LEDGER_DONE, figures.ledger_complete)
    yield _family(_PUBLISHED, {(figures.digest,): 1} if figures.digest else {})
    yield _family(_MIRROR, {(kind,): n for kind, n in figures.mirror.items()})
    yield _one(_STANDING, figures.standing)
    yield _family(_LEFT_OUT, {(reason,): float(n) for reason, n in figures.left_out.items()})


def _of_census(found: Mapping[str, Any]) -> Iterator[Family]:
    """Nothing before the first one has succeeded."""
    if not found:
        return
    yield _one(_CENSUS_AT, found["ended"] / MILLION)
    yield _one(_CENSUS_TOOK, (found["ended"] - found["began"]) / MILLION)
    yield _one(_CENSUS_EVERY, found.get("interval", 0))
    yield _one(_CENSUS_OBJECTS, found["objects"])
    yield _one(_DRIFTED, found["drifted"] if found.get("known") else 0)
    yield _one(_ORPHANS, found["orphans"])


def _every(counts: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """A row for each kind of key, so that no series begins or ends with its first or last key."""
    yield from {**dict.fromkeys(KINDS, 0), **counts}.items()


def _one(metric: Metric, value: float) -> Family:
    return _family(metric, {(): value})


def _family(metric: Metric, rows: Mapping[tuple[str, ...], float]) -> Family:
    family = Family(metric.name, metric.meaning, metric.type)
    for values, value in rows.items():
        family.add_sample(metric.name, dict(zip(metric.labels, values, strict=True)), float(value))
    return family
