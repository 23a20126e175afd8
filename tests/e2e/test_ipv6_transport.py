"""The pipeline between a controller and an API server that have nothing but ::1: with their gates on, and without."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from bench import world as cluster
from cli.stack import Stack
from tests.support import wait_for

GATES = ("IPv6Controller", "IPv6KubernetesAPI")
ON_V6 = ("--host", "::1")
POOL = f"bench--bench-{cluster.host(0)}_-i00000"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Stack]:
    """Redis and both simulators, these on ::1 (the controller over TLS), and no watcher or worker yet."""
    stack = Stack(
        tmp_path,
        values={**cluster.values(leaseTTL=3), "featureGates": dict.fromkeys(GATES, True)},
        workers=0,
        watcher=False,
        tls=True,
        avi_args=ON_V6,
        kube_args=ON_V6,
    )
    with stack:
        stack.kube_control("load", [*cluster.base(), *cluster.objects_of(0)])
        yield stack


def use(stack: Stack, *gates: str) -> None:
    """Writes the values file with the controller's address and these gates; watcher and workers read it."""
    host = urlsplit(stack.avi_url).netloc
    assert host.startswith("[::1]:")
    values = {
        **cluster.values(leaseTTL=3),
        "ControllerSettings": {"controllerHost": host},
        "featureGates": dict.fromkeys(gates, True),
    }
    path = stack.directory / "on-v6.yaml"
    path.write_text(yaml.safe_dump(values))
    stack.environ.pop("CTRL_IPADDRESS", None)
    stack.environ["AKO_VALUES"] = str(path)


def says(stack: Stack, name: str, text: str) -> bool:
    return text in stack.processes()[name].log.read_text()


def calls(stack: Stack) -> list[str]:
    """The calls to controller and API server so far."""
    audits = [stack.avi_control("audit"), stack.kube_control("audit")]
    return [call["path"] for audit in audits for call in audit["calls"]]


def status(stack: Stack) -> list[dict[str, Any]]:
    path = f"/apis/networking.k8s.io/v1/namespaces/{cluster.NAMESPACE}/ingresses/i00000"
    found = stack.kube_client().get(path).get("status", {})
    rows: list[dict[str, Any]] = found.get("loadBalancer", {}).get("ingress", [])
    return rows


def test_both_are_served_over_ipv6_once_their_gates_are_on(outside: Stack) -> None:
    """Without the gates nobody is connected to and both processes say why; with one it is said of the other; with both,
    and no restart, the Ingress becomes a pool and gets its address.
    """
    use(outside)
    outside.kube_control("audit", method="DELETE")
    outside.start_watcher()
    outside.start_worker()
    for name in ("watcher", "worker-1"):
        wait_for(partial(says, outside, name, "(V6-CTRL)"), seconds=20, what="V6-CTRL")
    assert calls(outside) == []

    use(outside, "IPv6Controller")
    for name in ("watcher", "worker-1"):
        said = "kubeconfig.server: found '::1', which has IPv6 addresses only"
        wait_for(partial(says, outside, name, said), seconds=20, what="V6-API")
        assert "(V6-API)" in str(outside.readyz(name)["reasons"])
    assert calls(outside) == []

    use(outside, *GATES)
    wait_for(lambda: status(outside), seconds=40, what="the Ingress status")
    pool = outside.avi_client().find("pool", POOL)
    assert pool is not None
    assert {server["ip"]["addr"] for server in pool["servers"]} == set(cluster.addresses(0))
    assert [name for name in ("watcher", "worker-1") if not outside.processes()[name].alive] == []
