"""Pool servers in NodePort mode: the cases of nodeport.yaml, and that no order matters."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings.model import IpFamily, ServiceType
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, service, settings
from workers.model.context import context_for
from workers.model.nodes import node_problems
from workers.model.types import Desired

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("nodeport.yaml").read_text())


def manifests(case: dict[str, Any]) -> list[dict[str, Any]]:
    port = case.get("port", 80)
    backend = {"service": {"name": "web", "port": {"name" if isinstance(port, str) else "number": port}}}
    found = [AVI_CLASS, ingress(paths=[{"path": "/", "backend": backend}]), service(**case["service"])]
    found[-1]["spec"] = case["service"]
    found += [{"kind": "Node", **node} for node in case["nodes"]]
    for number, (family, target, ready) in enumerate(case.get("slices", ())):
        addresses = [f"10.244.{number}.{n}" if family == "IPv4" else f"fd00::{number}:{n}" for n in range(len(ready))]
        ports = [{"name": "p80", "port": target, "protocol": "TCP"}]
        made = endpoint_slice(addresses, family=family, name=f"web-{number}", ports=ports)
        for endpoint, (node, good) in zip(made["endpoints"], ready.items(), strict=True):
            endpoint |= {"nodeName": node, "conditions": {"ready": good}}
        found.append(made)
    return found


def built(case: dict[str, Any], objects: list[dict[str, Any]]) -> Desired:
    asked = case.get("settings", {})
    chosen = settings(
        service_type=ServiceType.NODE_PORT,
        cni_plugin=asked.get("cni", ""),
        ip_family=IpFamily(asked.get("family", "V4")),
        node_port_label=tuple(asked.get("selector", ("", ""))),
    )
    return World(chosen).apply(*objects).host("foo.example.com")


def servers(desired: Desired) -> list[str]:
    (pool,) = desired.objects
    rows = pool.body.get("servers", [])
    assert all(row["external_uuid"] == f"{row['ip']['addr']}:{row['port']}" for row in rows)
    assert all(row["ip"]["type"] == ("V6" if ":" in row["ip"]["addr"] else "V4") for row in rows)
    return [row["external_uuid"] + ("" if row.get("enabled", True) else " off") for row in rows]


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_servers_are_as_worked_out_by_hand(case: dict[str, Any]) -> None:
    """Each case has its servers and Events, in whatever order its objects come."""
    objects = manifests(case)
    desired = built(case, objects)
    assert sorted(servers(desired)) == sorted(case["servers"])
    assert [problem.reason for problem in desired.problems] == case.get("events", [])
    for seed in range(3):
        again = built(case, random.Random(seed).sample(objects, len(objects)))
        assert (again.objects, again.problems) == (desired.objects, desired.problems)


def test_a_node_that_cannot_serve_is_told_itself() -> None:
    """The Event is the node's and not each host's; there is none for nodes left out, nor in other modes."""
    objects = manifests(
        {**CASES[0], "nodes": [{"metadata": {"name": "n1"}}, {"metadata": {"name": "n2", "labels": {"x": "y"}}}]}
    )
    made = World(settings(service_type=ServiceType.NODE_PORT, node_port_label=("x", "y"))).apply(*objects)
    context = context_for(made.settings, made.facts)
    told = [problem for node in made.of("Node").values() for problem in node_problems(node, context)]
    assert [(problem.kind, problem.name, problem.reason) for problem in told] == [("Node", "n2", "NoNodeAddress")]
    plain = context_for(settings(), made.facts)
    assert not [problem for node in made.of("Node").values() for problem in node_problems(node, plain)]
