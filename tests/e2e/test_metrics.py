"""What Prometheus would scrape, over real processes: each tells of itself, all tell of the site."""

from __future__ import annotations

from collections.abc import Callable

import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench import world as cluster
from cli.stack import Stack
from shared.exposition import EVERY
from shared.state import keys
from tests.e2e.scene import Scene
from tests.support import wait_for

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Page:
    """One answer of /metrics."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.text = stack.metrics(name)
        self.families = list(text_string_to_metric_families(self.text))
        self.series: Series = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def sum(self, metric: str, **labels: str) -> float:
        """The sum over the series of a metric that have these labels."""
        return sum(n for (name, has), n in self.series.items() if name == metric and labels.items() <= set(has))

    def labels(self, metric: str, label: str) -> set[str]:
        """The values that a label of a metric has."""
        return {dict(has)[label] for (name, has) in self.series if name == metric}


def pages(scene: Scene) -> tuple[Page, list[Page]]:
    return Page(scene.stack, "watcher"), [Page(scene.stack, name) for name in scene.workers()]


def total(found: list[Page], metric: str, **labels: str) -> float:
    return sum(page.sum(metric, **labels) for page in found)


def settled(scene: Scene, condition: Callable[[Page], bool], what: str) -> Page:
    """The watcher's page, once it shows that."""

    def look() -> Page | None:
        scene.state.client.delete(scene.state.key("figures"))  # else up to three seconds old
        page = Page(scene.stack, "watcher")
        return page if condition(page) else None

    found = wait_for(look, seconds=15, what=what)
    assert found is not None
    return found


def test_metrics_move_with_the_work_and_tell_no_names(two_hosts: Scene) -> None:
    """Watcher and workers count what a change costs; the site is in step at each of them; nothing of it is a secret."""
    scene = two_hosts
    watcher, workers = pages(scene)
    runs = total(workers, "ako_runs_total", kind="host", outcome="done")
    writes = total(workers, "ako_controller_calls_total", method="PUT", type="pool", status="200")
    assert runs >= 2
    assert total(workers, "ako_operations_total", operation="create", type="virtualservice") >= 2
    assert total(workers, "ako_run_duration_seconds_count", kind="host") >= runs
    assert total(workers, "ako_kube_calls_total", method="PATCH", resource="ingresses", status="2xx") >= 2
    assert watcher.sum("ako_watch_lists_total", kind="Ingress") == 1

    scene.load([cluster.endpoint_slice(0, change=3)])
    wait_for(lambda: total(pages(scene)[1], "ako_runs_total", kind="host", outcome="done") > runs, what="another run")
    after, workers = pages(scene)
    assert total(workers, "ako_controller_calls_total", method="PUT", type="pool", status="200") == writes + 1
    assert after.sum("ako_watch_events_total", kind="EndpointSlice") > watcher.sum(
        "ako_watch_events_total", kind="EndpointSlice"
    )
    assert after.sum("ako_watch_lag_seconds_count", kind="EndpointSlice") >= 1

    site = settled(scene, lambda page: page.sum("ako_work_keys", state="due") == 0, "nothing being due")
    assert site.sum("ako_leading") == 1
    assert site.sum("ako_ready", role="watcher") == 1
    assert site.sum("ako_workers") == 2
    assert site.sum("ako_epoch") == 1
    assert site.sum("ako_controller_breaker_open") == 0
    assert site.sum("ako_objects_standing") == len(scene.state.members("stands"))
    assert site.sum("ako_mirror_objects", kind="Ingress") == 2
    assert site.sum("ako_watch_failing_seconds") == 0
    assert site.labels("ako_work_keys", "kind") == set(keys.KINDS)
    every = [site, *workers]
    assert len({value for page in every for value in page.labels("ako_settings_info", "digest")}) == 1
    assert all(page.sum("ako_work_keys", state="later", kind="resync") == 1 for page in every)

    declared = {metric.name for metric in EVERY}
    for name, page in zip(["watcher", *scene.workers()], every, strict=True):
        started = psutil.Process(scene.pids()[name]).create_time()
        assert abs(page.sum("process_start_time_seconds") - started) < 1  # it is that process's own
        names = {family.name + ("_total" if family.type == "counter" else "") for family in page.families}
        assert {each for each in names if each.startswith("ako_")} <= declared
        for secret in (scene.stack.environ["CTRL_PASSWORD"], "PRIVATE KEY", cluster.host(0), cluster.NAMESPACE + "/"):
            assert secret
            assert secret not in page.text

    scene.avi_switch("faults", {"path": ".*", "reset": "before", "count": -1})
    scene.load([cluster.endpoint_slice(0, change=4)])
    broken = settled(scene, lambda page: page.sum("ako_controller_breaker_open") == 1, "the open breaker")
    assert broken.sum("ako_work_failing_keys") == 0  # nothing is counted against the keys
    assert total(pages(scene)[1], "ako_controller_calls_total", status="none") >= 1
    scene.stack.avi_control("faults", method="DELETE")
    settled(scene, lambda page: page.sum("ako_controller_breaker_open") == 0, "the closed breaker")

    scene.stack.kill("redis")
    alone = Page(scene.stack, "watcher")
    assert alone.series["ako_redis_up", frozenset()] == 0
    assert alone.labels("ako_work_keys", "kind") == set()
    assert alone.sum("ako_watch_lists_total", kind="Ingress") == 1
    scene.stack.again("redis")  # whoever takes the scene down looks at the controller alone
