"""The life of a release: Helm installs, upgrades, rolls back and uninstalls the chart on the API server emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import helm_python as helm
import pytest

from simulator.kube import resources
from simulator.kube.app import KubeSimulator
from simulator.kube.resources import Resource
from simulator.server import Answer, Request, Response, running
from tests.chart.rendering import CHART, SETS
from tests.simulator.kube_world import RED, Api

RBAC = "rbac.authorization.k8s.io"
MORE_KINDS = (
    Resource("", "v1", "ServiceAccount", "serviceaccounts"),
    Resource("apps", "v1", "Deployment", "deployments", generation=True),
    Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Resource(RBAC, "v1", "Role", "roles"),
    Resource(RBAC, "v1", "RoleBinding", "rolebindings"),
    Resource(RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False),
    Resource(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
    Resource("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    Resource("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
)
"""What the chart makes and the emulator does not serve by itself, since nothing else of ours asks for it."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The emulator with those kinds. Helm asks for an OpenAPI document, and takes an empty one for "no objections"."""
    monkeypatch.setattr(resources, "BUILT_IN", (*resources.BUILT_IN, *MORE_KINDS))
    simulator = KubeSimulator()
    simulator.loader.load(b'{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "red"}}')

    async def handle(request: Request) -> Answer:
        if request.path == "/openapi/v2":
            return Response(200, content_type="application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
        return await simulator.handle(request)

    with running(handle) as server:
        api = Api(server.url, simulator)
        yield api
        api.http.close()


def standing(api: Api) -> dict[tuple[str, str], Any]:
    """All objects of the kinds that the chart makes, but for their metadata."""
    kinds = [each for each in (*resources.BUILT_IN, *MORE_KINDS) if each.kind not in {"Namespace", "Event"}]
    found: dict[tuple[str, str], Any] = {}
    for kind in kinds:
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else "/api/v1"
        if kind.kind != "CustomResourceDefinition":
            for each in api.get(f"{root}/{kind.plural}")["items"]:
                content = {key: value for key, value in each.items() if key not in {"metadata", "status"}}
                found[kind.kind, each["metadata"]["name"]] = content
    return found


@pytest.mark.parametrize("name", ["ako", "everything"])
def test_a_release_lives_and_ends(api: Api, name: str) -> None:
    """A change of settings reaches the ConfigMap alone, a rollback undoes it, an uninstall leaves the IngressClass."""
    values = json.loads(json.dumps(SETS[name]))
    with helm.Config(kube_apiserver=api.url, namespace="red", storage_driver="memory") as config:
        assert config.install(CHART, "ako", values)["status"] == "deployed"
        first = standing(api)
        assert {("Deployment", "ako-ako-celery-watcher"), ("Deployment", "ako-ako-celery-worker")} <= set(first)
        values["AKOSettings"]["logLevel"] = "DEBUG"
        assert config.upgrade(CHART, "ako", values)["revision"] == 2
        second = standing(api)
        changed = {key for key in {*first, *second} if first.get(key) != second.get(key)}
        assert changed == {("ConfigMap", "ako-ako-celery-settings")}  # no pod starts anew, no password changes
        assert "logLevel: DEBUG" in api.get(f"{RED}/configmaps/ako-ako-celery-settings")["data"]["values.yaml"]
        config.rollback("ako", version=1)
        assert standing(api) == first
        config.uninstall("ako")
        assert set(standing(api)) == {("IngressClass", "avi-lb")}


@pytest.mark.parametrize(
    "change",
    [
        {"pipeline": {"concurrency": 32}},
        {"AKOSettings": {"apiServerPort": 9191}},
        {"pipeline": {"redisURL": "redis://new:6379"}},
    ],
)
def test_what_counts_from_a_start_only_starts_new_pods(api: Api, change: dict[str, Any]) -> None:
    """A change of what a process reads once changes the pods of the workers, so that it comes to count."""
    values = json.loads(json.dumps(SETS["ipv6"]))
    with helm.Config(kube_apiserver=api.url, namespace="red", storage_driver="memory") as config:
        config.install(CHART, "ako", values)
        before = standing(api)["Deployment", "ako-ako-celery-worker"]["spec"]["template"]
        for section, content in change.items():
            values[section] |= content
        config.upgrade(CHART, "ako", values)
        assert standing(api)["Deployment", "ako-ako-celery-worker"]["spec"]["template"] != before
