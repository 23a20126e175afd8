"""Pool servers in NodePortLocal mode: the cases of nodeportlocal.yaml, and that no order matters."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.settings.model import ServiceType
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, settings
from workers.model.types import Desired

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("nodeportlocal.yaml").read_text())
WEB = {"ipFamilies": ["IPv4"], "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}


def pod(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name, "namespace": "red", "labels": fields.get("labels", {"app": "web"})}
    if "ports" in fields:
        ports = fields["ports"]
        meta["annotations"] = {"nodeportlocal.antrea.io": ports if isinstance(ports, str) else json.dumps(ports)}
    if fields.get("gone"):
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    ready = fields.get("ready", True)
    conditions = [] if ready is None else [{"type": "Ready", "status": str(ready)}]
    status = {"phase": fields.get("phase", "Running"), "conditions": [{"type": "Initialized"}, *conditions]}
    return {"kind": "Pod", "metadata": meta, "spec": fields.get("spec", {}), "status": status}


def manifests(case: dict[str, Any]) -> list[dict[str, Any]]:
    port = case.get("port", 80)
    backend = {"service": {"name": "web", "port": {"name" if isinstance(port, str) else "number": port}}}
    found = [AVI_CLASS, ingress(paths=[{"path": "/", "backend": backend}])]
    if case["service"]:
        found.append({"kind": "Service", "metadata": {"name": "web", "namespace": "red"}, "spec": case["service"]})
    if case.get("endpoints"):
        found.append(endpoint_slice(["10.244.1.1"]))
    return found + [pod(name, fields) for name, fields in case["pods"].items()]


def built(objects: list[dict[str, Any]]) -> Desired:
    chosen = settings(service_type=ServiceType.NODE_PORT_LOCAL, cni_plugin="antrea")
    return World(chosen).apply(*objects).host("foo.example.com")


def servers(desired: Desired) -> list[str]:
    (pool,) = desired.objects
    rows = pool.body.get("servers", [])
    for row in rows:
        assert row.keys() == {"ip", "port", "external_uuid", "enabled"}
        assert row["ip"]["type"] == "V4"
        assert row["external_uuid"] == f"{row['ip']['addr']}:{row['port']}"
    return [row["external_uuid"] + ("" if row["enabled"] else " off") for row in rows]


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_servers_are_as_worked_out_by_hand(case: dict[str, Any]) -> None:
    """Each case has its servers and Events, in whatever order its objects come."""
    objects = manifests(case)
    desired = built(objects)
    assert servers(desired) == case["servers"]
    assert [f"{problem.kind} {problem.reason}" for problem in desired.problems] == case.get("events", [])
    for seed in range(3):
        again = built(random.Random(seed).sample(objects, len(objects)))
        assert (again.objects, again.problems) == (desired.objects, desired.problems)


def test_waiting_for_antrea_is_no_warning() -> None:
    """It is so for a moment whenever a Service is new; the Event says where to look if it stays so."""
    (problem,) = built(manifests({"service": WEB, "endpoints": True, "pods": {"a": {}}})).problems
    assert not problem.warning
    assert "feature NodePortLocal" in problem.message
    assert 'nodeportlocal.antrea.io/enabled: "true"' in problem.message


ENTRIES = st.fixed_dictionaries(
    {
        "podPort": st.sampled_from([8080, 9090]),
        "nodeIP": st.sampled_from(["10.50.0.1", "10.50.0.2", "2001:db8:50::1"]),
        "nodePort": st.sampled_from([61000, 61001]),
    },
    optional={"protocol": st.sampled_from(["tcp", "udp"])},
)
PODS = st.fixed_dictionaries(
    {"ports": st.lists(ENTRIES, max_size=4), "ready": st.booleans()},
    optional={"labels": st.just({"app": "other"}), "gone": st.just(True)},
)


@examples(deadline=None)
@given(pods=st.lists(PODS, max_size=4), shuffled=st.randoms(use_true_random=False))
def test_no_order_of_pods_or_of_ports_matters(pods: list[dict[str, Any]], shuffled: Any) -> None:
    """Each fitting port of a selected pod is one server, and those of a pod that is ready are enabled."""
    by_name = {f"pod{number}": fields for number, fields in enumerate(pods)}
    desired = built(manifests({"service": WEB, "pods": by_name}))
    expected: dict[str, bool] = {}
    for fields in pods:
        for entry in fields["ports"]:
            fits = entry["podPort"] == 8080 and entry.get("protocol") != "udp" and "." in entry["nodeIP"]
            if fits and "labels" not in fields:
                key = f"{entry['nodeIP']}:{entry['nodePort']}"
                expected[key] = expected.get(key, False) or (fields["ready"] and "gone" not in fields)
    assert servers(desired) == [key + ("" if on else " off") for key, on in sorted(expected.items())]
    for fields in pods:
        shuffled.shuffle(fields["ports"])
    objects = manifests({"service": WEB, "pods": by_name})
    again = built(shuffled.sample(objects, len(objects)))
    assert (again.objects, again.problems) == (desired.objects, desired.problems)
