"""A site that ran AKO: its objects stand on the controller, its manifests in the cluster, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import FOREIGN
from tests.e2e.scene import Scene
from tests.support import wait_for

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = ["01-insecure-v4-sni", "02-secure-sni", "03-dual-vip", "05-v6-calico", "08-evh", "09-lb-v4"]


def values_of(case: str) -> dict[str, Any]:
    """The case's environment as values.yaml."""
    environ = dict(line.split("=", 1) for line in (GOLDEN / case / "values.env").read_text().splitlines() if line)
    return {
        "AKOSettings": {
            "clusterName": "peer",
            "cniPlugin": environ["CNI_PLUGIN"],
            "ipFamily": environ["IP_FAMILY"],
            "enableEVH": environ.get("ENABLE_EVH", "false"),
        },
        "NetworkSettings": {
            "vipNetworkList": json.loads(environ["VIP_NETWORK_LIST"]),
            "nodeNetworkList": json.loads(environ["NODE_NETWORK_LIST"]),
        },
        "pipeline": {"leaseTTL": 3},
    }


def the_rest_of_the_cluster() -> list[dict[str, Any]]:
    """What stood in the recorded cluster beside the manifests: the default IngressClass."""
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "avi-lb", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "ako.vmware.com/avi-lb"},
        }
    ]


@pytest.mark.parametrize("case", CASES)
def test_objects_of_ako_are_taken_over_without_a_write(case: str, tmp_path: Path) -> None:
    """With AKO's objects beside those of clusters `peer2` and `xpeer`, every key runs and nothing is written."""
    folder = GOLDEN / case
    with Scene(tmp_path, values_of(case), foreign=FOREIGN, cluster="peer", watcher=False) as scene:
        scene.avi_load(json.loads((folder / "avi.json").read_text()))
        scene.load([*the_rest_of_the_cluster(), *yaml.safe_load_all((folder / "manifests.yaml").read_text())])
        manifests = list(yaml.safe_load_all((folder / "manifests.yaml").read_text()))
        ingresses = [obj for obj in manifests if obj["kind"] == "Ingress"]
        services = [obj for obj in manifests if obj["kind"] == "Service" and obj["spec"].get("type") == "LoadBalancer"]
        before = scene.foreign()
        assert {"peer2--", "xpeer--"} <= {name.partition("/")[2][:7] for name in before}
        scene.forget_audit()
        scene.stack.start_watcher()
        wait_for(lambda: len(scene.state.hash("rows")) == len(ingresses), seconds=30, what="every host having run")
        wait_for(lambda: len(scene.state.hash("served")) == len(services), seconds=30, what="every Service having run")
        wait_for(scene.quiet, seconds=30, what="quiet")
        assert [write for write in scene.writes() if write[1] != "/login"] == []
        assert scene.foreign() == before
        expected = json.loads((folder / "k8s-status.json").read_text())
        for ingress in ingresses:
            name = ingress["metadata"]["name"]
            wanted = expected[f"ingress/red/{name}"]["status"]["loadBalancer"]["ingress"]
            got = wait_for(lambda name=name: scene.ingress_status("red", name), what=f"the status of {name}")  # type: ignore[misc]
            assert [row["hostname"] for row in got] == [row["hostname"] for row in wanted]
        for service in services:
            name = service["metadata"]["name"]
            wanted = expected[f"service/red/{name}"]["status"]["loadBalancer"]["ingress"]
            got = scene.kube.get(f"/api/v1/namespaces/red/services/{name}")["status"]["loadBalancer"]["ingress"]
            assert [(row["ip"], row["hostname"]) for row in got] == [(row["ip"], row["hostname"]) for row in wanted]
