"""Pool servers in NodePort mode: the cases of nodeport.yaml, and that no order matters."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.addresses import Family
from shared.settings.model import IpFamily, ServiceType
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, service, settings
from workers.model.nodes import EXCLUDED
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
    assert all(case.get("says", "") in problem.message for problem in desired.problems)
    if "pool" in case:
        (pool,) = desired.objects
        assert pool.body.keys() - case["pool"].keys() == {"cloud_config_cksum", "service_metadata"}
        assert {**pool.body, **case["pool"]} == pool.body
    for seed in range(3):
        again = built(case, random.Random(seed).sample(objects, len(objects)))
        assert (again.objects, again.problems) == (desired.objects, desired.problems)


ADDRESSES = st.sampled_from(["10.50.0.1", "10.50.0.2", "2001:db8::1", "2001:db8::2", "169.254.0.1", "fe80::1", "x", ""])
NODES = st.lists(
    st.builds(
        lambda addresses, labels, leaving, noted: {
            "metadata": {"labels": labels, "annotations": noted, **({"deletionTimestamp": "now"} if leaving else {})},
            "status": {"addresses": [{"type": "InternalIP", "address": text} for text in addresses]},
        },
        st.lists(ADDRESSES, max_size=4),
        st.sampled_from([{}, {"role": "edge"}, {EXCLUDED: ""}, {"role": "edge", EXCLUDED: "true"}]),
        st.booleans(),
        st.sampled_from([{}, {"projectcalico.org/IPv6Address": "2001:db8:60::1/64"}]),
    ),
    max_size=5,
)


@examples(deadline=None, max_examples=200)
@given(
    nodes=NODES,
    family=st.sampled_from(IpFamily),
    families=st.sampled_from([["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"]]),
    selector=st.sampled_from([("", ""), ("role", "edge")]),
    data=st.data(),
)
def test_servers_are_nodes_of_the_wanted_families(
    nodes: list[dict[str, Any]], family: IpFamily, families: list[str], selector: tuple[str, str], data: st.DataObject
) -> None:
    """Families are those that settings and Service share; no node serves twice in one; no order matters."""
    for number, node in enumerate(nodes):
        node["metadata"]["name"] = f"n{number}"
    asked = {"cni": "calico", "family": family.value, "selector": selector}
    spec = {"type": "NodePort", "ipFamilies": families, "ports": [{"name": "p80", "port": 80, "nodePort": 30080}]}
    case = {"settings": asked, "nodes": nodes, "service": spec}
    desired = built(case, manifests(case))
    (pool,) = desired.objects
    rows = pool.body.get("servers", [])
    shared = {each.value for each in Family if each.value in family.value and f"IP{each.value.lower()}" in families}
    assert {row["ip"]["type"] for row in rows} <= shared
    labels = [node["metadata"]["labels"] for node in nodes]
    serving = [each for each in labels if EXCLUDED not in each and (not selector[0] or "role" in each)]
    assert all(sum(row["ip"]["type"] == each for row in rows) <= len(serving) for each in shared)
    assert bool(rows) != bool(desired.problems)
    case["nodes"] = data.draw(st.permutations(nodes))
    spec["ipFamilies"] = families[::-1]
    again = built(case, manifests(case))
    assert [each.body for each in again.objects] == [pool.body]


def test_a_node_that_cannot_serve_is_told_itself() -> None:
    """The Event is the node's and not each host's; there is none for nodes left out, nor in other modes."""
    objects = manifests(
        {**CASES[0], "nodes": [{"metadata": {"name": "n1"}}, {"metadata": {"name": "n2", "labels": {"x": "y"}}}]}
    )
    made = World(settings(service_type=ServiceType.NODE_PORT, node_port_label=("x", "y"))).apply(*objects)
    desired = made.routes()
    assert [(problem.kind, problem.name, problem.reason) for problem in desired.problems] == [
        ("Node", "n2", "NoNodeAddress")
    ]
    assert desired.shared == ()
    plain = replace(made, settings=settings()).routes()
    assert not [problem for problem in plain.problems if problem.reason == "NoNodeAddress"]
    leaving = replace(made, settings=replace(made.settings, delete_config=True)).routes()
    assert leaving.problems == ()
